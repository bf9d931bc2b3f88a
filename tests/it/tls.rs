//! TLS as it is at the targets: what is negotiated, which certificates are refused and in
//! which words, and that the token reaches nobody but the configured server.
//!
//! What the server did not hear was not sent: every refusal is shown by its silence.

use std::fs;
use std::path::Path;
use std::time::Duration;

use axum::http::Version;
use tempfile::TempDir;

use crate::support::certificates::{Authority, Pair};
use crate::support::run::{Ran, finish, program};
use crate::support::sandbox::Sandbox;
use crate::support::tls::{Presents, Proxy, Then, TlsServer};

/// A host that does not exist: only the proxy can lead there.
const ELSEWHERE: &str = "scim.app.example.com";

/// A folder with two people, a sandbox that takes them, and an authority.
struct Setting {
    folder: TempDir,
    sandbox: Sandbox,
    authority: Authority,
}

impl Setting {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let sandbox = Sandbox::start(&folder.path().join("sandbox"), &[]);
        let authority = Authority::new("ours");
        let setting = Self {
            folder,
            sandbox,
            authority,
        };
        setting.write("ca.pem", &setting.authority.certificate());
        // The system's store, as far as the program is concerned: real machines trust
        // somebody, and never our authority.
        setting.write("system.pem", &Authority::new("system").certificate());
        setting.write(
            "people.csv",
            "id,userName,mail\n1,ana@example.com,ana@example.com\n2,bo@example.com,bo@example.com\n",
        );
        setting
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("a file in the temporary folder");
    }

    /// A server with this certificate, in front of the sandbox, with HTTP/2.
    fn serve(&self, pair: &Pair) -> TlsServer {
        self.serve_as(&Presents {
            pair,
            protocols: &["h2", "http/1.1"],
            clients_of: None,
        })
    }

    fn serve_as(&self, presents: &Presents<'_>) -> TlsServer {
        TlsServer::start(presents, Then::Forward(self.sandbox.http.clone()))
    }

    /// Runs the program with a target at `base_url`; `more` are lines of the target's table.
    fn run(&self, base_url: &str, more: &str, arguments: &[&str]) -> Ran {
        self.run_with(base_url, more, arguments, &[])
    }

    fn run_with(
        &self,
        base_url: &str,
        more: &str,
        arguments: &[&str],
        environment: &[(&str, String)],
    ) -> Ran {
        self.write(
            "provisor.toml",
            &format!(
                "state_dir = \"state\"\n\n[sources.staff.csv]\nusers = \"people.csv\"\n\n\
                 [targets.app]\nsource = \"staff\"\nbase_url = \"{base_url}\"\n\
                 auth = {{ bearer = {{ file = \"{}\" }} }}\n{more}\n",
                self.sandbox.token_file.display()
            ),
        );
        let mut command = program();
        command
            .current_dir(self.path())
            .env("SSL_CERT_FILE", self.path().join("system.pem"))
            .env_remove("SSL_CERT_DIR")
            .args(["--config", "provisor.toml"])
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)));
        finish(&mut command, Duration::from_secs(60))
    }

    fn token(&self) -> &str {
        &self.sandbox.http.token
    }
}

/// Fails without the feature `http2` of `reqwest`, which is what offers it.
#[test]
fn http_2_is_negotiated_and_shown() {
    let setting = Setting::new();
    let server = setting.serve(&setting.authority.issue(&["127.0.0.1"]));
    let more = "ca_file = \"ca.pem\"";

    let ran = setting.run(&server.base_url(), more, &["-vv", "check"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(ran.stdout.contains("speaks HTTP/2 over TLS"), "{ran:?}");
    assert!(ran.stderr.contains("http=HTTP/2.0"), "{ran:?}");
    assert!(!ran.stderr.contains(setting.token()), "{ran:?}");

    let ran = setting.run(&server.base_url(), more, &["sync"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    let heard = server.heard();
    let wrote = |line: &str| heard.iter().filter(|heard| heard.line == line).count();
    assert_eq!(wrote("POST /scim/v2/Users"), 2, "{heard:?}");
    assert!(
        heard.iter().all(|heard| heard.version == Version::HTTP_2),
        "{heard:?}"
    );

    let ran = setting.run(&server.base_url(), more, &["sync"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(server.heard().len(), heard.len(), "nothing has changed");
}

#[test]
fn a_server_without_http_2_is_spoken_to_all_the_same() {
    let setting = Setting::new();
    let pair = setting.authority.issue(&["127.0.0.1"]);
    let server = setting.serve_as(&Presents {
        pair: &pair,
        protocols: &["http/1.1"],
        clients_of: None,
    });
    let ran = setting.run(&server.base_url(), "ca_file = \"ca.pem\"", &["check"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(ran.stdout.contains("speaks HTTP/1.1 over TLS"), "{ran:?}");

    let plain = setting.run(&setting.sandbox.http.base_url, "", &["check"]);
    assert!(
        plain.stdout.contains("speaks HTTP/1.1, not encrypted"),
        "{plain:?}"
    );
}

/// Each with the words that say which problem it is, and what to set. Fails without the
/// verification of certificates, and, for the words, without `explain_certificate`.
#[test]
fn a_certificate_that_proves_nothing_is_refused_in_words() {
    let setting = Setting::new();
    let ours = &setting.authority;
    let host = ["127.0.0.1"];
    let trusted = "ca_file = \"ca.pem\"";
    let leaf = Pair::self_signed(&host, false);
    let root = Pair::self_signed(&host, true);
    setting.write("root.pem", &root.certificate);
    let cases = [
        (
            "expired",
            ours.issue_between(&host, 2000, 2020),
            trusted,
            vec!["the server's certificate expired"],
        ),
        (
            "not yet valid",
            ours.issue_between(&host, 2090, 2100),
            trusted,
            vec!["not valid yet", "is the clock right?"],
        ),
        (
            "another host",
            ours.issue(&["other.example.com"]),
            trusted,
            vec!["another host", "base_url", "other.example.com"],
        ),
        (
            "unknown authority",
            Authority::new("theirs").issue(&host),
            trusted,
            vec!["issuer is unknown", "ca_file"],
        ),
        (
            "no ca_file",
            ours.issue(&host),
            "",
            vec!["issuer is unknown", "ca_file"],
        ),
        (
            "vouches for itself",
            leaf,
            trusted,
            vec!["issuer is unknown", "ca_file"],
        ),
        (
            "an authority's own",
            root,
            "ca_file = \"root.pem\"",
            vec!["belongs to a CA", "not one of a server"],
        ),
    ];
    for (name, pair, more, words) in cases {
        let server = setting.serve(&pair);
        for command in ["check", "sync"] {
            let ran = setting.run(&server.base_url(), more, &[command]);
            assert_eq!(ran.exit, 1, "{name}: {ran:?}");
            for word in &words {
                assert!(ran.stderr.contains(word), "{name}, {word:?}: {ran:?}");
            }
        }
        assert!(server.heard().is_empty(), "{name}: {:?}", server.heard());
    }
    let made = setting.sandbox.named("/Users").expect("the sandbox lists");
    assert!(made.is_empty(), "{made:?}");
}

#[test]
fn a_server_that_vouches_for_itself_can_be_named_in_ca_file() {
    let setting = Setting::new();
    let pair = Pair::self_signed(&["127.0.0.1"], false);
    setting.write("server.pem", &pair.certificate);
    let server = setting.serve(&pair);
    let ran = setting.run(&server.base_url(), "ca_file = \"server.pem\"", &["check"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
}

/// Fails without the identity that `build_http` gives to the HTTP library.
#[test]
fn a_demanded_client_certificate_must_be_given_and_be_the_right_one() {
    let setting = Setting::new();
    let pair = setting.authority.issue(&["127.0.0.1"]);
    for protocols in [["h2"], ["http/1.1"]] {
        let server = setting.serve_as(&Presents {
            pair: &pair,
            protocols: &protocols,
            clients_of: Some(&setting.authority),
        });
        let none = setting.run(&server.base_url(), "ca_file = \"ca.pem\"", &["check"]);
        assert_eq!(none.exit, 1, "{none:?}");
        assert!(none.stderr.contains("set client_certificate"), "{none:?}");

        let wrong = Authority::new("theirs").issue(&["client"]);
        wrong.write(&setting.path().join("client.pem"));
        let more = "ca_file = \"ca.pem\"\nclient_certificate = \"client.pem\"";
        let refused = setting.run(&server.base_url(), more, &["check"]);
        assert_eq!(refused.exit, 1, "{refused:?}");
        assert!(
            refused.stderr.contains("refused the client_certificate"),
            "{refused:?}"
        );
        assert!(server.heard().is_empty(), "{:?}", server.heard());

        let right = setting.authority.issue(&["client"]);
        right.write(&setting.path().join("client.pem"));
        let taken = setting.run(&server.base_url(), more, &["check"]);
        assert_eq!(taken.exit, 0, "{taken:?}");
        assert!(!server.heard().is_empty());
    }
}

/// Fails without the comparison of origins in `redirected`.
#[test]
fn a_redirect_to_another_host_does_not_get_the_token() {
    let setting = Setting::new();
    let pair = setting.authority.issue(&["127.0.0.1", "localhost"]);
    let thief = setting.serve(&pair);
    let presents = Presents {
        pair: &pair,
        protocols: &["h2", "http/1.1"],
        clients_of: None,
    };
    let plain = setting.sandbox.http.base_url.trim_end_matches("/scim/v2");
    let places = [
        format!("https://{}", thief.address),
        format!("https://localhost:{}", thief.address.port()),
        plain.to_owned(),
    ];
    let logged = setting.sandbox.log().len();
    for place in places {
        let server = TlsServer::start(&presents, Then::Redirect(place.clone()));
        let ran = setting.run(&server.base_url(), "ca_file = \"ca.pem\"", &["sync"]);
        assert_eq!(ran.exit, 1, "{ran:?}");
        assert!(ran.stderr.contains("redirects to another host"), "{ran:?}");
        assert!(ran.stderr.contains(&place), "{ran:?}");
        assert!(!server.heard().is_empty());
    }
    assert!(thief.heard().is_empty(), "{:?}", thief.heard());
    assert_eq!(setting.sandbox.log().len(), logged);
}

/// Through a proxy the token goes inside the tunnel only, and the certificate is still that
/// of the server.
#[test]
fn a_proxy_sees_a_tunnel_and_never_the_token() {
    let setting = Setting::new();
    let server = setting.serve(&setting.authority.issue(&[ELSEWHERE]));
    let base_url = format!("https://{ELSEWHERE}/scim/v2");
    let more = "ca_file = \"ca.pem\"";
    for configured in [false, true] {
        let proxy = Proxy::start(server.address);
        let url = format!("http://{}", proxy.address);
        let before = server.heard().len();
        let ran = if configured {
            let more = format!("{more}\nproxy = \"{url}\"");
            setting.run(&base_url, &more, &["check"])
        } else {
            setting.run_with(&base_url, more, &["check"], &[("HTTPS_PROXY", url)])
        };
        assert_eq!(ran.exit, 0, "{ran:?}");
        assert!(server.heard().len() > before);
        let passed = proxy.passed();
        let tunnel = format!("CONNECT {ELSEWHERE}:443 HTTP/1.1\r\n");
        assert!(passed.starts_with(&tunnel), "{passed:?}");
        assert!(!passed.contains(setting.token()), "{passed:?}");
        assert!(
            !passed.to_lowercase().contains("authorization"),
            "{passed:?}"
        );
    }
    let signed = format!("Bearer {}", setting.token());
    assert!(
        server
            .heard()
            .iter()
            .all(|heard| heard.headers["authorization"] == signed)
    );
}

/// Plain http is allowed to loopback because nobody can listen there. A proxy can. Fails
/// without `no_proxy` in `build_http`, and without the looks at `proxy` for plain http there
/// and in the configuration.
#[test]
fn plain_http_to_loopback_does_not_go_through_a_proxy() {
    let setting = Setting::new();
    let proxy = Proxy::start(
        setting.sandbox.http.base_url["http://".len()..]
            .trim_end_matches("/scim/v2")
            .parse()
            .expect("the sandbox's address"),
    );
    let base_url = setting.sandbox.http.base_url.clone();
    let url = format!("http://{}", proxy.address);

    let environment = [("HTTP_PROXY", url.clone()), ("ALL_PROXY", url.clone())]
        .map(|(name, value)| {
            [
                (name.to_owned(), value.clone()),
                (name.to_lowercase(), value),
            ]
        })
        .concat();
    let environment: Vec<(&str, String)> = environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let direct = setting.run_with(&base_url, "", &["check"], &environment);
    assert_eq!(direct.exit, 0, "{direct:?}");

    let asked_for = setting.run(&base_url, &format!("proxy = \"{url}\""), &["check"]);
    assert_eq!(asked_for.exit, 2, "{asked_for:?}");
    assert!(
        asked_for
            .stderr
            .contains("would show the token to the proxy"),
        "{asked_for:?}"
    );
    assert_eq!(proxy.passed(), "");
}
