//! Groups: members who come and go, groups in groups, in a circle too, other names, and
//! groups as a scope.

use super::{PUSH_ALL, begin, with};
use crate::ldap::directory::{Directory, Flavor, Record};
use crate::ldap::slapd;

with! { come_and_go:
    members_come_and_go_with_openldap OpenLdap,
    members_come_and_go_with_active_directory ActiveDirectory,
    members_come_and_go_with_389ds DirectoryServer,
    members_come_and_go_with_freeipa FreeIpa,
}

with! { other_styles:
    groups_of_other_styles_with_openldap OpenLdap,
    groups_of_other_styles_with_389ds DirectoryServer,
}

with! { primary: primary_groups_with_active_directory ActiveDirectory, }

fn come_and_go(directory: &Directory) {
    let mut story = begin(
        directory,
        "A changed list of members is one PATCH of the group, of exactly the difference; nested \
         groups are flattened, and a circle of groups is one crowd.",
        PUSH_ALL,
    );
    directory.join_clerks(["ana", "bo", "cy"]);
    let dn = |key: &str| directory.person_dn(key);
    directory.add_group("Backend", &[dn("bo")]);
    directory.add_group("Engineering", &[dn("ana"), directory.group_dn("Backend")]);
    if matches!(directory.flavor, Flavor::OpenLdap | Flavor::ActiveDirectory) {
        // Somebody who is none of the people, and so is nobody's member anywhere else.
        directory.add_member("Backend", &directory.agent().dn);
    }
    story.tell(
        r#"
name = "three people, a group, and a group around it"
writes = 5
[members]
Backend = ["bo@example.com"]
Engineering = ["ana@example.com", "bo@example.com"]
"#,
    );
    directory.add_member("Backend", &dn("cy"));
    story.tell(
        r#"
name = "Cy joins the inner group, and so the outer"
writes = 2
[members]
Backend = ["bo@example.com", "cy@example.com"]
Engineering = ["ana@example.com", "bo@example.com", "cy@example.com"]
"#,
    );
    directory.remove_member("Backend", &dn("bo"));
    story.tell(
        r#"
name = "Bo leaves both"
writes = 2
[members]
Backend = ["cy@example.com"]
Engineering = ["ana@example.com", "cy@example.com"]
"#,
    );
    directory.add_member("Backend", &directory.group_dn("Engineering"));
    story.tell(
        r#"
name = "by mistake the outer group is also in the inner one: both have everybody of either"
requests = '''
PATCH /Groups/{id:Backend} [{"op":"add","path":"members","value":[{"value":"{id:ana@example.com}"}]}]
'''
[members]
Backend = ["ana@example.com", "cy@example.com"]
Engineering = ["ana@example.com", "cy@example.com"]
"#,
    );
    directory.remove_member("Backend", &directory.group_dn("Engineering"));
    story.tell(
        r#"
name = "the circle is broken again"
requests = '''
PATCH /Groups/{id:Backend} [{"op":"remove","path":"members[value eq \"{id:ana@example.com}\"]"}]
'''
"#,
    );
    directory.rename_group("Engineering", "Research");
    story.tell(
        r#"
name = "a group gets another name, and is the same group"
requests = '''
PATCH /Groups/{id:Engineering} [{"op":"replace","path":"displayName","value":"Research"}]
'''
[members]
Research = ["ana@example.com", "cy@example.com"]
"#,
    );
    directory.rename_person("ana", "anna");
    story.tell(
        r#"
name = "a member gets another DN, and is the same member"
requests = ""
reads = 0
"#,
    );
    directory.move_away("cy");
    story.tell(
        r#"
name = "a member is moved to where nobody is read: switched off, and no member any more"
writes = 3
users = { "ana@example.com" = true, "bo@example.com" = true, "cy@example.com" = false }
[members]
Backend = []
Research = ["ana@example.com"]
"#,
    );
    story.check_settled();
}

/// `groupOfUniqueNames`, whose members may carry a bit string, and `posixGroup`, whose members
/// are user names; and a member who is nobody, without whom OpenLDAP's groups cannot be empty.
fn other_styles(directory: &Directory) {
    let mut story = begin(
        directory,
        "A group's members are its members, however its class writes them down.",
        PUSH_ALL,
    );
    directory.join_clerks(["ana", "bo", "cy"]);
    let mut record = Record::add(&directory.group_dn("unique"));
    record
        .line("objectClass", "groupOfUniqueNames")
        .line("cn", "unique")
        .line("uniqueMember", &directory.person_dn("ana"))
        .line(
            "uniqueMember",
            &format!("{}#'0101'B", directory.person_dn("bo")),
        );
    directory.server.modify(&record.0);
    let mut record = Record::add(&directory.group_dn("posix"));
    record
        .line("objectClass", "posixGroup")
        .line("cn", "posix")
        .line("gidNumber", "5000")
        .line("memberUid", "ana")
        .line("memberUid", "cy");
    directory.server.modify(&record.0);
    let nobody = format!("cn=nobody,{}", slapd::SUFFIX);
    directory.add_group("empty", &[nobody]);
    story.tell(
        r#"
name = "three styles of group"
writes = 6
[members]
unique = ["ana@example.com", "bo@example.com"]
posix = ["ana@example.com", "cy@example.com"]
empty = []
"#,
    );
    let posix = directory.group_dn("posix");
    directory.change_value(&posix, "delete", "memberUid", "cy");
    directory.change_value(&posix, "add", "memberUid", "bo");
    story.tell(
        r#"
name = "one user name for another"
writes = 1
[members]
posix = ["ana@example.com", "bo@example.com"]
"#,
    );
    directory.add_member("empty", &directory.person_dn("cy"));
    story.tell(
        r#"
name = "somebody joins nobody"
writes = 1
[members]
empty = ["cy@example.com"]
"#,
    );
    story.check_settled();
}

/// Who has a group as the primary one is its member, and is in no list of members.
fn primary(directory: &Directory) {
    let mut story = begin(
        directory,
        "A primary group has its people although its `member` does not name them.",
        PUSH_ALL,
    );
    directory.join_clerks(["ana", "bo", "cy"]);
    let dn = |key: &str| directory.person_dn(key);
    directory.add_group("Staff", &[dn("ana"), dn("bo")]);
    story.tell(
        r#"
name = "a group with two members"
writes = 4
[members]
Staff = ["ana@example.com", "bo@example.com"]
"#,
    );
    let group = directory.group_dn("Staff");
    let token = directory.server.read(&group, "primaryGroupToken");
    directory.set(&dn("bo"), "primaryGroupID", &[token[0].as_str()]);
    let named = directory.server.read(&group, "member");
    assert_eq!(named, [dn("ana")], "Bo is no longer named");
    story.tell(
        r#"
name = "it becomes Bo's primary group, which changes nothing"
requests = ""
[members]
Staff = ["ana@example.com", "bo@example.com"]
"#,
    );
    story.check_settled();
}
