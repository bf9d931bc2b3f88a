//! Joiners, movers, and leavers by every way out of a directory; and who returns.

use super::{begin, with};
use crate::ldap::directory::{Directory, Flavor, Person};
use crate::support::story::Story;

with! { come_move_leave_and_return:
    come_move_leave_and_return_with_openldap OpenLdap,
    come_move_leave_and_return_with_active_directory ActiveDirectory,
    come_move_leave_and_return_with_389ds DirectoryServer,
    come_move_leave_and_return_with_freeipa FreeIpa,
}

const ANA: Person<'_> = Person {
    key: "ana",
    given_name: "Ana",
    surname: "Alba",
    mail: "ana@example.com",
    title: "Engineer",
};
const BO: Person<'_> = Person {
    key: "bo",
    given_name: "Bo",
    surname: "Berg",
    mail: "bo@example.com",
    title: "Boss",
};
const CY: Person<'_> = Person {
    key: "cy",
    given_name: "Cy",
    surname: "Cole",
    mail: "cy@example.com",
    title: "Clerk",
};

fn come_move_leave_and_return(directory: &Directory) {
    let mut story = begin(
        directory,
        "Everything that happens to one person is one write, and what happens to nobody is none.",
        "",
    );
    directory.join(&ANA);
    story.tell(
        r#"
name = "one person, the first run"
requests = '''
POST /Users {"schemas":["{User}"],"externalId":"{any}","userName":"ana@example.com","active":true,
  "name":{"givenName":"Ana","familyName":"Alba"},"displayName":"Ana Alba",
  "emails":[{"type":"work","value":"ana@example.com","primary":true}],"title":"Engineer"}
'''
users = { "ana@example.com" = true }
"#,
    );
    story.tell(
        r#"
name = "nothing happened, and the target is not even asked"
plan = '''
demo: nothing to do (1 unchanged)
'''
requests = ""
reads = 0
"#,
    );
    directory.join(&BO);
    directory.join(&CY);
    story.tell(
        r#"
name = "two join"
writes = 2
users = { "ana@example.com" = true, "bo@example.com" = true, "cy@example.com" = true }
"#,
    );
    directory.set(&directory.person_dn("ana"), "title", &["Staff Engineer"]);
    story.tell(
        r#"
name = "Ana moves"
requests = '''
PATCH /Users/{id:ana@example.com} [{"op":"replace","path":"title","value":"Staff Engineer"}]
'''
"#,
    );
    directory.set(&directory.person_dn("ana"), "title", &[]);
    story.tell(
        r#"
name = "Ana has no title any more, and so it goes at the target"
requests = '''
PATCH /Users/{id:ana@example.com} [{"op":"remove","path":"title"}]
'''
"#,
    );
    directory.switch("bo", false);
    story.tell(
        r#"
name = "Bo leaves: the account is switched off"
plan = '''
demo: 0 to create, 0 to adopt, 0 to patch, 1 to deactivate, 0 to reactivate, 0 to delete, 0 held (2 unchanged)

  - user   bo@example.com  DisabledAtSource

  1 request, about 1 s at 100 requests a second

demo: would be 0 created, 0 adopted, 0 patched, 1 deactivated, 0 reactivated, 0 deleted, 0 failed, 0 held (2 unchanged)
'''
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":false}]
'''
"#,
    );
    directory.switch("bo", true);
    story.tell(
        r#"
name = "Bo returns"
plan = '''
demo: 0 to create, 0 to adopt, 0 to patch, 0 to deactivate, 1 to reactivate, 0 to delete, 0 held (2 unchanged)

  ^ user   bo@example.com  Returned

  1 request, about 1 s at 100 requests a second

demo: would be 0 created, 0 adopted, 0 patched, 0 deactivated, 1 reactivated, 0 deleted, 0 failed, 0 held (2 unchanged)
'''
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":true}]
'''
"#,
    );
    leave_by_moving_and_by_deletion(directory, &mut story);
    marry(directory, &mut story);
    story.check_settled();
}

fn leave_by_moving_and_by_deletion(directory: &Directory, story: &mut Story) {
    directory.move_away("cy");
    // FreeIPA's other place is that of the preserved users, who can be read.
    let reason = match directory.flavor {
        Flavor::FreeIpa => "SoftDeleted",
        _ => "GoneFromSource",
    };
    story.tell(
        &r#"
name = "Cy leaves: moved to where nobody is read"
plan = '''
demo: 0 to create, 0 to adopt, 0 to patch, 1 to deactivate, 0 to reactivate, 0 to delete, 0 held (2 unchanged)

  - user   cy@example.com  REASON

  1 request, about 1 s at 100 requests a second

demo: would be 0 created, 0 adopted, 0 patched, 1 deactivated, 0 reactivated, 0 deleted, 0 failed, 0 held (2 unchanged)
'''
requests = '''
PATCH /Users/{id:cy@example.com} [{"op":"replace","path":"active","value":false}]
'''
"#
        .replace("REASON", reason),
    );
    directory.move_back("cy");
    story.tell(
        r#"
name = "Cy is moved back, and is the same person"
requests = '''
PATCH /Users/{id:cy@example.com} [{"op":"replace","path":"active","value":true}]
'''
users = { "ana@example.com" = true, "bo@example.com" = true, "cy@example.com" = true }
"#,
    );
    directory.delete(&directory.person_dn("bo"));
    story.tell(
        r#"
name = "Bo leaves: deleted"
plan = '''
demo: 0 to create, 0 to adopt, 0 to patch, 1 to deactivate, 0 to reactivate, 0 to delete, 0 held (2 unchanged)

  - user   bo@example.com  GoneFromSource

  1 request, about 1 s at 100 requests a second

demo: would be 0 created, 0 adopted, 0 patched, 1 deactivated, 0 reactivated, 0 deleted, 0 failed, 0 held (2 unchanged)
'''
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":false}]
'''
users = { "ana@example.com" = true, "bo@example.com" = false, "cy@example.com" = true }
"#,
    );
}

/// Everything that people call somebody by changes, and it is the same person.
fn marry(directory: &Directory, story: &mut Story) {
    directory.rename_person("ana", "ana.berg");
    let dn = directory.person_dn("ana.berg");
    directory.set(&dn, "sn", &["Berg"]);
    directory.set(&dn, "displayName", &["Ana Berg"]);
    directory.set(&dn, "mail", &["ana.berg@example.com"]);
    story.tell(
        r#"
name = "Ana marries"
requests = '''
PATCH /Users/{id:ana@example.com} [{"op":"replace","path":"displayName","value":"Ana Berg"},
  {"op":"replace","path":"emails[type eq \"work\"].value","value":"ana.berg@example.com"},
  {"op":"replace","path":"name.familyName","value":"Berg"},
  {"op":"replace","path":"userName","value":"ana.berg@example.com"}]
'''
users = { "ana.berg@example.com" = true, "bo@example.com" = false, "cy@example.com" = true }
"#,
    );
}
