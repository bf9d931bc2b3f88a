//! The requests of one turn, side by side.
//!
//! Three things go on at once: what is noted of the next group becomes durable, together with what
//! earlier calls have come to; what was noted is sent; and what calls came to is written down, a
//! moment's worth of them at once. None waits for another but where it must: nothing is sent that
//! is not noted durably.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::Fuse;
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::report::{Failure, Progress};
use super::run::{Ending, Run};
use super::{Applier, Turn, failed};
use crate::plan::action::{Action, Plan};
use crate::snapshot::Link;

#[cfg(test)]
mod tests;

/// How long a group of requests between two flushes may take.
const GROUP_TIME: Duration = Duration::from_secs(2);
/// The most requests that share one flush.
const MOST_TOGETHER: usize = 256;
/// How many calls may be sent and not be on record, should the disk be full, unless twice as many as
/// may be under way are more. Only a target that answers faster than we write comes that far.
const MOST_UNRECORDED: usize = 64;
/// How many calls are worth a transaction. sled wakes all its threads with each.
const WORTH_WRITING: usize = 24;
/// How long a call that has ended waits for others to be written down with, at most.
const LONGEST_WAIT: Duration = Duration::from_millis(10);

impl Applier<'_> {
    /// Sends the requests that the actions at `work` have in this turn, and writes down what they
    /// come to. After a failure of the whole target, or when asked to stop, what is under way ends
    /// by itself, and nothing new is started.
    pub(super) async fn run_turn(
        &self,
        plan: &Plan,
        turn: Turn,
        work: &[usize],
        run: &mut Run<'_>,
        step: &str,
        progress: &dyn Progress,
    ) -> Result<(), Failure> {
        let most = self.client.concurrency();
        // Of calls that go one after another, each is on record before the next is sent.
        let most_unrecorded = match most {
            1 => 1,
            _ => MOST_UNRECORDED.max(2 * most),
        };
        let mut size = 2 * most;
        let (mut answered, mut since) = (0, Instant::now());
        // What is yet to be noted, what is being noted, and what may be sent.
        let (mut later, mut next) = (work, &work[..0]);
        let mut ready = VecDeque::new();
        let mut noting = pin!(Fuse::terminated());
        let mut calls = FuturesUnordered::new();
        // What has ended is written down next: at once where it has waited long enough (`overdue`),
        // or nothing else is about to end.
        let (mut ended, mut written) = (Vec::new(), Vec::new());
        let mut writing = pin!(Fuse::terminated());
        let (mut waiting, mut overdue) = (pin!(Fuse::terminated()), false);
        let worth_writing = WORTH_WRITING.min(most_unrecorded);
        let (mut stopping, mut aborted) = (false, None);
        loop {
            stopping |= aborted.is_some() || self.stop.is_cancelled();
            let unrecorded = ended.len() + written.len();
            while !stopping
                && calls.len() < most
                && calls.len() + unrecorded < most_unrecorded
                && let Some((index, link)) = ready.pop_front()
            {
                calls.push(async move {
                    let action = &plan.actions[index];
                    (index, self.run_requests(action, link, turn).await)
                });
            }
            let ahead = ready.len() + calls.len() + unrecorded;
            if !stopping && next.is_empty() && !later.is_empty() && ahead < size {
                if answered >= most {
                    size = group_size(answered, since.elapsed()).max(most);
                    (answered, since) = (0, Instant::now());
                }
                let is_first = later.len() == work.len();
                (next, later) = later.split_at(size.min(later.len()));
                noting.set(self.note_durably(plan, next, turn, is_first).fuse());
            }
            let is_worth_it = overdue || ended.len() >= worth_writing || calls.is_empty();
            if written.is_empty() && !ended.is_empty() && (is_worth_it || stopping) {
                std::mem::swap(&mut written, &mut ended);
                writing.set(self.write_down().fuse());
                overdue = false;
            }
            tokio::select! {
                biased;
                result = &mut writing, if !written.is_empty() => {
                    let lost: Option<Failure> = Result::err(result);
                    for (index, (acknowledged, ending)) in written.drain(..) {
                        let ending = match &lost {
                            Some(failure) => Ending::Aborted(failure.clone()),
                            None => self.unless_contested(&plan.actions[index], ending),
                        };
                        aborted = aborted.or(run.note(index, acknowledged, ending));
                    }
                    aborted = aborted.or(lost);
                    progress.report(step, run.touched, Some(plan.actions.len() as u64));
                }
                noted = &mut noting, if !next.is_empty() => {
                    let group = std::mem::take(&mut next);
                    match noted {
                        Ok(links) => ready.extend(group.iter().copied().zip(links)),
                        // Should it be noted all the same, the next run looks into it.
                        Err(failure) => aborted = aborted.or(Some(failure)),
                    }
                }
                Some(each) = calls.next() => {
                    answered += 1;
                    stopping |= matches!(each, (_, (_, Ending::Aborted(_))));
                    if ended.is_empty() {
                        waiting.set(tokio::time::sleep(LONGEST_WAIT).fuse());
                    }
                    ended.push(each);
                }
                () = &mut waiting, if !ended.is_empty() && !overdue => overdue = true,
                else => break,
            }
        }
        // Never sent: there is nothing to be in doubt about.
        for (index, _) in ready {
            if let Err(error) = self.close_intent(&plan.actions[index]) {
                aborted = aborted.or(Some(failed(&error)));
            }
        }
        let durable = self.make_durable().await;
        match aborted {
            Some(failure) => Err(failure),
            None => durable.and_then(|()| self.go_on()),
        }
    }

    /// An action's requests of one turn, one after another: one writer per resource. Tells
    /// how many were acknowledged.
    async fn run_requests(
        &self,
        action: &Action,
        mut link: Option<Link>,
        turn: Turn,
    ) -> (usize, Ending) {
        let mut acknowledged = 0;
        for request in action
            .requests
            .iter()
            .filter(|request| request.turn() == turn)
        {
            if acknowledged > 0 {
                let written = self.write_down().await;
                let now = written.and_then(|()| self.own_link(action).map_err(|it| failed(&it)));
                link = match now {
                    Ok(link) => link,
                    Err(failure) => return (acknowledged, Ending::Aborted(failure)),
                };
            }
            match self.run_request(action, request, link.take()).await {
                Ending::Acknowledged => acknowledged += 1,
                other => return (acknowledged, other),
            }
        }
        (acknowledged, Ending::Acknowledged)
    }

    /// How an action ended whose calls are on record: a creation that was answered with what is
    /// another record's has linked nothing.
    fn unless_contested(&self, action: &Action, ending: Ending) -> Ending {
        let record = action.subject.record.as_ref();
        let owner = record.and_then(|record| self.ledger.owner_of_what_was_made(record));
        match (owner, ending) {
            (_, Ending::Aborted(failure)) => Ending::Aborted(failure),
            (Some(owner), _) => Ending::Conflict(format!(
                "the target answered with the resource of {} {}, which nobody else gets; the next \
                 cycle lists the target and looks whose it is",
                owner.source, owner.id
            )),
            (None, ending) => ending,
        }
    }

    /// Notes what a group is about to do, and waits until that is durable, together with what
    /// earlier calls have come to; before the first ones there may be nothing to wait for. Gives
    /// the links of the group's records.
    async fn note_durably(
        &self,
        plan: &Plan,
        group: &[usize],
        turn: Turn,
        is_first: bool,
    ) -> Result<Vec<Option<Link>>, Failure> {
        let noted = self.note_before(plan, group, turn).await?;
        if noted.any || !is_first {
            self.flush().await?;
        }
        Ok(noted.links)
    }
}

/// How many requests share one flush: as many as are answered in [`GROUP_TIME`] at the pace since
/// the last one. So the disk holds nobody up, and an intent is never much older than the request that
/// it is about, from which `settle` is meant to count. A power cut may leave two groups in doubt, or
/// to be sent again: what was not on record when the last one was noted, which is less than one, and
/// that one.
fn group_size(answered: usize, took: Duration) -> usize {
    let pace = answered as f64 / took.max(Duration::from_millis(1)).as_secs_f64();
    let size = (pace * GROUP_TIME.as_secs_f64()) as usize;
    size.min(MOST_TOGETHER)
}
