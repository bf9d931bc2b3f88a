//! provisor on one machine: the real library, its state on a disk, and a clock that somebody
//! turns. Runs as the program's `sync` does, and may die.

use std::collections::BTreeMap;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use chrono::{DateTime, Utc};
use provisor::apply::report::{Failure, TargetReport};
use provisor::audit::Audit;
use provisor::config::{Config, Endpoint};
use provisor::cycle::{self, Progress, Release};
use provisor::snapshot::{Condition, SnapshotError, Store};
use provisor::target::Client;
use provisor_connectors::Source;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::death::When;
use super::organisation::Organisation;
use super::server::{Queue, Server, Shared, lock};
use super::settings::Settings;

pub(super) struct Machine {
    pub(super) folder: PathBuf,
    pub(super) shared: Arc<Mutex<Shared>>,
    waits: Queue,
    runtime: Runtime,
    session: Option<Session>,
    clock: Arc<AtomicI64>,
}

/// The open state directory.
struct Session {
    store: Store,
    audit: Arc<tokio::sync::Mutex<Audit>>,
}

/// What to run.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    pub(super) full: bool,
    pub(super) preview: bool,
    /// Only this target, releasing what is held there.
    pub(super) release: Option<(String, Release)>,
    /// Targets in their other order.
    pub(super) turned: bool,
    pub(super) death: Option<When>,
}

/// How a run ended.
pub(super) enum Ended {
    Died,
    /// With a report of each target; or not at all.
    Over(Result<BTreeMap<String, TargetReport>, Failure>),
}

impl Machine {
    pub(super) fn new(folder: &Path, server: &Server, now: DateTime<Utc>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        Self {
            folder: folder.to_owned(),
            shared: Arc::clone(&server.shared),
            waits: server.queue(),
            runtime,
            session: None,
            clock: Arc::new(AtomicI64::new(now.timestamp_millis())),
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        read(&self.clock)
    }

    pub(super) fn turn_clock(&self, by: chrono::TimeDelta) {
        self.clock
            .fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }

    /// Ends the process as it should end.
    pub(super) fn stop(&mut self) {
        self.close();
    }

    /// One run of the program.
    pub(super) fn run(
        &mut self,
        organisation: &Organisation,
        settings: &BTreeMap<String, Settings>,
        order: &Order,
    ) -> Ended {
        if self.session.is_none() {
            self.session = Some(self.open());
        }
        let session = self.session.as_ref().expect("just opened");
        let now = self.now();
        let notify = {
            let mut shared = lock(&self.shared);
            for (name, side) in &mut shared.sides {
                side.oracle.begin(settings[name].clone(), now);
            }
            shared.death.schedule(order.death, &session.store);
            Arc::clone(&shared.death.notify)
        };
        let config = Config::load(&self.folder.join("config.toml")).expect("a good configuration");
        let run = Run {
            config: &config,
            session,
            shared: &self.shared,
            organisation,
            order,
            clock: Arc::clone(&self.clock),
        };
        let ended = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = notify.notified() => Ended::Died,
                over = run.run() => Ended::Over(over),
            }
        });
        // What the dead have sent is not answered any more. Without this, a busy machine answered
        // it once the next run had begun (worlds 7946 and 9709, which play well alone).
        self.waits.pass();
        let died = {
            let mut shared = lock(&self.shared);
            let died = shared.death.end();
            for side in shared.sides.values_mut() {
                side.oracle.end(died);
                side.oracle.check_always(&side.service);
            }
            died
        };
        if !died {
            return ended;
        }
        self.close();
        let shared = &mut *lock(&self.shared);
        shared.death.restore(&mut shared.rng);
        Ended::Died
    }

    /// Ends the process, as far as it is one. A flush that is under way on a thread of its own goes on
    /// here, where a real end would end it: whoever opens the directory next waits for that.
    fn close(&mut self) {
        self.session = None;
        for _ in 0..1_000 {
            match Store::lock(&self.folder.join("state")) {
                Err(SnapshotError::InUse { .. }) => sleep(Duration::from_millis(10)),
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn open(&self) -> Session {
        let state_dir = self.folder.join("state");
        let lock_file = Store::lock(&state_dir).expect("the state directory is free");
        let audit = Audit::open(&state_dir).expect("the audit log goes on");
        let opened = Store::open(lock_file, audit.last_generation()).expect("the store opens");
        if let Condition::Lost(why) = opened.condition {
            // Whatever was durable is there: nothing must look lost.
            let mut shared = lock(&self.shared);
            let side = shared.sides.values_mut().next().expect("a target");
            side.oracle
                .violations
                .push(format!("the snapshot is lost: {why}"));
        }
        Session {
            store: opened.store,
            audit: Arc::new(tokio::sync::Mutex::new(audit)),
        }
    }
}

fn read(clock: &AtomicI64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(clock.load(Ordering::SeqCst)).expect("a moment")
}

struct Run<'a> {
    config: &'a Config,
    session: &'a Session,
    shared: &'a Arc<Mutex<Shared>>,
    organisation: &'a Organisation,
    order: &'a Order,
    clock: Arc<AtomicI64>,
}

impl Run<'_> {
    /// As `provisor sync` does it.
    async fn run(&self) -> Result<BTreeMap<String, TargetReport>, Failure> {
        let Session { store, .. } = self.session;
        let watcher = Watcher(Arc::clone(self.shared));
        let now = read(&self.clock);
        let sources: BTreeMap<String, Box<dyn Source>> = self
            .config
            .sources
            .iter()
            .map(|(name, source)| (name.clone(), source.build(&self.config.base)))
            .collect();
        let targets: Vec<_> = self
            .config
            .targets
            .values()
            .map(|it| it.target.clone())
            .collect();
        let whole = std::collections::BTreeSet::new();
        let read = cycle::read_sources(store, &sources, &targets, &whole, now, &watcher);
        let mut readings = read.await?;
        self.pass().await;
        if !self.order.preview {
            readings.publish().await?;
            self.pass().await;
        }
        let mut reports = BTreeMap::new();
        let mut names: Vec<&String> = self.config.targets.keys().collect();
        if self.order.turned {
            names.reverse();
        }
        if let Some((only, _)) = &self.order.release {
            names.retain(|name| *name == only);
        }
        for name in names {
            let report = self.cycle(name, &readings, &watcher, now).await;
            reports.insert(name.clone(), report);
            self.pass().await;
        }
        if !self.order.preview {
            cycle::forget_tombstones(store, targets).await?;
            self.pass().await;
        }
        Ok(reports)
    }

    async fn cycle(
        &self,
        name: &str,
        readings: &cycle::Readings,
        watcher: &Watcher,
        now: DateTime<Utc>,
    ) -> TargetReport {
        let Session { store, audit } = self.session;
        let target = &self.config.targets[name];
        let Endpoint::Remote(connection) = &target.endpoint else {
            unreachable!("the simulation's targets are remote");
        };
        let client = Client::new(connection.as_ref().clone()).expect("a client");
        let client = client.with_delay_factor(0.0);
        let release = self.order.release.as_ref().map(|(_, release)| release);
        let prepared = cycle::plan_target(
            store,
            readings,
            &target.target,
            &client,
            self.order.full,
            release,
            now,
            watcher,
        )
        .await;
        self.pass().await;
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(failure) => {
                if !self.order.preview {
                    cycle::note_failure(store, name, &failure).expect("it is noted");
                }
                return TargetReport {
                    target: name.to_owned(),
                    error: Some(failure),
                    plan: None,
                    outcomes: Vec::new(),
                    warnings: Vec::new(),
                };
            }
        };
        let in_vain = release.is_some() && !prepared.releases_something();
        if self.order.preview || in_vain {
            return prepared.into_preview();
        }
        if readings.failures().is_empty() {
            // Not before: what is there by chance is not seen by a cycle that comes to nothing
            // (worlds 31222, 34417).
            let side = &mut lock(self.shared).sides;
            let side = side.get_mut(name).expect("a target");
            side.oracle.read(self.organisation, &side.service);
        }
        let clock = Arc::clone(&self.clock);
        prepared
            .apply(
                audit,
                false,
                &move || read(&clock),
                &CancellationToken::new(),
                watcher,
            )
            .await
    }

    /// A place between two steps, where provisor may die.
    async fn pass(&self) {
        let dies = lock(self.shared).death.pass();
        if dies {
            pending::<()>().await;
        }
    }
}

/// Told of every step of an apply, where provisor may die too.
struct Watcher(Arc<Mutex<Shared>>);

impl Progress for Watcher {
    fn report(&self, step: &str, _done: u64, _total: Option<u64>) {
        if step.starts_with("applying") {
            lock(&self.0).death.report();
        }
    }
}
