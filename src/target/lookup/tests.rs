//! What a filter's answer is worth, server by server.

use serde_json::json;

use super::*;
use crate::target::test_server::{self, Reply, TestServer};

type Answering = fn() -> Reply;

async fn look_up(path: &str, value: &str, reply: Answering) -> (Lookup, Vec<String>) {
    let server = TestServer::start(move |_, _| reply()).await;
    let path: AttributePath = path.parse().unwrap();
    let lookup = server
        .client()
        .look_up(Kind::User, &path, &json!(value))
        .await
        .unwrap();
    (lookup, server.lines())
}

fn ids(lookup: Lookup) -> Vec<String> {
    match lookup {
        Lookup::Found(hits) => hits.into_iter().map(|hit| hit.id.0).collect(),
        Lookup::NotHonoured => panic!("not honoured"),
    }
}

#[tokio::test]
async fn a_hit_that_carries_the_key_is_found() {
    let (lookup, lines) = look_up("userName", "ana+1@example.com", || {
        test_server::json(
            200,
            json!({"totalResults": 1, "Resources": [{"id": "1", "userName": "Ana+1@Example.com"}]}),
        )
    })
    .await;
    assert_eq!(ids(lookup), ["1"]);
    assert_eq!(
        lines,
        ["GET /scim/Users?filter=userName%20eq%20%22ana%2B1%40example.com%22"]
    );
}

#[tokio::test]
async fn no_hit_is_found_empty() {
    let (lookup, _) = look_up("externalId", "7", || {
        test_server::json(200, json!({"totalResults": 0}))
    })
    .await;
    assert_eq!(lookup, Lookup::Found(Vec::new()));
}

#[tokio::test]
async fn a_filter_that_was_not_honoured_is_never_believed() {
    let cases: Vec<(&str, Answering)> = vec![
        ("everybody", || {
            test_server::json(
                200,
                json!({"Resources": [{"id": "1", "externalId": "7"}, {"id": "2", "externalId": "8"}]}),
            )
        }),
        ("somebody else", || {
            test_server::json(200, json!({"Resources": [{"id": "2", "externalId": "8"}]}))
        }),
        ("without the key", || {
            test_server::json(200, json!({"Resources": [{"id": "2"}]}))
        }),
        ("case-exact", || {
            test_server::json(200, json!({"Resources": [{"id": "2", "externalId": "７"}]}))
        }),
        ("two for a unique key", || {
            test_server::json(
                200,
                json!({"Resources": [{"id": "1", "externalId": "7"}, {"id": "2", "externalId": "7"}]}),
            )
        }),
        ("more than arrived", || {
            test_server::json(
                200,
                json!({"totalResults": 2, "Resources": [{"id": "1", "externalId": "7"}]}),
            )
        }),
        ("no id", || {
            test_server::json(200, json!({"Resources": [{"externalId": "7"}]}))
        }),
        ("not a list", || test_server::json(200, json!([]))),
        ("not JSON", || {
            Reply::Answer(200, Vec::new(), b"ok".to_vec())
        }),
    ];
    for (name, reply) in cases {
        let (lookup, _) = look_up("externalId", "7", reply).await;
        assert_eq!(lookup, Lookup::NotHonoured, "{name}");
    }
    let refusals: Vec<Answering> = vec![
        || test_server::status(400),
        || test_server::status(403),
        || test_server::status(404),
        || test_server::status(500),
        || test_server::status(501),
    ];
    for reply in refusals {
        let (lookup, lines) = look_up("externalId", "7", reply).await;
        assert_eq!(lookup, Lookup::NotHonoured);
        assert!(lines.len() <= 2);
    }
}

#[tokio::test]
async fn an_address_is_looked_for_among_all_and_may_be_shared() {
    let (lookup, lines) = look_up("emails", "ana@example.com", || {
        test_server::json(
            200,
            json!({"Resources": [
                {"id": "1", "emails": [{"value": "a@example.com"}, {"value": "ANA@example.com"}]},
                {"id": "2", "emails": [{"value": "ana@example.com", "type": "home"}]},
            ]}),
        )
    })
    .await;
    assert_eq!(ids(lookup), ["1", "2"]);
    assert_eq!(
        lines,
        ["GET /scim/Users?filter=emails.value%20eq%20%22ana%40example.com%22"]
    );
    let (lookup, _) = look_up("emails", "ana@example.com", || {
        test_server::json(
            200,
            json!({"Resources": [{"id": "1", "emails": [{"value": "bo@example.com"}]}]}),
        )
    })
    .await;
    assert_eq!(lookup, Lookup::NotHonoured);
}

#[tokio::test]
async fn a_quote_in_a_value_stays_in_the_value() {
    let (_, lines) = look_up("userName", r#"a" or id pr or userName eq "b"#, || {
        test_server::json(200, json!({"totalResults": 0}))
    })
    .await;
    assert!(lines[0].contains("%22a%5C%22%20or%20id"), "{}", lines[0]);
}

#[tokio::test]
async fn what_concerns_the_whole_target_is_an_error() {
    let server = TestServer::start(|_, _| test_server::status(401)).await;
    let path = AttributePath::user_name();
    let error = server
        .client()
        .look_up(Kind::User, &path, &json!("ana"))
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(401));
}
