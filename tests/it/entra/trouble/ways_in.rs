//! The four ways to sign in, tokens that are kept, and tokens that are not good any more.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use rcgen::{CertificateParams, PKCS_RSA_SHA256};

use super::settled;
use crate::entra::sign_in::{MACHINE_HEADER, Registered, SECRET};
use crate::entra::stories::config;
use crate::support::left_out::leave_out;
use crate::support::namespace;
use crate::support::run::{Ran, finish, program};

/// Signs in with these keys of the source instead of the client secret, and reads.
fn sync_with(settled: &super::Settled, keys: &str, environment: &[(&str, &str)]) -> Ran {
    let source = settled.simulator.source("");
    let keyed = source.replace("client_secret = { file = \"client-secret\" }", keys);
    let text = config(&keyed, "");
    let before = std::fs::read_to_string(settled.story.folder().join("provisor.toml"));
    let before = before.expect("the configuration");
    // What stands for the target's address was filled in before.
    let mut filled = String::new();
    for line in text.lines() {
        let kept = ["base_url", "auth"]
            .iter()
            .find(|key| line.starts_with(**key));
        let line = match kept {
            Some(key) => before
                .lines()
                .find(|it| it.starts_with(*key))
                .expect("the line"),
            None => line,
        };
        filled.push_str(line);
        filled.push('\n');
    }
    std::fs::write(settled.story.folder().join("provisor.toml"), filled).expect("a file");
    let mut command = program();
    command.current_dir(settled.story.folder()).args([
        "-vvv",
        "--config",
        "provisor.toml",
        "sync",
        "--full",
    ]);
    for (name, value) in environment {
        command.env(name, value);
    }
    finish(&mut command, Duration::from_secs(60))
}

fn write_private(settled: &super::Settled, name: &str, text: &str) {
    let path = settled.story.folder().join(name);
    std::fs::write(&path, text).expect("a file");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, private).expect("its mode can be set");
}

#[test]
fn a_certificate_signs_for_the_client() {
    let settled = settled(1, "");
    let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key)
        .expect("its bytes");
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(
        &der.as_ref().to_vec().into(),
        &PKCS_RSA_SHA256,
    )
    .expect("the same key");
    let certificate = CertificateParams::new(Vec::new())
        .and_then(|params| params.self_signed(&pair))
        .expect("a certificate");
    write_private(
        &settled,
        "signer.pem",
        &format!("{}{}", certificate.pem(), pair.serialize_pem()),
    );
    settled.simulator.login(|login| {
        login.registered = Registered::Certificate {
            der: certificate.der().to_vec(),
            key: key.public_key().as_ref().to_vec(),
        };
    });
    let keys = "certificate = { file = \"signer.pem\" }";
    let ran = sync_with(&settled, keys, &[]);
    assert_eq!(ran.exit, 0, "{ran:#?}");

    // Another key: the signature is another one.
    settled.simulator.login(|login| {
        let other = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        login.registered = Registered::Certificate {
            der: certificate.der().to_vec(),
            key: other.public_key().as_ref().to_vec(),
        };
    });
    let ran = sync_with(&settled, keys, &[]);
    assert_eq!(ran.exit, 1, "{ran:#?}");
    assert!(ran.stderr.contains("AADSTS700027"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("PRIVATE KEY"), "{}", ran.stderr);
}

#[test]
fn a_key_that_cannot_sign_for_it_is_named() {
    let settled = settled(1, "");
    let pair = crate::support::certificates::Pair::self_signed(&["x"], false);
    write_private(
        &settled,
        "elliptic.pem",
        &format!("{}{}", pair.certificate, pair.key),
    );
    write_private(&settled, "empty.pem", "nothing");
    for (file, words) in [
        ("elliptic", "not an RSA key"),
        ("empty", "no PEM certificate"),
    ] {
        let keys = format!("certificate = {{ file = \"{file}.pem\" }}");
        let ran = sync_with(&settled, &keys, &[]);
        assert_eq!(ran.exit, 1, "{ran:#?}");
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[test]
fn a_federated_token_is_read_anew_every_time() {
    let settled = settled(1, "");
    let path = settled.story.folder().join("federated");
    for token in ["eyJ.first.token", "eyJ.second.token"] {
        std::fs::write(&path, format!("{token}\n")).expect("a file that others may read");
        settled
            .simulator
            .login(|login| login.registered = Registered::Federated(token.to_owned()));
        let ran = sync_with(&settled, "federated_token_file = \"federated\"", &[]);
        assert_eq!(ran.exit, 0, "{ran:#?}");
        assert!(!ran.stderr.contains(token), "{}", ran.stderr);
    }
}

#[test]
fn a_managed_identity_needs_no_secret() {
    let settled = settled(1, "");
    settled
        .simulator
        .login(|login| login.registered = Registered::Machine);
    let endpoint = format!("{}/machine/token", settled.simulator.origin());
    let environment = [
        ("IDENTITY_ENDPOINT", endpoint.as_str()),
        ("IDENTITY_HEADER", MACHINE_HEADER),
    ];
    let ran = sync_with(&settled, "managed_identity = true", &environment);
    assert_eq!(ran.exit, 0, "{ran:#?}");
    assert!(!ran.stderr.contains(MACHINE_HEADER), "{}", ran.stderr);
}

/// Its address is the same everywhere, so the test runs itself in a network namespace that has it.
#[test]
fn a_virtual_machine_asks_at_the_address_that_all_have() {
    const INSIDE: &str = "PROVISOR_TEST_VIRTUAL_MACHINE";
    if std::env::var_os(INSIDE).is_some() {
        let settled = settled(1, "");
        settled.simulator.listen_at("169.254.169.254:80");
        settled
            .simulator
            .login(|login| login.registered = Registered::Machine);
        let ran = sync_with(&settled, "managed_identity = true", &[]);
        assert_eq!(ran.exit, 0, "{ran:#?}");
        return;
    }
    let what = "a virtual machine's managed identity";
    if let Some(missing) = namespace::lacks() {
        return leave_out(what, missing);
    }
    let name = "entra::trouble::ways_in::a_virtual_machine_asks_at_the_address_that_all_have";
    let script = "ip link set lo up && ip address add 169.254.169.254/32 dev lo && exec \"$@\"";
    let output = namespace::command()
        .args(["sh", "-c", script, "sh"])
        .arg(std::env::current_exe().expect("this test's own program"))
        .args(["--exact", name])
        .env(INSIDE, "1")
        .output()
        .expect("the test runs in the namespace");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn one_token_does_for_a_read_and_nothing_ever_prints_it() {
    let settled = settled(40, "");
    settled.simulator.manners(|manners| manners.page = 3);
    let before = settled.simulator.logins();
    let ran = sync_with(
        &settled,
        "client_secret = { file = \"client-secret\" }",
        &[],
    );
    assert_eq!(ran.exit, 0, "{ran:#?}");
    assert_eq!(settled.simulator.logins() - before, 1);
    assert!(
        ran.stderr.contains("asked Graph"),
        "the log says much: {}",
        ran.stderr
    );
    let said = format!("{}{}", ran.stdout, ran.stderr);
    for secret in settled.simulator.login(|login| login.tokens()) {
        assert!(!said.contains(&secret), "a token was printed");
    }
    assert!(!said.contains(SECRET), "the client secret was printed");
    assert!(
        !said.contains("skiptoken"),
        "a token for changes was printed"
    );
}

#[test]
fn a_token_that_is_not_good_any_more_is_asked_for_anew_once() {
    let mut settled = settled(12, "");
    settled.simulator.manners(|manners| manners.page = 2);
    settled.disable_first();
    // Each is good for two requests.
    settled.simulator.instead(|asked, _| {
        (asked.before % 5 == 2).then(|| {
            crate::entra::simulator::error(401, "InvalidAuthenticationToken", "It has expired.")
        })
    });
    settled.recovers();
}

#[test]
fn a_token_that_is_never_good_is_an_error() {
    let settled = settled(1, "");
    let before = settled.simulator.logins();
    settled.simulator.login(|login| {
        login.lifetime = Duration::from_millis(1);
    });
    let ran = settled.story.sync_in_vain();
    assert!(
        ran.stderr.contains("InvalidAuthenticationToken"),
        "{}",
        ran.stderr
    );
    let logins = settled.simulator.logins() - before;
    assert!(logins <= 4, "{logins} sign-ins for one refusal");
}
