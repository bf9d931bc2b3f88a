//! Which requests a change leads to at servers that refuse, lie, hide or promise.

use std::collections::BTreeSet;
use std::sync::Mutex;

use provisor_connectors::Kind;
use serde_json::{Value, json};

use super::*;
use crate::scim::message::{Op, Operation};
use crate::scim::resource::{AttributeMap, ResourceId};
use crate::target::test_server::{self, Reply, Seen, TestServer};

fn id(text: &str) -> ResourceId {
    ResourceId(text.to_owned())
}

fn set(path: &str, value: &str) -> Operation {
    Operation {
        op: Op::Replace,
        path: path.to_owned(),
        value: Some(json!(value)),
    }
}

fn to(operations: &[Operation]) -> Change<'_> {
    Change {
        active: None,
        operations,
        add: &[],
        remove: &[],
    }
}

const OFF: Change<'_> = Change {
    active: Some(false),
    operations: &[],
    add: &[],
    remove: &[],
};

/// Changes the resource `x1`, which provisor knows with these values and members.
async fn update(
    client: &Client,
    kind: Kind,
    before: &[(&str, &str)],
    owned: &[&str],
    change: &Change<'_>,
) -> Result<Sent, TargetError> {
    let before: AttributeMap = before
        .iter()
        .map(|(path, value)| (path.parse().unwrap(), json!(value)))
        .collect();
    let subject = Subject {
        profile: &Profile::default(),
        kind,
        before: &before,
        nested: &BTreeSet::new(),
        owned: &|| owned.iter().map(|member| id(member)).collect(),
    };
    client.update(&subject, &id("x1"), change).await
}

fn methods(server: &TestServer) -> Vec<String> {
    let seen = server.seen();
    seen.into_iter().map(|seen| seen.method).collect()
}

/// Answers every write with this status, and every GET with a resource.
async fn server_that_shows(status: u16, resource: Value) -> TestServer {
    TestServer::start(move |seen, _| match seen.method.as_str() {
        "GET" => test_server::json(200, resource.clone()),
        _ => test_server::status(status),
    })
    .await
}

// Fails without the last arm of `update`, or with `Verdict::Ignored` taken for done.
#[tokio::test]
async fn a_leaver_whom_no_form_switches_off_is_a_failure_in_words() {
    let server = server_that_shows(200, json!({"id": "x1", "active": true})).await;
    let client = server.client();
    let error = update(&client, Kind::User, &[], &[], &OFF).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "PATCH /Users/{id}: the target answers yes and does not change `active`"
    );
    assert_eq!(
        methods(&server),
        ["PATCH", "GET", "PATCH", "GET", "GET", "PUT", "GET"]
    );
    assert_eq!(client.dialect(), Dialect::default(), "nothing was learnt");
}

#[tokio::test]
async fn what_was_read_back_once_is_not_read_back_again() {
    let title = Mutex::new(json!("Engineer"));
    let server = TestServer::start(move |seen, _| {
        if seen.method == "GET" {
            let title = title.lock().unwrap().clone();
            return test_server::json(200, json!({"id": "x1", "title": title}));
        }
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        *title.lock().unwrap() = body["Operations"][0]["value"].clone();
        test_server::status(204)
    })
    .await;
    let client = server.client();
    let before = [("title", "Engineer")];
    for title in ["Boss", "Chief"] {
        let change = [set("title", title)];
        let sent = update(&client, Kind::User, &before, &[], &to(&change)).await;
        assert_eq!(sent.unwrap().method, "PATCH");
    }
    assert_eq!(methods(&server), ["PATCH", "GET", "PATCH"]);
    // Another client that is told what was learnt starts from there.
    let other = server.client();
    other.remember(client.dialect());
    let change = [set("title", "Boss")];
    let sent = update(&other, Kind::User, &before, &[], &to(&change)).await;
    sent.unwrap();
    assert_eq!(methods(&server).len(), 4);
}

#[tokio::test]
async fn no_other_form_is_tried_after_what_says_nothing_of_the_form() {
    for status in [401, 403, 404, 409, 412, 422] {
        let server = TestServer::start(move |_, _| test_server::status(status)).await;
        let client = server.client();
        let error = update(&client, Kind::User, &[], &[], &OFF)
            .await
            .unwrap_err();
        assert_eq!(error.status(), Some(status));
        let methods: BTreeSet<String> = methods(&server).into_iter().collect();
        assert_eq!(methods, BTreeSet::from(["PATCH".to_owned()]), "{status}");
        assert_eq!(client.dialect(), Dialect::default());
    }
}

// Fails without `if_match`, and without `again`.
#[tokio::test]
async fn a_put_is_for_the_version_that_was_read_and_is_made_anew_once() {
    let server = TestServer::start(|seen: &Seen, before| {
        let resource = json!({"id": "x1", "active": true, "theirs": before});
        match (seen.method.as_str(), before) {
            ("GET", _) => {
                let body = resource.to_string().into_bytes();
                let tag = vec![("ETag", format!("W/\"{before}\""))];
                Reply::Answer(200, tag, body)
            }
            ("PATCH", _) => test_server::status(501),
            (_, 2) => test_server::status(412),
            _ => test_server::json(200, json!({"id": "x1", "active": false})),
        }
    })
    .await;
    let client = server.client();
    let sent = update(&client, Kind::User, &[], &[], &OFF).await.unwrap();
    assert_eq!(sent.method, "PUT");
    let puts = server.seen().into_iter().filter(|it| it.method == "PUT");
    let puts: Vec<(String, Value)> = puts
        .map(|put| {
            let body = serde_json::from_str(&put.body).unwrap();
            (put.headers["if-match"].clone(), body)
        })
        .collect();
    assert_eq!(
        puts,
        [
            (
                "W/\"1\"".to_owned(),
                json!({"id": "x1", "active": false, "theirs": 1})
            ),
            (
                "W/\"3\"".to_owned(),
                json!({"id": "x1", "active": false, "theirs": 3})
            ),
        ]
    );
}

// Fails without `shows_all_members`: "u2" would be removed by the PUT.
#[tokio::test]
async fn a_list_that_is_cut_short_is_never_written_back() {
    let server = TestServer::start(|seen, _| match seen.method.as_str() {
        "GET" => test_server::json(200, json!({"id": "x1", "members": [{"value": "u1"}]})),
        "PATCH" => test_server::status(501),
        _ => test_server::status(200),
    })
    .await;
    let gone = [id("u1")];
    let change = Change {
        remove: &gone,
        ..to(&[])
    };
    let client = server.client();
    let error = update(&client, Kind::Group, &[], &["u1", "u2"], &change).await;
    assert!(!methods(&server).contains(&"PUT".to_owned()));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("does not show all members"), "{error}");
}

#[tokio::test]
async fn an_attribute_that_is_never_shown_is_no_lie_when_others_take() {
    let server = server_that_shows(204, json!({"id": "x1", "title": "Boss"})).await;
    let client = server.client();
    let change = [set("nickName", "An"), set("title", "Boss")];
    let sent = update(
        &client,
        Kind::User,
        &[("title", "Engineer")],
        &[],
        &to(&change),
    )
    .await;
    sent.unwrap();
    assert_eq!(methods(&server), ["PATCH", "GET"]);
    let learned = client.dialect().users;
    assert_eq!(learned.unseen, BTreeSet::from(["nickName".to_owned()]));
    assert_eq!(learned.verified, BTreeSet::from(["title".to_owned()]));
}

#[tokio::test]
async fn an_attribute_that_no_form_makes_visible_leaves_the_form_as_it_was() {
    let server = server_that_shows(204, json!({"id": "x1"})).await;
    let client = server.client();
    for _ in 0..2 {
        let change = [set("nickName", "An")];
        update(&client, Kind::User, &[], &[], &to(&change))
            .await
            .unwrap();
    }
    assert_eq!(
        methods(&server),
        ["PATCH", "GET", "PATCH", "GET", "GET", "PUT", "GET", "PATCH"]
    );
    assert_eq!(client.dialect().users.manner, None);
}

#[tokio::test]
async fn somebody_switched_off_may_be_hidden() {
    let server = TestServer::start(|seen, _| match seen.method.as_str() {
        "GET" => test_server::status(404),
        _ => test_server::status(204),
    })
    .await;
    let client = server.client();
    update(&client, Kind::User, &[], &[], &OFF).await.unwrap();
    assert_eq!(methods(&server), ["PATCH", "GET"]);
}

// Fails when 202 counts as done.
#[tokio::test]
async fn a_promise_that_is_not_kept_yet_is_not_acknowledged_and_not_put_in_another_form() {
    let server = server_that_shows(202, json!({"id": "x1", "active": true})).await;
    let client = server.client();
    let error = update(&client, Kind::User, &[], &[], &OFF).await;
    assert!(matches!(error, Err(TargetError::Ignored { .. })));
    assert_eq!(methods(&server), ["PATCH", "GET"]);
}
