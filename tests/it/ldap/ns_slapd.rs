//! 389 Directory Server's `ns-slapd`: an instance in a temporary folder, made from the
//! package's own template instead of by its installer, which would touch `/etc` and systemd.
//! It holds two suffixes: an ordinary one, and one that is laid out as FreeIPA does. It speaks
//! TLS by a certificate that NSS's own tools have put into its store.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::server::{Login, Server, free_port, program, spawn};
use crate::support::certificates::{Authority, Pair};

/// The suffix of an ordinary directory.
pub(super) const SUFFIX: &str = "dc=example,dc=com";

/// The suffix that is laid out as FreeIPA's.
pub(super) const FREEIPA_SUFFIX: &str = "dc=ipa,dc=example,dc=org";

/// What it needs.
pub(super) const PROGRAMS: &[&str] = &[
    "ns-slapd",
    "ldapmodify",
    "ldapsearch",
    "certutil",
    "pk12util",
    "openssl",
];

/// The only account that may read the ordinary suffix.
pub(super) fn agent() -> Login {
    Login::new("uid=provisor,ou=services,dc=example,dc=com", "agent-secret")
}

/// The only account that may read FreeIPA's: a system account, as its manual advises.
pub(super) fn freeipa_agent() -> Login {
    let dn = format!("uid=provisor,cn=sysaccounts,cn=etc,{FREEIPA_SUFFIX}");
    Login::new(&dn, "agent-secret")
}

const TEMPLATE: &str = "/usr/share/dirsrv/data/template-dse.ldif";

/// Of FreeIPA's schema what its users and groups are recognised by.
const FREEIPA_SCHEMA: &str = "dn: cn=schema
attributeTypes: ( 2.16.840.1.113730.3.8.3.1 NAME 'ipaUniqueID' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 X-ORIGIN 'IPA v2' )
attributeTypes: ( 2.16.840.1.113719.1.301.4.14.1 NAME 'krbPrincipalExpiration' EQUALITY generalizedTimeMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.24 SINGLE-VALUE )
attributeTypes: ( 2.16.840.1.113719.1.301.4.1.1 NAME 'krbPrincipalName' EQUALITY caseExactIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )
objectClasses: ( 2.16.840.1.113730.3.8.4.1 NAME 'ipaObject' SUP top AUXILIARY MUST ipaUniqueID X-ORIGIN 'IPA v2' )
objectClasses: ( 2.16.840.1.113730.3.8.4.14 NAME 'ipaUserGroup' SUP top AUXILIARY X-ORIGIN 'IPA v2' )
objectClasses: ( 2.16.840.1.113719.1.301.6.8.1 NAME 'krbPrincipalAux' SUP top AUXILIARY MAY ( krbPrincipalName $ krbPrincipalExpiration ) )
objectClasses: ( 1.3.6.1.4.1.4754.9.90 NAME 'ipaSshUser' SUP top AUXILIARY )
objectClasses: ( 1.3.6.1.4.1.5923.1.1.91 NAME 'nestedGroup' SUP top AUXILIARY MAY ( memberOf $ member ) )
";

/// The rule by which an agent reads everything but one attribute.
pub(super) fn agent_may_read(hidden: &str, agent: &Login) -> String {
    format!(
        "(targetattr != \"{hidden}\")(version 3.0; acl \"the agent reads\"; \
         allow (read, search, compare) userdn = \"ldap:///{}\";)",
        agent.dn
    )
}

/// Starts one that holds the containers and the agents, and nobody else.
pub(super) fn start() -> Server {
    start_trusting(&Authority::new("ours"))
}

/// The same. `authority` is what its clients will trust, and whose clients' certificates it does.
pub(super) fn start_trusting(authority: &Authority) -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = folder.path();
    for name in ["schema", "db", "run", "ldif", "bak", "tmp"] {
        fs::create_dir(at.join(name)).expect("a folder in the temporary folder");
    }
    let (ldap, ldaps) = (free_port(), free_port());
    let template = fs::read_to_string(TEMPLATE).expect("the package's template");
    write(at, "dse.ldif", &configuration(&template, at, ldap, ldaps));
    write(at, "schema/98freeipa.ldif", FREEIPA_SCHEMA);
    write(at, "schema/99user.ldif", "dn: cn=schema\n");
    // The package's own may be read by root only: no collations, and a certificate stands
    // for whoever has the name of its subject as `seeAlso`.
    write(at, "slapd-collations.conf", "");
    write(
        at,
        "certmap.conf",
        "certmap default default\ndefault:DNComps\ndefault:CmapLdapAttr seeAlso\n",
    );
    write(at, "ca.crt", &authority.certificate());
    store_certificates(at, &authority.issue(&["127.0.0.1", "localhost"]));
    let mut command = Command::new(program("ns-slapd").expect("ns-slapd"));
    // With `-d` it stays in the foreground, and is the process that is ended.
    command.args(["-d", "16384", "-D"]).arg(at);
    command.arg("-i").arg(at.join("pid"));
    let child = spawn(&mut command, at);
    let admin = Login::new("cn=Directory Manager", "admin-secret");
    let server = Server::new(folder, vec![child], ldap, Some(ldaps), false, admin);
    server.modify(&containers());
    server
}

/// Puts the server's certificate, and that of whom it trusts, into a store of NSS without a
/// password. It takes a key in the form of PKCS #12 only.
fn store_certificates(at: &Path, pair: &Pair) {
    write(at, "server.crt", &pair.certificate);
    write(at, "server.key", &pair.key);
    let store = ["-d", "sql:."];
    let run = |tool: &str, arguments: &[&str]| {
        let ran = Command::new(program(tool).expect("it was looked for"))
            .args(arguments)
            .current_dir(at)
            .output()
            .expect("the tool runs");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{tool} {arguments:?}: {said}");
    };
    run(
        "certutil",
        &[&store[..], &["-N", "--empty-password"]].concat(),
    );
    let authority = ["-A", "-n", "CA", "-t", "CT,,", "-a", "-i", "ca.crt"];
    run("certutil", &[&store[..], &authority].concat());
    run(
        "openssl",
        &[
            "pkcs12",
            "-export",
            "-in",
            "server.crt",
            "-inkey",
            "server.key",
            "-name",
            "Server-Cert",
            "-passout",
            "pass:",
            "-out",
            "server.p12",
        ],
    );
    let import = ["-i", "server.p12", "-W", ""];
    run("pk12util", &[&store[..], &import].concat());
}

/// Fills in the template, and adds the databases of the two suffixes.
fn configuration(template: &str, at: &Path, port: u16, secure_port: u16) -> String {
    let at = at.display().to_string();
    let own_name = Command::new("id").arg("-un").output().expect("id runs");
    let own_name = String::from_utf8_lossy(&own_name.stdout).trim().to_owned();
    let mut text = template.trim_end().to_owned();
    for (name, value) in [
        ("schema_dir", format!("{at}/schema")),
        ("lock_dir", format!("{at}/run")),
        ("run_dir", format!("{at}/run")),
        ("tmp_dir", format!("{at}/tmp")),
        ("ldif_dir", format!("{at}/ldif")),
        ("bak_dir", format!("{at}/bak")),
        ("db_dir", format!("{at}/db")),
        ("db_home_dir", format!("{at}/db")),
        ("log_dir", at.clone()),
        ("cert_dir", at.clone()),
        ("config_dir", at.clone()),
        ("inst_dir", at.clone()),
        ("ldapi", format!("{at}/run/ldapi")),
        ("ldapi_enabled", "off".to_owned()),
        ("ldapi_autobind", "off".to_owned()),
        ("fqdn", "localhost".to_owned()),
        // Loopback only: the template would listen everywhere.
        (
            "ds_port",
            format!(
                "{port}\nnsslapd-listenhost: 127.0.0.1\nnsslapd-security: on\n\
                 nsslapd-securePort: {secure_port}\nnsslapd-securelistenhost: 127.0.0.1"
            ),
        ),
        ("ds_user", own_name),
        ("rootdn", "cn=Directory Manager".to_owned()),
        ("ds_passwd", "{CLEAR}admin-secret".to_owned()),
        // The default would take a share of the machine's memory.
        (
            "db_lib",
            "bdb\nnsslapd-cache-autosize: 0\nnsslapd-dbcachesize: 1000000".to_owned(),
        ),
        ("ds_suffix", SUFFIX.to_owned()),
    ] {
        text = text.replace(&format!("%{name}%"), &value);
    }
    for (plugin, more) in [
        // Its deltas stay empty, silently, without this attribute.
        (
            "Retro Changelog Plugin",
            "nsslapd-attribute: nsuniqueid:targetUniqueId\n",
        ),
        ("Content Synchronization", ""),
        ("MemberOf Plugin", ""),
        ("referential integrity postoperation", ""),
    ] {
        text = switched_on(&text, plugin, more);
    }
    for (name, suffix) in [("ordinary", SUFFIX), ("freeipa", FREEIPA_SUFFIX)] {
        text.push_str(&format!(
            "

dn: cn={name},cn=ldbm database,cn=plugins,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsBackendInstance
cn: {name}
nsslapd-suffix: {suffix}

dn: cn=\"{suffix}\",cn=mapping tree,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsMappingTree
cn: {suffix}
nsslapd-state: backend
nsslapd-backend: {name}"
        ));
    }
    text + "\n"
}

/// Switches one of the template's plugins on.
fn switched_on(text: &str, plugin: &str, more: &str) -> String {
    let start = format!("dn: cn={plugin},cn=plugins,cn=config\n");
    let (before, rest) = text.split_once(&start).expect("the template's plugin");
    let (own, after) = rest.split_once("\n\n").expect("the end of its record");
    let own = own.replacen(
        "nsslapd-pluginenabled: off",
        &format!("{more}nsslapd-pluginenabled: on"),
        1,
    );
    format!("{before}{start}{own}\n\n{after}")
}

/// The suffixes, their containers and the agents, who may read everything in them.
fn containers() -> String {
    let mut text = String::new();
    for (suffix, agent) in [(SUFFIX, agent()), (FREEIPA_SUFFIX, freeipa_agent())] {
        let name = suffix.trim_start_matches("dc=").split(',').next();
        text.push_str(&format!(
            "dn: {suffix}\nchangetype: add\nobjectClass: domain\ndc: {}\n\
             aci: {}\n\n",
            name.unwrap_or_default(),
            agent_may_read("userPassword", &agent)
        ));
    }
    for unit in ["people", "groups", "former", "services"] {
        text.push_str(&format!(
            "dn: ou={unit},{SUFFIX}\nchangetype: add\nobjectClass: organizationalUnit\nou: {unit}\n\n"
        ));
    }
    for container in [
        "cn=accounts",
        "cn=users,cn=accounts",
        "cn=groups,cn=accounts",
        "cn=provisioning",
        "cn=accounts,cn=provisioning",
        "cn=deleted users,cn=accounts,cn=provisioning",
        "cn=etc",
        "cn=sysaccounts,cn=etc",
    ] {
        text.push_str(&format!(
            "dn: {container},{FREEIPA_SUFFIX}\nchangetype: add\nobjectClass: nsContainer\n\n"
        ));
    }
    for agent in [agent(), freeipa_agent()] {
        text.push_str(&format!(
            "dn: {}\nchangetype: add\nobjectClass: account\nobjectClass: simpleSecurityObject\n\
             uid: provisor\nuserPassword: {}\n\n",
            agent.dn, agent.password
        ));
    }
    text
}

fn write(at: &Path, name: &str, text: &str) {
    crate::support::private::write(&at.join(name), text).expect("a file in the temporary folder");
}
