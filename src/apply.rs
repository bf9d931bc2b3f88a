//! Applying a plan. Makes no choices: everything sent is in the plan, apart from resolving
//! references to what the same plan created.
//!
//! What must not be forgotten is durable before any call of its group is sent (see `doubt`); every
//! acknowledged call is written down before the next one on that resource. Killed at any instant,
//! the next cycle finds either the acknowledgement, or what is in doubt, or a patch to send again.

mod doubt;
mod ledger;
mod log;
mod record;
pub mod report;
mod run;
mod send;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::plan::action::{Phase, Plan, Release, Request};
use crate::snapshot::{TargetChange, TargetStore};
use crate::target::{Client, Profile};
pub(crate) use ledger::Ledger;
pub(crate) use record::MANAGER_CHANGED;
use report::{Failure, FailureKind, Progress};
pub(crate) use run::Applied;
use run::{Ending, Run};

/// Tells the time. Handed in, so that what is noted agrees with what a cycle is told.
pub type Clock = dyn Fn() -> DateTime<Utc> + Send + Sync;

/// A phase, and a wave within it.
type Turn = (Phase, u32);

const PHASES: [Phase; 9] = [
    Phase::Leavers,
    Phase::Releases,
    Phase::Joiners,
    Phase::Reactivations,
    Phase::Movers,
    Phase::Groups,
    Phase::Memberships,
    Phase::References,
    Phase::Deletions,
];

/// What applying needs besides the plan.
pub(crate) struct Applier<'a> {
    pub(crate) client: &'a Client,
    pub(crate) store: &'a TargetStore,
    pub(crate) profile: &'a Profile,
    pub(crate) audit: &'a Arc<tokio::sync::Mutex<Audit>>,
    pub(crate) audit_values: bool,
    /// The clock that the cycle's own time comes from.
    pub(crate) clock: &'a Clock,
    /// Cancelled when somebody asks to stop: nothing new is started then.
    pub(crate) stop: &'a CancellationToken,
    /// What is not written down yet.
    pub(crate) ledger: Arc<Ledger>,
}

impl Applier<'_> {
    /// Applies the plan, phase by phase.
    pub(crate) async fn apply(&self, plan: &Plan, progress: &dyn Progress) -> Applied {
        let mut run = Run::new(plan);
        if let Err(failure) = self.recall_dialect() {
            run.nothing_done();
            return run.abort(failure);
        }
        if let Err(failure) = self.link_adopted(plan).await {
            run.nothing_done();
            return run.abort(failure);
        }
        let applied = self.run_phases(plan, run, progress).await;
        if let Err(failure) = self.keep_dialect() {
            // What was learnt is learnt again; nothing was done in vain.
            tracing::warn!("{}", failure.chain.join(": "));
        }
        applied
    }

    /// Speaks as the target has taught in earlier runs.
    fn recall_dialect(&self) -> Result<(), Failure> {
        let progress = self.store.progress().map_err(|error| failed(&error))?;
        self.client.remember(progress.dialect);
        Ok(())
    }

    /// Keeps what the target has taught. Not flushed: a crash only forgets it.
    fn keep_dialect(&self) -> Result<(), Failure> {
        let mut progress = self.store.progress().map_err(|error| failed(&error))?;
        let dialect = self.client.dialect();
        if progress.dialect == dialect {
            return Ok(());
        }
        progress.dialect = dialect;
        let change = TargetChange::PutProgress(Box::new(progress));
        let kept = self.store.commit(vec![change]);
        kept.map_err(|error| failed(&error))
    }

    async fn run_phases<'p>(
        &self,
        plan: &'p Plan,
        mut run: Run<'p>,
        progress: &dyn Progress,
    ) -> Applied {
        let step = format!("applying {}", plan.target);
        for phase in PHASES {
            let ended = if phase == Phase::Releases {
                self.release(plan, &mut run).await
            } else {
                self.run_phase(plan, phase, &mut run, &step, progress).await
            };
            if let Err(failure) = ended {
                return run.abort(failure);
            }
        }
        run.finish(None)
    }

    /// The turns of one phase, one after another.
    async fn run_phase(
        &self,
        plan: &Plan,
        phase: Phase,
        run: &mut Run<'_>,
        step: &str,
        progress: &dyn Progress,
    ) -> Result<(), Failure> {
        let mut turns: BTreeMap<Turn, Vec<usize>> = BTreeMap::new();
        for (index, action) in plan.actions.iter().enumerate() {
            let turns_of = action.requests.iter().map(Request::turn);
            for turn in turns_of.filter(|turn| turn.0 == phase) {
                turns.entry(turn).or_default().push(index);
            }
        }
        for (turn, mut work) in turns {
            work.dedup();
            work.retain(|index| run.is_going(*index));
            self.run_turn(plan, turn, &work, run, step, progress)
                .await?;
        }
        Ok(())
    }

    /// Whether the next call may be made, or somebody asked to stop between two calls.
    fn go_on(&self) -> Result<(), Failure> {
        if self.stop.is_cancelled() {
            return Err(Failure {
                kind: FailureKind::Failed,
                chain: vec!["stopped between two calls; the next run goes on from here".to_owned()],
            });
        }
        Ok(())
    }

    /// userNames change hands one after another, in the plan's order.
    async fn release(&self, plan: &Plan, run: &mut Run<'_>) -> Result<(), Failure> {
        let mut renamed: Vec<usize> = plan.releases.iter().map(|it| it.action()).collect();
        renamed.retain(|index| run.is_going(*index));
        renamed.sort_unstable();
        renamed.dedup();
        let noted = self
            .note_before(plan, &renamed, (Phase::Releases, 0))
            .await?;
        if noted.any {
            self.make_durable().await?;
        }
        for release in &plan.releases {
            let (index, temporary) = match *release {
                Release::Temporary(index) => (index, true),
                Release::Rename(index) => (index, false),
            };
            if !run.is_going(index) {
                continue;
            }
            let action = &plan.actions[index];
            let mut requests = action
                .requests
                .iter()
                .filter(|request| request.phase == Phase::Releases);
            let opens_ring = plan.releases.contains(&Release::Temporary(index));
            let request = if opens_ring && !temporary {
                requests.nth(1)
            } else {
                requests.next()
            };
            let Some(request) = request else { continue };
            self.go_on()?;
            let link = self.own_link(action).map_err(|error| failed(&error))?;
            let ending = self.run_request(action, request, link).await;
            let ending = match self.write_down().await {
                Ok(()) => ending,
                Err(failure) => Ending::Aborted(failure),
            };
            let acknowledged = usize::from(matches!(ending, Ending::Acknowledged));
            let aborted = run.note(index, acknowledged, ending);
            self.make_durable().await?;
            if let Some(failure) = aborted {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Makes everything durable that has been acknowledged until now.
    async fn make_durable(&self) -> Result<(), Failure> {
        self.write_down().await?;
        self.flush().await
    }

    /// Waits for the disk, on a thread of its own: neither other targets nor this one's calls
    /// are held up.
    async fn flush(&self) -> Result<(), Failure> {
        let store = self.store.clone();
        let sync_audit = self.audit.lock().await.syncing();
        let flushed = spawn_blocking(move || {
            store.flush().map_err(|error| failed(&error))?;
            sync_audit().map_err(|error| failed(&error))
        });
        flushed.await.unwrap_or_else(|error| Err(failed(&error)))
    }
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::new(FailureKind::Failed, error)
}
