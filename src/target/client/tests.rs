//! What each call sends, and what its answer must hold.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::*;
use crate::target::test_server::{self, Reply, TestServer, write_secret};

fn id(text: &str) -> ResourceId {
    ResourceId(text.to_owned())
}

fn created() -> Reply {
    test_server::json(201, json!({"id": "u1", "userName": "ana@example.com"}))
}

#[tokio::test]
async fn a_request_says_who_sends_what() {
    let server = TestServer::answering(vec![created]).await;
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
async fn absence_and_strange_answers_are_told_apart() {
    let server = TestServer::answering(vec![|| test_server::status(404)]).await;
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
        let server = TestServer::answering(vec![reply]).await;
        let error = server.client().get(Kind::User, &id("u1")).await;
        assert!(matches!(error, Err(TargetError::Unusable { .. })));
    }
    // A login page is not the acknowledgement of a deactivation.
    let server = TestServer::answering(vec![|| {
        test_server::header(200, "Content-Type", "text/html; charset=utf-8")
    }])
    .await;
    let error = server
        .client()
        .write(Verb::Patch, Kind::User, &id("u1"), &json!({}), None, false)
        .await;
    assert!(matches!(error, Err(TargetError::Unusable { .. })));
}

#[tokio::test]
async fn discovery_is_a_hint_but_not_when_nobody_may_look() {
    let server = TestServer::answering(vec![|| {
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
    // Hours by which the server is ahead, answer by answer; the last one does not tell.
    let server = TestServer::start(|_, before| match [0, 1, -1].get(before) {
        Some(hours) => {
            let date = Utc::now() + TimeDelta::hours(*hours);
            test_server::header(404, "Date", httpdate::fmt_http_date(date.into()))
        }
        None => test_server::status(404),
    })
    .await;
    let client = server.client();
    assert_eq!(client.clock_skew(), None);
    for seconds in [0, 3600, -3600, -3600] {
        client.get(Kind::User, &id("u1")).await.unwrap();
        let skew = client.clock_skew().unwrap().num_seconds();
        assert!((seconds - 5..=seconds + 5).contains(&skew), "{skew}");
    }
}

#[tokio::test]
async fn a_connection_that_would_show_the_token_is_refused() {
    let server = TestServer::answering(vec![created]).await;
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
    let proxied = Connection {
        base_url: "https://app.example/scim".parse().unwrap(),
        proxy: Some("http://ana:s3cret@proxy.example:3128".parse().unwrap()),
        ..server.connection()
    };
    let error = Client::new(proxied).err().unwrap();
    assert!(error.to_string().contains("HTTPS_PROXY"), "{error}");
    // Loopback is allowed because nobody else hears it; a proxy would.
    let proxied = Connection {
        proxy: Some("http://proxy.example:3128".parse().unwrap()),
        ..server.connection()
    };
    let error = Client::new(proxied).err().unwrap();
    assert!(error.to_string().contains("to the proxy"), "{error}");
    assert!(with("http://app.example/scim", true).is_ok());
    assert!(with("http://localhost:8080/scim", false).is_ok());
}

#[tokio::test]
async fn certificate_files_are_checked_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pem");
    write_secret(&path, "no certificate");
    let server = TestServer::answering(vec![created]).await;
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
