//! 389 Directory Server's TLS, which is NSS and no OpenSSL or GnuTLS: its certificate, and ours.

use std::path::Path;

use super::begin;
use crate::ldap::directory::{Directory, Flavor};
use crate::ldap::ns_slapd;
use crate::ldap::server::Server;
use crate::support::certificates::Authority;
use crate::support::left_out::leave_out;
use crate::support::run::run;

/// The tables of a source that signs in by these lines.
fn tables(way: &str, sign_in: &str, ca_file: &str) -> String {
    format!(
        "[sources.corp.ldap]\n{way}\n{sign_in}\nca_file = \"{ca_file}\"\n\
         [sources.corp.ldap.users]\nbase = \"ou=people,dc=example,dc=com\"\n"
    )
}

/// From the first byte, and after a beginning in the clear.
fn ways(server: &Server) -> [String; 2] {
    let port = server.ldaps.expect("it speaks TLS");
    [
        format!("url = \"ldaps://localhost:{port}\""),
        format!(
            "url = \"ldap://localhost:{}\"\nstart_tls = true",
            server.ldap
        ),
    ]
}

/// However one signs in, it is the same directory; and only who is known may.
#[test]
fn by_its_certificate_and_by_ours() {
    if let Some(missing) = Flavor::DirectoryServer.lacks() {
        return leave_out("certificates of 389 Directory Server", missing);
    }
    let ours = Authority::new("ours");
    let directory = Directory {
        flavor: Flavor::DirectoryServer,
        server: ns_slapd::start_trusting(&ours),
    };
    directory.join_clerks(["ana"]);
    let agent = directory.agent();
    let source = directory.source("");
    let mut story = begin(&source, "However one signs in, it is the same directory.");
    story.tell("name = \"one person\"\nwrites = 1\n");

    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, stranger, another) = (file("client"), file("stranger"), file("another"));
    ours.issue(&["client.example.com"])
        .write(Path::new(&certificate));
    let others = Authority::new("another");
    others
        .issue(&["client.example.com"])
        .write(Path::new(&stranger));
    std::fs::write(&another, others.certificate()).expect("a file in the temporary folder");
    let ca_file = directory.server.ca_file().display().to_string();
    let by_password = format!(
        "bind_dn = \"{}\"\nbind_password = {{ file = \"{}\" }}",
        agent.dn,
        directory.server.folder().join("bind-password").display()
    );
    let by_certificate =
        |path: &str| format!("sasl = \"external\"\nclient_certificate = \"{path}\"");

    // A certificate that nobody has noted is nobody's.
    for way in ways(&directory.server) {
        let config = tables(&way, &by_certificate(&certificate), &ca_file);
        story.set_config(&super::config(&config, ""));
        let ran = story.sync_in_vain();
        assert!(ran.stderr.contains("result code 49"), "{ran:#?}");
    }
    directory.set(&agent.dn, "seeAlso", &["cn=leaf"]);
    for way in ways(&directory.server) {
        for sign_in in [&by_password, &by_certificate(&certificate)] {
            let config = tables(&way, sign_in, &ca_file);
            story.set_config(&super::config(&config, ""));
            let ran = run(story.folder(), &["sync".to_owned(), "--full".to_owned()]);
            assert_eq!(ran.exit, 0, "{config}: {ran:#?}");
            assert!(ran.stdout.contains("1 unchanged"), "{config}: {ran:#?}");
        }
        // Somebody else's word for our name, and a server for which nobody vouches.
        for (sign_in, trusted, words) in [
            (by_certificate(&stranger), &ca_file, "`client_certificate`"),
            (by_password.clone(), &another, "is not trusted"),
            (by_certificate(&certificate), &another, "is not trusted"),
        ] {
            let config = tables(&way, &sign_in, trusted);
            story.set_config(&super::config(&config, ""));
            let ran = story.sync_in_vain();
            assert!(ran.stderr.contains(words), "{config}: {ran:#?}");
        }
    }
    story.set_config(&super::config(&source, ""));
    story.check_settled();
}
