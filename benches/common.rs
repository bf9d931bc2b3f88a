//! What the benchmarks have in common: people made by rule, an agent put together from the
//! library's own parts, and how memory and instructions are counted.
//!
//! Data is the same in every run. Must not judge: each benchmark knows its own limit.

#![expect(
    clippy::print_stdout,
    reason = "figures are for whoever ran the benchmark"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use provisor::apply::report::{Failure, TargetReport};
use provisor::audit::Audit;
use provisor::config::{Config, TargetConfig};
use provisor::cycle::{self, Progress, Readings};
use provisor::snapshot::Store;
use provisor::target::{Auth, Client, Connection, GeneratedSecret, Pace, Secret};
use provisor_connectors::Source;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use url::Url;

/// The token of every server that a benchmark starts.
pub(crate) const TOKEN: &str = "only-for-benchmarks";
/// The name of the one target.
pub(crate) const TARGET: &str = "app";
/// The name of the one source.
pub(crate) const SOURCE: &str = "staff";

/// The end of a benchmark that could not run.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Where a benchmark keeps what is worth keeping between two runs.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("provisor-benchmarks")
        .join(name)
}

const GIVEN: [&str; 8] = [
    "Ana", "Bruno", "Chloë", "Daud", "Emi", "Farid", "Grace", "Håkon",
];
const FAMILY: [&str; 7] = [
    "Kovač", "Silva", "Dupont", "Okafor", "Tanaka", "Haddad", "Murray",
];
const TITLES: [&str; 5] = [
    "Engineer",
    "Staff Engineer",
    "Account Executive",
    "Analyst",
    "Nurse",
];
const DEPARTMENTS: [&str; 6] = [
    "Engineering",
    "Sales",
    "Finance",
    "Care",
    "Legal",
    "Support",
];

/// Writes a CSV file of people with 12 columns. `title_of` may give somebody another title.
pub(crate) fn write_people(
    path: &Path,
    count: usize,
    title_of: impl Fn(usize) -> Option<String>,
) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(
        file,
        "id,active,userName,givenName,familyName,displayName,mail,title,department,\
         employeeNumber,costCenter,locale"
    )?;
    for number in 0..count {
        let given = GIVEN[number % GIVEN.len()];
        let family = FAMILY[number / 3 % FAMILY.len()];
        let title = title_of(number);
        let title = title.as_deref().unwrap_or(TITLES[number % TITLES.len()]);
        let department = DEPARTMENTS[number / 11 % DEPARTMENTS.len()];
        writeln!(
            file,
            "6f9619ff-8b86-d011-b42d-{number:012x},true,user.{number}@example.com,{given},\
             {family},{given} {family},user.{number}@example.com,{title},{department},{number},\
             CC-{},en-GB",
            number % 97
        )?;
    }
    file.flush()
}

/// Writes the configuration of one source and one target into a folder.
pub(crate) fn write_config(folder: &Path, more: &str) -> io::Result<()> {
    let text = format!(
        "state_dir = \"state\"\n\
         [sources.{SOURCE}.csv]\nusers = \"people.csv\"\n\
         [targets.{TARGET}]\npreset = \"generic\"\nsource = \"{SOURCE}\"\n\
         base_url = \"http://127.0.0.1:9/scim/v2\"\n\
         auth = {{ bearer = {{ env = \"UNUSED\" }} }}\n{more}"
    );
    fs::write(folder.join("config.toml"), text)
}

/// Everything that the command line would build from a configuration, with the client's
/// address and token replaced by those of a server that the benchmark started.
pub(crate) struct Agent {
    pub(crate) config: Config,
    pub(crate) sources: BTreeMap<String, Box<dyn Source>>,
    pub(crate) store: Store,
    pub(crate) client: Client,
    audit: Arc<Mutex<Audit>>,
}

impl Agent {
    /// Opens the state directory, as every run does.
    pub(crate) fn open(folder: &Path, server: &Url, pace: Pace) -> Outcome<Self> {
        let config = Config::load(&folder.join("config.toml"))?;
        let lock = Store::lock(&config.state_dir)?;
        let audit = Audit::open(&config.state_dir)?;
        let store = Store::open(lock, audit.last_generation())?.store;
        let sources = config
            .sources
            .iter()
            .map(|(name, source)| (name.clone(), source.build(&config.base)))
            .collect();
        Ok(Self {
            config,
            sources,
            store,
            client: client(server, pace)?,
            audit: Arc::new(Mutex::new(audit)),
        })
    }

    /// The one target.
    pub(crate) fn target(&self) -> &TargetConfig {
        self.config
            .targets
            .values()
            .next()
            .expect("the configuration has one target")
    }

    /// Reads the source, or what has changed in it, and publishes what it says.
    pub(crate) async fn read(&self, now: DateTime<Utc>) -> Outcome<Readings> {
        self.read_whole(&BTreeSet::new(), now).await
    }

    /// The same; of these sources not only what has changed.
    pub(crate) async fn read_whole(
        &self,
        whole: &BTreeSet<String>,
        now: DateTime<Utc>,
    ) -> Outcome<Readings> {
        let targets = [self.target().target.clone()];
        let (store, sources) = (&self.store, &self.sources);
        let mut readings = cycle::read_sources(store, sources, &targets, whole, now, &Silent)
            .await
            .map_err(in_words)?;
        if let Some(failure) = readings.failures().values().next() {
            return Err(in_words(failure.clone()).into());
        }
        readings.publish().await.map_err(in_words)?;
        Ok(readings)
    }

    /// One cycle: read, publish, plan, apply, as `provisor sync` does it.
    pub(crate) async fn cycle(&self, now: DateTime<Utc>) -> Outcome<TargetReport> {
        Ok(self.time_cycle(now).await?.0)
    }

    /// The same, and how long applying took of it.
    pub(crate) async fn time_cycle(&self, now: DateTime<Utc>) -> Outcome<(TargetReport, Duration)> {
        let readings = self.read(now).await?;
        let prepared = cycle::plan_target(
            &self.store,
            &readings,
            &self.target().target,
            &self.client,
            false,
            None,
            now,
            &Silent,
        )
        .await
        .map_err(in_words)?;
        let stop = CancellationToken::new();
        let start = Instant::now();
        let report = prepared
            .apply(&self.audit, false, &Utc::now, &stop, &Silent)
            .await;
        match &report.error {
            Some(failure) => Err(in_words(failure.clone()).into()),
            None => Ok((report, start.elapsed())),
        }
    }
}

fn in_words(failure: Failure) -> String {
    failure.chain.join(": ")
}

/// A client as the configuration would make it.
pub(crate) fn client(server: &Url, pace: Pace) -> Outcome<Client> {
    Ok(Client::new(Connection {
        base_url: server.clone(),
        auth: Auth::Bearer(Secret::Generated(GeneratedSecret::from(TOKEN.to_owned()))),
        timeout: Duration::from_secs(30),
        ca_file: None,
        client_certificate: None,
        proxy: None,
        allow_plaintext: false,
        pace,
    })?)
}

/// Nobody watches.
pub(crate) struct Silent;

impl Progress for Silent {
    fn report(&self, _step: &str, _done: u64, _total: Option<u64>) {}
}

/// Forgets the process's peak of resident memory, so that [`peak_resident`] tells of what comes.
pub(crate) fn forget_peak() -> io::Result<()> {
    fs::write("/proc/self/clear_refs", "5")
}

/// The most memory that was resident, in MB of 1,000,000 bytes.
pub(crate) fn peak_resident() -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kilobytes: f64 = kilobytes.ok_or("no VmHWM in /proc")?.trim().parse()?;
    Ok(kilobytes * 1024.0 / 1e6)
}

/// Prints a figure beside its limit.
pub(crate) fn judge(what: &str, figure: String, limit: &str, kept: bool) {
    let verdict = if kept { "kept" } else { "MISSED" };
    println!("{what:<58} {figure:>12}   limit {limit:<10} {verdict}");
}

/// Prints a figure without a limit.
pub(crate) fn tell(what: &str, figure: String) {
    println!("{what:<58} {figure:>12}");
}

/// A runtime as the command line has it.
pub(crate) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}
