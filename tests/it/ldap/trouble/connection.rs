//! Who is at the other end, and who we are: certificates and passwords that are not right.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use super::begin;
use crate::ldap::cut::Cut;
use crate::ldap::directory::{Directory, Flavor, Record};
use crate::ldap::domain::{people, source_at};
use crate::ldap::fake::{Fake, LOGIN, Rules};
use crate::ldap::server::{Server, first_missing};
use crate::ldap::slapd::{self, LIMITS, Overlays, PROGRAMS, Slapd};
use crate::support::certificates::{Authority, Pair};
use crate::support::left_out::leave_out;
use crate::support::private;
use crate::support::run::run;

const ANA: &str = "dn: uid=ana,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: ana
cn: Ana Alba
sn: Alba
mail: ana@example.com

";

/// Somebody else: if this server were believed, there would be something to write.
const BO: &str = "dn: uid=bo,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: bo
cn: Bo Berg
sn: Berg
mail: bo@example.com

";

fn serve(authority: &Authority, pair: Option<&Pair>, data: &str) -> Server {
    let slapd = Slapd {
        limits: LIMITS,
        pair,
        data,
        overlays: Overlays::All,
    };
    slapd.start(authority)
}

fn source(way: &str, folder: &Path, ca_file: &str) -> String {
    format!(
        "[sources.corp.ldap]\n{way}\nbind_dn = \"{}\"\n\
         bind_password = {{ file = \"{}\" }}\nca_file = \"{ca_file}\"\n\
         [sources.corp.ldap.users]\nbase = \"ou=people,dc=example,dc=com\"\n",
        slapd::agent().dn,
        folder.join("bind-password").display()
    )
}

fn ldaps(server: &Server) -> String {
    let port = server.ldaps.expect("it speaks TLS");
    format!("url = \"ldaps://localhost:{port}\"")
}

fn start_tls(server: &Server) -> String {
    format!(
        "url = \"ldap://localhost:{}\"\nstart_tls = true",
        server.ldap
    )
}

#[test]
fn a_server_that_cannot_prove_who_it_is() {
    if let Some(missing) = first_missing(PROGRAMS) {
        return leave_out("certificates of directories", missing);
    }
    let ours = Authority::new("ours");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secret = folder.path().join("bind-password");
    private::write(&secret, &slapd::agent().password).expect("a file in the temporary folder");
    let ca_file = folder.path().join("ca.crt").display().to_string();
    private::write(Path::new(&ca_file), &ours.certificate()).expect("a file");
    let right = serve(&ours, None, ANA);
    let mut story = begin(
        &source(&ldaps(&right), folder.path(), &ca_file),
        "A server that nobody vouches for is not asked.",
    );
    story.tell("name = \"one person\"\nwrites = 1\n");

    let hosts = &["localhost", "127.0.0.1"];
    let wrong = [
        ("expired", ours.issue_between(hosts, 2000, 2001)),
        ("not valid", ours.issue(&["ldap.example.com"])),
        ("issuer", Authority::new("somebody").issue(hosts)),
        ("certificate", Pair::self_signed(hosts, false)),
    ];
    for (words, pair) in &wrong {
        let server = serve(&ours, Some(pair), BO);
        for way in [ldaps(&server), start_tls(&server)] {
            story.set_config(&super::config(&source(&way, folder.path(), &ca_file), ""));
            let ran = story.sync_in_vain();
            let said = ran.stderr.to_lowercase();
            assert!(said.contains(words), "{words}: {ran:#?}");
        }
    }
    // Our own authority is not the one that is trusted.
    private::write(
        Path::new(&ca_file),
        &Authority::new("another").certificate(),
    )
    .expect("a file");
    for way in [ldaps(&right), start_tls(&right)] {
        story.set_config(&super::config(&source(&way, folder.path(), &ca_file), ""));
        story.sync_in_vain();
    }
    private::write(Path::new(&ca_file), &ours.certificate()).expect("a file");
    story.check_settled();
}

#[test]
fn a_wrong_password() {
    for (flavor, words) in [
        (Flavor::OpenLdap, "password"),
        (Flavor::ActiveDirectory, "password"),
        (Flavor::DirectoryServer, "password"),
    ] {
        let Some(directory) = Directory::start(flavor) else {
            continue;
        };
        directory.join_clerks(["ana"]);
        let source = directory.source("");
        let mut story = begin(
            &source,
            "Who is not let in has not read that nobody is there.",
        );
        story.tell("name = \"one person\"\nwrites = 1\n");
        let secret = directory.server.folder().join("bind-password");
        private::write(&secret, "another-secret\n").expect("a file in the temporary folder");
        let ran = story.sync_in_vain();
        assert!(ran.stderr.contains(words), "{ran:#?}");
        assert!(!ran.stderr.contains("another-secret"), "{ran:#?}");
        // An empty password would be taken for no sign-in at all, and succeed.
        private::write(&secret, "\n").expect("a file in the temporary folder");
        let ran = run(story.folder(), &["sync".to_owned()]);
        assert!([1, 2].contains(&ran.exit), "{ran:#?}");
        let password = directory.agent().password;
        private::write(&secret, &password).expect("a file in the temporary folder");
        story.check_settled();
    }
}

/// The other ways: by certificate, by being who one is, and at the first server that answers.
#[test]
fn every_way_to_sign_in() {
    if let Some(missing) = first_missing(PROGRAMS) {
        return leave_out("signing in to directories", missing);
    }
    let ours = Authority::new("ours");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secret = folder.path().join("bind-password");
    private::write(&secret, &slapd::agent().password).expect("a file in the temporary folder");
    let certificate = folder.path().join("client.pem");
    ours.issue(&["client.example.com"]).write(&certificate);
    let server = serve(&ours, None, ANA);
    let ca_file = server.ca_file().display().to_string();
    let right = source(&ldaps(&server), folder.path(), &ca_file);
    let mut story = begin(&right, "However one signs in, it is the same directory.");
    story.tell("name = \"one person\"\nwrites = 1\n");

    let people = "[sources.corp.ldap.users]\nbase = \"ou=people,dc=example,dc=com\"\n";
    let by_certificate = format!(
        "sasl = \"external\"\nclient_certificate = \"{}\"\nca_file = \"{ca_file}\"",
        certificate.display()
    );
    let local = slapd::local_url(server.folder());
    let several = ldaps(&server).replace("url = ", "url = [\"ldap://127.0.0.1:1\", ") + "]";
    for tables in [
        format!(
            "[sources.corp.ldap]\n{}\n{by_certificate}\n{people}",
            ldaps(&server)
        ),
        format!(
            "[sources.corp.ldap]\n{}\n{by_certificate}\n{people}",
            start_tls(&server)
        ),
        format!("[sources.corp.ldap]\nurl = \"{local}\"\nsasl = \"external\"\n{people}"),
        source(&several, folder.path(), &ca_file),
    ] {
        story.set_config(&super::config(&tables, ""));
        story.check_settled();
        let ran = run(story.folder(), &["sync".to_owned()]);
        assert_eq!(ran.exit, 0, "{tables}: {ran:#?}");
    }
    // Nothing reaches a machine elsewhere in the clear, and nobody is asked without a name.
    for tables in [
        source("url = \"ldap://ldap.example.com\"", folder.path(), &ca_file),
        format!("[sources.corp.ldap]\n{}\n{people}", ldaps(&server)),
    ] {
        story.set_config(&super::config(&tables, ""));
        let ran = run(story.folder(), &["sync".to_owned()]);
        assert_eq!(ran.exit, 2, "{tables}: {ran:#?}");
    }
}

/// The first server that answers is asked, and no other: a wrong password would count twice.
#[test]
fn servers_are_tried_in_their_order() {
    let (first, second) = (
        Fake::start(people(2), Rules::default()),
        Fake::start(people(3), Rules::default()),
    );
    let way = Cut::start(second.address);
    way.cut_at(usize::MAX);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let urls = [
        format!("ldap://{}", first.address),
        format!("ldap://{}", way.address),
    ];
    let source = |urls: &[String]| {
        let source = source_at("URL", folder.path(), "");
        source.replace("\"URL\"", &format!("{urls:?}"))
    };
    let mut story = begin(&source(&urls), "The first that answers is the directory.");
    story.tell("name = \"those of the first\"\nwrites = 2\n");
    let secret = folder.path().join("bind-password");
    private::write(&secret, "another-secret").expect("a file in the temporary folder");
    story.sync_in_vain();
    assert_eq!(way.passed(), 0, "the second was not asked");
    private::write(&secret, LOGIN.1).expect("a file in the temporary folder");
    let nowhere = "ldap://127.0.0.1:1".to_owned();
    story.set_config(&super::config(&source(&[nowhere, urls[1].clone()]), ""));
    story.tell("name = \"nothing listens at the first: those of the second\"\nwrites = 1\n");
    assert!(way.passed() > 0);
}

/// Somebody accepts the connection, and then nothing more happens: not the beginning of TLS, not
/// the answer to StartTLS, not that to the sign-in.
#[test]
fn silence_from_the_start_ends_with_the_time_limit() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("its own address");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source =
        |url: &str, more: &str| source_at(url, folder.path(), &format!("timeout = \"1s\"\n{more}"));
    let plain = format!("ldap://{address}");
    let mut story = begin(&source(&plain, ""), "Who says nothing has said nothing.");
    for tables in [
        source(&plain, ""),
        source(&plain, "start_tls = true"),
        source(&format!("ldaps://{address}"), ""),
    ] {
        story.set_config(&super::config(&tables, ""));
        let started = Instant::now();
        let ran = story.sync_in_vain();
        assert!(
            ran.stderr.contains("no answer within"),
            "{tables}: {ran:#?}"
        );
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

/// Active Directory says in a number why it lets somebody not in, and we in words.
#[test]
fn an_account_that_may_not_sign_in() {
    let Some(directory) = Directory::start(Flavor::ActiveDirectory) else {
        return;
    };
    let source = directory.source("");
    let mut story = begin(&source, "Whoever is not let in has read nothing.");
    story.set_config(&super::config(&source, ""));
    let agent = directory.agent().dn;
    for (attribute, wrong, right, words) in [
        ("userAccountControl", "514", "512", "disabled"),
        ("accountExpires", "116444736000000000", "0", "has expired"),
        ("pwdLastSet", "0", "-1", "must be changed"),
    ] {
        directory.set(&agent, attribute, &[wrong]);
        let ran = story.sync_in_vain();
        assert!(ran.stderr.contains(words), "{attribute}: {ran:#?}");
        directory.set(&agent, attribute, &[right]);
    }
}

/// A part of the people is kept by another server.
#[test]
fn what_is_kept_elsewhere_is_read_there_or_left_out() {
    let (Some(home), Some(mut elsewhere)) = (
        Directory::start(Flavor::OpenLdap),
        Directory::start(Flavor::OpenLdap),
    ) else {
        return;
    };
    home.join_clerks(["ana"]);
    elsewhere.join_clerks(["bo"]);
    let mut record = Record::add("ou=branch,ou=people,dc=example,dc=com");
    let place = format!(
        "ldap://127.0.0.1:{}/ou=people,dc=example,dc=com",
        elsewhere.server.ldap
    );
    record
        .line("objectClass", "referral")
        .line("objectClass", "extensibleObject")
        .line("ou", "branch")
        .line("ref", &place);
    home.server.modify(&record.0);
    // In the clear, because the two have different authorities.
    let source = |referrals: &str| {
        let source = home.source(&format!("referrals = \"{referrals}\""));
        source.replace("start_tls = true\n", "")
    };
    let mut story = begin(
        &source("follow"),
        "Everybody is read, wherever they are kept.",
    );
    story.tell("name = \"one here, one there\"\nwrites = 2\n");
    home.set(&home.person_dn("ana"), "title", &["Boss"]);
    elsewhere.server.kill();
    // Who cannot be read there has not left.
    story.sync_in_vain();
    story.set_config(&super::config(&source("ignore"), ""));
    let ran = run(story.folder(), &["sync".to_owned()]);
    assert!(ran.stdout.contains("GoneFromSource"), "{ran:#?}");
    assert!(ran.stdout.contains("1 deactivated"), "{ran:#?}");
}
