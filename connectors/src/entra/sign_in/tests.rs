use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

#[test]
fn a_refusal_is_explained_by_its_number_and_its_words_are_not_repeated() {
    let body = br#"{"error":"invalid_client","error_description":"AADSTS7000215: s3cret",
        "error_codes":[7000215]}"#;
    let words = denied(401, body);
    assert!(
        words.starts_with("401 invalid_client (AADSTS7000215): the client secret is not right")
    );
    assert!(!words.contains("s3cret"), "{words}");
    assert!(denied(500, b"<html>").starts_with("500 "));
}

#[test]
fn numbers_are_read_as_such_and_as_text() {
    let read = |text: &str| serde_json::from_str::<Granted>(text).map(|it| it.expires_in);
    let number = r#"{"access_token":"x","expires_in":3599}"#;
    let text = r#"{"access_token":"x","expires_in":"3599","expires_on":"1766400000"}"#;
    assert_eq!(read(number).unwrap(), Some(3599));
    assert_eq!(read(text).unwrap(), Some(3599));
    assert_eq!(read(r#"{"access_token":"x"}"#).unwrap(), None);
    assert!(read("{}").is_err());
}

#[test]
fn a_token_is_renewed_before_it_expires() {
    let of = |seconds| time_of_use(Duration::from_secs(seconds)).as_secs();
    assert_eq!(of(3599), 3299);
    assert_eq!(of(200), 100);
    assert_eq!(of(0), 0);
    assert_eq!(of(u64::MAX), 86_400);
}

/// A login that takes its time; how many tokens it has given, and its address.
async fn slow_login(lifetime: u64) -> (Arc<AtomicUsize>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let given = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&given);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while !seen.ends_with(b"client_secret=s3cret") {
                    let mut part = [0; 1024];
                    let read = stream.read(&mut part).await.unwrap();
                    seen.extend_from_slice(&part[..read]);
                }
                sleep(Duration::from_millis(100)).await;
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let body =
                    format!(r#"{{"access_token":"token-{number}","expires_in":{lifetime}}}"#);
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    (given, format!("http://{address}"))
}

// Fails when the lock is let go of while a token is asked for.
#[tokio::test]
async fn whoever_comes_while_a_token_is_asked_for_takes_that_one() {
    let (given, address) = slow_login(3599).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "s3cret").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, private).unwrap();
    let config: EntraConfig = toml::from_str(&format!(
        "tenant_id = \"contoso.onmicrosoft.com\"\nclient_id = \"app\"\n\
         client_secret = {{ file = \"secret\" }}\nlogin_url = \"{address}\""
    ))
    .unwrap();
    let sign_in = SignIn::new(&config, folder.path());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let all = || futures_util::future::join_all((0..8).map(|_| sign_in.token(&http)));
    for token in all().await {
        assert_eq!(token.unwrap().expose_secret(), "token-0");
    }
    assert_eq!(given.load(Ordering::SeqCst), 1);

    // All of them hear that it is refused, and one of them asks for another.
    let refused = SecretString::from("token-0".to_owned());
    let again = || async {
        sign_in.forget(&refused).await;
        sign_in.token(&http).await
    };
    for token in futures_util::future::join_all((0..8).map(|_| again())).await {
        assert_eq!(token.unwrap().expose_secret(), "token-1");
    }
    assert_eq!(given.load(Ordering::SeqCst), 2);
}
