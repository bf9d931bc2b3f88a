//! `[targets.NAME.groups]`: which groups are pushed, under which names and with which members,
//! and what becomes of those that go.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use crate::plan::rules::{GroupBy, GroupRules, Nested, WhenGone};
use crate::text;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGroups {
    push: Option<Vec<Spanned<String>>>,
    nested: Option<RawNested>,
    authoritative: Option<bool>,
    when_gone: Option<RawWhenGone>,
    #[serde(default)]
    rename: BTreeMap<String, Spanned<String>>,
    group_by: Option<Spanned<String>>,
    fallback: Option<Spanned<String>>,
    members_per_request: Option<Spanned<usize>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawNested {
    Flatten,
    Direct,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawWhenGone {
    Empty,
    Keep,
    Delete,
}

/// The rules, and what else the table says.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) rules: GroupRules,
    /// The globs as written, which a compiled set does not remember.
    pub(super) patterns: Option<Vec<String>>,
    /// The attribute of `group_by`, where it is written: the source must be able to give it.
    pub(super) group_by: Option<Spanned<String>>,
    /// In place of the preset's.
    pub(super) members_per_request: Option<usize>,
}

impl RawGroups {
    pub(super) fn check(self, document: &Document) -> Result<Checked, ConfigError> {
        let push = match &self.push {
            Some(patterns) => Some(compile(patterns, document)?),
            None => None,
        };
        let group_by = self.check_group_by(document)?;
        let mut rename = BTreeMap::new();
        for (name, renamed) in self.rename {
            let text = renamed.get_ref().trim();
            if text.is_empty() {
                return Err(document.error(
                    renamed.span(),
                    &format!("the group `{name}` cannot have an empty name"),
                    "write the name that the target should see, or leave the group out of `push`",
                ));
            }
            // By a name in the form that names have, or by an id as it is.
            let composed = text::nfc(&name).into_owned();
            rename
                .entry(composed)
                .or_insert_with(|| text::nfc(text).into_owned());
            rename
                .entry(name)
                .or_insert_with(|| text::nfc(text).into_owned());
        }
        let members_per_request = match &self.members_per_request {
            Some(count) if *count.get_ref() == 0 => {
                return Err(document.error(
                    count.span(),
                    "a request that may not name anybody changes nothing",
                    "leave `members_per_request` out for what the preset says",
                ));
            }
            count => count.as_ref().map(|count| *count.get_ref()),
        };
        Ok(Checked {
            rules: GroupRules {
                push,
                nested: match self.nested {
                    None | Some(RawNested::Flatten) => Nested::Flatten,
                    Some(RawNested::Direct) => Nested::Direct,
                },
                authoritative: self.authoritative.unwrap_or(false),
                rename,
                group_by,
                when_gone: match self.when_gone {
                    None | Some(RawWhenGone::Empty) => WhenGone::Empty,
                    Some(RawWhenGone::Keep) => WhenGone::Keep,
                    Some(RawWhenGone::Delete) => WhenGone::Delete,
                },
            },
            patterns: self
                .push
                .map(|patterns| patterns.into_iter().map(Spanned::into_inner).collect()),
            group_by: self.group_by,
            members_per_request,
        })
    }

    fn check_group_by(&self, document: &Document) -> Result<Option<GroupBy>, ConfigError> {
        let Some(attribute) = &self.group_by else {
            return match &self.fallback {
                Some(fallback) => Err(document.error(
                    fallback.span(),
                    "`fallback` is the group of those without a value, but no `group_by` says of \
                     which attribute",
                    "add `group_by`, such as \"department\", or remove `fallback`",
                )),
                None => Ok(None),
            };
        };
        if attribute.get_ref().trim().is_empty() {
            return Err(document.error(
                attribute.span(),
                "`group_by` names no attribute",
                "write the source attribute whose values become groups, such as \"department\"",
            ));
        }
        if let Some(fallback) = &self.fallback
            && fallback.get_ref().trim().is_empty()
        {
            return Err(document.error(
                fallback.span(),
                "a group cannot have an empty name",
                "leave `fallback` out, and those without a value are in no group",
            ));
        }
        Ok(Some(GroupBy {
            attribute: attribute.get_ref().trim().to_owned(),
            fallback: self
                .fallback
                .as_ref()
                .map(|fallback| fallback.get_ref().trim().to_owned()),
        }))
    }
}

fn compile(
    patterns: &[Spanned<String>],
    document: &Document,
) -> Result<globset::GlobSet, ConfigError> {
    let mut set = globset::GlobSetBuilder::new();
    for pattern in patterns {
        let refuse = |problem: &str| {
            document.error(
                pattern.span(),
                problem,
                "write a name or an id, in which `*` stands for anything: \"eng-*\"",
            )
        };
        if pattern.get_ref().trim().is_empty() {
            return Err(refuse("the pattern is empty"));
        }
        // For names, in the form that names have; and as it is, for ids.
        for form in BTreeSet::from([&*text::nfc(pattern.get_ref()), pattern.get_ref()]) {
            // Names are not paths: `*` also matches a slash.
            let glob = globset::GlobBuilder::new(form)
                .literal_separator(false)
                .build()
                .map_err(|error| refuse(&format!("the pattern is not valid: {}", error.kind())))?;
            set.add(glob);
        }
    }
    set.build()
        .map_err(|error| document.error_without_place(&error.to_string(), "use fewer patterns"))
}
