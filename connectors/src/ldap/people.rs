//! What is asked of entries, and what of a person is not an attribute of their own: their
//! primary group, and the people whom they name.
//!
//! Pure.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::dn::Dn;
use super::entry::{DN, Entry};
use super::flavor::Settings;
use super::groups::group_attributes;
use super::id::sid_text;
use super::index::Index;
use super::name::is_description;
use crate::source::{Attributes, Value};

/// What `memberUid` names people by (RFC 2307).
pub(super) const USER_NAME: &str = "uid";

/// The attributes to ask for, and those to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Those in use, as they are spelled there; `None`: all.
    pub(super) requested: Option<BTreeSet<String>>,
    pub(super) of_people: Vec<String>,
    pub(super) of_groups: Vec<String>,
    /// Whether groups may name people by their user names.
    pub(super) user_names: bool,
}

impl Wanted {
    pub(super) fn new(settings: &Settings, requested: Option<&BTreeSet<String>>) -> Self {
        let user_names = settings.groups.is_some()
            && settings
                .member_attributes
                .iter()
                .any(|name| name.eq_ignore_ascii_case("memberUid"));
        let mut of_people: Vec<String> = settings
            .rules
            .iter()
            .map(|rule| rule.attribute().to_owned())
            .collect();
        if user_names {
            of_people.push(USER_NAME.to_owned());
        }
        if settings.primary_groups {
            of_people
                .extend(["primaryGroupID", "objectSid", "userAccountControl"].map(str::to_owned));
        }
        Self {
            requested: requested.cloned(),
            of_people: asked(settings, requested, of_people),
            of_groups: asked(settings, requested, group_attributes(settings)),
            user_names,
        }
    }
}

impl Wanted {
    /// Asks everybody for one more attribute.
    pub(super) fn add(&mut self, name: Option<&str>) {
        for asked in [&mut self.of_people, &mut self.of_groups] {
            let name = name.filter(|name| !asked.iter().any(|it| it.eq_ignore_ascii_case(name)));
            asked.extend(name.map(str::to_owned));
        }
    }
}

/// Each name once. What cannot be an attribute's name is another source's.
fn asked(
    settings: &Settings,
    requested: Option<&BTreeSet<String>>,
    needed: Vec<String>,
) -> Vec<String> {
    let everything = requested.is_none().then(|| "*".to_owned());
    let requested = requested.into_iter().flatten();
    let names = requested
        .filter(|name| is_description(name) && !name.eq_ignore_ascii_case(DN))
        .cloned();
    let mut asked: Vec<String> = Vec::new();
    for name in everything
        .into_iter()
        .chain([settings.id_attribute.clone()])
        .chain(needed)
        .chain(names)
    {
        if !asked.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            asked.push(name);
        }
    }
    asked
}

/// The security identifier of a person's primary group: the person's own, but for its last
/// part. `None` for who can have none, such as a contact.
pub(super) fn primary_group(entry: &Entry) -> Result<Option<Vec<u8>>, String> {
    if !entry.has("userAccountControl") {
        return Ok(None);
    }
    let group = entry.texts("primaryGroupID");
    let group = group.first().and_then(|text| text.parse::<u32>().ok());
    let sids = entry.values("objectSid");
    let domain = sids.first().filter(|sid| sid_text(sid).is_some());
    let domain = domain.and_then(|sid| sid.split_last_chunk::<4>());
    match (group, domain) {
        (Some(group), Some((domain, _))) => {
            Ok(Some([domain, group.to_le_bytes().as_slice()].concat()))
        }
        _ => Err(
            "its `primaryGroupID` or `objectSid` is not to be seen, so that groups would lose \
             members: let this account read them"
                .to_owned(),
        ),
    }
}

/// People whom a record names and nobody is, so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// The attributes that still hold names instead of ids.
    pub(super) attributes: BTreeSet<String>,
    pub(super) names: Vec<Dn>,
}

/// Turns the names of people into their ids, in each attribute of which all are known. Who
/// cannot be a record of this source is left out.
pub(super) fn resolve_references(
    attributes: &mut Attributes,
    settings: &Settings,
    index: &Index,
) -> Missing {
    let mut missing = Missing::default();
    for (name, values) in references(attributes, settings) {
        let unknown: Vec<Dn> = values
            .iter()
            .filter_map(name_of)
            .filter(|dn| index.id_of(dn).is_none() && settings.is_ours(dn))
            .collect();
        if unknown.is_empty() {
            resolve(values, |dn| index.id_of(dn));
        } else {
            missing.attributes.insert(name.clone());
            missing.names.extend(unknown);
        }
    }
    attributes.0.retain(|_, values| !values.is_empty());
    missing
}

/// The same for what was missing, when more is known: whom `id_of` does not know is left out.
pub(super) fn resolve_at_last<'i>(
    attributes: &mut Attributes,
    missing: &BTreeSet<String>,
    id_of: impl Fn(&Dn) -> Option<&'i str>,
) {
    for (name, values) in &mut attributes.0 {
        if missing.contains(name) {
            resolve(values, &id_of);
        }
    }
    attributes.0.retain(|_, values| !values.is_empty());
}

/// The ids of the people whom these values name, as a record has them; `None` where somebody is
/// missing so far.
pub(super) fn known_ids<'i>(
    names: &[Cow<'_, str>],
    settings: &Settings,
    index: &'i Index,
) -> Option<BTreeSet<&'i str>> {
    let names = names.iter().filter_map(|name| Dn::parse(name).ok());
    let mut ids = BTreeSet::new();
    for dn in names {
        match index.id_of(&dn) {
            Some(id) => {
                ids.insert(id);
            }
            None if settings.is_ours(&dn) => return None,
            None => {}
        }
    }
    Some(ids)
}

/// Whether the values of an attribute are names of people.
pub(super) fn is_reference(name: &str, settings: &Settings) -> bool {
    let mut references = settings.references.iter();
    references.any(|reference| reference.eq_ignore_ascii_case(name))
}

/// Leaves references out where nobody is looked for.
pub(super) fn drop_references(attributes: &mut Attributes, names: &[String]) {
    for name in names {
        remove(attributes, name);
    }
}

fn references<'a>(
    attributes: &'a mut Attributes,
    settings: &Settings,
) -> impl Iterator<Item = (&'a String, &'a mut Vec<Value>)> {
    let attributes = attributes.0.iter_mut();
    attributes.filter(|(name, _)| is_reference(name, settings))
}

fn resolve<'i>(values: &mut Vec<Value>, id_of: impl Fn(&Dn) -> Option<&'i str>) {
    let ids: BTreeSet<Value> = values
        .iter()
        .filter_map(name_of)
        .filter_map(|dn| Some(Value::Text(id_of(&dn)?.to_owned())))
        .collect();
    *values = Vec::from_iter(ids);
}

fn name_of(value: &Value) -> Option<Dn> {
    Dn::parse(&value.to_string()).ok()
}

/// Takes an attribute away, however it is spelled.
pub(super) fn remove(attributes: &mut Attributes, name: &str) {
    attributes
        .0
        .retain(|known, _| !known.eq_ignore_ascii_case(name));
}
