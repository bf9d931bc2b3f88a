//! The client against a server that fails in every way: what is repeated, what never is, and
//! what is sent to whom.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::target::Secret;
use crate::target::answer::{ERROR_LIMIT, RESOURCE_LIMIT};
use crate::target::error::Scope;
use crate::target::test_server::{self, Reply, Seen, TestServer};

fn id(text: &str) -> ResourceId {
    ResourceId(text.to_owned())
}

fn created() -> Reply {
    test_server::json(201, json!({"id": "u1", "userName": "ana@example.com"}))
}

/// A server that gives these answers in turn, then the last one for ever.
async fn answering(replies: Vec<fn() -> Reply>) -> TestServer {
    TestServer::start(move |_, n| replies[n.min(replies.len() - 1)]()).await
}

#[tokio::test]
async fn a_request_says_who_sends_what() {
    let server = answering(vec![created]).await;
    let client = server.client();
    let body = json!({"userName": "ana@example.com"});
    let sent = client.create(Kind::User, &body).await.unwrap();
    assert_eq!(sent.status, 201);
    assert_eq!(sent.resource.unwrap().id, id("u1"));

    let seen = &server.seen()[0];
    assert_eq!((&*seen.method, &*seen.target), ("POST", "/scim/Users"));
    let header = |name: &str| seen.headers[name].as_str();
    assert_eq!(header("authorization"), "Bearer s3cret");
    assert_eq!(header("content-type"), "application/scim+json");
    assert_eq!(
        header("accept"),
        "application/scim+json, application/json;q=0.9"
    );
    assert_eq!(
        header("user-agent"),
        concat!("provisor/", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(header("x-request-id"), sent.request_id);
    assert_eq!(
        sent.request_id.parse::<Uuid>().unwrap().get_version_num(),
        7
    );
    assert_eq!(seen.body, body.to_string());
    assert_eq!((client.requests(), client.writes()), (1, 1));
}

#[tokio::test]
async fn an_id_is_encoded_into_one_segment() {
    let server =
        TestServer::start(|_, _| test_server::json(200, json!({"id": "a/b?c d+é@example.com"})))
            .await;
    let wanted = id("a/b?c d+é@example.com");
    let found = server.client().get(Kind::User, &wanted).await.unwrap();
    assert_eq!(found.unwrap().id, wanted);
    assert_eq!(
        server.lines(),
        ["GET /scim/Users/a%2Fb%3Fc%20d%2B%C3%A9%40example.com"]
    );
    for dots in ["", ".", ".."] {
        let error = server.client().delete(Kind::User, &id(dots)).await;
        assert!(matches!(error, Err(TargetError::Unusable { .. })));
    }
    assert_eq!(server.lines().len(), 1);
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
        let server = answering(vec![failure, failure, || test_server::status(204)]).await;
        let sent = server
            .client()
            .patch(Kind::User, &id("u1"), &json!({}))
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
    let server = answering(vec![|| test_server::status(500)]).await;
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
            .patch(Kind::Group, &id("g1"), &json!({}))
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
        let server = answering(vec![reply, created]).await;
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
async fn a_create_that_timed_out_is_in_doubt() {
    let server = answering(vec![|| Reply::Hang]).await;
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
    let server = answering(vec![
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
    let server = answering(vec![created]).await;
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
    connection.pace.requests_per_second = Some(25.0);
    let client = Client::new(connection).unwrap().with_delay_factor(0.0);
    let start = Instant::now();
    let user = id("u1");
    let gets = (0..4).map(|_| client.get(Kind::User, &user));
    for result in futures_util::future::join_all(gets).await {
        result.unwrap();
    }
    let sent = client.requests();
    assert!(sent >= 8);
    let fastest = Duration::from_secs_f64((sent - 1) as f64 / 25.0);
    assert!(start.elapsed() >= fastest.mul_f64(0.99), "{sent}");
}

fn write_secret(path: &Path, secret: &str) {
    std::fs::write(path, secret).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
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

    let server = answering(vec![|| test_server::status(401)]).await;
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
    let server = answering(vec![created]).await;
    let mut connection = server.connection();
    connection.auth = Auth::Bearer(Secret::Env("PROVISOR_TEST_NEVER_SET".to_owned()));
    let client = Client::new(connection).unwrap();
    let error = client.get(Kind::User, &id("u1")).await.unwrap_err();
    assert!(matches!(error, TargetError::Secret(_)));
    assert_eq!(server.lines().len(), 0);
}

#[tokio::test]
async fn the_token_never_follows_a_redirect_to_another_host() {
    let elsewhere = Arc::new(answering(vec![created]).await);
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
        .patch(Kind::User, &id("u1"), &json!({}))
        .await;
    assert!(matches!(error, Err(TargetError::Unusable { .. })));
    assert_eq!(server.lines().len(), 3);

    let server = moved(308).await;
    let body = json!({"Operations": []});
    server
        .client()
        .patch(Kind::User, &id("u1"), &body)
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

#[tokio::test]
async fn absence_and_strange_answers_are_told_apart() {
    let server = answering(vec![|| test_server::status(404)]).await;
    let client = server.client();
    assert_eq!(client.get(Kind::User, &id("u1")).await.unwrap(), None);
    let sent = client.delete(Kind::User, &id("u1")).await.unwrap();
    assert_eq!(sent.status, 404);
    assert_eq!(client.discover().await.unwrap(), Capabilities::default());

    let strange: [fn() -> Reply; 3] = [
        || test_server::json(200, json!({"id": "u2"})),
        || test_server::json(200, json!({"Resources": []})),
        || test_server::header(200, "Content-Type", "text/html; charset=utf-8"),
    ];
    for reply in strange {
        let server = answering(vec![reply]).await;
        let error = server.client().get(Kind::User, &id("u1")).await;
        assert!(matches!(error, Err(TargetError::Unusable { .. })));
    }
    // A login page is not the acknowledgement of a deactivation.
    let server = answering(vec![|| {
        test_server::header(200, "Content-Type", "text/html; charset=utf-8")
    }])
    .await;
    let error = server
        .client()
        .patch(Kind::User, &id("u1"), &json!({}))
        .await;
    assert!(matches!(error, Err(TargetError::Unusable { .. })));
}

#[tokio::test]
async fn discovery_is_a_hint_but_not_when_nobody_may_look() {
    let server = answering(vec![|| {
        test_server::json(
            200,
            json!({"patch": {"supported": true}, "filter": {"supported": false}}),
        )
    }])
    .await;
    let capabilities = server.client().discover().await.unwrap();
    assert_eq!(
        (capabilities.patch, capabilities.filter),
        (Some(true), Some(false))
    );
    for status in [401, 403] {
        let server = TestServer::start(move |_, _| test_server::status(status)).await;
        let error = server.client().discover().await.unwrap_err();
        assert_eq!(error.status(), Some(status));
    }
}

#[tokio::test]
async fn the_servers_clock_is_compared_with_ours() {
    let server = answering(vec![|| {
        test_server::header(404, "Date", "Fri, 06 Nov 2026 08:50:00 GMT")
    }])
    .await;
    let client = server.client();
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    assert_eq!(client.clock_skew(at("2026-11-06T08:50:00Z")), None);
    client.get(Kind::User, &id("u1")).await.unwrap();
    assert_eq!(client.clock_skew(at("2026-11-06T08:50:01Z")), None);
    let ahead = client.clock_skew(at("2026-11-06T08:40:00Z")).unwrap();
    assert!((600..630).contains(&ahead), "{ahead}");
    let behind = client.clock_skew(at("2026-11-06T09:50:00Z")).unwrap();
    assert!((-3600..-3570).contains(&behind), "{behind}");
}

#[tokio::test]
async fn a_connection_that_would_show_the_token_is_refused() {
    let server = answering(vec![created]).await;
    let with = |url: &str, allow_plaintext: bool| {
        let connection = Connection {
            base_url: url.parse().unwrap(),
            allow_plaintext,
            ..server.connection()
        };
        Client::new(connection).map(|_| ())
    };
    for url in [
        "http://app.example/scim",
        "ftp://app.example/scim",
        "https://ana:s3cret@app.example/scim",
        "https://app.example/scim?tenant=1",
    ] {
        let error = with(url, false).unwrap_err();
        assert!(
            matches!(error, TargetError::Configuration { .. }),
            "{error}"
        );
        assert!(!error.to_string().contains("s3cret"));
    }
    assert!(with("http://app.example/scim", true).is_ok());
    assert!(with("http://localhost:8080/scim", false).is_ok());
}

#[tokio::test]
async fn certificate_files_are_checked_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pem");
    write_secret(&path, "no certificate");
    let server = answering(vec![created]).await;
    let error = Client::new(Connection {
        ca_file: Some(path.clone()),
        ..server.connection()
    });
    assert!(matches!(
        error.err(),
        Some(TargetError::Configuration { .. })
    ));
    let error = Client::new(Connection {
        client_certificate: Some(path.clone()),
        ..server.connection()
    });
    assert!(matches!(
        error.err(),
        Some(TargetError::Configuration { .. })
    ));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = Client::new(Connection {
        client_certificate: Some(path),
        ..server.connection()
    });
    assert!(matches!(error.err(), Some(TargetError::Secret(_))));
}
