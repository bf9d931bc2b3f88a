//! A server that fails in every way: what is repeated, what never is, and where nothing goes.

use provisor_connectors::Kind;
use serde_json::json;

use super::*;
use crate::scim::resource::ResourceId;
use crate::target::error::Scope;
use crate::target::test_server::{self, Reply, Seen, TestServer, write_secret};
use crate::target::{Auth, Secret};

fn id(text: &str) -> ResourceId {
    ResourceId(text.to_owned())
}

fn created() -> Reply {
    test_server::json(201, json!({"id": "u1", "userName": "ana@example.com"}))
}

#[tokio::test]
async fn what_can_be_repeated_is_repeated_with_one_request_id() {
    let failures: [fn() -> Reply; 8] = [
        || test_server::status(500),
        || test_server::status(502),
        || test_server::status(503),
        || test_server::status(504),
        || test_server::status(429),
        || Reply::Cut,
        || test_server::header(503, "Retry-After", "0.01"),
        || test_server::header(429, "Retry-After", "Fri, 06 Nov 2020 08:49:37 GMT"),
    ];
    for failure in failures {
        let server =
            TestServer::answering(vec![failure, failure, || test_server::status(204)]).await;
        let sent = server
            .client()
            .write(Verb::Patch, Kind::User, &id("u1"), &json!({}), None, false)
            .await
            .unwrap();
        assert_eq!((sent.status, sent.resource), (204, None));
        let seen = server.seen();
        assert_eq!(seen.len(), 3);
        assert!(
            seen.iter()
                .all(|seen| seen.headers["x-request-id"] == sent.request_id)
        );
    }
}

#[tokio::test]
async fn patience_ends_after_five_attempts() {
    let server = TestServer::answering(vec![|| test_server::status(500)]).await;
    let client = server.client();
    let error = client.delete(Kind::User, &id("u1")).await.unwrap_err();
    assert_eq!(
        (error.status(), error.scope()),
        (Some(500), Scope::Resource)
    );
    assert_eq!((client.requests(), client.writes()), (5, 0));
}

#[tokio::test]
async fn a_refusal_is_not_repeated() {
    for status in [400, 403, 404, 409, 412, 501] {
        let server = TestServer::start(move |_, _| test_server::status(status)).await;
        let error = server
            .client()
            .write(Verb::Patch, Kind::Group, &id("g1"), &json!({}), None, false)
            .await
            .unwrap_err();
        assert_eq!(error.status(), Some(status));
        assert_eq!(server.lines(), ["PATCH /scim/Groups/g1"]);
    }
}

#[tokio::test]
async fn a_create_is_never_repeated_once_it_may_have_happened() {
    let doubtful: [fn() -> Reply; 6] = [
        || Reply::Cut,
        || Reply::CutInBody(201),
        || test_server::status(500),
        || test_server::status(503),
        || test_server::json(201, json!({"userName": "ana"})),
        || test_server::status(204),
    ];
    for reply in doubtful {
        let server = TestServer::answering(vec![reply, created]).await;
        let error = server
            .client()
            .create(Kind::User, &json!({}))
            .await
            .unwrap_err();
        assert!(error.in_doubt(), "{error}");
        assert_eq!(error.scope(), Scope::Resource, "{error}");
        assert_eq!(server.lines().len(), 1, "{error}");
    }
}

#[tokio::test]
async fn a_change_whose_status_arrived_is_done_whatever_became_of_the_body() {
    let server = TestServer::answering(vec![|| Reply::CutInBody(200)]).await;
    let client = server.client();
    let sent = client
        .write(Verb::Patch, Kind::User, &id("u1"), &json!({}), None, false)
        .await
        .unwrap();
    assert_eq!((sent.status, sent.resource), (200, None));
    client.delete(Kind::User, &id("u1")).await.unwrap();
    assert_eq!((client.requests(), client.writes()), (2, 2));
    // Reading is not done before it is read.
    let error = client.get(Kind::User, &id("u1")).await.unwrap_err();
    assert!(error.to_string().contains("broke"), "{error}");
    assert_eq!(client.requests(), 7);
}

#[tokio::test]
async fn a_create_that_timed_out_is_in_doubt() {
    let server = TestServer::answering(vec![|| Reply::Hang]).await;
    let mut connection = server.connection();
    connection.timeout = Duration::from_millis(300);
    let client = Client::new(connection).unwrap().with_delay_factor(0.01);
    let error = client.create(Kind::User, &json!({})).await.unwrap_err();
    assert!(error.in_doubt());
    assert_eq!(error.to_string(), "POST /Users: timed out after 0.3 s");
    assert_eq!(server.lines().len(), 1);
    // What can be repeated is.
    let error = client.get(Kind::User, &id("u1")).await.unwrap_err();
    assert_eq!(error.scope(), Scope::Target);
    assert_eq!(server.lines().len(), 6);
}

#[tokio::test]
async fn a_create_is_repeated_when_nothing_can_have_happened() {
    let server = TestServer::answering(vec![
        || test_server::status(429),
        || test_server::header(429, "Retry-After", "0.05"),
        || test_server::header(503, "Retry-After", "0"),
        created,
    ])
    .await;
    let sent = server
        .client()
        .create(Kind::User, &json!({}))
        .await
        .unwrap();
    assert_eq!(sent.status, 201);
    assert_eq!(server.lines().len(), 4);
}

#[tokio::test]
async fn a_refused_connection_is_certain_and_stops_the_target() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let server = TestServer::answering(vec![created]).await;
    let mut connection = server.connection();
    connection.base_url = format!("http://{address}/scim").parse().unwrap();
    let client = Client::new(connection).unwrap().with_delay_factor(0.01);
    let error = client.create(Kind::User, &json!({})).await.unwrap_err();
    assert_eq!(error.to_string(), "POST /Users: connection refused");
    assert!(!error.in_doubt());
    assert_eq!(error.scope(), Scope::Target);
    assert_eq!(client.requests(), 5);
}

#[tokio::test]
async fn retry_after_is_waited_for_by_everybody() {
    let server = TestServer::start(|seen, n| match n {
        0 => test_server::header(429, "Retry-After", "0.4"),
        _ => test_server::json(200, json!({"id": seen.target.rsplit('/').next()})),
    })
    .await;
    let client = server.client();
    let start = Instant::now();
    client.get(Kind::User, &id("u1")).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(400));

    // A clone's answer closes the gate for the others, too.
    let server = TestServer::start(|seen, _| match seen.method.as_str() {
        "DELETE" => test_server::header(503, "Retry-After", "3000"),
        _ => test_server::json(200, json!({"id": "u1"})),
    })
    .await;
    let client = server.client();
    let error = client
        .clone()
        .delete(Kind::User, &id("u1"))
        .await
        .unwrap_err();
    assert_eq!(error.scope(), Scope::Target);
    assert_eq!(server.lines().len(), 1);
    let error = client.get(Kind::User, &id("u1")).await.unwrap_err();
    assert_eq!((error.status(), error.scope()), (Some(503), Scope::Target));
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn a_rate_holds_for_retries_and_clones_alike() {
    let server = TestServer::start(|_, n| match n % 2 {
        0 => test_server::status(500),
        _ => test_server::json(200, json!({"id": "u1"})),
    })
    .await;
    let mut connection = server.connection();
    connection.pace.requests_per_second = Some(7.0);
    let client = Client::new(connection).unwrap().with_delay_factor(0.0);
    let start = Instant::now();
    let user = id("u1");
    let gets = (0..4).map(|_| client.get(Kind::User, &user));
    for result in futures_util::future::join_all(gets).await {
        result.unwrap();
    }
    // More than the rate allows in any one second.
    assert!(client.requests() >= 8);
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn after_401_the_secret_is_read_again_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    write_secret(&path, "old");
    let rotated = path.clone();
    let server = TestServer::start(move |seen: &Seen, _| {
        if seen.headers["authorization"] == "Bearer new" {
            return created();
        }
        write_secret(&rotated, "new");
        test_server::status(401)
    })
    .await;
    let mut connection = server.connection();
    connection.auth = Auth::Bearer(Secret::File(path));
    let client = Client::new(connection).unwrap();
    client.create(Kind::User, &json!({})).await.unwrap();
    assert_eq!(server.lines().len(), 2);

    let server = TestServer::answering(vec![|| test_server::status(401)]).await;
    let error = server
        .client()
        .create(Kind::User, &json!({}))
        .await
        .unwrap_err();
    assert_eq!((error.status(), error.scope()), (Some(401), Scope::Target));
    assert!(!error.in_doubt());
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn a_missing_secret_sends_nothing() {
    let server = TestServer::answering(vec![created]).await;
    let mut connection = server.connection();
    connection.auth = Auth::Bearer(Secret::Env("PROVISOR_TEST_NEVER_SET".to_owned()));
    let client = Client::new(connection).unwrap();
    let error = client.get(Kind::User, &id("u1")).await.unwrap_err();
    assert!(matches!(error, TargetError::Secret(_)));
    assert_eq!(server.lines().len(), 0);
}

#[tokio::test]
async fn the_token_never_follows_a_redirect_to_another_host() {
    let elsewhere = TestServer::answering(vec![created]).await;
    for status in [301, 302, 303, 307, 308] {
        let location = elsewhere.url.join("/scim/Users/u1").unwrap();
        let server = TestServer::start(move |_, _| {
            test_server::header(status, "Location", location.as_str())
        })
        .await;
        for error in [
            server
                .client()
                .get(Kind::User, &id("u1"))
                .await
                .unwrap_err(),
            server
                .client()
                .create(Kind::User, &json!({}))
                .await
                .unwrap_err(),
        ] {
            let message = error.to_string();
            assert!(message.contains("redirects to another host"), "{message}");
        }
        assert_eq!(server.lines().len(), 2);
    }
    assert_eq!(elsewhere.lines().len(), 0);
}

#[tokio::test]
async fn redirects_on_the_same_host_are_followed_as_far_as_they_keep_the_method() {
    let moved = |status: u16| async move {
        TestServer::start(move |seen, _| {
            if seen.target.starts_with("/scim/v2/") {
                test_server::json(200, json!({"id": "u1"}))
            } else {
                test_server::header(status, "Location", "/scim/v2/Users/u1")
            }
        })
        .await
    };
    let server = moved(302).await;
    assert!(
        server
            .client()
            .get(Kind::User, &id("u1"))
            .await
            .unwrap()
            .is_some()
    );
    let error = server
        .client()
        .write(Verb::Patch, Kind::User, &id("u1"), &json!({}), None, false)
        .await;
    assert!(matches!(error, Err(TargetError::Unusable { .. })));
    assert_eq!(server.lines().len(), 3);

    let server = moved(308).await;
    let body = json!({"Operations": []});
    server
        .client()
        .write(Verb::Patch, Kind::User, &id("u1"), &body, None, false)
        .await
        .unwrap();
    let last = server.seen().pop().unwrap();
    assert_eq!(
        (last.method, last.body),
        ("PATCH".to_owned(), body.to_string())
    );

    let circle =
        TestServer::start(|_, _| test_server::header(307, "Location", "/scim/Users")).await;
    let error = circle
        .client()
        .get(Kind::User, &id("u1"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("more than 5"), "{error}");
    assert_eq!(circle.lines().len(), 6);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let server =
        TestServer::start(|_, _| Reply::Answer(200, Vec::new(), vec![b' '; RESOURCE_LIMIT + 1]))
            .await;
    let error = server
        .client()
        .get(Kind::User, &id("u1"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("larger than 32 MiB"), "{error}");

    let server =
        TestServer::start(|_, _| Reply::Answer(400, Vec::new(), vec![b'x'; ERROR_LIMIT + 1])).await;
    let error = server
        .client()
        .get(Kind::User, &id("u1"))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "GET /Users/{id}: 400");

    let deep = "[".repeat(100_000);
    let server =
        TestServer::start(move |_, _| Reply::Answer(200, Vec::new(), deep.clone().into_bytes()))
            .await;
    let error = server
        .client()
        .get(Kind::User, &id("u1"))
        .await
        .unwrap_err();
    assert!(matches!(error, TargetError::Unusable { .. }), "{error}");
}

#[tokio::test]
async fn a_servers_words_are_kept_short_and_clean() {
    let server = TestServer::start(|_, _| {
        let detail = format!("taken\u{7}\n{}", "x".repeat(500));
        test_server::json(409, json!({"scimType": "uniqueness", "detail": detail}))
    })
    .await;
    let error = server
        .client()
        .create(Kind::User, &json!({}))
        .await
        .unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("POST /Users: 409 uniqueness: taken xxx"),
        "{message}"
    );
    assert!(message.chars().count() < 240, "{message}");
    assert!(!message.contains(char::is_control), "{message:?}");
}
