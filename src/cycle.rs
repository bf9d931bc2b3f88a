//! A cycle: read, look again, scope and map, match, plan, guard, apply, report. The only
//! place that joins the steps.
//!
//! Gets built parts, never the configuration. A preview calls [`plan_target`] and stops;
//! nothing is published and nothing is committed before [`Readings::publish`] and
//! [`Prepared::apply`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use provisor_connectors::Source;

use crate::apply::report::{Failure, TargetReport};
use crate::audit::Audit;
use crate::mapping::Mapping;
use crate::plan::action::Plan;
use crate::plan::rules::Rules;
use crate::scope::Scope;
use crate::snapshot::Store;
use crate::target::{Client, Profile};

/// One target as a cycle needs it.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name in the configuration.
    pub name: String,
    /// Its sources, in order of precedence.
    pub sources: Vec<String>,
    /// Which records it should have.
    pub scope: Scope,
    /// Attributes to paths.
    pub mapping: Mapping,
    /// What to do with whom.
    pub rules: Rules,
    /// What the target can do.
    pub profile: Profile,
    /// How often both sides are listed.
    pub full_every: Duration,
    /// What the links are bound to.
    pub fingerprint: String,
    /// Digest of mapping, scope, groups, match, preset and engine version.
    pub settings_digest: String,
}

/// Told how far a long step is. Called from any thread, often.
pub trait Progress: Send + Sync {
    /// `done` of `total` (if known) in this step, e.g. "reading staff", "listing demo",
    /// "applying demo".
    fn report(&self, step: &str, done: u64, total: Option<u64>);
}

/// What reading the sources came to, staged and not yet published.
pub struct Readings {
    _private: (),
}

/// Reads every named source once, into staging. A source that fails is in the readings as
/// failed; the others go on. `targets` say which attributes are in use.
pub async fn read_sources(
    _store: &Store,
    _sources: &BTreeMap<String, Box<dyn Source>>,
    _targets: &[Target],
    _now: DateTime<Utc>,
    _progress: &dyn Progress,
) -> Readings {
    unimplemented!()
}

impl Readings {
    /// Why sources could not be read, by name.
    pub fn failures(&self) -> &BTreeMap<String, Failure> {
        unimplemented!()
    }

    /// What an operator should see although the reads are good, by source name.
    pub fn warnings(&self) -> &BTreeMap<String, Vec<String>> {
        unimplemented!()
    }

    /// Publishes what was read. Not called for a preview.
    pub async fn publish(&mut self) -> Result<(), Failure> {
        unimplemented!()
    }
}

/// A target's plan, with what applying it needs.
pub struct Prepared {
    _private: (),
}

impl Prepared {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        unimplemented!()
    }

    /// The report of a preview: the plan, and nothing done.
    pub fn into_preview(self) -> TargetReport {
        unimplemented!()
    }

    /// Applies the plan, records every acknowledged call, writes the audit log, and moves
    /// the target's position. A failed call is in the report, not an error.
    pub async fn apply(
        self,
        _audit: &tokio::sync::Mutex<Audit>,
        _audit_values: bool,
        _progress: &dyn Progress,
    ) -> TargetReport {
        unimplemented!()
    }
}

/// What a person released with `approve`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The held set's id, as shown.
    pub held_id: String,
    /// Only the item with this source id, resource id, or name.
    pub only: Option<String>,
}

/// Plans one target: looks at what could have changed, matches, plans and guards. Makes no
/// request when nothing could have changed.
///
/// `full` lists both sides whatever the schedule says. `release` frees held actions that are
/// still planned identically; a `held_id` that is not the current one releases nothing.
#[expect(
    clippy::too_many_arguments,
    reason = "the joints of a cycle, named at the call"
)]
pub async fn plan_target(
    _store: &Store,
    _readings: &Readings,
    _target: &Target,
    _client: &Client,
    _full: bool,
    _release: Option<&Release>,
    _now: DateTime<Utc>,
    _progress: &dyn Progress,
) -> Result<Prepared, Failure> {
    unimplemented!()
}

/// Where a store's state directory keeps one target's embedded sandbox.
pub fn sandbox_folder(state_dir: &std::path::Path, target: &str) -> PathBuf {
    state_dir.join("sandbox").join(target)
}
