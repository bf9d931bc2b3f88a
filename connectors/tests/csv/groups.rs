//! Groups from their own file and from a column of the people.

use provisor_connectors::{Coverage, Kind, SourceError};

use super::folder::{Folder, PEOPLE, members, values};

#[test]
fn groups_have_people_and_groups_as_direct_members() {
    let read = Folder::with_groups(
        PEOPLE,
        "id,displayName,members,member_groups,note\n\
         all,Everyone,,eng,x\n\
         eng,Engineering, 1; 2 ;1,,\n",
    )
    .read()
    .unwrap();
    let groups = read.of(Kind::Group);
    assert_eq!(
        groups[0].members,
        members(&[(Kind::Group, "eng")]),
        "named further down"
    );
    assert_eq!(
        groups[1].members,
        members(&[(Kind::User, "1"), (Kind::User, "2")])
    );
    let names: Vec<&String> = groups[0].attributes.0.keys().collect();
    assert_eq!(names, ["displayName", "id", "note"]);
    assert_eq!(read.batch.coverage[&Kind::Group], Coverage::Complete);
    assert!(read.batch.warnings.is_empty());
}

#[test]
fn unknown_members_are_left_out_and_warned_of_within_bounds() {
    let many: Vec<String> = (0..15).map(|number| format!("gone-{number}")).collect();
    let groups = format!(
        "id,members,member_groups\na,1;9,b\nb,{},9\n",
        many.join(";")
    );
    let read = Folder::with_groups(PEOPLE, groups).read().unwrap();
    let records = read.of(Kind::Group);
    assert_eq!(
        records[0].members,
        members(&[(Kind::User, "1"), (Kind::Group, "b")])
    );
    assert_eq!(records[1].members, members(&[]));
    let warnings = read.warnings();
    assert_eq!(warnings.len(), 11);
    assert!(warnings[0].contains("groups.csv:2: the group `a` names the user `9`"));
    assert!(warnings[10].ends_with("7 unknown members left out besides"));
}

#[test]
fn a_groups_file_is_as_strict_as_the_people() {
    for (text, expected) in [
        ("", "groups.csv:1: the file is empty"),
        (
            "id,displayName\ng,G\n",
            "groups.csv:1: no column `members`; there are",
        ),
        ("members\n1\n", "groups.csv:1: no column `id`"),
        ("id,members\n,1\n", "groups.csv:2: the column `id` is empty"),
        (
            "id,members\ng,1\nh,\ng,\n",
            "groups.csv:4: the `id` of this row is already on line 2",
        ),
        (
            "id,members\ng,1\nh",
            "groups.csv:3: the last line does not end",
        ),
        (
            "id,members\ng\n",
            "groups.csv:2: 1 cell where the header has 2 columns",
        ),
    ] {
        let failure = Folder::with_groups(PEOPLE, text).failure();
        assert!(failure.starts_with(expected), "{text:?} gave: {failure}");
    }
}

#[test]
fn a_column_of_the_people_can_name_the_groups() {
    let folder = Folder::with_users("id,teams\n1,red; blue\n2,blue;blue\n3,\n")
        .set("group_column = \"teams\"");
    let read = folder.read().unwrap();
    assert_eq!(read.ids(Kind::Group), ["blue", "red"]);
    let groups = read.of(Kind::Group);
    assert_eq!(
        groups[0].members,
        members(&[(Kind::User, "1"), (Kind::User, "2")])
    );
    assert_eq!(groups[1].members, members(&[(Kind::User, "1")]));
    assert_eq!(values(groups[0], "displayName"), ["blue"]);
    assert_eq!(values(&read.records[0], "teams"), ["red", "blue"]);
    assert_eq!(read.batch.coverage[&Kind::Group], Coverage::Complete);

    let folder = folder.set("groups = \"groups.csv\"");
    assert!(matches!(
        folder.read(),
        Err(SourceError::Configuration { .. })
    ));
    assert!(matches!(
        folder.check(),
        Err(SourceError::Configuration { .. })
    ));
    let folder = Folder::with_users("id\n1\n").set("group_column = \"teams\"");
    assert!(
        folder
            .failure()
            .starts_with("people.csv:1: no column `teams`")
    );
}
