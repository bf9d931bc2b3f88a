//! `[targets.NAME.scope]`: who should be at the target.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use super::mapping::{Written, refuse};
use crate::scope::{Condition, Scope};
use crate::template::Language;

/// `[targets.NAME.scope]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScope {
    groups: Option<Spanned<Vec<Spanned<String>>>>,
    assigned_to: Option<Spanned<IgnoredAny>>,
    when: Option<Spanned<String>>,
    ou: Option<Spanned<IgnoredAny>>,
    filter: Option<Spanned<IgnoredAny>>,
}

impl RawScope {
    /// Checks and builds; also gives the attributes that the condition names.
    pub(super) fn check(
        self,
        language: &Language,
        document: &Arc<Document>,
    ) -> Result<(Scope, Vec<Written>), ConfigError> {
        let instead = "use `groups` or `when` to say who is in scope";
        let later = [
            ("assigned_to", &self.assigned_to, instead),
            ("ou", &self.ou, instead),
            ("filter", &self.filter, instead),
        ];
        refuse_first(&later, document)?;
        let groups = check_groups(self.groups, document)?;
        let Some(when) = self.when else {
            return Ok((Scope { groups, when: None }, Vec::new()));
        };
        let condition = Condition::compile(when.get_ref(), language).map_err(|error| {
            let span = match error.place {
                Some(place) => document.inside(when.span(), place),
                None => when.span(),
            };
            refuse(document, span, &error.problem)
        })?;
        let written = Written::in_template(condition.template(), when.span(), document);
        let scope = Scope {
            groups,
            when: Some(condition),
        };
        Ok((scope, written))
    }
}

/// Refuses the first setting of a later version that is there.
fn refuse_first(
    later: &[(&str, &Option<Spanned<IgnoredAny>>, &str)],
    document: &Document,
) -> Result<(), ConfigError> {
    for (name, setting, instead) in later {
        if let Some(setting) = setting {
            return Err(document.later(setting.span(), name, instead));
        }
    }
    Ok(())
}

/// Names or ids of groups; none where nothing is written.
fn check_groups(
    groups: Option<Spanned<Vec<Spanned<String>>>>,
    document: &Document,
) -> Result<Vec<String>, ConfigError> {
    let Some(groups) = groups else {
        return Ok(Vec::new());
    };
    if groups.get_ref().is_empty() {
        return Err(document.error(
            groups.span(),
            "an empty list of groups would leave nobody in scope",
            "name a group, or leave `groups` out for everyone; `enabled = false` stops a target",
        ));
    }
    let mut names = Vec::new();
    for group in groups.into_inner() {
        if group.get_ref().trim().is_empty() {
            return Err(document.error(
                group.span(),
                "the group has no name",
                "write its exact name or its id",
            ));
        }
        names.push(group.into_inner());
    }
    Ok(names)
}
