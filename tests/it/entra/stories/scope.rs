//! Scope by assignment, by groups, and roles of an app.

use serde_json::json;

use super::{begin, config};
use crate::entra::simulator::Simulator;
use crate::entra::simulator::error;
use crate::entra::tenant::Tenant;

const ASSIGNED: &str = "[targets.demo.scope]\nassigned_to = \"GitGuardian\"\n";

#[test]
fn who_is_assigned_is_there_and_who_is_not_any_more_is_switched_off() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let bo = tenant.add_user("bo", json!({}));
    let cy = tenant.add_user("cy", json!({}));
    let di = tenant.add_user("di", json!({}));
    let inner = tenant.add_group("inner", &[di]);
    let crew = tenant.add_group("crew", &[bo, inner]);
    let app = tenant.add_app("GitGuardian", &["Admin"]);
    tenant.add_app("GitGuardian (test)", &[]);
    tenant.assign(app, ana, None);
    tenant.assign(app, crew, None);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "Assigned are people and the direct members of groups, as Entra counts them: 2 of 4.",
        &format!("{ASSIGNED}\n[targets.demo.groups]\npush = [\"*\"]\n"),
    );
    story.tell(
        r#"
name = "Ana by herself, Bo by the group"
writes = 4
users = { "ana@example.com" = true, "bo@example.com" = true }
members = { crew = ["bo@example.com"], inner = [] }
"#,
    );
    story.tell("name = \"nothing happened\"\nrequests = \"\"\nreads = 0\n");
    simulator.tenant(|tenant| {
        tenant.unassign(app, ana);
        tenant.put_member(crew, cy, true);
    });
    story.tell(
        r#"
name = "Ana is unassigned, which Entra never tells some apps; Cy joins the group"
plan = '''
demo: 1 to create, 0 to adopt, 1 to patch, 1 to deactivate, 0 to reactivate, 0 to delete, 0 held (2 unchanged)

  - user   ana@example.com  LeftScope
  + user   cy@example.com  NewInScope
  ~ group  crew  MembersChanged
           members  +1

  3 requests, about 1 s at 100 requests a second

demo: would be 1 created, 0 adopted, 1 patched, 1 deactivated, 0 reactivated, 0 deleted, 0 failed, 0 held (2 unchanged)
'''
writes = 3
users = { "ana@example.com" = false, "bo@example.com" = true, "cy@example.com" = true }
"#,
    );
    simulator.tenant(|tenant| {
        tenant.put_member(crew, bo, false);
        tenant.assign(app, ana, None);
    });
    story.tell(
        r#"
name = "Bo leaves the group, Ana is assigned again"
writes = 3
users = { "ana@example.com" = true, "bo@example.com" = false, "cy@example.com" = true }
"#,
    );
    let transitive = config(
        &simulator.source(""),
        &format!("{ASSIGNED}transitive = true\n\n[targets.demo.groups]\npush = [\"*\"]\n"),
    );
    story.set_config(&transitive);
    story.tell(
        r#"
name = "with nested groups Di is assigned, too"
writes = 3
users = { "ana@example.com" = true, "bo@example.com" = false, "cy@example.com" = true, "di@example.com" = true }
"#,
    );
    simulator.tenant(|tenant| tenant.put_member(inner, di, false));
    story.tell(
        r#"
name = "and not any more, when the nested group loses them"
writes = 3
users = { "ana@example.com" = true, "bo@example.com" = false, "cy@example.com" = true, "di@example.com" = false }
"#,
    );
    simulator.tenant(|tenant| {
        let app = tenant.apps.get_mut(&app).expect("the app");
        app.name = "GitGuardian EU".to_owned();
    });
    story.tell("name = \"a renamed app is the same one\"\nrequests = \"\"\n");
    story.check_settled();
}

#[test]
fn a_list_that_cannot_be_read_is_not_an_empty_one() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let bo = tenant.add_user("bo", json!({}));
    let app = tenant.add_app("GitGuardian", &[]);
    tenant.assign(app, ana, None);
    tenant.assign(app, bo, None);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "Where nobody can tell who is assigned, nobody comes or goes, and the run says so.",
        ASSIGNED,
    );
    story.tell("name = \"both are assigned\"\nwrites = 2\n");
    simulator.instead(|asked, _| {
        let is_list = asked.path.ends_with("/appRoleAssignedTo");
        is_list.then(|| {
            error(
                403,
                "Authorization_RequestDenied",
                "Insufficient privileges.",
            )
        })
    });
    simulator.tenant(|tenant| tenant.unassign(app, bo));
    for command in ["[\"sync\"]", "[\"sync\", \"--full\"]"] {
        story.tell(&format!(
            "name = \"it may not be read any more\"\ncommand = {command}\nexit = 1\nrequests = \"\"\n\
             stderr_contains = [\"GitGuardian\", \"Application.Read.All\"]\n\
             users = {{ \"ana@example.com\" = true, \"bo@example.com\" = true }}\n"
        ));
    }
    simulator.behave();
    story.tell(
        r#"
name = "it may be read again, and Bo is not assigned any more"
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":false}]
'''
"#,
    );
    simulator.tenant(|tenant| {
        tenant.apps.clear();
        tenant.add_app("GitGuardian", &[]);
    });
    story.tell(
        r#"
name = "the app is gone, and another one has its name: not the same"
exit = 1
requests = ""
stderr_contains = ["GitGuardian"]
users = { "ana@example.com" = true, "bo@example.com" = false }
"#,
    );
}

#[test]
fn an_assigned_group_that_is_deleted_assigns_nobody() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let bo = tenant.add_user("bo", json!({}));
    let crew = tenant.add_group("crew", &[bo]);
    let app = tenant.add_app("GitGuardian", &[]);
    tenant.assign(app, ana, None);
    tenant.assign(app, crew, None);
    let simulator = Simulator::start(tenant);
    let why = "The assignment stays in the list, and comes into force again with the group.";
    let mut story = begin(&simulator, why, ASSIGNED);
    story.tell("name = \"Ana by herself, Bo by the group\"\nwrites = 2\n");
    simulator.tenant(|tenant| tenant.delete(crew));
    story.tell(
        r#"
name = "the group is deleted"
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":false}]
'''
"#,
    );
    simulator.tenant(|tenant| tenant.restore(crew));
    story.tell(
        r#"
name = "the group is restored"
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":true}]
'''
"#,
    );
    story.check_settled();
}

#[test]
fn an_app_is_named_by_its_object_id_or_its_application_id_as_well() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    tenant.add_user("bo", json!({}));
    let app = tenant.add_app("GitGuardian", &[]);
    tenant.assign(app, ana, None);
    let application = tenant.apps[&app].app_id;
    let simulator = Simulator::start(tenant);
    for id in [app, application] {
        let scope = ASSIGNED.replace("GitGuardian", &id.to_string());
        let mut story = begin(
            &simulator,
            "Two apps may have one name: an id is one app.",
            &scope,
        );
        story.tell("name = \"Ana\"\nwrites = 1\nusers = { \"ana@example.com\" = true }\n");
        story.check_settled();
    }
}

#[test]
fn a_misspelt_app_switches_nobody_off() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let app = tenant.add_app("GitGuardian", &[]);
    tenant.assign(app, ana, None);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "A name that is nobody's is no empty list.",
        ASSIGNED,
    );
    story.tell("name = \"Ana is assigned\"\nwrites = 1\n");
    let misspelt = config(
        &simulator.source(""),
        &ASSIGNED.replace("GitGuardian", "GitGardian"),
    );
    story.set_config(&misspelt);
    story.tell(
        r#"
name = "misspelt"
exit = 1
requests = ""
stderr_contains = ["GitGardian", "there is none of that name or id"]
users = { "ana@example.com" = true }
"#,
    );
}

#[test]
fn roles_of_an_app_are_values_to_map_and_to_group_by() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let bo = tenant.add_user("bo", json!({}));
    let crew = tenant.add_group("crew", &[bo]);
    let app = tenant.add_app("Merge'Guide", &["Admin", "Viewer"]);
    tenant.assign(app, ana, Some("Admin"));
    tenant.assign(app, crew, Some("Viewer"));
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "A role is a value like any other, one's own or by a group that one is directly in.",
        "[targets.demo.scope]\nassigned_to = \"Merge'Guide\"\n\
         [targets.demo.groups]\ngroup_by = \"roles:Merge'Guide\"\n",
    );
    story.tell(
        r#"
name = "an admin and a viewer"
writes = 4
members = { Admin = ["ana@example.com"], Viewer = ["bo@example.com"] }
"#,
    );
    simulator.tenant(|tenant| tenant.assign(app, bo, Some("Admin")));
    story.tell(
        r#"
name = "Bo is an admin, too"
writes = 1
members = { Admin = ["ana@example.com", "bo@example.com"], Viewer = ["bo@example.com"] }
"#,
    );
    simulator.tenant(|tenant| {
        tenant.put_member(crew, bo, false);
        tenant.put_member(crew, ana, true);
    });
    story.tell(
        r#"
name = "Ana takes Bo's place in the group"
writes = 1
members = { Admin = ["ana@example.com", "bo@example.com"], Viewer = ["ana@example.com"] }
"#,
    );
    simulator.tenant(|tenant| {
        tenant.unassign(app, crew);
        tenant.assign(app, crew, Some("Admin"));
    });
    story.tell(
        r#"
name = "the group gets another role: nobody is a viewer any more"
writes = 1
members = { Admin = ["ana@example.com", "bo@example.com"], Viewer = [] }
"#,
    );
    story.check_settled();
}

#[test]
fn a_role_is_mapped_in_a_template() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let app = tenant.add_app("App", &["Admin", "Viewer"]);
    tenant.assign(app, ana, Some("Viewer"));
    let simulator = Simulator::start(tenant);
    let mut story = begin(&simulator, "A changed role is one write.", "");
    let text = config(&simulator.source(""), "").replace(
        "[targets.demo.mapping]",
        "[targets.demo.mapping]\nnickName = \"{{ record['roles:App'] | join(', ') }}\"",
    );
    story.set_config(&text);
    story.tell("name = \"Ana\"\nwrites = 1\n");
    simulator.tenant(|tenant| tenant.assign(app, ana, Some("Admin")));
    story.tell(
        r#"
name = "one role more"
requests = '''
PATCH /Users/{id:ana@example.com} [{"op":"replace","path":"nickName","value":"Admin, Viewer"}]
'''
"#,
    );
    simulator.instead(|asked, _| {
        let is_list = asked.path.ends_with("/appRoleAssignedTo");
        is_list.then(|| {
            error(
                403,
                "Authorization_RequestDenied",
                "Insufficient privileges.",
            )
        })
    });
    for command in ["[\"sync\"]", "[\"sync\", \"--full\"]"] {
        story.tell(&format!(
            "name = \"the roles cannot be read, and stay\"\ncommand = {command}\nrequests = \"\"\n\
             stderr_contains = [\"Application.Read.All\"]\n"
        ));
    }
    simulator.behave();
    simulator.tenant(|tenant| tenant.unassign(app, ana));
    story.tell(
        r#"
name = "no role at all"
requests = '''
PATCH /Users/{id:ana@example.com} [{"op":"remove","path":"nickName"}]
'''
"#,
    );
    story.check_settled();
}

#[test]
fn a_scope_of_groups() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let bo = tenant.add_user("bo", json!({}));
    let crew = tenant.add_group("crew", &[ana]);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "Who comes into a group of the scope is created, who leaves it is switched off.",
        "[targets.demo.scope]\ngroups = [\"crew\"]\n",
    );
    story.tell("name = \"only Ana\"\nwrites = 1\nusers = { \"ana@example.com\" = true }\n");
    simulator.tenant(|tenant| {
        tenant.put_member(crew, ana, false);
        tenant.put_member(crew, bo, true);
    });
    story.tell(
        r#"
name = "Bo instead of Ana"
writes = 2
users = { "ana@example.com" = false, "bo@example.com" = true }
"#,
    );
    simulator.tenant(|tenant| tenant.purge(crew));
    story.tell(
        r#"
name = "the group is gone, and nobody knows what was meant"
exit = 1
requests = ""
stderr_contains = ["crew"]
users = { "ana@example.com" = false, "bo@example.com" = true }
"#,
    );
}

#[test]
fn an_app_that_was_made_again_is_not_taken_for_the_one_that_was_meant() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let bo = tenant.add_user("bo", json!({}));
    let app = tenant.add_app("GitGuardian", &[]);
    tenant.assign(app, ana, None);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "The app is gone, and there is another of that name: nobody is switched off, and the error \
         says how to name the new one.",
        ASSIGNED,
    );
    story.tell("name = \"at first\"\nwrites = 1\n");
    let again = simulator.tenant(|tenant| {
        tenant.apps.remove(&app);
        let again = tenant.add_app("GitGuardian", &[]);
        tenant.assign(again, bo, None);
        again
    });
    for command in ["[\"sync\"]", "[\"sync\", \"--full\"]"] {
        story.tell(&format!(
            "name = \"made again\"\ncommand = {command}\nrequests = \"\"\nexit = 1\n\
             stderr_contains = [\"the one that was meant has the object id {app}\"]\n"
        ));
    }
    let by_id = ASSIGNED.replace("GitGuardian", &again.to_string());
    story.set_config(&config(&simulator.source(""), &by_id));
    story.tell(
        r#"
name = "the new one is meant"
writes = 2
users = { "ana@example.com" = false, "bo@example.com" = true }
"#,
    );
    story.check_settled();
}
