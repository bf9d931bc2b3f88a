//! The language: which filters, tests and functions there are, and how a text is compiled.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use minijinja::{Environment, Error, UndefinedBehavior};

use super::error::TemplateError;
use super::record::RECORD;
use super::scan::{self, Role};
use super::{Compiled, Form, LONGEST_SOURCE, Lookups, MOST_STEPS, Template, Use, filters, render};
use crate::spelling::closest;
use crate::text::nfc;

/// The name of the one template in an environment. It has no extension, which would switch
/// escaping on.
pub(super) const NAME: &str = "template";

/// The parser descends for each operator, and the stack of a thread is finite.
const MOST_OPERATORS: usize = 400;

/// How deep brackets may be nested. The parser's own limit (150) counts only some of its
/// steps: 150 times `a[` overflows the two mebibytes that a thread has.
const MOST_BRACKETS: usize = 32;

/// The template language with the configured lookup tables. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Language {
    environment: Environment<'static>,
    lookups: Arc<Lookups>,
}

impl Default for Language {
    fn default() -> Self {
        Self::new(Lookups::new())
    }
}

impl Language {
    /// The language with these tables for `lookup`. Their rows are looked up in Normalization
    /// Form C, as all text that a template sees.
    pub fn new(lookups: Lookups) -> Self {
        let composed = |text: String| nfc(&text).into_owned();
        let rows = |rows: BTreeMap<String, String>| {
            let rows = rows.into_iter();
            rows.map(|(key, value)| (composed(key), composed(value)))
                .collect()
        };
        let lookups = lookups.into_iter();
        let lookups = Arc::new(lookups.map(|(name, all)| (name, rows(all))).collect());
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(MOST_STEPS));
        environment.set_formatter(render::write_value);
        filters::add(&mut environment, &lookups);
        Self {
            environment,
            lookups,
        }
    }

    /// Every filter, test and function there is.
    #[cfg(test)]
    pub(crate) fn words() -> impl Iterator<Item = &'static str> {
        let words = [filters::FILTERS, filters::TESTS, filters::FUNCTIONS];
        words.into_iter().flatten().copied()
    }

    /// Compiles a template: text with `{{ }}` and `{% %}`. One that is a single `{{ }}` is an
    /// expression, whose value keeps its type.
    pub fn template(&self, source: &str) -> Result<Template, TemplateError> {
        check_source(source, source).map_err(|problem| refuse(source, problem, None))?;
        let form = match only_expression(source) {
            Some(expression) if self.environment.compile_expression(expression).is_ok() => {
                Form::Expression
            }
            _ => Form::Text,
        };
        self.compile(source, "", "", form)
    }

    /// Compiles an expression that stands alone, without braces around it.
    pub fn expression(&self, source: &str) -> Result<Template, TemplateError> {
        if Template::is_one(source) {
            let problem = "an expression stands here; write it without braces".to_owned();
            return Err(refuse(source, problem, None));
        }
        let (before, after) = ("{{ ", " }}");
        check_source(source, &format!("{before}{source}{after}"))
            .map_err(|problem| refuse(source, problem, None))?;
        // Alone first: inside braces, braces of its own could end it early.
        self.environment
            .compile_expression(source)
            .map_err(|error| refuse(source, explain(&error), error.range()))?;
        self.compile(source, before, after, Form::Expression)
    }

    /// Compiles a source of checked size, with what makes it a template around it.
    fn compile(
        &self,
        source: &str,
        before: &str,
        after: &str,
        form: Form,
    ) -> Result<Template, TemplateError> {
        let shift = before.len();
        let at = |place: Range<usize>| {
            let end = source.len();
            let at = |offset: usize| offset.saturating_sub(shift).min(end);
            at(place.start)..at(place.end)
        };
        let refuse =
            |problem: String, place: Option<Range<usize>>| refuse(source, problem, place.map(at));
        let text = format!("{before}{source}{after}");
        let tokens = scan::tokens(&text);
        let mut environment = self.environment.clone();
        environment
            .add_template_owned(NAME, text.clone())
            .map_err(|error| refuse(explain(&error), error.range()))?;
        let roles = scan::roles(&tokens);
        for (role, place) in &roles {
            self.check(role)
                .map_err(|problem| refuse(problem, Some(place.clone())))?;
        }

        let mut variables: BTreeSet<String> = environment
            .get_template(NAME)
            .map_err(|error| refuse(explain(&error), error.range()))?
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| name != RECORD && !filters::FUNCTIONS.contains(&name.as_str()))
            .collect();
        variables.extend(sliced(&roles));
        let keys: BTreeSet<String> = roles
            .iter()
            .filter_map(|(role, _)| match role {
                Role::Key(name) => Some((*name).to_owned()),
                _ => None,
            })
            .collect();
        let place_of = |name: &str| {
            let named = |role: &Role<'_>| match role {
                Role::Variable(word) | Role::Key(word) => *word == name,
                _ => false,
            };
            let found = roles.iter().find(|(role, _)| named(role));
            found.map_or(0..source.len(), |(_, place)| at(place.clone()))
        };
        let uses = variables
            .union(&keys)
            .map(|name| Use {
                name: name.clone(),
                place: place_of(name),
            })
            .collect();
        let lookups = self
            .lookups
            .iter()
            .filter(|(name, _)| {
                let named = scan::TokenKind::Text(name.as_str());
                tokens.iter().any(|token| token.kind == named)
            })
            .map(|(name, rows)| (name.clone(), rows.clone()))
            .collect();
        Ok(Template(Arc::new(Compiled {
            source: source.to_owned(),
            form,
            shift,
            environment,
            variables,
            keys,
            uses,
            lookups,
        })))
    }

    /// Whether what a name is used as exists. The error says what would be right.
    fn check(&self, role: &Role<'_>) -> Result<(), String> {
        match role {
            Role::Filter("lookup", table) => self.check_table(*table),
            Role::Filter(name, _) => known("filter", name, filters::FILTERS),
            Role::Test(name) => known("test", name, filters::TESTS),
            Role::Function(name) if filters::FILTERS.contains(name) => {
                known("function", name, filters::FUNCTIONS).map_err(|_| {
                    format!(
                        "`{name}` is a filter; write it behind the value, as in `mail | {name}`"
                    )
                })
            }
            Role::Function(name) => known("function", name, filters::FUNCTIONS),
            Role::Method(name) if filters::FILTERS.contains(name) => Err(format!(
                "values have no methods; use the filter, as in `mail | {name}`"
            )),
            Role::Method(name) => Err(format!(
                "values have no methods such as `{name}`; the filters are {}",
                list(filters::FILTERS)
            )),
            Role::WholeRecord => Err(
                "only single attributes can be read; write record['name'], with the name in \
                 quotation marks"
                    .to_owned(),
            ),
            Role::Variable(_) | Role::Binding(_) | Role::Key(_) => Ok(()),
        }
    }

    fn check_table(&self, table: Option<&str>) -> Result<(), String> {
        let Some(table) = table else {
            return Err(
                "the table's name is missing; write it in quotation marks, as in \
                 `department | lookup('cost_centers')`"
                    .to_owned(),
            );
        };
        if self.lookups.contains_key(table) {
            return Ok(());
        }
        let names: Vec<&str> = self.lookups.keys().map(String::as_str).collect();
        Err(match (closest(table, names.iter().copied()), &names[..]) {
            (Some(near), _) => {
                format!("there is no lookup table `{table}`; did you mean `{near}`?")
            }
            (None, []) => {
                format!("there is no lookup table `{table}`; add [lookups.{table}]")
            }
            (None, names) => format!(
                "there is no lookup table `{table}`; the tables are {}",
                list(names)
            ),
        })
    }
}

/// Variables that are read and never bound. `undeclared_variables` knows the scopes, but
/// overlooks what is sliced (minijinja 3.0.5): `givenName[:1]` names nothing for it.
fn sliced(roles: &[(Role<'_>, Range<usize>)]) -> BTreeSet<String> {
    let bound: BTreeSet<&str> = roles
        .iter()
        .filter_map(|(role, _)| match role {
            Role::Binding(name) => Some(*name),
            _ => None,
        })
        .collect();
    roles
        .iter()
        .filter_map(|(role, _)| match role {
            Role::Variable(name) if !bound.contains(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}

fn refuse(source: &str, problem: String, place: Option<Range<usize>>) -> TemplateError {
    // The parser points at the first byte of a character that it does not expect.
    let whole = |place: Range<usize>| {
        source.floor_char_boundary(place.start)..source.ceil_char_boundary(place.end)
    };
    TemplateError {
        problem,
        place: place.map(whole),
        source_text: source.to_owned(),
    }
}

/// Checks the form and size of a source, and of the template that it makes, before any parser
/// sees it.
fn check_source(source: &str, template: &str) -> Result<(), String> {
    let length = source.chars().count();
    if length > LONGEST_SOURCE {
        return Err(format!(
            "it has {length} characters and may have {LONGEST_SOURCE}; a lookup table holds more"
        ));
    }
    // Text that a template sees is composed, and would never equal a literal that is not. To
    // compose it here would shift every place that an error points at.
    if matches!(nfc(source), Cow::Owned(_)) {
        return Err(
            "it has letters whose accents are characters of their own; type them as one \
             character each (Unicode's Normalization Form C)"
                .to_owned(),
        );
    }
    let tokens = scan::tokens(template);
    if scan::count_operators(&tokens) > MOST_OPERATORS {
        return Err(format!(
            "it has more than {MOST_OPERATORS} operators; shorten it"
        ));
    }
    if scan::measure_depth(&tokens) > MOST_BRACKETS {
        return Err(format!(
            "it has more than {MOST_BRACKETS} brackets inside each other; shorten it"
        ));
    }
    Ok(())
}

/// What is inside the braces of a template that could be a single expression.
fn only_expression(source: &str) -> Option<&str> {
    let inner = source.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    Some(inner.strip_suffix(['-', '+']).unwrap_or(inner))
}

fn known(what: &str, name: &str, names: &[&str]) -> Result<(), String> {
    if names.contains(&name) {
        return Ok(());
    }
    Err(match closest(name, names.iter().copied()) {
        Some(near) => format!("there is no {what} `{name}`; did you mean `{near}`?"),
        None => format!(
            "there is no {what} `{name}`; the {what}s are {}",
            list(names)
        ),
    })
}

fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// What the parser says. Its details quote the template only, which is no secret.
fn explain(error: &Error) -> String {
    let problem = match error.detail() {
        Some(detail) => format!("{}, {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    format!("{problem}; docs/mapping.md shows how templates are written")
}

/// The engine as it is without tables.
#[cfg(test)]
pub(super) fn bare() -> Environment<'static> {
    Language::default().environment
}
