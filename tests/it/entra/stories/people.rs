//! Joiners, movers, and leavers by every way out of a tenant; and who returns.

use serde_json::json;

use super::begin;
use crate::entra::simulator::Simulator;
use crate::entra::tenant::Tenant;

#[test]
fn come_move_leave_and_return() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user(
        "ana",
        json!({"givenName": "Ana", "surname": "Alba", "displayName": "Ana Alba", "jobTitle": "Engineer"}),
    );
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "Everything that happens to one person is one write, and what happens to nobody is none.",
        "",
    );
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
    let bo = simulator.tenant(|tenant| {
        tenant.set(ana, json!({"jobTitle": "Staff Engineer"}));
        tenant.add_user("bo", json!({}))
    });
    story.tell(
        r#"
name = "Ana moves, Bo joins"
requests = '''
POST /Users {"schemas":["{User}"],"externalId":"{any}","userName":"bo@example.com","active":true,
  "displayName":"bo","emails":[{"type":"work","value":"bo@example.com","primary":true}]}
PATCH /Users/{id:ana@example.com} [{"op":"replace","path":"title","value":"Staff Engineer"}]
'''
"#,
    );
    simulator.tenant(|tenant| tenant.set(ana, json!({"jobTitle": null})));
    story.tell(
        r#"
name = "Ana has no title any more, and so it goes at the target, which Entra itself never does"
requests = '''
PATCH /Users/{id:ana@example.com} [{"op":"remove","path":"title"}]
'''
"#,
    );
    simulator.tenant(|tenant| tenant.set(bo, json!({"accountEnabled": false})));
    story.tell(
        r#"
name = "Bo may not sign in any more"
plan = '''
demo: 0 to create, 0 to adopt, 0 to patch, 1 to deactivate, 0 to reactivate, 0 to delete, 0 held (1 unchanged)

  - user   bo@example.com  DisabledAtSource

  1 request, about 1 s at 100 requests a second

demo: would be 0 created, 0 adopted, 0 patched, 1 deactivated, 0 reactivated, 0 deleted, 0 failed, 0 held (1 unchanged)
'''
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":false}]
'''
"#,
    );
    simulator.tenant(|tenant| tenant.set(bo, json!({"accountEnabled": true})));
    story.tell(
        r#"
name = "Bo may again"
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":true}]
'''
users = { "ana@example.com" = true, "bo@example.com" = true }
"#,
    );
    story.check_settled();
}

#[test]
fn what_is_not_told_is_as_it_was() {
    let mut tenant = Tenant::new();
    let more = json!({"givenName": "Ana", "surname": "Alba", "jobTitle": "Engineer"});
    let ana = tenant.add_user("ana", more);
    let simulator = Simulator::start(tenant);
    simulator.manners(|manners| manners.terse = true);
    let mut story = begin(
        &simulator,
        "Changes need not show more than what has changed, not even the name.",
        "",
    );
    story.tell("name = \"Ana\"\nwrites = 1\n");
    simulator.tenant(|tenant| tenant.set(ana, json!({"surname": "Berg"})));
    story.tell(
        r#"
name = "Ana marries, and keeps title and account"
requests = '''
PATCH /Users/{id:ana@example.com} [{"op":"replace","path":"name.familyName","value":"Berg"}]
'''
users = { "ana@example.com" = true }
"#,
    );
    story.check_settled();
}
