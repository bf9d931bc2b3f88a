//! `[targets.NAME.scope]`: who should be at the target.

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use super::target::refuse_first;
use crate::scope::Scope;

/// `[targets.NAME.scope]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScope {
    groups: Option<Spanned<Vec<Spanned<String>>>>,
    assigned_to: Option<Spanned<IgnoredAny>>,
    when: Option<Spanned<IgnoredAny>>,
    ou: Option<Spanned<IgnoredAny>>,
    filter: Option<Spanned<IgnoredAny>>,
}

impl RawScope {
    /// Checks and builds.
    pub(super) fn check(self, document: &Document) -> Result<Scope, ConfigError> {
        let instead = "use `groups` to say who is in scope";
        let later = [
            ("assigned_to", &self.assigned_to, instead),
            ("when", &self.when, instead),
            ("ou", &self.ou, instead),
            ("filter", &self.filter, instead),
        ];
        refuse_first(&later, document)?;
        let Some(groups) = self.groups else {
            return Ok(Scope::default());
        };
        if groups.get_ref().is_empty() {
            return Err(document.error(
                groups.span(),
                "an empty list of groups would leave nobody in scope",
                "name a group, or leave `groups` out for everyone; `enabled = false` stops a \
                 target",
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
        Ok(Scope { groups: names })
    }
}
