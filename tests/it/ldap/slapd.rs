//! OpenLDAP's `slapd`: a database in a temporary folder, with TLS, password policies (whose
//! lock is how an OpenLDAP account is switched off), memberships kept by overlays, and
//! changes to be read by RFC 4533.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use super::server::{Login, Server, free_port, program, spawn};
use crate::support::certificates::{Authority, Pair};

/// The suffix of its database.
pub(super) const SUFFIX: &str = "dc=example,dc=com";

/// What it needs.
pub(super) const PROGRAMS: &[&str] = &["slapd", "slapadd", "ldapmodify", "ldapsearch"];

/// The only account that may read: paged, as much as it likes.
pub(super) fn agent() -> Login {
    Login::new("cn=provisor,ou=services,dc=example,dc=com", "agent-secret")
}

/// How one is to be started.
pub(super) struct Slapd<'a> {
    /// Lines of the database's configuration before its overlays.
    pub(super) limits: &'a str,
    /// Its certificate; one that is valid, when absent.
    pub(super) pair: Option<&'a Pair>,
    /// What it holds at first, besides the suffix, the containers and the agent (LDIF).
    pub(super) data: &'a str,
    /// What keeps references right, and tells changes.
    pub(super) overlays: Overlays,
}

/// Which overlays it has besides the password policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overlays {
    /// `memberof`, `refint` and `syncprov`.
    All,
    /// The same, but `syncprov` does not say who is gone.
    Discreet,
    /// None, as the package leaves it.
    None,
}

/// The agent reads everything in pages; without pages 500 entries are the limit.
pub(super) const LIMITS: &str = "limits dn.exact=\"cn=provisor,ou=services,dc=example,dc=com\" \
     size.soft=500 size.hard=unlimited size.pr=1000 size.prtotal=unlimited";

impl Slapd<'_> {
    /// Starts one that holds nobody: with the usual limits, or as the package leaves it, for an
    /// administrator to set up.
    pub(super) fn empty(overlays: Overlays) -> Server {
        let limits = match overlays {
            Overlays::All | Overlays::Discreet => LIMITS,
            Overlays::None => "",
        };
        let slapd = Slapd {
            limits,
            pair: None,
            data: "",
            overlays,
        };
        slapd.start(&Authority::new("ours"))
    }

    /// Starts one. `authority` is what its clients will trust.
    pub(super) fn start(&self, authority: &Authority) -> Server {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = folder.path();
        let issued = authority.issue(&["127.0.0.1", "localhost"]);
        let pair = self.pair.unwrap_or(&issued);
        write(at, "ca.crt", &authority.certificate());
        write(at, "server.crt", &pair.certificate);
        write(at, "server.key", &pair.key);
        fs::create_dir(at.join("db")).expect("a folder in the temporary folder");
        write(at, "slapd.conf", &self.configuration(at));
        write(at, "data.ldif", &format!("{}{}", containers(), self.data));
        let loaded = Command::new(program("slapadd").expect("slapadd"))
            .args(["-q", "-f", "slapd.conf", "-l", "data.ldif"])
            .current_dir(at)
            .output()
            .expect("slapadd runs");
        let said = String::from_utf8_lossy(&loaded.stderr);
        assert!(loaded.status.success(), "slapadd: {said}");
        let (ldap, ldaps) = (free_port(), free_port());
        let child = serve(at, ldap, ldaps);
        let admin = Login::new("cn=admin,dc=example,dc=com", "admin-secret");
        Server::new(folder, vec![child], ldap, Some(ldaps), false, admin)
    }

    fn configuration(&self, at: &Path) -> String {
        let at = at.display();
        let agent = agent().dn;
        let limits = self.limits;
        let (modules, overlays) = match self.overlays {
            Overlays::All => (MODULES, format!("{OVERLAYS}syncprov-sessionlog 1000\n")),
            Overlays::Discreet => (MODULES, format!("{OVERLAYS}syncprov-nopresent TRUE\n")),
            Overlays::None => ("", String::new()),
        };
        format!(
            "include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
pidfile {at}/pid
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
{modules}TLSCACertificateFile {at}/ca.crt
TLSCertificateFile {at}/server.crt
TLSCertificateKeyFile {at}/server.key
TLSVerifyClient try
authz-regexp \"cn=leaf\" {agent}
authz-regexp \"gidNumber=[^,]*,cn=peercred,cn=external,cn=auth\" {agent}
database config
rootdn cn=config
rootpw config-secret
database mdb
maxsize 268435456
suffix {SUFFIX}
rootdn cn=admin,{SUFFIX}
rootpw admin-secret
directory {at}/db
index objectClass,entryCSN,entryUUID,uid,cn,member eq
{limits}
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact=\"{agent}\" read by * none
overlay ppolicy
{overlays}"
        )
    }
}

/// Starts the server of what is in this folder.
pub(super) fn serve(at: &Path, ldap: u16, ldaps: u16) -> Child {
    let mut command = Command::new(program("slapd").expect("slapd"));
    // With `-d` it stays in the foreground, and is the process that is ended.
    command.args(["-d", "0", "-f", "slapd.conf", "-h"]);
    let socket = local_url(at);
    command.arg(format!(
        "ldap://127.0.0.1:{ldap}/ ldaps://127.0.0.1:{ldaps}/ {socket}"
    ));
    spawn(&mut command, at)
}

const MODULES: &str = "moduleload memberof
moduleload refint
moduleload syncprov
";

const OVERLAYS: &str = "overlay memberof
memberof-refint TRUE
overlay refint
refint_attributes member manager
refint_nothing cn=admin,dc=example,dc=com
overlay syncprov
";

/// The URL of the socket in a server's folder. Whoever runs the tests is the agent there, as
/// is who has a certificate of ours.
pub(super) fn local_url(folder: &Path) -> String {
    let path = folder.join("ldapi").display().to_string();
    format!("ldapi://{}", path.replace('/', "%2F"))
}

/// Who may change who may read.
pub(super) fn configurator() -> Login {
    Login::new("cn=config", "config-secret")
}

fn containers() -> String {
    let agent = agent();
    let mut text = format!(
        "dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n\n"
    );
    for unit in ["people", "groups", "former", "services"] {
        text.push_str(&format!(
            "dn: ou={unit},{SUFFIX}\nobjectClass: organizationalUnit\nou: {unit}\n\n"
        ));
    }
    text.push_str(&format!(
        "dn: {}\nobjectClass: simpleSecurityObject\nobjectClass: organizationalRole\n\
         cn: provisor\nuserPassword: {}\n\n",
        agent.dn, agent.password
    ));
    text
}

fn write(at: &Path, name: &str, text: &str) {
    crate::support::private::write(&at.join(name), text).expect("a file in the temporary folder");
}
