//! What the directory servers have in common: processes that end with the value, ports, and
//! OpenLDAP's tools, by which the tests change what a directory holds as its administrator
//! would. Knows no flavor.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Somebody who may bind.
#[derive(Debug, Clone)]
pub(super) struct Login {
    /// The name to bind as.
    pub(super) dn: String,
    /// The password, which opens nothing but this test's server.
    pub(super) password: String,
}

impl Login {
    pub(super) fn new(dn: &str, password: &str) -> Self {
        Self {
            dn: dn.to_owned(),
            password: password.to_owned(),
        }
    }
}

/// A running directory server. Its processes are ended, by their ids, when it is dropped.
pub(super) struct Server {
    children: Vec<Child>,
    folder: TempDir,
    /// The port of plain LDAP, which also does StartTLS where the server has a certificate.
    pub(super) ldap: u16,
    /// The port of LDAP over TLS.
    pub(super) ldaps: Option<u16>,
    /// Whether it takes a password over TLS only.
    only_tls: bool,
    /// Who may change everything.
    pub(super) admin: Login,
}

impl Server {
    /// Takes over what was started. The last process is ended first.
    pub(super) fn new(
        folder: TempDir,
        children: Vec<Child>,
        ldap: u16,
        ldaps: Option<u16>,
        only_tls: bool,
        admin: Login,
    ) -> Self {
        let server = Self {
            children,
            folder,
            ldap,
            ldaps,
            only_tls,
            admin,
        };
        server.wait();
        server
    }

    /// Where it keeps its files.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate of the authority that vouches for it, where it speaks TLS.
    pub(super) fn ca_file(&self) -> PathBuf {
        self.folder().join("ca.crt")
    }

    /// Applies change records (RFC 2849) as the administrator. A refusal is a failure.
    pub(super) fn modify(&self, ldif: &str) {
        self.modify_as(&self.admin, &[], ldif);
    }

    /// Applies change records as somebody, with further arguments of `ldapmodify`.
    pub(super) fn modify_as(&self, login: &Login, arguments: &[&str], ldif: &str) {
        let mut command = self.tool("ldapmodify", login);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("ldapmodify starts");
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        // It may have given up on an earlier record: its status says so.
        let _ = stdin.write_all(ldif.as_bytes());
        drop(stdin);
        let ended = child.wait_with_output().expect("ldapmodify ends");
        assert!(
            ended.status.success(),
            "ldapmodify: {}\n{ldif}",
            String::from_utf8_lossy(&ended.stderr)
        );
    }

    /// Applies change records as the administrator, as far as the server allows: whether it
    /// allowed them all.
    pub(super) fn attempt(&self, ldif: &str) -> bool {
        let mut command = self.tool("ldapmodify", &self.admin);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("ldapmodify starts");
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        let _ = stdin.write_all(ldif.as_bytes());
        drop(stdin);
        child.wait().expect("ldapmodify ends").success()
    }

    /// The values of one attribute of one object, as `ldapsearch` prints them.
    pub(super) fn read(&self, dn: &str, attribute: &str) -> Vec<String> {
        let mut command = self.tool("ldapsearch", &self.admin);
        command.args(["-LLL", "-o", "ldif_wrap=no", "-s", "base", "-b", dn]);
        let output = command.arg(attribute).output().expect("ldapsearch runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let value = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let value = value.trim_start_matches(':').trim().to_owned();
            name.eq_ignore_ascii_case(attribute).then_some(value)
        };
        text.lines().filter_map(value).collect()
    }

    /// Ends its processes at once, as a machine that loses power.
    pub(super) fn kill(&mut self) {
        for mut child in self.children.drain(..).rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends its processes as a machine that is shut down, so that they keep what they know.
    pub(super) fn stop(&mut self) {
        for child in self.children.iter().rev() {
            let ended = Command::new("kill").arg(child.id().to_string()).status();
            assert!(ended.expect("kill runs").success());
        }
        for mut child in self.children.drain(..) {
            let _ = child.wait();
        }
    }

    /// Takes over a process that serves what this one did, at other ports.
    pub(super) fn revive(&mut self, child: Child, ldap: u16, ldaps: u16) {
        self.children.push(child);
        (self.ldap, self.ldaps) = (ldap, Some(ldaps));
        self.wait();
    }

    /// One of OpenLDAP's tools, pointed at the server: over TLS, which an Active Directory
    /// insists on, and over StartTLS nowhere, so that a server's certificate may be bad.
    fn tool(&self, name: &str, login: &Login) -> Command {
        let url = match self.ldaps {
            Some(port) if self.only_tls => format!("ldaps://127.0.0.1:{port}"),
            _ => format!("ldap://127.0.0.1:{}", self.ldap),
        };
        let mut command = Command::new(name);
        command
            .args(["-x", "-H", &url, "-D", &login.dn, "-w", &login.password])
            // The machine's own settings do not reach the tests.
            .env("LDAPCONF", "/dev/null")
            .env("LDAPRC", "none")
            .env("LDAPTLS_CACERT", self.ca_file());
        command
    }

    fn wait(&self) {
        let started = Instant::now();
        loop {
            let output = self
                .tool("ldapsearch", &self.admin)
                .args(["-s", "base", "-b", "", "1.1"])
                .output()
                .expect("ldapsearch runs");
            if output.status.success() {
                return;
            }
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "the directory server does not answer: {}{}",
                String::from_utf8_lossy(&output.stderr),
                self.last_words()
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// What its log ends with.
    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.folder().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // At once: what they would still put in order goes with the folder.
        self.kill();
    }
}

/// Starts a server process whose output goes to the file `log` of its folder.
pub(super) fn spawn(command: &mut Command, folder: &Path) -> Child {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("a file in the temporary folder");
    let errors = log.try_clone().expect("a second handle");
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .expect("the directory server starts")
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// The first of these programs that the machine lacks. Servers live in `sbin`, which an
/// ordinary user's path need not have.
pub(super) fn first_missing(programs: &[&'static str]) -> Option<&'static str> {
    programs
        .iter()
        .find(|name| program(name).is_none())
        .copied()
}

/// Where a program is.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let mut files = folders.into_iter().map(|folder| folder.join(name));
    files.find(|file| file.is_file())
}
