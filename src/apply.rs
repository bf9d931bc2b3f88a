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

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::Fuse;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::plan::action::{Action, Phase, Plan, Release, Request};
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

/// How long a group of requests between two flushes may take.
const GROUP_TIME: Duration = Duration::from_secs(2);
/// The most requests that share one flush.
const MOST_TOGETHER: usize = 256;

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

    /// Requests of one turn, side by side, in groups: while one is sent, what is noted of the next
    /// becomes durable, together with what the one before has come to.
    async fn run_turn(
        &self,
        plan: &Plan,
        turn: Turn,
        work: &[usize],
        run: &mut Run<'_>,
        step: &str,
        progress: &dyn Progress,
    ) -> Result<(), Failure> {
        let mut size = 2 * self.client.concurrency();
        let (mut group, mut rest) = work.split_at(size.min(work.len()));
        if self.note_before(plan, group, turn).await? {
            self.make_durable().await?;
        }
        while !group.is_empty() {
            let (next, later) = rest.split_at(size.min(rest.len()));
            let prepare = async {
                if !next.is_empty() {
                    self.note_before(plan, next, turn).await?;
                    self.flush().await?;
                }
                Ok(())
            };
            let start = Instant::now();
            let send = self.send_group(plan, turn, group, run, step, progress);
            let (sent, prepared) = tokio::join!(send, prepare);
            if let Err(failure) = sent.and(prepared).and_then(|()| self.go_on()) {
                // Never sent: there is nothing to be in doubt about.
                let mut next = next.iter().map(|index| &plan.actions[*index]);
                let closed = next.try_for_each(|action| self.close_intent(action));
                if let Err(error) = closed {
                    // They are in doubt then, which the next run looks into.
                    tracing::warn!("{}", failed(&error).chain.join(": "));
                }
                self.make_durable().await?;
                return Err(failure);
            }
            size = self.group_size(group.len(), start.elapsed());
            (group, rest) = (next, later);
        }
        self.make_durable().await
    }

    /// Sends a group, of which everything is noted durably, and writes down what it comes to.
    async fn send_group(
        &self,
        plan: &Plan,
        turn: Turn,
        group: &[usize],
        run: &mut Run<'_>,
        step: &str,
        progress: &dyn Progress,
    ) -> Result<(), Failure> {
        let most = self.client.concurrency();
        // Should the disk be full, no more than twice as many are sent and not on record; and of
        // calls that go one after another, each is on record before the next is sent.
        let most_unrecorded = (2 * most - 2).max(1);
        let mut waiting = group.iter().copied();
        let mut calls = FuturesUnordered::new();
        // What has ended while other calls are written down is written down next.
        let (mut ended, mut written) = (Vec::new(), Vec::new());
        let mut writing = pin!(Fuse::terminated());
        let (mut stopping, mut aborted) = (false, None);
        loop {
            while calls.len() < most && calls.len() + ended.len() + written.len() < most_unrecorded
            {
                let Some(index) = waiting.next() else { break };
                // After a target-wide failure, or when asked to stop, what is under way ends by
                // itself, and nothing new is started.
                if stopping || self.stop.is_cancelled() {
                    if let Err(error) = self.close_intent(&plan.actions[index]) {
                        aborted = aborted.or(Some(failed(&error)));
                    }
                    continue;
                }
                calls.push(async move {
                    let ending = self.run_requests(&plan.actions[index], turn).await;
                    (index, ending)
                });
            }
            if written.is_empty() && !ended.is_empty() {
                std::mem::swap(&mut written, &mut ended);
                writing.set(self.write_down().fuse());
            }
            tokio::select! {
                biased;
                result = &mut writing, if !written.is_empty() => {
                    let lost: Option<Failure> = Result::err(result);
                    for (index, (acknowledged, ending)) in written.drain(..) {
                        let ending = match &lost {
                            Some(failure) => Ending::Aborted(failure.clone()),
                            None => ending,
                        };
                        aborted = aborted.or(run.note(index, acknowledged, ending));
                    }
                    aborted = aborted.or(lost);
                    stopping |= aborted.is_some();
                    progress.report(step, run.touched, Some(plan.actions.len() as u64));
                }
                Some(each) = calls.next() => {
                    stopping |= matches!(each, (_, (_, Ending::Aborted(_))));
                    ended.push(each);
                }
                else => break,
            }
        }
        aborted.map_or(Ok(()), Err)
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

    /// How many requests share one flush: as many as the last group's pace sends in
    /// [`GROUP_TIME`]. So the disk holds nobody up, and an intent is never much older than the
    /// request that it is about, from which `settle` is meant to count. A power cut may leave two
    /// groups in doubt, or to be sent again: the one that is sent, and the one that is ready.
    fn group_size(&self, sent: usize, took: Duration) -> usize {
        let pace = sent as f64 / took.max(Duration::from_millis(1)).as_secs_f64();
        let size = (pace * GROUP_TIME.as_secs_f64()) as usize;
        size.min(MOST_TOGETHER).max(self.client.concurrency())
    }

    /// userNames change hands one after another, in the plan's order.
    async fn release(&self, plan: &Plan, run: &mut Run<'_>) -> Result<(), Failure> {
        let mut renamed: Vec<usize> = plan.releases.iter().map(|it| it.action()).collect();
        renamed.retain(|index| run.is_going(*index));
        renamed.sort_unstable();
        renamed.dedup();
        if self
            .note_before(plan, &renamed, (Phase::Releases, 0))
            .await?
        {
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
            let ending = self.run_request(action, request).await;
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

    /// An action's requests of one turn, one after another: one writer per resource. Tells
    /// how many were acknowledged.
    async fn run_requests(&self, action: &Action, turn: Turn) -> (usize, Ending) {
        let mut acknowledged = 0;
        for request in action
            .requests
            .iter()
            .filter(|request| request.turn() == turn)
        {
            if acknowledged > 0
                && let Err(failure) = self.write_down().await
            {
                return (acknowledged, Ending::Aborted(failure));
            }
            match self.run_request(action, request).await {
                Ending::Acknowledged => acknowledged += 1,
                other => return (acknowledged, other),
            }
        }
        (acknowledged, Ending::Acknowledged)
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
