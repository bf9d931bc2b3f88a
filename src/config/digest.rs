//! A digest of everything that decides what a target should look like: when it changes,
//! every record is looked at again.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::mapping::{Expression, Mapping};
use crate::plan::rules::{AdoptInactive, GroupBy, GroupRules, Nested, Rules, Stale, WhenGone};
use crate::scope::{Assigned, Scope};
use crate::target::Profile;
use crate::template::Template;

/// Hex SHA-256 over a canonical text of the settings and of this version of the engine.
/// `globs` are the pushed groups' patterns as written.
///
/// Limits, pace and schedule are not in it: they decide how and when, not what.
pub(super) fn settings_digest(
    sources: &[String],
    scope: &Scope,
    mapping: &Mapping,
    rules: &Rules,
    globs: Option<&[String]>,
    preset: &str,
    profile: &Profile,
) -> String {
    let entries: Vec<_> = mapping
        .entries
        .iter()
        .map(|(path, expression)| json!([path, expression.as_ref().map(canonical)]))
        .collect();
    let Rules {
        match_on,
        stale,
        adopt_inactive,
        protect,
        rehire_key,
        join_key,
        take_over,
        // Drift is looked at in full cycles, and those look at everybody.
        drift: _,
        groups,
        limits: _,
        settle: _,
        delete_after,
        forget_after,
    } = rules;
    let GroupRules {
        push: _,
        nested,
        authoritative,
        rename,
        group_by,
        when_gone,
    } = groups;
    let group_by = group_by.as_ref().map(
        |GroupBy {
             attribute,
             fallback,
         }| (attribute, fallback),
    );
    let assigned = scope.assigned.as_ref().map(
        |Assigned {
             app: _,
             group,
             transitive,
         }| (group, transitive),
    );
    let settings = json!([
        env!("CARGO_PKG_VERSION"),
        sources,
        scope.groups,
        assigned,
        scope.when.as_ref().map(|when| template(when.template())),
        scope.below,
        scope.matches,
        entries,
        mapping.keep_when_empty,
        match_on,
        match stale {
            Stale::List => "list",
            Stale::Deactivate => "deactivate",
        },
        match adopt_inactive {
            AdoptInactive::Reactivate => "reactivate",
            AdoptInactive::Hold => "hold",
        },
        protect,
        rehire_key,
        join_key.as_ref().map(canonical),
        take_over,
        globs,
        match nested {
            Nested::Flatten => "flatten",
            Nested::Direct => "direct",
        },
        authoritative,
        rename,
        group_by,
        match when_gone {
            WhenGone::Empty => "empty",
            WhenGone::Keep => "keep",
            WhenGone::Delete => "delete",
        },
        preset,
        profile,
        delete_after,
        forget_after,
    ]);
    let digest = digest(&SHA256, settings.to_string().as_bytes());
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn canonical(expression: &Expression) -> Value {
    match expression {
        Expression::Attribute(name) => json!(name),
        Expression::Template(found) => template(found),
    }
}

/// A template and the rows of the lookup tables that it names: both decide what it gives.
fn template(template: &Template) -> Value {
    json!([template.source(), template.lookups()])
}
