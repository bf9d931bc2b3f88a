//! An unchanged full read of 100,000 people from OpenLDAP's `slapd`, beside what `ldapsearch`
//! takes to print them to a file with the same filter, pages and attributes; and how many
//! entries the server sends for a read after 10 changes.
//!
//! `cargo bench --bench directory`; `-- N` takes N people instead. It starts a `slapd` of its own
//! on loopback, in memory where there is `/dev/shm`, and ends it. Needs Debian's packages `slapd`
//! and `ldap-utils`.

#[expect(dead_code, reason = "every benchmark uses a part of it")]
mod common;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::Utc;
use common::{Agent, Outcome, judge, tell};
use provisor::target::Pace;
use provisor_connectors::Kind;
use tempfile::TempDir;
use url::Url;

/// How often each figure is taken; the least disturbed one counts.
const ROUNDS: usize = 5;
const CHANGES: usize = 10;
const PACE: Pace = Pace {
    requests_per_second: None,
    concurrency: 1,
};

const SUFFIX: &str = "dc=example,dc=com";
const PEOPLE: &str = "ou=people,dc=example,dc=com";
const ADMIN: &str = "cn=admin,dc=example,dc=com";
const PASSWORD: &str = "only-for-benchmarks";
/// What provisor asks an OpenLDAP for when nothing else is configured, and in pages of this many.
const FILTER: &str = "(|(objectClass=person)(objectClass=posixAccount))";
const PAGE: usize = 1_000;
/// Who people are, who is switched off, and when they were changed.
const ALWAYS: [&str; 5] = [
    "entryUUID",
    "pwdAccountLockedTime",
    "pwdEndTime",
    "shadowExpire",
    "entryCSN",
];

fn main() -> Outcome<()> {
    let argument = std::env::args().skip(1).find_map(|it| it.parse().ok());
    let people: usize = argument.unwrap_or(100_000);
    let slapd = Slapd::start(people)?;
    common::runtime()?.block_on(measure(&slapd, people))
}

async fn measure(slapd: &Slapd, people: usize) -> Outcome<()> {
    let folder = slapd.folder.path();
    slapd.write_config()?;
    let agent = Agent::open(folder, &Url::parse("http://127.0.0.1:9/scim/v2")?, PACE)?;
    let whole = BTreeSet::from([common::SOURCE.to_owned()]);
    let mut attributes = agent.target().target.mapping.in_use(Kind::User);
    // Names such as a CSV file may have cannot be asked for.
    attributes.retain(|name| name.chars().all(|letter| letter.is_ascii_alphanumeric()));
    attributes.extend(ALWAYS.map(str::to_owned));

    let start = Instant::now();
    agent.read_whole(&whole, Utc::now()).await?;
    let first = start.elapsed().as_secs_f64();
    tell("the first read", format!("{first:.2} s"));
    let (mut printed, mut read) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        printed = printed.min(slapd.print(&attributes)?);
        let generation = agent.store.view(common::SOURCE)?.generation();
        let start = Instant::now();
        agent.read_whole(&whole, Utc::now()).await?;
        read = read.min(start.elapsed().as_secs_f64());
        let changed = agent
            .store
            .view(common::SOURCE)?
            .changed_since(generation)?;
        if !changed.is_empty() {
            return Err("an unchanged read changed something".into());
        }
    }
    tell("ldapsearch, into a file", format!("{printed:.2} s"));
    tell("an unchanged full read", format!("{read:.2} s"));
    let ratio = read / printed;
    judge(
        "an unchanged full read in times of ldapsearch",
        format!("{ratio:.2}"),
        "1.5",
        ratio <= 1.5,
    );

    agent.read(Utc::now()).await?;
    slapd.sent()?;
    agent.read(Utc::now()).await?;
    tell("entries sent, nothing changed", slapd.sent()?.to_string());
    let (mut sent, mut fastest) = (0, f64::MAX);
    for round in 0..ROUNDS {
        slapd.change(people, round)?;
        slapd.sent()?;
        let generation = agent.store.view(common::SOURCE)?.generation();
        let start = Instant::now();
        agent.read(Utc::now()).await?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
        sent = sent.max(slapd.sent()?);
        let changed = agent
            .store
            .view(common::SOURCE)?
            .changed_since(generation)?;
        if changed.len() != CHANGES {
            return Err(format!("{} changes were read", changed.len()).into());
        }
    }
    tell("a read after 10 changes", format!("{fastest:.2} s"));
    judge(
        "entries sent for 10 changes",
        sent.to_string(),
        "50",
        sent <= 5 * CHANGES,
    );
    Ok(())
}

/// A running server. It ends with the value.
struct Slapd {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Slapd {
    fn start(people: usize) -> Outcome<Self> {
        let memory = Path::new("/dev/shm");
        let folder = match memory.is_dir() {
            true => tempfile::tempdir_in(memory)?,
            false => tempfile::tempdir()?,
        };
        let at = folder.path();
        fs::create_dir(at.join("db"))?;
        fs::write(at.join("slapd.conf"), configuration(at))?;
        write_people(&at.join("people.ldif"), people)?;
        let start = Instant::now();
        let mut load = Command::new("/usr/sbin/slapadd");
        load.args(["-q", "-f", "slapd.conf", "-l", "people.ldif"]);
        if !load.current_dir(at).status()?.success() {
            return Err("slapadd failed".into());
        }
        let seconds = start.elapsed().as_secs_f64();
        tell("loading the directory", format!("{seconds:.2} s"));
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("/usr/sbin/slapd");
        // 256: a line for each search, with how many entries it sent.
        command.args(["-d", "256", "-f", "slapd.conf", "-h"]);
        command.arg(format!("ldap://127.0.0.1:{port}/"));
        command.current_dir(at).stdin(Stdio::null());
        command.stdout(Stdio::null());
        command.stderr(File::create(at.join("log"))?);
        let child = command.spawn()?;
        let slapd = Self {
            child,
            folder,
            port,
        };
        for _ in 0..1_000 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(slapd);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err("slapd does not answer".into())
    }

    fn write_config(&self) -> Outcome<()> {
        let at = self.folder.path();
        let secret = at.join("password");
        fs::write(&secret, PASSWORD)?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
        let text = format!(
            "state_dir = \"state\"\n\
             [sources.{source}.ldap]\nurl = \"ldap://127.0.0.1:{port}\"\n\
             bind_dn = \"{ADMIN}\"\nbind_password = {{ file = \"password\" }}\n\
             page_size = {PAGE}\n\
             [sources.{source}.ldap.users]\nbase = \"{PEOPLE}\"\n\
             [targets.{target}]\npreset = \"generic\"\nsource = \"{source}\"\n\
             base_url = \"http://127.0.0.1:9/scim/v2\"\n\
             auth = {{ bearer = {{ env = \"UNUSED\" }} }}\n\
             [targets.{target}.mapping]\nuserName = \"mail\"\nmanager = false\n",
            source = common::SOURCE,
            target = common::TARGET,
            port = self.port,
        );
        Ok(fs::write(at.join("config.toml"), text)?)
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        let url = format!("ldap://127.0.0.1:{}", self.port);
        command.args(["-x", "-H", &url, "-D", ADMIN, "-w", PASSWORD]);
        command.env("LDAPCONF", "/dev/null");
        command
    }

    /// How long `ldapsearch` takes for everybody.
    fn print(&self, attributes: &BTreeSet<String>) -> Outcome<f64> {
        let file = File::create(self.folder.path().join("printed"))?;
        let mut command = self.tool("ldapsearch");
        command.args(["-LLL", "-E", &format!("pr={PAGE}/noprompt"), "-b", PEOPLE]);
        command.arg(FILTER).args(attributes).stdout(file);
        let start = Instant::now();
        if !command.status()?.success() {
            return Err("ldapsearch failed".into());
        }
        Ok(start.elapsed().as_secs_f64())
    }

    /// Ten people, everywhere among all of them, get another title.
    fn change(&self, people: usize, round: usize) -> Outcome<()> {
        let mut records = String::new();
        for number in (0..CHANGES).map(|it| it * (people / CHANGES)) {
            records.push_str(&format!(
                "dn: uid=user.{number},{PEOPLE}\nchangetype: modify\nreplace: title\n\
                 title: Boss {round}\n\n"
            ));
        }
        let mut command = self.tool("ldapmodify");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn()?;
        let stdin = child.stdin.take();
        stdin.ok_or("no stdin")?.write_all(records.as_bytes())?;
        match child.wait()?.success() {
            true => Ok(()),
            false => Err("ldapmodify failed".into()),
        }
    }

    /// How many entries it has sent since this was asked last.
    fn sent(&self) -> Outcome<usize> {
        // It writes a line after it has answered.
        std::thread::sleep(Duration::from_millis(200));
        let path = self.folder.path().join("log");
        let log = fs::read_to_string(&path)?;
        // It appends at its own place: what is emptied begins with zeros.
        fs::write(&path, "")?;
        let counts = log.lines().filter_map(|line| {
            let (_, rest) = line.split_once("nentries=")?;
            rest.split_whitespace().next()?.parse::<usize>().ok()
        });
        Ok(counts.sum())
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(at: &Path) -> String {
    let at = at.display();
    format!(
        "include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
pidfile {at}/pid
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
moduleload syncprov
database mdb
maxsize 4294967296
suffix {SUFFIX}
rootdn {ADMIN}
rootpw {PASSWORD}
directory {at}/db
index objectClass,entryCSN,entryUUID,uid eq
overlay ppolicy
overlay syncprov
syncprov-sessionlog 10000
"
    )
}

fn write_people(path: &Path, count: usize) -> Outcome<()> {
    let mut file = BufWriter::new(File::create(path)?);
    write!(
        file,
        "dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\no: Example\n\
         dc: example\n\ndn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n"
    )?;
    for number in 0..count {
        write!(
            file,
            "dn: uid=user.{number},{PEOPLE}\nobjectClass: inetOrgPerson\nuid: user.{number}\n\
             cn: User {number}\nsn: Number {number}\ngivenName: User\n\
             displayName: User {number}\nmail: user.{number}@example.com\n\
             title: Title {}\nemployeeNumber: {number}\n\
             telephoneNumber: +1 555 {number:07}\n\n",
            number % 7
        )?;
    }
    Ok(file.flush()?)
}
