//! Groups: slices, nesting, members who go, and what the changes do not say.

use serde_json::json;

use super::{PUSH_ALL, begin};
use crate::entra::simulator::{Simulator, error};
use crate::entra::tenant::Tenant;
use crate::entra::wire::Answer;

#[test]
fn members_come_and_go_and_groups_are_nested() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let bo = tenant.add_user("bo", json!({}));
    let inner = tenant.add_group("inner", &[bo]);
    let outer = tenant.add_group("outer", &[ana, inner]);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "Nested groups are flattened, which Entra's own provisioning does not do; a change of \
         membership is one write a group.",
        PUSH_ALL,
    );
    story.tell(
        r#"
name = "two people, two groups"
writes = 4
members = { inner = ["bo@example.com"], outer = ["ana@example.com", "bo@example.com"] }
"#,
    );
    simulator.tenant(|tenant| tenant.put_member(inner, bo, false));
    story.tell(
        r#"
name = "Bo leaves the inner group, and with it the outer one"
writes = 2
members = { inner = [], outer = ["ana@example.com"] }
"#,
    );
    simulator.tenant(|tenant| tenant.put_member(outer, bo, true));
    story.tell(
        r#"
name = "Bo joins the outer one"
requests = '''
PATCH /Groups/{id:outer} [{"op":"add","path":"members","value":[{"value":"{id:bo@example.com}"}]}]
'''
"#,
    );
    simulator.tenant(|tenant| tenant.set(outer, json!({"displayName": "everybody"})));
    story.tell(
        r#"
name = "renamed, with the members as they are"
requests = '''
PATCH /Groups/{id:outer} [{"op":"replace","path":"displayName","value":"everybody"}]
'''
members = { everybody = ["ana@example.com", "bo@example.com"] }
"#,
    );
    simulator.tenant(|tenant| tenant.purge(outer));
    story.tell(
        r#"
name = "deleted: emptied, and the shell is kept"
writes = 1
members = { everybody = [] }
"#,
    );
    story.check_settled();
}

#[test]
fn a_large_group_comes_in_slices_with_empty_pages_and_replays() {
    let mut tenant = Tenant::new();
    let people: Vec<_> = (0..60)
        .map(|number| tenant.add_user(&format!("p{number:02}"), json!({})))
        .collect();
    let crew = tenant.add_group("crew", &people);
    let simulator = Simulator::start(tenant);
    simulator.manners(|manners| {
        manners.page = 7;
        manners.slice = 9;
        manners.empty_every = 2;
        manners.again_every = 5;
        manners.replays = true;
    });
    let mut story = begin(
        &simulator,
        "Slices of members, repeated objects and empty pages make one list: 60 people and a group \
         are 61 writes and the memberships that do not fit into one.",
        PUSH_ALL,
    );
    let members: Vec<String> = (0..60)
        .map(|it| format!("\"p{it:02}@example.com\""))
        .collect();
    story.tell(&format!(
        "name = \"the first run\"\nwrites = 61\nmembers = {{ crew = [{}] }}\n",
        members.join(", ")
    ));
    story.tell("name = \"replays change nothing\"\nrequests = \"\"\n");
    simulator.tenant(|tenant| {
        for person in &people[..20] {
            tenant.put_member(crew, *person, false);
        }
    });
    story.tell(&format!(
        "name = \"twenty leave the group\"\nwrites = 1\nmembers = {{ crew = [{}] }}\n",
        members[20..].join(", ")
    ));
    story.check_settled();
}

#[test]
fn a_group_that_hides_its_members_is_not_an_empty_one() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let crew = tenant.add_group("crew", &[ana]);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "Whose members are hidden from the agent has members that nobody knows: nobody is taken out.",
        PUSH_ALL,
    );
    story.tell("name = \"as it was\"\nwrites = 2\nmembers = { crew = [\"ana@example.com\"] }\n");
    simulator.tenant(|tenant| {
        tenant.set(crew, json!({"visibility": "HiddenMembership"}));
        // What an app without `Member.Read.Hidden` sees of it.
        tenant.hide_members(crew);
    });
    story.tell("name = \"hidden\"\nrequests = \"\"\nmembers = { crew = [\"ana@example.com\"] }\n");
    story.tell(
        "name = \"also in a full read\"\ncommand = [\"sync\", \"--full\"]\nrequests = \"\"\nmembers = { crew = [\"ana@example.com\"] }\n",
    );
}

#[test]
fn a_group_that_comes_back_has_the_members_and_the_place_of_before() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let bo = tenant.add_user("bo", json!({}));
    let inner = tenant.add_group("inner", &[bo]);
    tenant.add_group("outer", &[ana, inner]);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "Of a restored group the changes tell the name, neither who is in it nor which groups it \
         is in: 2 groups, 2 writes.",
        PUSH_ALL,
    );
    story.tell(
        r#"
name = "at first"
writes = 4
members = { inner = ["bo@example.com"], outer = ["ana@example.com", "bo@example.com"] }
"#,
    );
    simulator.tenant(|tenant| tenant.delete(inner));
    story.tell(
        r#"
name = "the inner group is deleted, and Bo is in no group any more"
writes = 2
members = { inner = [], outer = ["ana@example.com"] }
"#,
    );
    simulator.tenant(|tenant| tenant.restore(inner));
    story.tell(
        r#"
name = "it is restored"
writes = 2
members = { inner = ["bo@example.com"], outer = ["ana@example.com", "bo@example.com"] }
"#,
    );
    story.check_settled();
}

#[test]
fn who_returns_is_in_a_group_that_came_back_without_them() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let bo = tenant.add_user("bo", json!({}));
    let team = tenant.add_group("team", &[ana, bo]);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "A restored group's list leaves out who is deleted at that time, and nothing says that they \
         are in it when they come back: the list is read again then.",
        PUSH_ALL,
    );
    story.tell(
        r#"
name = "at first"
writes = 3
members = { team = ["ana@example.com", "bo@example.com"] }
"#,
    );
    simulator.tenant(|tenant| {
        tenant.delete(team);
        tenant.delete(bo);
    });
    story.tell(
        r#"
name = "Bo and the group are deleted"
writes = 2
members = { team = [] }
"#,
    );
    simulator.tenant(|tenant| tenant.restore(team));
    story.tell(
        r#"
name = "the group is restored"
writes = 1
members = { team = ["ana@example.com"] }
"#,
    );
    simulator.tenant(|tenant| tenant.restore(bo));
    story.tell(
        r#"
name = "so is Bo"
writes = 2
members = { team = ["ana@example.com", "bo@example.com"] }
"#,
    );
    story.check_settled();
}

#[test]
fn a_group_that_is_gone_before_anybody_heard_of_its_place_is_no_member() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let bo = tenant.add_user("bo", json!({}));
    let inner = tenant.add_group("inner", &[bo]);
    let outer = tenant.add_group("outer", &[ana]);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "Graph goes on naming a group that is gone: a member that is nothing is nobody, and what \
         is known of the others stays known.",
        PUSH_ALL,
    );
    story.tell("name = \"at first\"\nwrites = 4\n");
    simulator.tenant(|tenant| {
        tenant.put_member(outer, inner, true);
        tenant.purge(inner);
        tenant.put_member(outer, ana, false);
    });
    story.tell(
        r#"
name = "the inner group comes into the outer one and is deleted; Ana leaves"
writes = 2
members = { inner = [], outer = [] }
"#,
    );
    simulator.tenant(|tenant| tenant.put_member(outer, bo, true));
    story.tell(
        r#"
name = "Bo comes"
writes = 1
members = { inner = [], outer = ["bo@example.com"] }
"#,
    );
    story.check_settled();
}

/// Says of no member what it is.
fn say_no_types(answer: Answer) -> Answer {
    Answer {
        body: answer.body.replace("\"@odata.type\":", "\"unknown\":"),
        ..answer
    }
}

#[test]
fn members_of_whom_only_the_id_is_shown_are_read_as_a_whole_or_not_at_all() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let bo = tenant.add_user("bo", json!({}));
    let cy = tenant.add_user("cy", json!({}));
    let crew = tenant.add_group("crew", &[ana, bo]);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "An id alone may be a person, a group or a device: that is a list which is not complete, \
         and nobody leaves the group for it.",
        PUSH_ALL,
    );
    story.tell(
        r#"
name = "at first"
writes = 4
members = { crew = ["ana@example.com", "bo@example.com"] }
"#,
    );
    simulator.tenant(|tenant| {
        tenant.put_member(crew, bo, false);
        tenant.put_member(crew, cy, true);
    });
    simulator.alter(|_, answer| say_no_types(answer));
    story.tell(
        r#"
name = "nobody says what the members are"
requests = ""
stderr_contains = ["a member does not say what it is"]
members = { crew = ["ana@example.com", "bo@example.com"] }
"#,
    );
    simulator.alter(|asked, answer| match asked.path.contains("delta") {
        true => say_no_types(answer),
        false => answer,
    });
    story.tell(
        r#"
name = "the changes do not, and the list does"
requests = '''
PATCH /Groups/{id:crew} [{"op":"remove","path":"members[value eq \"{id:bo@example.com}\"]"},
  {"op":"add","path":"members","value":[{"value":"{id:cy@example.com}"}]}]
'''
members = { crew = ["ana@example.com", "cy@example.com"] }
"#,
    );
    simulator.tenant(|tenant| tenant.put_member(crew, cy, false));
    story.tell(
        r#"
name = "a read of everything has no other list: the members who are known stand"
command = ["sync", "--full"]
requests = ""
members = { crew = ["ana@example.com", "cy@example.com"] }
"#,
    );
    simulator.behave();
    story.tell(
        r#"
name = "and the next one that says it all takes Cy out"
command = ["sync", "--full"]
writes = 1
members = { crew = ["ana@example.com"] }
"#,
    );
    story.check_settled();
}

/// Fails when `read_groups` does not remember which groups it could not understand: what changed
/// before that read is never told again, and Bo stays in.
#[test]
fn a_group_that_a_read_of_everything_could_not_understand_is_listed_by_the_next() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let bo = tenant.add_user("bo", json!({}));
    let crew = tenant.add_group("crew", &[ana, bo]);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "Who is in a group is not known where an id is all that is shown, and that is remembered: \
         the next cycle asks for the list.",
        PUSH_ALL,
    );
    story.tell("name = \"at first\"\nwrites = 3\n");
    simulator.tenant(|tenant| tenant.put_member(crew, bo, false));
    simulator.alter(|_, answer| say_no_types(answer));
    story.tell(
        r#"
name = "a read of everything, in which nobody says what the members are"
command = ["sync", "--full"]
requests = ""
members = { crew = ["ana@example.com", "bo@example.com"] }
"#,
    );
    simulator.behave();
    story.tell(
        r#"
name = "the next read of changes takes Bo out"
requests = """
PATCH /Groups/{id:crew} [{"op":"remove","path":"members[value eq \\"{id:bo@example.com}\\"]"}]
"""
members = { crew = ["ana@example.com"] }
"#,
    );
    story.check_settled();
}

/// Fails when a list that is not there, or an empty one of a group that may hide its members, is
/// taken for a group without members: everybody leaves it.
#[test]
fn a_list_that_is_not_shown_takes_nobody_out() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let bo = tenant.add_user("bo", json!({}));
    let cy = tenant.add_user("cy", json!({}));
    let crew = tenant.add_group("crew", &[ana, bo]);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "Who is in a group cannot be told from a list that is not shown: those who are known stay, \
         and the list is asked for again in the next cycle.",
        PUSH_ALL,
    );
    story.tell("name = \"at first\"\nwrites = 4\n");
    simulator.tenant(|tenant| tenant.put_member(crew, cy, true));
    simulator.alter(|asked, answer| match asked.path.ends_with("/members") {
        true => error(404, "Request_ResourceNotFound", "x"),
        false => say_no_types(answer),
    });
    story.tell(
        r#"
name = "the list is not there"
requests = ""
stderr_contains = ["Graph does not show the list of a group"]
members = { crew = ["ana@example.com", "bo@example.com"] }
"#,
    );
    simulator.alter(|asked, answer| match asked.path.ends_with("/members") {
        true => Answer::new(200, &json!({"value": []})),
        false => answer,
    });
    story.tell(
        r#"
name = "it is empty, and nothing says that the group does not hide its members"
requests = ""
members = { crew = ["ana@example.com", "bo@example.com"] }
"#,
    );
    simulator.behave();
    story.tell(
        r#"
name = "it is shown, and Cy is put in"
writes = 1
members = { crew = ["ana@example.com", "bo@example.com", "cy@example.com"] }
"#,
    );
    story.check_settled();
}

#[test]
fn a_manager_and_a_member_who_come_into_scope_later() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({"department": "Sales"}));
    let bo = tenant.add_user("bo", json!({"department": "Service"}));
    tenant.set_manager(ana, Some(bo));
    tenant.add_group("crew", &[ana, bo]);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "Entra's own provisioning never sends a manager or a member who comes into scope later: \
         here it is one write each.",
        &format!("{PUSH_ALL}[targets.demo.scope]\nwhen = \"department != 'Service'\"\n"),
    );
    story.tell(
        "name = \"Bo is out of scope\"\nwrites = 2\nmembers = { crew = [\"ana@example.com\"] }\n",
    );
    simulator.tenant(|tenant| tenant.set(bo, json!({"department": "Sales"})));
    story.tell(
        r#"
name = "Bo comes into scope, as a member and as Ana's manager"
writes = 3
members = { crew = ["ana@example.com", "bo@example.com"] }
"#,
    );
    simulator.tenant(|tenant| tenant.set(ana, json!({"jobTitle": "Boss"})));
    story.tell(
        r#"
name = "another change of Ana says nothing of her manager, who stays"
requests = '''
PATCH /Users/{id:ana@example.com} [{"op":"add","path":"title","value":"Boss"}]
'''
"#,
    );
    simulator.tenant(|tenant| tenant.set_manager(ana, None));
    story.tell(
        r#"
name = "nobody is Ana's manager any more"
writes = 1
"#,
    );
    story.check_settled();
}
