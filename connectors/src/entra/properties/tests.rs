use super::*;

/// Microsoft's own description, which the project's tests carry.
const METADATA: &str = include_str!("../../../../tests/it/entra/graph-v1.0.xml");

/// The properties of an entity type, with their types.
fn described(name: &str) -> BTreeMap<&'static str, &'static str> {
    let start = METADATA
        .find(&format!("<EntityType Name=\"{name}\""))
        .unwrap();
    let text = &METADATA[start..];
    let text = &text[..text.find("</EntityType>").unwrap()];
    let between = |line: &'static str, from: &str| {
        let from = line.find(from)? + from.len();
        let length = line[from..].find('"')?;
        Some(&line[from..from + length])
    };
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| line.starts_with("<Property "));
    lines
        .map(|line| {
            (
                between(line, " Name=\"").unwrap(),
                between(line, " Type=\"").unwrap(),
            )
        })
        .collect()
}

#[test]
fn every_property_exists_with_the_type_that_is_read() {
    for (of_type, table) in [("user", OF_USERS), ("group", OF_GROUPS)] {
        let described = described(of_type);
        for (name, form) in table {
            let expected = match form {
                Text => "Edm.String",
                Texts => "Collection(Edm.String)",
                Boolean => "Edm.Boolean",
                Moment => "Edm.DateTimeOffset",
            };
            assert_eq!(described.get(name), Some(&expected), "{of_type}.{name}");
        }
    }
    let user = described("user");
    for (inner, outer) in WITHIN {
        let of_type = user
            .get(outer)
            .unwrap_or_else(|| panic!("{inner} in {outer}"));
        assert!(of_type.starts_with("graph."), "{outer}");
    }
}

#[test]
fn what_is_asked_for_is_what_is_in_use_and_what_a_read_goes_by() {
    let requested = [
        "mail",
        "sn",
        "costCenter",
        "division",
        "manager",
        "assigned-to:App",
        "roles:B",
    ];
    let requested = requested.map(str::to_owned).into();
    let wanted = Wanted::new(Some(&requested), &[]);
    let select = "accountEnabled,employeeOrgData,id,mail,userPrincipalName";
    assert_eq!(wanted.select_of_people(), select);
    assert_eq!(
        wanted.select_of_changed_people(),
        format!("{select},manager")
    );
    assert_eq!(
        wanted.select_of_groups(),
        "displayName,id,mail,visibility,members"
    );
    assert_eq!(wanted.assigned, BTreeSet::from(["App".to_owned()]));
    assert_eq!(wanted.roles, BTreeSet::from(["B".to_owned()]));
}

#[test]
fn a_directory_extension_is_selected_where_it_is_configured() {
    let requested = BTreeSet::from(["extension_1_badge".to_owned()]);
    let without = Wanted::new(Some(&requested), &[]);
    assert!(without.of_people.is_empty());
    let with = Wanted::new(Some(&requested), &["extension_1_badge".to_owned()]);
    assert!(with.select_of_people().contains("extension_1_badge"));
}
