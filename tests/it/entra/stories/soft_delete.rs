//! Soft delete: the deleted items, the name that is not theirs there, and every way back.

use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use super::{PUSH_ALL, begin, config};
use crate::entra::simulator::Simulator;
use crate::entra::tenant::Tenant;
use crate::support::run::run;
use crate::support::story::Story;

const WHY: &str = "Who is deleted is switched off by one write and keeps their name there; who is \
    restored is switched on again by one. The mangled name is never sent.";

pub(super) struct Two {
    pub(super) simulator: Simulator,
    pub(super) story: Story,
    pub(super) bo: Uuid,
}

/// Ana and Bo, of whom Bo comes and goes; both are in a group.
pub(super) fn two(more: &str) -> Two {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let bo = tenant.add_user("bo", json!({}));
    tenant.add_group("crew", &[ana, bo]);
    let simulator = Simulator::start(tenant);
    let mut story = begin(&simulator, WHY, more);
    story.tell(match more {
        PUSH_ALL => {
            r#"
name = "two people and their group"
writes = 3
members = { crew = ["ana@example.com", "bo@example.com"] }
"#
        }
        _ => "name = \"two people\"\nwrites = 2\n",
    });
    Two {
        simulator,
        story,
        bo,
    }
}

/// Bo is deleted, and so many others are as they were.
pub(super) fn deleted(unchanged: usize) -> String {
    DELETED.replace("(2 unchanged)", &format!("({unchanged} unchanged)"))
}

const DELETED: &str = r#"
name = "Bo is deleted"
plan = '''
demo: 0 to create, 0 to adopt, 0 to patch, 1 to deactivate, 0 to reactivate, 0 to delete, 0 held (2 unchanged)

  - user   bo@example.com  SoftDeleted

  1 request, about 1 s at 100 requests a second

demo: would be 0 created, 0 adopted, 0 patched, 1 deactivated, 0 reactivated, 0 deleted, 0 failed, 0 held (2 unchanged)
'''
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":false}]
'''
users = { "ana@example.com" = true, "bo@example.com" = false }
"#;

pub(super) const RESTORED: &str = r#"
name = "Bo is restored, and is in the group as before"
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":true}]
'''
users = { "ana@example.com" = true, "bo@example.com" = true }
members = { crew = ["ana@example.com", "bo@example.com"] }
"#;

pub(super) const QUIET: &str = r#"
name = "and nothing more"
requests = ""
"#;

#[test]
fn deleted_and_restored() {
    let Two {
        simulator,
        mut story,
        bo,
    } = two(PUSH_ALL);
    simulator.tenant(|tenant| tenant.delete(bo));
    story.tell(&deleted(2));
    story.tell(QUIET);
    simulator.tenant(|tenant| tenant.restore(bo));
    story.tell(RESTORED);
    story.check_settled();
}

#[test]
fn a_deletion_and_a_restore_of_which_the_changes_say_nothing() {
    let Two {
        simulator,
        mut story,
        bo,
    } = two(PUSH_ALL);
    simulator.tenant(|tenant| {
        tenant.silences.deletion = true;
        tenant.silences.restore = true;
        tenant.delete(bo);
    });
    story.tell(&deleted(2));
    story.tell(QUIET);
    simulator.tenant(|tenant| tenant.restore(bo));
    story.tell(RESTORED);
    story.check_settled();
}

#[test]
fn restored_with_the_memberships_that_the_app_dropped() {
    let Two {
        simulator,
        mut story,
        bo,
    } = two(PUSH_ALL);
    simulator.tenant(|tenant| tenant.delete(bo));
    story.tell(&deleted(2));
    simulator.tenant(|tenant| tenant.restore(bo));
    story.tell(
        r#"
name = "the app took Bo out of the group when they were switched off; Bo is restored"
target = [{ method = "PATCH", path = "/Groups/{id:crew}", body = '[{"op":"remove","path":"members[value eq \"{id:bo@example.com}\"]"}]' }]
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":true}]
'''
"#,
    );
    story.tell(
        r#"
name = "a full cycle sees that they are not in it"
command = ["sync", "--full"]
requests = '''
PATCH /Groups/{id:crew} [{"op":"add","path":"members","value":[{"value":"{id:bo@example.com}"}]}]
'''
members = { crew = ["ana@example.com", "bo@example.com"] }
"#,
    );
    story.check_settled();
}

#[test]
fn restored_in_the_middle_of_a_read() {
    let Two {
        simulator,
        mut story,
        bo,
    } = two(PUSH_ALL);
    simulator.tenant(|tenant| tenant.delete(bo));
    // Before the second of the two lists that Bo may be in is read, whichever that is.
    let mut first: Option<String> = None;
    simulator.meanwhile(move |asked, tenant| {
        let path = &asked.path;
        if !path.contains("users/delta") && !path.contains("deletedItems") {
            return;
        }
        let first = first.get_or_insert_with(|| path.clone());
        if first != path && !tenant.is_living(bo) {
            tenant.restore(bo);
        }
    });
    let arguments = ["sync", "--full"].map(str::to_owned);
    let ran = run(story.folder(), &arguments);
    assert!(ran.stdout.contains("nothing to do"), "{ran:#?}");
    simulator.behave();
    story.tell(QUIET);
    story.check_settled();
}

#[test]
fn deleted_for_good_stays_switched_off() {
    let Two {
        simulator,
        mut story,
        bo,
    } = two(PUSH_ALL);
    simulator.tenant(|tenant| tenant.delete(bo));
    story.tell(&deleted(2));
    simulator.tenant(|tenant| tenant.purge(bo));
    story.tell(
        r#"
name = "Bo is gone for good: switched off already, and so it stays; nobody is in a group any more"
writes = 1
members = { crew = ["ana@example.com"] }
users = { "ana@example.com" = true, "bo@example.com" = false }
"#,
    );
    story.tell(QUIET);
}

#[test]
fn deleted_for_good_is_deleted_at_the_target_where_that_is_wanted() {
    let Two {
        simulator,
        mut story,
        bo,
    } = two("");
    let wanted = config(&simulator.source(""), "")
        .replace("settle = \"1s\"", "settle = \"1s\"\ndelete_after = \"1s\"")
        .replace(
            "[targets.demo.limits]",
            "[targets.demo.limits]\ndeletions = 100",
        );
    story.set_config(&wanted);
    simulator.tenant(|tenant| tenant.delete(bo));
    story.tell(&deleted(1));
    story.tell(
        r#"
name = "in the deleted items nobody is gone, however long ago it was"
wait_ms = 1500
command = ["sync", "--full"]
requests = ""
"#,
    );
    // Also where the changes say nothing of it.
    simulator.tenant(|tenant| {
        tenant.silences.purge = true;
        tenant.purge(bo);
    });
    story.tell(
        r#"
name = "gone for good"
requests = ""
"#,
    );
    story.tell(
        r#"
name = "and deleted after a while"
wait_ms = 1500
command = ["sync", "--full"]
requests = '''
DELETE /Users/{id:bo@example.com}
'''
users = { "ana@example.com" = true }
"#,
    );
}

#[test]
fn deleted_while_the_agent_was_off_for_ten_days() {
    let Two {
        simulator,
        mut story,
        bo,
    } = two(PUSH_ALL);
    simulator.tenant(|tenant| {
        tenant.delete(bo);
        tenant.wait(TimeDelta::days(10));
    });
    story.tell(&deleted(2));
    story.tell(QUIET);
    simulator.tenant(|tenant| {
        tenant.wait(TimeDelta::days(8));
        tenant.restore(bo);
        tenant.wait(TimeDelta::days(8));
    });
    story.tell(RESTORED);
    story.check_settled();
}

#[test]
fn gone_for_good_while_the_agent_was_off_for_forty_days() {
    let Two {
        simulator,
        mut story,
        bo,
    } = two("");
    simulator.tenant(|tenant| {
        tenant.delete(bo);
        tenant.wait(TimeDelta::days(40));
    });
    story.tell(
        &deleted(1)
            .replace("SoftDeleted", "GoneFromSource")
            .replace("Bo is deleted", "Bo is gone"),
    );
}

#[test]
fn deleted_and_gone_for_good_between_two_reads_without_a_word() {
    let Two {
        simulator,
        mut story,
        bo,
    } = two("");
    simulator.tenant(|tenant| {
        tenant.silences.deletion = true;
        tenant.silences.purge = true;
        tenant.delete(bo);
        tenant.purge(bo);
    });
    story.tell(
        r#"
name = "neither the changes nor the deleted items know of it"
requests = ""
"#,
    );
    story.tell(
        r#"
name = "the next full cycle finds it"
command = ["sync", "--full"]
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":false}]
'''
users = { "ana@example.com" = true, "bo@example.com" = false }
"#,
    );
    story.check_settled();
}

#[test]
fn a_name_that_somebody_else_got_meanwhile() {
    let Two {
        simulator,
        mut story,
        bo,
    } = two("");
    simulator.tenant(|tenant| tenant.delete(bo));
    story.tell(&deleted(1));
    let other =
        simulator.tenant(|tenant| tenant.add_user("bo", json!({"displayName": "Bo the Second"})));
    story.tell(
        r#"
name = "another Bo gets the name, of whom nobody knows whether it is the same person: held"
requests = ""
exit = 4
"#,
    );
    simulator.tenant(|tenant| {
        tenant.set(
            other,
            json!({"userPrincipalName": "bo2@example.com", "mail": "bo2@example.com"}),
        );
        tenant.restore(bo);
    });
    story.tell(
        r#"
name = "the first is restored, the second is renamed"
writes = 2
users = { "ana@example.com" = true, "bo@example.com" = true, "bo2@example.com" = true }
"#,
    );
    story.check_settled();
}

#[test]
fn deleted_before_the_first_run_with_somebody_at_the_target() {
    let mut tenant = Tenant::new();
    tenant.add_user("ana", json!({}));
    let bo = tenant.add_user("bo", json!({}));
    tenant.delete(bo);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "Bo was deleted before anything was linked, and is at the target: listed, by the name of \
         before.",
        "",
    );
    story.tell(
        r#"
name = "Bo is at the target, and stays; Ana is created"
target = [{ method = "POST", path = "/Users", body = '{"schemas":["{User}"],"userName":"bo@example.com","active":true}' }]
plan = '''
demo: 1 to create, 0 to adopt, 0 to patch, 0 to deactivate, 0 to reactivate, 0 to delete, 0 held, 1 listed (0 unchanged)

  + user   ana@example.com  NewInScope
  * user   bo@example.com  listed: Stale: {…}

  1 request, about 1 s at 100 requests a second

demo: would be 1 created, 0 adopted, 0 patched, 0 deactivated, 0 reactivated, 0 deleted, 0 failed, 0 held (0 unchanged)
'''
writes = 1
users = { "ana@example.com" = true, "bo@example.com" = true }
"#,
    );
}

#[test]
fn restored_after_the_first_run_with_the_manager_of_before() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let bo = tenant.add_user("bo", json!({}));
    tenant.set_manager(bo, Some(ana));
    tenant.delete(bo);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "In the deleted items nobody has a manager, and changes need not say it again: Bo is asked \
         for, and is one write.",
        "",
    );
    story.tell("name = \"only Ana is there\"\nwrites = 1\n");
    simulator.tenant(|tenant| tenant.restore(bo));
    story.tell(
        r#"
name = "Bo is restored, with Ana as the manager"
requests = '''
POST /Users {"schemas":["{User}","{Enterprise}"],"externalId":"{any}","userName":"bo@example.com","active":true,
  "displayName":"bo","emails":[{"type":"work","value":"bo@example.com","primary":true}],
  "{Enterprise}":{"manager":{"value":"{id:ana@example.com}"}}}
'''
"#,
    );
    story.check_settled();
}
