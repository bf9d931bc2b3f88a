//! One target's cycle as a task of its own, beside those of the other targets.
//!
//! Nothing that happens to one reaches another: not its waiting, not its failure, not even a
//! panic. Prints nothing; the run shows the reports in the configuration's order.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::{JoinSet, block_in_place};
use tokio_util::sync::CancellationToken;

use super::super::progress::Lane;
use super::super::render::Mode;
use super::super::session::{self, Connected};
use super::failed;
use crate::apply::report::{Failure, FailureKind, TargetReport};
use crate::audit::Audit;
use crate::config::TargetConfig;
use crate::cycle::explain::Person;
use crate::cycle::{self, Prepared, Readings, Release};
use crate::snapshot::Store;

/// What the cycles of one run have in common.
pub(super) struct Common {
    pub(super) store: Store,
    pub(super) audit: Arc<Mutex<Audit>>,
    pub(super) audit_values: bool,
    pub(super) readings: Readings,
    pub(super) mode: Mode,
    pub(super) full: bool,
    /// One person only.
    pub(super) only: Option<Person>,
    pub(super) release: Option<Release>,
    pub(super) now: DateTime<Utc>,
    /// Cancelled when the process is told to end.
    pub(super) stop: CancellationToken,
    /// How many cycles may be under way.
    pub(super) room: Semaphore,
}

impl Common {
    /// The report of a target that came to no plan; `status` tells it too, unless nothing was
    /// meant to be done.
    pub(super) fn note(&self, target: &TargetConfig, failure: Failure) -> TargetReport {
        if self.mode == Mode::Applied {
            let name = &target.target.name;
            // The failure itself is what matters; that it could not be noted is one more.
            let noted = block_in_place(|| cycle::note_failure(&self.store, name, &failure));
            if let Err(unnoted) = noted {
                tracing::warn!("cannot note the failure of {name}: {:?}", unnoted.chain);
            }
        }
        failed(target, failure)
    }
}

/// One target's cycle.
pub(super) struct Task {
    pub(super) common: Arc<Common>,
    pub(super) target: TargetConfig,
    pub(super) progress: Lane,
    /// Cancelled once the one before it at the same server is over: the second must find what
    /// the first has made there.
    pub(super) after: Option<CancellationToken>,
    /// Cancelled once this one is over, however it ended.
    pub(super) over: CancellationToken,
}

impl Task {
    /// Plans, and applies if that is wanted. Every failure is in the report.
    pub(super) async fn run(self) -> TargetReport {
        let _over = self.over.clone().drop_guard();
        if let Some(after) = &self.after {
            after.cancelled().await;
        }
        let _room = self.common.room.acquire().await;
        match session::connect(&self.target).await {
            Ok(connected) => {
                let report = self.cycle(&connected).await;
                close(connected, report).await
            }
            Err(failure) => failed(&self.target, failure),
        }
    }

    async fn cycle(&self, connected: &Connected) -> TargetReport {
        let common = &*self.common;
        // Planning only reads: it may be given up anywhere.
        let prepared = tokio::select! {
            biased;
            prepared = self.plan(connected) => prepared,
            () = common.stop.cancelled() => return failed(&self.target, Failure {
                kind: FailureKind::Failed,
                chain: vec!["stopped before anything was sent".to_owned()],
            }),
        };
        match (prepared, common.mode) {
            (Err(failure), _) => common.note(&self.target, failure),
            (Ok(prepared), Mode::Preview) => prepared.into_preview(),
            // A release that frees nothing was meant for something else: nothing is done.
            (Ok(prepared), Mode::Applied)
                if common.release.is_some() && !prepared.releases_something() =>
            {
                prepared.into_preview()
            }
            (Ok(prepared), Mode::Applied) => {
                prepared
                    .apply(
                        &common.audit,
                        common.audit_values,
                        &Utc::now,
                        &common.stop,
                        &self.progress,
                    )
                    .await
            }
        }
    }

    async fn plan(&self, connected: &Connected) -> Result<Prepared, Failure> {
        let Common {
            store,
            readings,
            full,
            only,
            release,
            now,
            ..
        } = &*self.common;
        let (target, client) = (&self.target.target, &connected.client);
        // A target that reads none of their sources knows nothing of them, whatever it is asked.
        match only.as_ref().map(|person| person.at_or_found(target)) {
            Some(record) => {
                cycle::plan_one(
                    store,
                    readings,
                    target,
                    client,
                    record,
                    *now,
                    &self.progress,
                )
                .await
            }
            None => {
                cycle::plan_target(
                    store,
                    readings,
                    target,
                    client,
                    *full,
                    release.as_ref(),
                    *now,
                    &self.progress,
                )
                .await
            }
        }
    }
}

/// Closes the connection; what goes wrong there is the target's failure, unless it already
/// has one.
async fn close(connected: Connected, mut report: TargetReport) -> TargetReport {
    if let Err(failure) = connected.close().await {
        report.error.get_or_insert(failure);
    }
    report
}

/// Tasks under way, each with its place in the order. Dropped, they are ended.
#[derive(Default)]
pub(super) struct Tasks {
    tasks: JoinSet<(usize, Result<TargetReport, Failure>)>,
}

impl Tasks {
    /// Starts one.
    pub(super) fn start(
        &mut self,
        place: usize,
        work: impl Future<Output = TargetReport> + Send + 'static,
    ) {
        self.tasks.spawn(async move {
            // Whatever was half done in memory is dropped; what is stored is whole after any
            // call, because a crash may come there too.
            let report = AssertUnwindSafe(work).catch_unwind().await;
            (place, report.map_err(|_| panicked()))
        });
    }

    /// The next that is over, with its place; `None` when all are.
    pub(super) async fn next(&mut self) -> Option<(usize, Result<TargetReport, Failure>)> {
        // Panics are caught inside, and nobody else ends a task.
        self.tasks.join_next().await?.ok()
    }
}

fn panicked() -> Failure {
    Failure {
        kind: FailureKind::Failed,
        chain: vec![
            "a fault of provisor's own ended this target's cycle: please report what is said \
             above; the next run goes on from what was acknowledged"
                .to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::render::samples;
    use super::*;

    #[tokio::test]
    async fn a_panic_is_one_targets_failure_and_no_others() {
        let mut tasks = Tasks::default();
        let over = CancellationToken::new();
        let guard = over.clone().drop_guard();
        tasks.start(0, async move {
            let _over = guard;
            panic!("this one is meant to")
        });
        tasks.start(1, async move {
            over.cancelled().await;
            samples::report(Vec::new())
        });
        let mut ended = Vec::new();
        while let Some((place, report)) = tasks.next().await {
            ended.push((place, report.is_ok()));
        }
        assert_eq!(ended, [(0, false), (1, true)]);
    }
}
