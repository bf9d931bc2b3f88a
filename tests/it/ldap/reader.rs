//! Somebody who reads a directory into a mirror of their own, without a target: what the mirror
//! holds after each read, and whether everything was read for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use provisor::config::Config;
use provisor::cycle::{Progress, read_sources};
use provisor::snapshot::Store;
use provisor_connectors::{Kind, Source};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tracing_subscriber::fmt::MakeWriter;

use super::stories::config;
use crate::support::private;

/// What a mirror holds of the living, as text.
pub(super) type Mirror = BTreeMap<String, String>;

/// Somebody with a mirror of their own.
pub(super) struct Reader {
    store: Store,
    sources: BTreeMap<String, Box<dyn Source>>,
    config: Config,
    folder: TempDir,
    mapping: String,
    runtime: Runtime,
}

/// What came of one read.
pub(super) struct Read {
    pub(super) mirror: Mirror,
    /// Whether only what has changed was read.
    pub(super) partly: bool,
    /// Whether limits are halved from now on.
    pub(super) careful: bool,
    /// What the program said meanwhile.
    pub(super) said: String,
}

impl Read {
    /// Whether anything in the mirror holds this text.
    pub(super) fn tells(&self, text: &str) -> bool {
        self.mirror.values().any(|record| record.contains(text))
    }
}

impl Reader {
    /// `mapping`: more lines of the target's.
    pub(super) fn new(source: &str, mapping: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let state = folder.path().join("state");
        let config = load(&folder, source, mapping);
        let lock = Store::lock(&state).expect("a state directory");
        let store = Store::open(lock, None).expect("a store").store;
        Self {
            store,
            sources: sources(&config),
            config,
            folder,
            mapping: mapping.to_owned(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
        }
    }

    /// From now on reads another source into the same mirror.
    pub(super) fn turn_to(&mut self, source: &str) {
        self.config = load(&self.folder, source, &self.mapping);
        self.sources = sources(&self.config);
    }

    /// Reads, publishes, and gives what there is then.
    pub(super) fn read(&self, everything: bool, now: DateTime<Utc>) -> Read {
        let said = Said::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(said.clone())
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        let targets = [self.config.targets["demo"].target.clone()];
        let whole: BTreeSet<String> = everything.then(|| "corp".to_owned()).into_iter().collect();
        self.runtime.block_on(async {
            let read = read_sources(&self.store, &self.sources, &targets, &whole, now, &Silent);
            let mut readings = read.await.expect("the store can be written");
            assert!(readings.failures().is_empty(), "{:?}", readings.failures());
            readings.publish().await.expect("the store can be written");
        });
        drop(guard);
        let said = said.take();
        let progress = self.store.target("demo").progress();
        Read {
            mirror: self.mirror(),
            partly: said.contains("read what has changed"),
            careful: progress.expect("the store can be read").halve_limits,
            said,
        }
    }

    fn mirror(&self) -> Mirror {
        let view = self.store.view("corp").expect("a mirror");
        let mut mirror = Mirror::new();
        for kind in Kind::ALL {
            for row in view.rows(kind) {
                let row = row.expect("a row");
                if row.gone_since.is_none() {
                    let members = view.members(&row.id).expect("members");
                    let text = format!("{:?} {:?} {members:?}", row.lifecycle, row.attributes);
                    mirror.insert(format!("{kind} {}", row.id), text);
                }
            }
        }
        mirror
    }
}

fn load(folder: &TempDir, source: &str, mapping: &str) -> Config {
    let path = folder.path().join("provisor.toml");
    let text = config(source, "[targets.demo.groups]\npush = [\"*\"]\n");
    let mapping = format!("userName = \"mail\"\n{mapping}\n");
    let text = text
        .replace("userName = \"mail\"\n", &mapping)
        .replace("{base_url}", "http://127.0.0.1:1")
        .replace("{token_file}", "/dev/null");
    private::write(&path, &text).expect("a file in the temporary folder");
    Config::load(&path).expect("a right configuration")
}

fn sources(config: &Config) -> BTreeMap<String, Box<dyn Source>> {
    let source = config.sources["corp"].build(Path::new("/"));
    BTreeMap::from([("corp".to_owned(), source)])
}

struct Silent;

impl Progress for Silent {
    fn report(&self, _: &str, _: u64, _: Option<u64>) {}
}

/// What the program said of its reads.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut said = self.0.lock().expect("nobody panics");
        said.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Said {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Said {
    fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock().expect("nobody panics"));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
