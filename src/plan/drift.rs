//! Drift: what the source wants, what the target last acknowledged and what it shows now,
//! compared path by path.
//!
//! Only the complete listing of a full cycle tells; any other cycle takes what was last
//! acknowledged for what is there. Sends and builds nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::Kind;
use serde_json::{Value, json};

use super::input::{Candidate, Input, Observed};
use super::references;
use super::rules::{DriftRules, OnDrift};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, Listed, ResourceId, is_same, read_path};
use crate::snapshot::link::{Link, OwnForm, Told};

/// What a target showed, by path, where ours is put back; `None`: nothing.
pub type PutBack = BTreeMap<AttributePath, Option<Value>>;

/// What a listing taught about one link, to be written down when the cycle closes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Noted {
    /// The externalId that another system wrote over ours: kept.
    pub foreign_external_id: Option<String>,
    /// Forms of its own that the target does not show any more.
    pub outgrown: BTreeMap<AttributePath, OwnForm>,
    /// It is inactive: a deactivation whose answer was lost has happened, or somebody else
    /// switched them off before they left.
    pub is_off: bool,
    /// Where values were sent that have not come.
    pub not_come: BTreeSet<AttributePath>,
    /// Members who were sent and have not come, or whose resource is no more and who are not
    /// shown any more; of those, who is not wanted.
    pub not_joined: BTreeSet<ResourceId>,
    /// Members who were sent, and have come.
    pub joined: BTreeSet<ResourceId>,
}

impl Noted {
    /// Whether nothing was learnt.
    pub fn is_empty(&self) -> bool {
        let Self {
            foreign_external_id,
            outgrown,
            is_off,
            not_come,
            not_joined,
            joined,
        } = self;
        let is_nothing_of_the_link =
            foreign_external_id.is_none() && outgrown.is_empty() && !is_off && not_come.is_empty();
        is_nothing_of_the_link && not_joined.is_empty() && joined.is_empty()
    }

    /// Writes it into the link, as far as the cycle's own calls have not overtaken it.
    pub fn apply_to(&self, link: &mut Link) {
        if self.is_off {
            link.active = false;
        }
        if let Some(foreign) = &self.foreign_external_id {
            disown_external_id(link, foreign);
        }
        link.own_forms
            .retain(|path, form| self.outgrown.get(path) != Some(form));
        link.sent.retain(|path| !self.not_come.contains(path));
    }
}

/// What a linked resource has now, as far as this cycle knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Present {
    /// Its values: acknowledged, or shown where that is another and ours is written over it.
    pub(super) values: AttributeMap,
    /// What is put back although the source changed nothing.
    pub(super) put_back: PutBack,
    /// What is only shown, in words.
    pub(super) listed: Vec<String>,
    /// What is to be written down.
    pub(super) noted: Noted,
}

/// A link, less what another system has written over.
pub(super) struct OwnPart<'l> {
    /// The link.
    pub(super) link: Cow<'l, Link>,
    /// The externalId of the other system.
    foreign: Option<String>,
}

/// Why an externalId that was ours is not put back.
const FOREIGN: &str =
    "another system wrote its own externalId over ours; kept, because `take_over` is not set";

/// What a full cycle's listing shows of the linked resources of one kind.
pub(super) struct Shown<'a> {
    rules: &'a DriftRules,
    take_over: bool,
    /// `None` in cycles that cannot tell.
    observed: Option<&'a Observed>,
    /// Paths that the target shows of nobody, although it acknowledged values of several: it
    /// does not return them, and that says nothing about what it holds.
    silent: BTreeSet<AttributePath>,
    /// Whether it lists members, as far as its profile goes.
    members_listed: bool,
    /// Whether it shows a member of any group: then a group without `members` has none.
    members_shown: bool,
    /// Paths that keep their last value when the source has none.
    keep_when_empty: &'a BTreeSet<AttributePath>,
}

impl<'a> Shown<'a> {
    pub(super) fn new(input: &'a Input<'_>, kind: Kind) -> Self {
        let observed = input.observed(kind);
        let tells = input.full && observed.complete;
        let links: Vec<&Link> = match kind {
            Kind::User => input
                .people
                .values()
                .filter_map(Candidate::standing_link)
                .collect(),
            Kind::Group => input
                .groups
                .values()
                .filter_map(|group| group.group.standing_link())
                .collect(),
        };
        let mut silent = if tells {
            silent(observed, &links)
        } else {
            BTreeSet::new()
        };
        if !input.profile.keeps_external_id {
            silent.insert(AttributePath::external_id());
        }
        let has_members =
            |listed: &Listed| listed.members.as_ref().is_some_and(|all| !all.is_empty());
        Self {
            rules: &input.rules.drift,
            take_over: input.rules.take_over,
            observed: tells.then_some(observed),
            silent,
            members_listed: input.profile.members_listed,
            members_shown: observed.resources.values().any(has_members),
            keep_when_empty: input.keep_when_empty,
        }
    }

    /// Whether what it shows as a group's members can be believed.
    pub(super) fn tells_members(&self) -> bool {
        self.members_listed && self.members_shown
    }

    /// What the listing shows of a link's resource, where that can be held against the link.
    fn of(&self, link: &Link) -> Option<&'a Listed> {
        self.observed?.resources.get(&link.resource)
    }

    /// The link without an externalId that another system has written over.
    pub(super) fn own_part<'l>(&self, link: &'l Link) -> OwnPart<'l> {
        let path = AttributePath::external_id();
        let foreign = self
            .of(link)
            .filter(|_| !self.take_over && self.rules.of(&path) == OnDrift::Enforce)
            .and_then(|listed| foreign_external_id(link, listed));
        let link = match &foreign {
            None => Cow::Borrowed(link),
            Some(foreign) => {
                let mut link = link.clone();
                disown_external_id(&mut link, foreign);
                Cow::Owned(link)
            }
        };
        OwnPart { link, foreign }
    }

    /// What the target still has of what it acknowledged of a link, for all that is known: less
    /// what the listing shows otherwise.
    pub(super) fn kept(&self, link: &Link) -> AttributeMap {
        let mut kept = link.acknowledged.clone();
        if let Some(listed) = self.of(link) {
            kept.retain(|path, acknowledged| {
                let shown = shown_at(listed, path);
                let form = link.own_forms.get(path);
                self.silent.contains(path)
                    || form.is_some_and(|form| form.shown == shown)
                    || says(acknowledged, shown.as_ref(), path)
            });
        }
        kept
    }

    /// Holds what the target shows against what it acknowledged and what is wanted of it. A
    /// manager who cannot be named now (`sure_of_manager`) is not put back.
    pub(super) fn present(
        &self,
        own_part: &OwnPart<'_>,
        wanted: &AttributeMap,
        sure_of_manager: bool,
    ) -> Present {
        let OwnPart { link, foreign } = own_part;
        let mut present = Present {
            values: link.acknowledged.clone(),
            ..Present::default()
        };
        let Some(listed) = self.of(link) else {
            return present;
        };
        if foreign.is_some() {
            present.listed.push(FOREIGN.to_owned());
            present.noted.foreign_external_id.clone_from(foreign);
        }
        let mut others = Vec::new();
        let mut own = Vec::new();
        for (path, acknowledged) in &link.acknowledged {
            if self.silent.contains(path) {
                continue;
            }
            let shown = shown_at(listed, path);
            let form = link.own_forms.get(path);
            let known = form.filter(|form| form.shown == shown);
            if known.is_none() {
                present.outgrow(path, form);
            }
            let sure = sure_of_manager || *path != AttributePath::manager();
            if says(acknowledged, shown.as_ref(), path) || !sure {
                continue;
            }
            if wanted.get(path) == Some(acknowledged) {
                match (known, self.rules.of(path)) {
                    (Some(known), _) => {
                        if known.told == Told::BeforePutBack {
                            own.push(path);
                        }
                        continue;
                    }
                    (None, OnDrift::Leave) => continue,
                    (None, OnDrift::List) => {
                        others.push(path);
                        continue;
                    }
                    (None, OnDrift::Enforce) => {
                        present.put_back.insert(path.clone(), shown.clone());
                    }
                }
            }
            match shown {
                Some(shown) => present.values.insert(path.clone(), shown),
                None => present.values.remove(path),
            };
        }
        for (path, wanted) in wanted {
            // New from the source, and perhaps not new at the target.
            if !link.acknowledged.contains_key(path)
                && let Some(shown) = shown_at(listed, path)
            {
                let same = is_same(path, wanted, &shown);
                let shown = if same { wanted.clone() } else { shown };
                present.values.insert(path.clone(), shown);
            }
        }
        // Sent, not acknowledged, and not wanted any more: what has come is ours to clear.
        let told =
            |path: &&AttributePath| !wanted.contains_key(path) && !self.silent.contains(path);
        for path in link.sent.iter().filter(told) {
            let sure = sure_of_manager || *path != AttributePath::manager();
            match shown_at(listed, path) {
                None => present.noted.not_come.extend([path.clone()]),
                Some(shown) if sure && !self.keep_when_empty.contains(path) => {
                    present.values.insert(path.clone(), shown);
                }
                Some(_) => {}
            }
        }
        if !others.is_empty() {
            let others = list(&others);
            let detail = format!("the target shows another {others}; left alone");
            present.listed.push(detail);
        }
        present.listed.extend(keeps(&own));
        present
    }

    /// Members that provisor owns, wants and does not find at the target; with what is only
    /// shown put into `present`. Empty where the target may not show its members.
    pub(super) fn vanished(
        &self,
        link: &Link,
        kept: impl Iterator<Item = ResourceId>,
        present: &mut Present,
    ) -> BTreeSet<ResourceId> {
        let path = AttributePath::core("members");
        // An attribute without a value need not be there (RFC 7643 §2.5).
        let told = |listed: &&Listed| listed.members.is_some() || self.members_shown;
        let listed = self.of(link).filter(|_| self.members_listed);
        let Some(listed) = listed.filter(told) else {
            return BTreeSet::new();
        };
        let shown: BTreeSet<&ResourceId> = listed.members.iter().flatten().collect();
        let vanished: BTreeSet<ResourceId> = kept.filter(|id| !shown.contains(id)).collect();
        let form = link.own_forms.get(&path);
        if vanished.is_empty() {
            present.outgrow(&path, form);
            return BTreeSet::new();
        }
        let ids = Some(json!(vanished));
        if form.is_some_and(|form| form.shown == ids) {
            present.listed.extend(keeps(&[&path]));
            return BTreeSet::new();
        }
        present.outgrow(&path, form);
        match self.rules.of(&path) {
            OnDrift::Enforce => {
                present.put_back.insert(path, ids);
                vanished
            }
            OnDrift::List => {
                let count = vanished.len();
                let detail = format!("the target does not show {count} of its members; left alone");
                present.listed.push(detail);
                BTreeSet::new()
            }
            OnDrift::Leave => BTreeSet::new(),
        }
    }
}

impl Present {
    fn outgrow(&mut self, path: &AttributePath, form: Option<&OwnForm>) {
        let form = form.map(|form| (path.clone(), form.clone()));
        self.noted.outgrown.extend(form);
    }
}

/// What a listing showed of a path; of a manager, the reference without what servers add.
pub fn shown_at(listed: &Listed, path: &AttributePath) -> Option<Value> {
    if *path == AttributePath::manager() {
        return references::found(listed);
    }
    read_path(&listed.json, path).cloned()
}

/// Brings up to date what a link remembers besides the values, once a write is acknowledged:
/// the target's own forms, and whose externalId is there. `before` is what was acknowledged
/// until then, `answer` what the target showed of the resource.
pub fn remember(
    link: &mut Link,
    before: &AttributeMap,
    put_back: &PutBack,
    answer: Option<&Listed>,
) {
    if link
        .acknowledged
        .contains_key(&AttributePath::external_id())
    {
        link.foreign_external_id = None;
    }
    let Link {
        acknowledged,
        own_forms,
        ..
    } = link;
    let changed = |path: &AttributePath| before.get(path) != acknowledged.get(path);
    own_forms.retain(|path, _| !changed(path));
    for (path, shown) in put_back {
        let form = OwnForm {
            shown: shown.clone(),
            told: Told::BeforePutBack,
        };
        own_forms.insert(path.clone(), form);
    }
    let Some(answer) = answer else {
        return;
    };
    // Only of what was written: about anything else the answer may show what others did.
    let written = |path: &AttributePath| changed(path) || put_back.contains_key(path);
    for (path, ours) in acknowledged.iter().filter(|(path, _)| written(path)) {
        // An answer need not show everything, and some show what was there before.
        let Some(shown) = shown_at(answer, path) else {
            continue;
        };
        let old = [
            before.get(path),
            put_back.get(path).and_then(Option::as_ref),
        ];
        if !is_same(path, ours, &shown) && !old.contains(&Some(&shown)) {
            let form = OwnForm {
                shown: Some(shown),
                told: Told::ByAnswer,
            };
            own_forms.insert(path.clone(), form);
        }
    }
}

/// Whether what is shown says what was acknowledged.
fn says(acknowledged: &Value, shown: Option<&Value>, path: &AttributePath) -> bool {
    shown.is_some_and(|shown| is_same(path, acknowledged, shown))
}

/// The externalId that a listing shows in place of ours; the target's own form of ours is not
/// somebody else's.
fn foreign_external_id(link: &Link, listed: &Listed) -> Option<String> {
    let path = AttributePath::external_id();
    let ours = link.acknowledged.get(&path)?;
    let shown = shown_at(listed, &path)?;
    let form = link.own_forms.get(&path).map(|form| form.shown.as_ref());
    let known = form == Some(Some(&shown)) || says(ours, Some(&shown), &path);
    let foreign = shown.as_str().map(str::to_owned);
    foreign.filter(|_| !known)
}

fn disown_external_id(link: &mut Link, foreign: &str) {
    link.foreign_external_id = Some(foreign.to_owned());
    link.acknowledged.remove(&AttributePath::external_id());
}

/// A path that is shown of nobody says nothing, if there are at least two who should have it.
fn silent(observed: &Observed, links: &[&Link]) -> BTreeSet<AttributePath> {
    let mut hidden: BTreeMap<&AttributePath, u64> = BTreeMap::new();
    let mut shown: BTreeSet<&AttributePath> = BTreeSet::new();
    for link in links {
        let Some(listed) = observed.resources.get(&link.resource) else {
            continue;
        };
        for path in link.acknowledged.keys() {
            if shown_at(listed, path).is_some() {
                shown.insert(path);
            } else {
                *hidden.entry(path).or_default() += 1;
            }
        }
    }
    hidden
        .into_iter()
        .filter(|(path, count)| *count >= 2 && !shown.contains(path))
        .map(|(path, _)| path.clone())
        .collect()
}

fn keeps(own: &[&AttributePath]) -> Option<String> {
    let paths = list(own);
    (!own.is_empty()).then(|| format!("the target keeps its own form of {paths}"))
}

fn list(paths: &[&AttributePath]) -> String {
    let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
    paths.join(", ")
}
