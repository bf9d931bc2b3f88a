//! A Samba Active Directory domain controller. Its ports are fixed, so it runs in a network
//! namespace of its own; a small helper inside hands on what arrives at two free ports outside.
//!
//! None of it needs root where ordinary users may make namespaces. Making a domain takes
//! seconds: that is done once, kept below `target/`, and copied for each test.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use super::server::{Login, Server, program, spawn};
use crate::support::certificates::Authority;
use crate::support::namespace;

/// The domain's naming context.
pub(super) const SUFFIX: &str = "DC=ad,DC=example,DC=com";

const REALM: &str = "AD.EXAMPLE.COM";
const PASSWORD: &str = "Adm1n.secret";

/// What it needs. `samba-tool` stands for Samba's Python modules, which are what is used.
pub(super) const PROGRAMS: &[&str] = &[
    "samba",
    "samba-tool",
    "unshare",
    "nsenter",
    "ip",
    "ldapmodify",
    "ldapsearch",
];

/// Debian's own interpreter: the one that Samba's modules were built for.
const PYTHON: &str = "/usr/bin/python3";

/// An ordinary user without any right beyond those of every user of the domain.
pub(super) fn agent() -> Login {
    Login::new(
        "CN=provisor,OU=Service,DC=ad,DC=example,DC=com",
        "Agent.secr3t",
    )
}

/// What else is missing: Samba's files for making a domain, or leave to make a namespace.
pub(super) fn lacks() -> Option<&'static str> {
    if !Path::new("/usr/share/samba/setup/ad-schema").is_dir() {
        return Some("samba-ad-provision");
    }
    if !Path::new(PYTHON).is_file() {
        return Some(PYTHON);
    }
    namespace::lacks()
}

/// Starts one that holds the units and the agent, and nobody else.
pub(super) fn start() -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = folder.path();
    copy(&domain(), &at.join("domain"));
    let authority = Authority::new("ours");
    let pair = authority.issue(&["127.0.0.1", "localhost", "dc1.ad.example.com"]);
    write(at, "ca.crt", &authority.certificate());
    write(at, "server.crt", &pair.certificate);
    write(at, "server.key", &pair.key);
    write(at, "smb.conf", &configuration(&at.join("domain"), at));
    let mut command = namespace::command();
    command
        .args(["sh", "-c"])
        .arg("ip link set lo up && exec \"$0\" -F --no-process-group -M single -s smb.conf")
        .arg(program("samba").expect("samba"));
    let samba = spawn(&mut command, at);
    let (ldap, one) = hand_on(at, samba.id(), 389);
    let (ldaps, other) = hand_on(at, samba.id(), 636);
    let admin = Login::new(&format!("CN=Administrator,CN=Users,{SUFFIX}"), PASSWORD);
    let server = Server::new(
        folder,
        vec![samba, one, other],
        ldap,
        Some(ldaps),
        true,
        admin,
    );
    server.modify(&containers());
    server
}

/// Denies the agent to read an attribute of everybody in a unit, or takes that back.
pub(super) fn hide(at: &Path, unit: &str, attribute: &str, deny: bool) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/ldap/samba/hide.py");
    let done = Command::new(PYTHON)
        .arg(script)
        .arg(at.join("smb.conf"))
        .args([unit, &agent().dn, attribute])
        .arg(if deny { "deny" } else { "allow" })
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("the script runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "changing who may read: {said}");
}

/// Starts the helper in the namespace of a process, and says at which port it listens.
fn hand_on(at: &Path, process: u32, port: u16) -> (u16, Child) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/ldap/samba/hand_on.py");
    let mut command = Command::new("nsenter");
    command.args(["--target", &process.to_string(), "--net"]);
    if !namespace::is_root() {
        command.args(["--user", "--preserve-credentials"]);
    }
    wait_for_namespace(process);
    let child = command
        .arg(PYTHON)
        .arg(script)
        .arg(port.to_string())
        .current_dir(at)
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the helper starts");
    (address.port(), child)
}

/// Waits until the process has left the namespace of the tests: entering earlier would be
/// entering our own.
fn wait_for_namespace(process: u32) {
    let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/net"));
    let ours = of("self").expect("our own namespace");
    for _ in 0..1000 {
        match of(&process.to_string()) {
            Ok(its) if its != ours => return,
            _ => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    }
    panic!("samba has no network namespace of its own");
}

/// The folder of a domain that nobody has used, made when there is none of this Samba.
fn domain() -> PathBuf {
    static MAKING: Mutex<()> = Mutex::new(());
    let guard = MAKING.lock();
    let version = Command::new(program("samba").expect("samba"))
        .arg("--version")
        .output()
        .expect("samba says its version");
    let version = String::from_utf8_lossy(&version.stdout);
    let version = version.split_whitespace().last().unwrap_or("unknown");
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("domain-{version}"));
    if !kept.is_dir() {
        // Moved into place when it is whole, so that a run cut short leaves nothing behind
        // that looks like a domain.
        let parent = kept.parent().expect("a folder for tests below target/");
        let made = tempfile::tempdir_in(parent).expect("a folder below target/");
        make_domain(made.path());
        // Another process may have been quicker: theirs is as good.
        if fs::rename(made.path().join("domain"), &kept).is_err() {
            assert!(kept.is_dir(), "the domain can be moved into place");
        }
    }
    drop(guard);
    kept
}

fn make_domain(at: &Path) {
    let domain = at.join("domain");
    fs::create_dir(&domain).expect("a folder below target/");
    write(at, "smb.conf", &configuration(&domain, at));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/ldap/samba/provision.py");
    let made = namespace::command()
        .arg(PYTHON)
        .arg(script)
        .arg(at.join("smb.conf"))
        .args([REALM, "ADEX", PASSWORD])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("the domain can be made");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "making the domain: {said}");
}

fn configuration(domain: &Path, at: &Path) -> String {
    let (domain, at) = (domain.display(), at.display());
    format!(
        "[global]
netbios name = DC1
realm = {REALM}
workgroup = ADEX
server role = active directory domain controller
server services = ldap
dcerpc endpoint servers = none
private dir = {domain}/private
state directory = {domain}/state
cache directory = {domain}/cache
lock directory = {domain}/lock
binddns dir = {domain}/dns
pid directory = {at}
ncalrpc dir = {at}/ncalrpc
winbindd socket directory = {at}/winbindd
log file = {at}/log
bind interfaces only = yes
interfaces = lo
tls certfile = {at}/server.crt
tls keyfile = {at}/server.key
tls cafile = {at}/ca.crt
tls verify peer = no_check

[sysvol]
path = {domain}/state/sysvol
read only = no

[netlogon]
path = {domain}/state/sysvol/ad.example.com/scripts
read only = no
"
    )
}

fn containers() -> String {
    let mut text = String::new();
    for unit in ["People", "Groups", "Former", "Service"] {
        text.push_str(&format!(
            "dn: OU={unit},{SUFFIX}\nchangetype: add\nobjectClass: organizationalUnit\n\n"
        ));
    }
    let agent = agent();
    text.push_str(&format!(
        "dn: {}\nchangetype: add\nobjectClass: user\nsAMAccountName: provisor\n\
         userAccountControl: 512\nunicodePwd:: {}\n",
        agent.dn,
        unicode_password(&agent.password)
    ));
    text
}

/// A password as the directory takes it: quoted, in UTF-16, and in base64 for LDIF.
fn unicode_password(password: &str) -> String {
    use base64::Engine as _;
    let bytes: Vec<u8> = format!("\"{password}\"")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder in the temporary folder");
    for item in fs::read_dir(from).expect("a folder that was made") {
        let item = item.expect("a readable folder");
        let (from, to) = (item.path(), to.join(item.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else if from.is_file() {
            fs::copy(&from, &to).expect("a copy of a file");
        }
    }
}

fn write(at: &Path, name: &str, text: &str) {
    crate::support::private::write(&at.join(name), text).expect("a file in the temporary folder");
}
