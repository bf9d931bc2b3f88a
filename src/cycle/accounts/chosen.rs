//! Rows that a person chose: links made and dropped by hand, protection, and deactivation of
//! somebody that no source knows.
//!
//! Every row is checked before any is done, and one that cannot be done keeps all of them
//! from being done. Deactivations are judged by the guards like any other, and audited.

mod chooser;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use provisor_connectors::{Kind, RecordKey};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{Survey, not_ready};
use crate::apply::report::{Failure, Outcome, Progress};
use crate::apply::{Applier, Clock};
use crate::audit::{Audit, Entry};
use crate::cycle::read::failed;
use crate::cycle::window;
use crate::plan::action::{Action, Held, PLAN_VERSION, Plan};
use crate::plan::guard::{self, Approved};
use crate::plan::input::{Input, Observed};
use crate::scim::resource::ResourceId;
use crate::snapshot::{SnapshotError, TargetChange};
use chooser::Chooser;

/// What a person wants done with one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// The record owns the resource from now on.
    Link,
    /// The record's link is forgotten.
    Unlink,
    /// The resource is never deactivated, deleted or stripped of membership.
    Protect,
    /// Takes that back.
    Unprotect,
    /// The resource is switched off, now.
    Deactivate,
}

impl Wish {
    /// Every wish, in the order in which they are counted.
    pub const ALL: [Wish; 5] = [
        Wish::Link,
        Wish::Unlink,
        Wish::Protect,
        Wish::Unprotect,
        Wish::Deactivate,
    ];

    /// Its word in a file and in the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Wish::Link => "link",
            Wish::Unlink => "unlink",
            Wish::Protect => "protect",
            Wish::Unprotect => "unprotect",
            Wish::Deactivate => "deactivate",
        }
    }
}

/// One row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its line in the file, from 1.
    pub line: u64,
    /// What to do.
    pub wish: Wish,
    /// The source of the record; needed where the target has several.
    pub source: Option<String>,
    /// The record.
    pub source_id: Option<String>,
    /// The resource.
    pub resource_id: Option<String>,
}

/// Why a row cannot be done. Names ids, never people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Refused {
    /// The row's line.
    pub line: u64,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// One row that can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub wish: Wish,
    /// For people who read.
    pub name: String,
    /// The record.
    pub record: Option<RecordKey>,
    /// The resource.
    pub resource: ResourceId,
}

/// Checked rows, ready to be shown and done.
pub struct Chosen {
    /// What is only noted, in the rows' order.
    pub steps: Vec<Step>,
    /// What is sent.
    pub plan: Plan,
    survey: Survey,
    changes: Vec<TargetChange>,
    protected: BTreeSet<String>,
}

impl Survey {
    /// Whether rows may be chosen: not before the links are known to be this target's.
    pub fn ready(&self) -> Result<(), Failure> {
        let state = self.known.progress();
        if self.known.is_void() || state.rebuilding || state.fingerprint.is_empty() {
            return Err(not_ready());
        }
        Ok(())
    }

    /// Checks every row against what is at the target. All that is wrong is told at once.
    pub fn choose(self, rows: &[Row]) -> Result<Chosen, Vec<Refused>> {
        let mut chooser = Chooser::new(&self);
        let refused: Vec<Refused> = rows
            .iter()
            .filter_map(|row| {
                let problem = chooser.take(row).err()?;
                let line = row.line;
                Some(Refused { line, problem })
            })
            .collect();
        if !refused.is_empty() {
            return Err(refused);
        }
        let Chooser {
            protected,
            steps,
            actions,
            changes,
            ..
        } = chooser;
        let (actions, held) = self.guard(&actions).map_err(|error| {
            let problem = error.to_string();
            vec![Refused { line: 1, problem }]
        })?;
        let plan = Plan {
            version: PLAN_VERSION,
            target: self.target.name.clone(),
            actions,
            releases: Vec::new(),
            held,
            listed: Vec::new(),
            unchanged: 0,
            held_id: None,
        };
        Ok(Chosen {
            steps,
            plan,
            survey: self,
            changes,
            protected,
        })
    }

    fn guard(&self, actions: &[Action]) -> Result<(Vec<Action>, Vec<Held>), SnapshotError> {
        let totals = self.known.totals()?;
        let input = Input {
            target: &self.target.name,
            now: self.now,
            rules: &self.target.rules,
            profile: &self.target.profile,
            keep_when_empty: &self.target.mapping.keep_when_empty,
            people: BTreeMap::new(),
            groups: BTreeMap::new(),
            observed_users: Observed::default(),
            observed_groups: Observed::default(),
            linked: totals.users + totals.groups,
            snapshot_lost: false,
            full: false,
            complete: false,
            clock_doubt: None,
        };
        let window = window::window(
            &self.known,
            Vec::new(),
            self.known.progress().halve_limits,
            self.now,
        )?;
        let none = Approved::default();
        let judged = guard::judge(actions.to_vec(), &input, &window, &none, &BTreeMap::new());
        Ok((judged.actions, judged.held))
    }
}

impl Chosen {
    /// Does it: notes first, durably, then what is sent. Gives what came of each action.
    pub async fn apply(
        self,
        audit: &Arc<Mutex<Audit>>,
        audit_values: bool,
        clock: &Clock,
        stop: &CancellationToken,
        progress: &dyn Progress,
    ) -> Result<Vec<Outcome>, Failure> {
        let Self {
            steps,
            plan,
            survey,
            mut changes,
            protected,
        } = self;
        let state = survey.known.progress();
        let store = survey.known.store().clone();
        if protected != state.protected {
            let mut state = state.clone();
            state.protected = protected;
            changes.push(TargetChange::PutProgress(Box::new(state)));
        }
        store.commit(changes).map_err(failed)?;
        let generation = store.flush().map_err(failed)?;
        for step in &steps {
            let entry = entry_of(store.name(), step, generation);
            let appended = audit.lock().await.append(survey.now, entry);
            appended.map_err(failed)?;
        }
        audit.lock().await.sync().map_err(failed)?;
        let applier = Applier {
            client: &survey.client,
            store: &store,
            profile: &survey.target.profile,
            audit,
            audit_values,
            clock,
            stop,
            ledger: Arc::default(),
        };
        let applied = applier.apply(&plan, progress).await;
        store.flush().map_err(failed)?;
        match applied.aborted {
            Some(failure) => Err(failure),
            None => Ok(applied.outcomes),
        }
    }
}

fn entry_of(target: &str, step: &Step, generation: u64) -> Entry {
    Entry {
        target: target.to_owned(),
        kind: Kind::User,
        source: step.record.as_ref().map(|record| record.source.clone()),
        source_id: step.record.as_ref().map(|record| record.id.to_string()),
        resource_id: Some(step.resource.0.clone()),
        change: step.wish.name().to_owned(),
        reason: "Operator".to_owned(),
        method: None,
        attributes: Vec::new(),
        values: None,
        request_id: None,
        outcome: "done".to_owned(),
        status: None,
        generation,
    }
}
