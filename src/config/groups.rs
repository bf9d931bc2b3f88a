//! `[targets.NAME.groups]`: which groups are pushed, and what becomes of those that go.

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use crate::plan::rules::{GroupRules, WhenGone};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGroups {
    push: Option<Vec<Spanned<String>>>,
    nested: Option<Spanned<Nested>>,
    authoritative: Option<Spanned<bool>>,
    when_gone: Option<RawWhenGone>,
    group_by: Option<Spanned<IgnoredAny>>,
    fallback: Option<Spanned<IgnoredAny>>,
    rename: Option<Spanned<IgnoredAny>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Nested {
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

/// The rules, and the globs as written, which a compiled set does not remember.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) rules: GroupRules,
    pub(super) patterns: Option<Vec<String>>,
}

impl RawGroups {
    pub(super) fn check(self, document: &Document) -> Result<Checked, ConfigError> {
        if let Some(nested) = &self.nested
            && matches!(nested.get_ref(), Nested::Direct)
        {
            return Err(document.later(
                nested.span(),
                "nested = \"direct\"",
                "members of nested groups are pushed as members of the outer one (\"flatten\")",
            ));
        }
        if let Some(authoritative) = &self.authoritative
            && *authoritative.get_ref()
        {
            return Err(document.later(
                authoritative.span(),
                "authoritative = true",
                "members that provisor never added are left alone",
            ));
        }
        let later = [
            ("group_by", &self.group_by),
            ("fallback", &self.fallback),
            ("rename", &self.rename),
        ];
        for (name, setting) in later {
            if let Some(setting) = setting {
                return Err(document.later(
                    setting.span(),
                    name,
                    "groups are pushed under the names they have in the source",
                ));
            }
        }
        let push = match &self.push {
            Some(patterns) => Some(compile(patterns, document)?),
            None => None,
        };
        let when_gone = match self.when_gone {
            None | Some(RawWhenGone::Empty) => WhenGone::Empty,
            Some(RawWhenGone::Keep) => WhenGone::Keep,
            Some(RawWhenGone::Delete) => WhenGone::Delete,
        };
        Ok(Checked {
            rules: GroupRules { push, when_gone },
            patterns: self
                .push
                .map(|patterns| patterns.into_iter().map(Spanned::into_inner).collect()),
        })
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
        // Names are not paths: `*` also matches a slash.
        let glob = globset::GlobBuilder::new(pattern.get_ref())
            .literal_separator(false)
            .build()
            .map_err(|error| refuse(&format!("the pattern is not valid: {}", error.kind())))?;
        set.add(glob);
    }
    set.build()
        .map_err(|error| document.error_without_place(&error.to_string(), "use fewer patterns"))
}
