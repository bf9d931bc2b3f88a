//! Who is there, where the changes, the deleted items and the users themselves do not agree: nobody
//! is switched off on the word of one of them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::PUSH_ALL;
use super::soft_delete::{QUIET, RESTORED, Two, deleted, two};
use crate::entra::wire::Answer;

/// One more item at the end of a page.
fn with_item(answer: Answer, item: &Value) -> Answer {
    let mut body: Value = serde_json::from_str(&answer.body).expect("a page");
    let items = body["value"].as_array_mut().expect("its items");
    items.push(item.clone());
    Answer {
        body: body.to_string(),
        ..answer
    }
}

/// What the changes tell of somebody who went to the deleted items.
fn removed(id: Uuid) -> Value {
    json!({"id": id, "@removed": {"reason": "changed"}})
}

/// microsoft-graph-docs#5821. Fails when `find_doubtful` takes a deletion that is told for one that
/// is; and the second step when `ask_for_the_removed` is left out.
#[test]
fn restored_before_the_deletion_was_read_and_only_that_is_told() {
    let Two {
        simulator,
        mut story,
        bo,
    } = two(PUSH_ALL);
    simulator.tenant(|tenant| {
        tenant.silences.restore = true;
        tenant.delete(bo);
        tenant.restore(bo);
    });
    simulator.alter(
        move |asked, answer| match asked.path.contains("users/delta") {
            true => with_item(answer, &removed(bo)),
            false => answer,
        },
    );
    story.tell(QUIET);
    story.tell(
        r#"
name = "nor where everything is read"
command = ["sync", "--full"]
requests = ""
"#,
    );
    simulator.behave();
    story.tell(QUIET);
    story.check_settled();
}

/// Fails when `find_doubtful` believes the deleted items alone: Bo, who was switched on a cycle ago,
/// is switched off again.
#[test]
fn restored_and_shown_in_the_deleted_items_for_a_while() {
    let Two {
        simulator,
        mut story,
        bo,
    } = two(PUSH_ALL);
    simulator.tenant(|tenant| tenant.delete(bo));
    story.tell(&deleted(2));
    simulator.tenant(|tenant| tenant.restore(bo));
    let item = json!({
        "id": bo,
        "deletedDateTime": "2026-11-20T08:00:00Z",
        "userPrincipalName": format!("{}bo@example.com", bo.simple()),
    });
    simulator.alter(
        move |asked, answer| match asked.path.contains("deletedItems") {
            true => with_item(answer, &item),
            false => answer,
        },
    );
    story.tell(RESTORED);
    story.tell(QUIET);
    story.tell(
        r#"
name = "nor where everything is read"
command = ["sync", "--full"]
requests = ""
"#,
    );
    simulator.behave();
    story.tell(QUIET);
    story.check_settled();
}

/// Fails when `fate` takes whom nobody shows for gone for good.
#[test]
fn deleted_and_not_yet_shown_in_the_deleted_items() {
    let Two {
        simulator,
        mut story,
        bo,
    } = two(PUSH_ALL);
    simulator.tenant(|tenant| tenant.delete(bo));
    simulator.alter(|asked, answer| match asked.path.contains("deletedItems") {
        true => Answer::new(200, &json!({"value": []})),
        false => answer,
    });
    story.tell(&deleted(2));
    simulator.behave();
    story.tell(QUIET);
    simulator.tenant(|tenant| tenant.restore(bo));
    story.tell(RESTORED);
    story.check_settled();
}

/// Fails when `present_people` counts who is in the recycle bin.
#[test]
fn a_tenant_with_nobody_but_in_the_deleted_items_is_empty() {
    let Two {
        simulator,
        mut story,
        bo: _,
    } = two(PUSH_ALL);
    let everybody: Vec<Uuid> = simulator.tenant(|tenant| tenant.users.keys().copied().collect());
    simulator.tenant(|tenant| everybody.iter().for_each(|id| tenant.delete(*id)));
    story.tell(
        r#"
name = "everybody is in the deleted items: nothing is done on the word of such a source"
requests = ""
exit = 1
stderr_contains = ["the source is empty"]
users = { "ana@example.com" = true, "bo@example.com" = true }
"#,
    );
    simulator.tenant(|tenant| everybody.iter().for_each(|id| tenant.restore(*id)));
    story.tell(QUIET);
    story.check_settled();
}
