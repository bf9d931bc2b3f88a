//! `[targets.NAME]`: one target's settings, checked and built.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use provisor_connectors::SourceConfig;
use provisor_connectors::keys::HumanDuration;
use serde::Deserialize;
use toml::Spanned;

use super::auth::RawAuth;
use super::document::Document;
use super::drift::{self, RawDrift};
use super::endpoint::{RawPace, RawRemote, check_timeout};
use super::groups::RawGroups;
use super::limits::{self, RawLimits};
use super::mapping::{self, RawMapping, Written};
use super::preset::{self, SANDBOX};
use super::scope::RawScope;
use super::sources::{self, OneOrMany};
use super::{ConfigError, Endpoint, TargetConfig, digest, schedule};
use crate::cycle::{Target, sandbox_folder};
use crate::mapping::{Expression, expand_key};
use crate::plan::rules::{AdoptInactive, Rules, Stale};
use crate::scim::path::AttributePath;
use crate::template::Language;
use crate::text;

const DEFAULT_FULL_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
const DEFAULT_SETTLE: Duration = Duration::from_secs(30);

/// `[targets.NAME]` as written. Settings of later versions are here so that they are known
/// and refused, never silently ignored.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTarget {
    preset: Option<Spanned<String>>,
    source: Option<Spanned<OneOrMany>>,
    base_url: Option<Spanned<String>>,
    auth: Option<Spanned<RawAuth>>,
    schedule: Option<Spanned<String>>,
    full_every: Option<Spanned<HumanDuration>>,
    stale: Option<RawStale>,
    #[serde(default)]
    protect: Vec<Spanned<String>>,
    #[serde(rename = "match")]
    match_on: Option<Spanned<Vec<Spanned<String>>>>,
    rehire_key: Option<Spanned<String>>,
    #[serde(default)]
    keep_when_empty: Vec<Spanned<String>>,
    enabled: Option<bool>,
    ca_file: Option<Spanned<PathBuf>>,
    client_certificate: Option<Spanned<PathBuf>>,
    proxy: Option<Spanned<String>>,
    timeout: Option<Spanned<HumanDuration>>,
    allow_plaintext: Option<Spanned<bool>>,
    settle: Option<HumanDuration>,
    tenant: Option<Spanned<String>>,
    shared: Option<Spanned<bool>>,
    take_over: Option<bool>,
    adopt_inactive: Option<RawAdoptInactive>,
    delete_after: Option<Spanned<HumanDuration>>,
    forget_after: Option<Spanned<HumanDuration>>,
    join_key: Option<Spanned<String>>,
    drift: Option<RawDrift>,
    #[serde(default)]
    scope: RawScope,
    #[serde(default)]
    mapping: RawMapping,
    #[serde(default)]
    groups: RawGroups,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    pace: RawPace,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawStale {
    List,
    Deactivate,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawAdoptInactive {
    Reactivate,
    Hold,
}

/// What a target is checked against.
pub(super) struct Surroundings<'a> {
    pub(super) document: &'a Arc<Document>,
    pub(super) base: &'a Path,
    pub(super) state_dir: &'a Path,
    pub(super) sources: &'a BTreeMap<String, SourceConfig>,
    pub(super) language: &'a Language,
}

/// A built target, and what comparing it with the others needs.
pub(super) struct Checked {
    pub(super) config: TargetConfig,
    pub(super) shared: bool,
    /// Where to point when another target has the same fingerprint.
    pub(super) place: Range<usize>,
}

impl RawTarget {
    /// Checks and builds. `table` is the target's place in the file.
    pub(super) fn check(
        self,
        name: &str,
        table: Range<usize>,
        around: &Surroundings<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Checked, ConfigError> {
        let document = around.document;
        let mut preset = preset::find(self.preset.as_ref(), document)?;
        let sources = sources::check(self.source, table.clone(), document, around.sources)?;
        let answering: Vec<&SourceConfig> = sources
            .iter()
            .filter_map(|name| around.sources.get(name))
            .collect();
        let (scope, in_scope) = self.scope.check(&answering, around.language, document)?;
        let (mapping, mut written) = mapping::check(
            &preset.mapping,
            self.mapping,
            self.keep_when_empty,
            around.language,
            document,
        )?;
        written.extend(in_scope);
        if let Some(rehire_key) = &self.rehire_key {
            written.push(Written {
                document: Arc::clone(document),
                name: rehire_key.clone(),
            });
        }
        let joined = self
            .join_key
            .map(|key| {
                if sources.len() == 1 {
                    let problem = "`join_key` joins nobody: the target has one source";
                    warnings.push(document.warning(key.span(), problem));
                }
                check_join_key(&key, around.language, document)
            })
            .transpose()?;
        let (join_key, joined_by) = joined.unzip();
        let groups = self.groups.check(document)?;
        if let Some(group_by) = groups.group_by {
            written.push(Written {
                document: Arc::clone(document),
                name: group_by,
            });
        }
        check_long_gone(
            self.delete_after.as_ref(),
            self.forget_after.as_ref(),
            document,
        )?;
        let rules = Rules {
            match_on: check_match(self.match_on, document)?,
            stale: match self.stale {
                None | Some(RawStale::List) => Stale::List,
                Some(RawStale::Deactivate) => Stale::Deactivate,
            },
            adopt_inactive: match self.adopt_inactive {
                None | Some(RawAdoptInactive::Reactivate) => AdoptInactive::Reactivate,
                Some(RawAdoptInactive::Hold) => AdoptInactive::Hold,
            },
            protect: check_protect(self.protect, document)?,
            rehire_key: check_rehire_key(self.rehire_key, document)?,
            join_key,
            take_over: self.take_over.unwrap_or(false),
            drift: drift::check(self.drift, document)?,
            groups: groups.rules,
            limits: limits::check(self.limits, document)?,
            settle: self.settle.map_or(DEFAULT_SETTLE, |settle| settle.0),
            delete_after: self.delete_after.as_ref().map(|after| after.get_ref().0),
            forget_after: self.forget_after.as_ref().map(|after| after.get_ref().0),
        };
        let full_every = match self.full_every {
            None => DEFAULT_FULL_EVERY,
            Some(every) if every.get_ref().0.is_zero() => {
                return Err(document.error(
                    every.span(),
                    "`full_every` must be longer than nothing",
                    "leave it out for 24h; `provisor sync --full` lists everything at once",
                ));
            }
            Some(every) => every.get_ref().0,
        };
        let schedule = match self.schedule {
            None => None,
            Some(text) => {
                let checked = schedule::parse(text.get_ref())
                    .map_err(|problem| document.error(text.span(), &problem, schedule::HELP))?;
                if let Some(warning) = checked.warning {
                    warnings.push(document.warning(text.span(), warning));
                }
                Some(checked.schedule)
            }
        };

        let pace = self.pace.check(document)?;
        let timeout = check_timeout(self.timeout, document)?;
        let remote = RawRemote {
            base_url: self.base_url,
            auth: self.auth,
            ca_file: self.ca_file,
            client_certificate: self.client_certificate,
            proxy: self.proxy,
            allow_plaintext: self.allow_plaintext,
            tenant: self.tenant,
            shared: self.shared,
        };
        let shared = remote
            .shared
            .as_ref()
            .is_some_and(|shared| *shared.get_ref());
        let place = remote
            .base_url
            .as_ref()
            .map_or(table.clone(), Spanned::span);
        let (endpoint, fingerprint) = if preset.name == SANDBOX {
            remote.refuse_for_sandbox(document)?;
            let folder = sandbox_folder(around.state_dir, name);
            let fingerprint = folder.display().to_string();
            (Endpoint::Sandbox { folder }, fingerprint)
        } else {
            let tenant = remote
                .tenant
                .as_ref()
                .map(|tenant| tenant.get_ref().clone());
            let connection = remote.check(table, pace, timeout, around.base, document, warnings)?;
            let url = connection.base_url.as_str().trim_end_matches('/');
            let fingerprint = match tenant {
                Some(tenant) => format!("{url} tenant {tenant}"),
                None => url.to_owned(),
            };
            (Endpoint::Remote(Box::new(connection)), fingerprint)
        };
        let settings_digest = digest::settings_digest(
            &sources,
            &scope,
            &mapping,
            &rules,
            groups.patterns.as_deref(),
            &preset.name,
            &preset.profile,
        );
        // How many a request names is no reason to look at everybody again.
        if let Some(count) = groups.members_per_request {
            preset.profile.members_per_request = count;
        }
        Ok(Checked {
            config: TargetConfig {
                target: Target {
                    name: name.to_owned(),
                    sources,
                    scope,
                    mapping,
                    rules,
                    profile: preset.profile,
                    full_every,
                    fingerprint,
                    settings_digest,
                },
                enabled: self.enabled.unwrap_or(true),
                preset: preset.name,
                endpoint,
                pace,
                timeout,
                schedule,
                written,
                joined_by: joined_by.unwrap_or_default(),
            },
            shared,
            place,
        })
    }
}

fn check_match(
    keys: Option<Spanned<Vec<Spanned<String>>>>,
    document: &Document,
) -> Result<Vec<AttributePath>, ConfigError> {
    let emails = AttributePath::core("emails");
    let Some(keys) = keys else {
        return Ok(vec![
            AttributePath::external_id(),
            AttributePath::user_name(),
            emails,
        ]);
    };
    if keys.get_ref().is_empty() {
        return Err(document.error(
            keys.span(),
            "without a key nobody is recognised, and everybody would be created twice",
            "leave `match` out for [\"externalId\", \"userName\", \"emails\"]",
        ));
    }
    let mut paths = Vec::new();
    for key in keys.into_inner() {
        // Here `emails` is any address, not the work one.
        let path = if key.get_ref().trim().eq_ignore_ascii_case("emails") {
            emails.clone()
        } else {
            expand_key(key.get_ref()).map_err(|error| {
                document.error(
                    key.span(),
                    &error.problem,
                    "keys to match by are \"externalId\", \"userName\", \"emails\" or another \
                     path",
                )
            })?
        };
        if paths.contains(&path) {
            return Err(document.error(
                key.span(),
                &format!("`{path}` is named twice"),
                "remove one of them; the order is the order of trust",
            ));
        }
        paths.push(path);
    }
    Ok(paths)
}

fn check_protect(
    keys: Vec<Spanned<String>>,
    document: &Document,
) -> Result<BTreeSet<String>, ConfigError> {
    keys.into_iter()
        .map(|key| {
            let text = text::fold(key.get_ref().trim());
            if text.is_empty() {
                return Err(document.error(
                    key.span(),
                    "an empty text protects nobody",
                    "write a userName, an e-mail address, a source id, a resource id or an \
                     externalId",
                ));
            }
            Ok(text)
        })
        .collect()
}

/// Whoever is forgotten first would never be deleted. At once is too soon for both: a source
/// that loses somebody for one read is not somebody who left for good.
fn check_long_gone(
    delete_after: Option<&Spanned<HumanDuration>>,
    forget_after: Option<&Spanned<HumanDuration>>,
    document: &Document,
) -> Result<(), ConfigError> {
    let settings = [
        ("delete_after", delete_after, "30d"),
        ("forget_after", forget_after, "365d"),
    ];
    for (name, setting, usual) in settings {
        if let Some(setting) = setting.filter(|setting| setting.get_ref().0.is_zero()) {
            return Err(document.error(
                setting.span(),
                &format!("`{name}` must be longer than nothing"),
                &format!("write a span of time such as \"{usual}\", or leave it out for never"),
            ));
        }
    }
    match (delete_after, forget_after) {
        (Some(delete), Some(forget)) if forget.get_ref().0 <= delete.get_ref().0 => Err(document
            .error(
                forget.span(),
                "`forget_after` must be longer than `delete_after`: who is forgotten first is \
                 never deleted",
                "make `forget_after` longer, or leave one of the two out",
            )),
        _ => Ok(()),
    }
}

fn check_rehire_key(
    key: Option<Spanned<String>>,
    document: &Document,
) -> Result<Option<String>, ConfigError> {
    match key {
        Some(key) if key.get_ref().trim().is_empty() => Err(document.error(
            key.span(),
            "`rehire_key` names no attribute",
            "write the source attribute that stays the same when a person comes back, such as \
             \"employeeNumber\"",
        )),
        key => Ok(key.map(Spanned::into_inner)),
    }
}

/// An attribute's name or a template, as in the mapping.
fn check_join_key(
    key: &Spanned<String>,
    language: &Language,
    document: &Arc<Document>,
) -> Result<(Expression, Vec<Written>), ConfigError> {
    let expression = Expression::parse(key.get_ref(), "join_key", language).map_err(|error| {
        let span = match error.place {
            Some(place) => document.inside(key.span(), place),
            None => key.span(),
        };
        mapping::refuse(document, span, &error.problem)
    })?;
    let written = Written::all_of(&expression, key.span(), document);
    Ok((expression, written))
}
