//! Whom an app is for: by a group, by a place, by a filter, by an expression; and whom a filter
//! switches off.

use super::{begin, config, with};
use crate::ldap::directory::{Directory, Flavor};
use crate::support::scenario::Scenario;
use crate::support::story::Story;

with! { by_group:
    leaving_the_scope_group_with_openldap OpenLdap,
    leaving_the_scope_group_with_active_directory ActiveDirectory,
    leaving_the_scope_group_with_389ds DirectoryServer,
    leaving_the_scope_group_with_freeipa FreeIpa,
}

with! { by_place:
    leaving_the_place_with_openldap OpenLdap,
    leaving_the_place_with_active_directory ActiveDirectory,
    leaving_the_place_with_389ds DirectoryServer,
}

with! { by_filter:
    leaving_the_filter_with_openldap OpenLdap,
    leaving_the_filter_with_active_directory ActiveDirectory,
    leaving_the_filter_with_389ds DirectoryServer,
    leaving_the_filter_with_freeipa FreeIpa,
}

with! { by_expression:
    leaving_the_expression_with_openldap OpenLdap,
    leaving_the_expression_with_active_directory ActiveDirectory,
}
with! { switched_off_by_filter:
    switched_off_by_a_filter_with_openldap OpenLdap,
    switched_off_by_a_filter_with_active_directory ActiveDirectory,
    switched_off_by_a_filter_with_389ds DirectoryServer,
}

fn by_group(directory: &Directory) {
    let mut story = begin(
        directory,
        "Who leaves the group that the scope names is switched off; who returns is switched on.",
        "[targets.demo.scope]\ngroups = [\"app-users\"]\n",
    );
    directory.join_clerks(["ana", "bo", "cy"]);
    let dn = |key: &str| directory.person_dn(key);
    directory.add_group("app-users", &[dn("ana"), dn("bo")]);
    story.tell(
        r#"
name = "two of three are in the group"
writes = 2
users = { "ana@example.com" = true, "bo@example.com" = true }
"#,
    );
    directory.remove_member("app-users", &dn("bo"));
    story.tell(
        r#"
name = "Bo leaves: by the group"
plan = '''
demo: 0 to create, 0 to adopt, 0 to patch, 1 to deactivate, 0 to reactivate, 0 to delete, 0 held (1 unchanged)

  - user   bo@example.com  LeftScope

  1 request, about 1 s at 100 requests a second

demo: would be 0 created, 0 adopted, 0 patched, 1 deactivated, 0 reactivated, 0 deleted, 0 failed, 0 held (1 unchanged)
'''
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":false}]
'''
"#,
    );
    directory.add_member("app-users", &dn("bo"));
    story.tell(
        r#"
name = "Bo returns"
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":true}]
'''
"#,
    );
    directory.delete(&directory.group_dn("app-users"));
    story.tell(
        r#"
name = "the group cannot be found: nobody is switched off for that"
exit = 1
requests = ""
"#,
    );
}

fn by_place(directory: &Directory) {
    directory.join_clerks(["ana", "bo", "cy"]);
    let (base, unit) = (directory.users_base(), directory.add_unit("Sales, +1"));
    directory.move_person("ana", &base, &unit);
    directory.move_person("bo", &base, &unit);
    let mut story = begin(
        directory,
        "Who is moved out of the place is switched off, who is moved back is switched on.",
        &format!("[targets.demo.scope]\nou = '{unit}'\n"),
    );
    story.tell(
        r#"
name = "two of three are in the place"
writes = 2
users = { "ana@example.com" = true, "bo@example.com" = true }
"#,
    );
    directory.move_person("bo", &unit, &base);
    story.tell(
        r#"
name = "Bo leaves: by the place"
plan = '''
demo: 0 to create, 0 to adopt, 0 to patch, 1 to deactivate, 0 to reactivate, 0 to delete, 0 held (1 unchanged)

  - user   bo@example.com  LeftScope

  1 request, about 1 s at 100 requests a second

demo: would be 0 created, 0 adopted, 0 patched, 1 deactivated, 0 reactivated, 0 deleted, 0 failed, 0 held (1 unchanged)
'''
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":false}]
'''
"#,
    );
    directory.move_person("bo", &base, &unit);
    story.tell(
        r#"
name = "Bo returns"
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":true}]
'''
"#,
    );
    if directory.flavor == Flavor::ActiveDirectory {
        the_place_itself_moves(directory, &mut story, &unit);
    }
    story.check_settled();
}

/// Everybody in it gets another DN, and what the configuration names is not there.
fn the_place_itself_moves(directory: &Directory, story: &mut Story, unit: &str) {
    directory.rename_unit(unit, "Field");
    story.tell(
        r#"
name = "the place gets another name: nobody is switched off for that"
exit = 1
stderr_contains = ["there is no"]
requests = ""
"#,
    );
    let renamed = format!("ou=Field,{}", directory.users_base());
    directory.rename_unit(&renamed, "Sales, +1");
    story.tell("name = \"and its old one again\"\nrequests = \"\"\n");
}

fn by_filter(directory: &Directory) {
    directory.join_clerks(["ana", "bo", "cy"]);
    directory.set(&directory.person_dn("cy"), "title", &["Guest (night)"]);
    let mut story = begin(
        directory,
        "Whom the filter does not match is not in the app. The directory decides, by its own \
         rules: titles are the same in any case.",
        r#"[targets.demo.scope]
filter = '(&(title=CLERK)(!(title=guest \28night\29)))'
"#,
    );
    story.tell(
        r#"
name = "two of three match"
writes = 2
users = { "ana@example.com" = true, "bo@example.com" = true }
"#,
    );
    directory.set(&directory.person_dn("bo"), "title", &["Guest (night)"]);
    story.tell(
        r#"
name = "Bo leaves: by the filter"
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":false}]
'''
"#,
    );
    directory.set(&directory.person_dn("bo"), "title", &["Clerk"]);
    story.tell(
        r#"
name = "Bo returns"
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":true}]
'''
"#,
    );
    story.check_settled();
}

fn by_expression(directory: &Directory) {
    directory.join_clerks(["ana", "bo"]);
    let mut story = begin(
        directory,
        "Of whom the expression is not true is not in the app.",
        "[targets.demo.scope]\nwhen = \"title != 'Guest'\"\n",
    );
    story.tell("name = \"it is true of both\"\nwrites = 2\n");
    directory.set(&directory.person_dn("bo"), "title", &["Guest"]);
    story.tell(
        r#"
name = "Bo leaves: by the expression"
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":false}]
'''
"#,
    );
    directory.set(&directory.person_dn("bo"), "title", &["Clerk"]);
    story.tell(
        r#"
name = "Bo returns"
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":true}]
'''
"#,
    );
    story.check_settled();
}

fn switched_off_by_filter(directory: &Directory) {
    directory.join_clerks(["ana", "bo", "cy"]);
    let source = directory.source("inactive_when = '(employeeType=former)'");
    let why = "Whom the filter matches is switched off, as if the account were.";
    let mut story = Story::begin(Scenario::told(why, &config(&source, "")));
    story.tell("name = \"three people\"\nwrites = 3\n");
    directory.set(&directory.person_dn("bo"), "employeeType", &["Former"]);
    story.tell(
        r#"
name = "Bo leaves: by the filter"
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
    directory.set(&directory.person_dn("bo"), "employeeType", &[]);
    story.tell(
        r#"
name = "Bo returns"
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":true}]
'''
"#,
    );
    story.check_settled();
}
