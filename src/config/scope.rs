//! `[targets.NAME.scope]`: who should be at the target.

use std::ops::Range;
use std::sync::Arc;

use provisor_connectors::{Question, SourceConfig, SourceId};
use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use super::mapping::{Written, refuse};
use super::sources::OneOrMany;
use crate::scope::{Assigned, Condition, Scope};
use crate::template::Language;

/// `[targets.NAME.scope]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScope {
    groups: Option<Spanned<Vec<Spanned<String>>>>,
    assigned_to: Option<Spanned<String>>,
    transitive: Option<Spanned<bool>>,
    when: Option<Spanned<String>>,
    ou: Option<Spanned<OneOrMany>>,
    filter: Option<Spanned<String>>,
}

impl RawScope {
    /// Checks and builds; also gives the attributes that the condition names. `sources` are
    /// those of the target: all of them must be able to answer what is asked.
    pub(super) fn check(
        self,
        sources: &[&SourceConfig],
        language: &Language,
        document: &Arc<Document>,
    ) -> Result<(Scope, Vec<Written>), ConfigError> {
        let groups = check_groups(self.groups, document)?;
        let places = self.ou.map(|ou| {
            let span = ou.span();
            match ou.into_inner() {
                OneOrMany::One(place) => vec![Spanned::new(span, place)],
                OneOrMany::Many(places) => places,
            }
        });
        let ask = |place: Range<usize>, question: Question| {
            check_question(&question, place, sources, document)?;
            Ok(question.name())
        };
        let places = places.into_iter().flatten();
        let below: Vec<String> = places
            .map(|place| ask(place.span(), Question::Below(place.into_inner())))
            .collect::<Result<_, ConfigError>>()?;
        let matches = match self.filter {
            Some(filter) => Some(ask(filter.span(), Question::Matches(filter.into_inner()))?),
            None => None,
        };
        let assigned = match (self.assigned_to, self.transitive) {
            (Some(app), transitive) => Some(Assigned {
                app: app.get_ref().clone(),
                group: SourceId::new(ask(app.span(), Question::AssignedTo(app.into_inner()))?),
                transitive: transitive.is_some_and(Spanned::into_inner),
            }),
            (None, Some(transitive)) => {
                return Err(document.error(
                    transitive.span(),
                    "`transitive` is about `assigned_to`, which is not there",
                    "name the app whose assignments are the scope, or leave `transitive` out; \
                     `groups` always counts people in nested groups",
                ));
            }
            (None, None) => None,
        };
        let Some(when) = self.when else {
            let scope = Scope {
                groups,
                assigned,
                when: None,
                below,
                matches,
            };
            return Ok((scope, Vec::new()));
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
            assigned,
            when: Some(condition),
            below,
            matches,
        };
        Ok((scope, written))
    }
}

/// Every source of the target must be able to answer.
fn check_question(
    question: &Question,
    place: Range<usize>,
    sources: &[&SourceConfig],
    document: &Document,
) -> Result<(), ConfigError> {
    for source in sources {
        source.check_question(question).map_err(|error| {
            document.error(
                place.clone(),
                "a source of this target cannot answer this",
                &error.to_string(),
            )
        })?;
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
