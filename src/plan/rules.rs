//! A target's rules, as the planner and the guards need them. Values only, built by `config`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::action::Limit;
use crate::mapping::Expression;
use crate::scim::path::AttributePath;

/// What to do where the source, the links and the target disagree.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What to look for an unlinked resource by, in this order. `emails` is any address.
    pub match_on: Vec<AttributePath>,
    /// What to do with people who were never linked, are not entitled and are active.
    pub stale: Stale,
    /// What to do with an inactive match.
    pub adopt_inactive: AdoptInactive,
    /// Source ids, resource ids, userNames, e-mails and externalIds that are never
    /// deactivated, deleted or stripped. Folded: they compare without regard to case and form.
    pub protect: BTreeSet<String>,
    /// The source attribute that proves a rehire.
    pub rehire_key: Option<String>,
    /// What joins people of several sources who are one person, by order of the sources.
    pub join_key: Option<Expression>,
    /// Overwrite a foreign externalId.
    pub take_over: bool,
    /// What to do where the target shows something else than it acknowledged.
    pub drift: DriftRules,
    /// Groups.
    pub groups: GroupRules,
    /// Guards.
    pub limits: Limits,
    /// How long after a create's time-out the target may still surprise us.
    pub settle: Duration,
    /// How long somebody is gone and deactivated before they are deleted. `None`: for ever.
    pub delete_after: Option<Duration>,
    /// How long somebody is gone and deactivated before their link is forgotten; longer than
    /// `delete_after`. `None`: for ever.
    pub forget_after: Option<Duration>,
}

/// See [`Rules::stale`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// Show them.
    List,
    /// Adopt and deactivate them.
    Deactivate,
}

/// See [`Rules::adopt_inactive`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdoptInactive {
    /// Switch it on.
    Reactivate,
    /// Hold it.
    Hold,
}

/// What to do in full cycles where the target shows something else than it acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriftRules {
    /// Where `by_path` says nothing.
    pub default: OnDrift,
    /// Exceptions by path; `members` stands for memberships.
    pub by_path: BTreeMap<AttributePath, OnDrift>,
}

impl DriftRules {
    /// What to do at a path.
    pub fn of(&self, path: &AttributePath) -> OnDrift {
        self.by_path.get(path).copied().unwrap_or(self.default)
    }
}

/// See [`DriftRules`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnDrift {
    /// Write the wanted value again.
    #[default]
    Enforce,
    /// Show it.
    List,
    /// Nothing.
    Leave,
}

/// Which groups are pushed, and how. By default none.
#[derive(Debug, Clone, Default)]
pub struct GroupRules {
    /// Globs on a group's name or source id, case-sensitive. `None`: no groups.
    pub push: Option<globset::GlobSet>,
    /// How a group within a group is shown at the target.
    pub nested: Nested,
    /// The source alone says who is in a pushed group: on full cycles, members that provisor
    /// never added are removed too.
    pub authoritative: bool,
    /// What a group is called at the target, by its name or source id in the source. Exact;
    /// names are in Normalization Form C.
    pub rename: BTreeMap<String, String>,
    /// Groups that are made from what people have in common, besides those in `push`.
    pub group_by: Option<GroupBy>,
    /// What becomes of a group that is gone or no longer pushed.
    pub when_gone: WhenGone,
}

impl GroupRules {
    /// Whether any group may be pushed.
    pub fn any(&self) -> bool {
        self.push.is_some() || self.group_by.is_some()
    }

    /// The name at the target of a group that has this name and id in the source. The id is
    /// the surer of the two.
    pub fn name_at_target<'a>(&'a self, name: &'a str, id: &str) -> &'a str {
        let renamed = self.rename.get(id).or_else(|| self.rename.get(name));
        renamed.map_or(name, String::as_str)
    }
}

/// See [`GroupRules::nested`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Nested {
    /// The inner group's people are members of the outer one.
    #[default]
    Flatten,
    /// The inner group is a member of the outer one, if it is pushed too.
    Direct,
}

/// See [`GroupRules::group_by`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupBy {
    /// The source attribute of people; one group for each of its values.
    pub attribute: String,
    /// The name of the group of those who have no value; `None`: they are in none.
    pub fallback: Option<String>,
}

/// See [`GroupRules::when_gone`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenGone {
    /// Our members are removed, the shell stays.
    #[default]
    Empty,
    /// Nothing.
    Keep,
    /// The group is deleted, if provisor created it; else emptied.
    Delete,
}

/// The guards' limits. Every [`Limit`] has one.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits(pub BTreeMap<Limit, Allowance>);

/// A count and a share; the smaller wins. `None` does not limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allowance {
    /// How many at most.
    pub count: Option<u64>,
    /// What percentage of the base at most: 10 is ten percent.
    pub percent: Option<f64>,
}

impl Default for Limits {
    /// The defaults of the configuration reference.
    fn default() -> Self {
        let both = |count, percent| Allowance {
            count: Some(count),
            percent: Some(percent),
        };
        let percent = |percent| Allowance {
            count: None,
            percent: Some(percent),
        };
        let count = |count| Allowance {
            count: Some(count),
            percent: None,
        };
        Self(BTreeMap::from([
            (Limit::Deactivations, both(500, 10.0)),
            (Limit::ExplicitDeactivations, both(500, 25.0)),
            (Limit::Deletions, percent(2.0)),
            (Limit::GroupDeletions, count(2)),
            (Limit::MembersRemoved, percent(50.0)),
            (Limit::Identifiers, percent(10.0)),
            (Limit::Overwrites, percent(25.0)),
            (Limit::Cleared, percent(25.0)),
            (Limit::Reactivations, percent(25.0)),
            (Limit::Recreations, percent(5.0)),
        ]))
    }
}
