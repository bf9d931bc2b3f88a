//! Mapping keys: short names expanded, and what cannot be mapped refused in clear words.
//!
//! Knows the attributes of RFC 7643 §4.1 so that a misspelt key is an error when the
//! configuration is loaded, not a target's 400 at night.

use super::MappingConfigError;
use super::default::{ENTERPRISE, NAME, SIMPLE, element_path, enterprise_path};
use crate::scim::path::{AttributePath, PathError};
use crate::scim::{ENTERPRISE_SCHEMA, USER_SCHEMA};
use crate::spelling::closest;

/// The path that a configured key means. `emails` and `phoneNumbers` are the work ones,
/// `department` and its like belong to the enterprise extension.
pub fn expand_key(key: &str) -> Result<AttributePath, MappingConfigError> {
    let refuse = |problem: String| MappingConfigError {
        key: key.to_owned(),
        problem,
        place: None,
    };
    let name = key.trim();
    if is_manager(name) {
        return Err(refuse(
            "managers are not supported yet; leave this key out".to_owned(),
        ));
    }
    if let Some(why) = owned_elsewhere(name) {
        return Err(refuse(why.to_owned()));
    }
    if let Some((short, _)) = ENTERPRISE.iter().find(|(short, _)| same(short, name)) {
        return Ok(enterprise_path(short));
    }
    if let Some(attribute) = WORK_BY_DEFAULT
        .iter()
        .find(|attribute| same(attribute, name))
    {
        return Ok(element_path(attribute, "work", "value"));
    }
    let path: AttributePath = name
        .parse()
        .map_err(|error: PathError| refuse(error.to_string()))?;
    check(&path).map_err(refuse)?;
    Ok(path)
}

/// Whether a key is about managers, however it is spelled: short, under its URN, or with a
/// sub-attribute.
pub(super) fn is_manager(key: &str) -> bool {
    let key = key.trim();
    let prefix = ENTERPRISE_SCHEMA.len();
    let name = match key.get(..prefix) {
        Some(schema) if same(schema, ENTERPRISE_SCHEMA) => {
            key[prefix..].strip_prefix(':').unwrap_or_default()
        }
        _ => key,
    };
    same(attribute_name(name), "manager")
}

/// Multi-valued attributes whose short key means the work element.
const WORK_BY_DEFAULT: [&str; 2] = ["emails", "phoneNumbers"];

/// Multi-valued attributes of a user and the sub-attributes that can be set
/// (RFC 7643 §4.1.2). `groups` is read-only and not here.
const MULTI_VALUED: [(&str, &[&str]); 8] = [
    ("emails", PLAIN),
    ("phoneNumbers", PLAIN),
    ("ims", PLAIN),
    ("photos", PLAIN),
    ("entitlements", PLAIN),
    ("roles", PLAIN),
    ("x509Certificates", PLAIN),
    (
        "addresses",
        &[
            "formatted",
            "streetAddress",
            "locality",
            "region",
            "postalCode",
            "country",
        ],
    ),
];

const PLAIN: &[&str] = &["value", "display"];

/// Why an attribute has a life of its own and cannot be mapped.
fn owned_elsewhere(key: &str) -> Option<&'static str> {
    let name = attribute_name(key.rsplit(':').next().unwrap_or(key));
    let core = !key.contains(':')
        || key
            .get(..USER_SCHEMA.len())
            .is_some_and(|schema| same(schema, USER_SCHEMA));
    if !core {
        return None;
    }
    let why = match name.to_ascii_lowercase().as_str() {
        "active" => {
            "`active` cannot be mapped: it follows the source's lifecycle and the scope (for a \
             CSV file, `active_column` says who is active)"
        }
        "id" => "`id` cannot be mapped: the target gives it (RFC 7643 §3.1); map `externalId`",
        "members" => {
            "`members` cannot be mapped: memberships follow the source's groups; see `groups`"
        }
        "groups" => {
            "`groups` cannot be mapped: it is read-only on users (RFC 7643 §4.1.2); memberships \
             follow the source's groups"
        }
        "meta" => "`meta` cannot be mapped: the target keeps it (RFC 7643 §3.1)",
        "schemas" => "`schemas` cannot be mapped: it follows from what is mapped",
        "password" => "`password` cannot be mapped: provisor never handles people's passwords",
        _ => return None,
    };
    Some(why)
}

/// Whether the schemas say that a path holds text. All that can be mapped in the core and
/// enterprise schemas does (RFC 7643 §4.1, §4.3); what servers add is theirs to say.
pub(super) fn holds_text(path: &AttributePath) -> bool {
    let name = path.attribute.as_str();
    match path.schema.as_deref() {
        None => core_names().any(|known| same(known, name)),
        Some(schema) => same(schema, ENTERPRISE_SCHEMA),
    }
}

/// The core attributes that can be mapped.
fn core_names() -> impl Iterator<Item = &'static str> {
    SIMPLE
        .into_iter()
        .chain(["externalId", "name"])
        .chain(MULTI_VALUED.map(|(name, _)| name))
}

/// Checks a parsed path against the user's schema. The error says what would be right.
/// Parsing has already refused parts of what holds one plain value.
fn check(path: &AttributePath) -> Result<(), String> {
    match path.schema.as_deref() {
        None => check_core(path),
        Some(schema) if same(schema, ENTERPRISE_SCHEMA) => {
            let known = ENTERPRISE.map(|(short, _)| short);
            if !known.iter().any(|name| same(name, &path.attribute)) {
                return Err(unknown(
                    &path.attribute,
                    "the enterprise extension",
                    &known,
                    "",
                ));
            }
            Ok(())
        }
        Some(_) => Ok(()),
    }
}

fn check_core(path: &AttributePath) -> Result<(), String> {
    let attribute = path.attribute.as_str();
    if same(attribute, "name") {
        let subs = NAME.map(|(sub, _)| sub);
        return match &path.sub {
            _ if path.selector.is_some() => {
                Err("`name` has one value; write `name.givenName`".to_owned())
            }
            None => Err(format!(
                "`name` is made of parts; map them one by one: {}",
                list("name.", &subs)
            )),
            Some(sub) if subs.iter().any(|known| same(known, sub)) => Ok(()),
            Some(sub) => Err(unknown(sub, "`name`", &subs, "name.")),
        };
    }
    if let Some((name, subs)) = MULTI_VALUED.iter().find(|(name, _)| same(name, attribute)) {
        let prefix = format!("{name}[type eq \"work\"].");
        return match (&path.selector, &path.sub) {
            (Some(_), Some(sub)) if subs.iter().any(|known| same(known, sub)) => Ok(()),
            (Some(_), Some(sub)) => Err(unknown(sub, &format!("`{name}`"), subs, &prefix)),
            _ => Err(format!(
                "`{name}` can hold several values; say which one and what of it, such as \
                 `{prefix}{}`",
                subs[0]
            )),
        };
    }
    let mut all: Vec<&str> = core_names().collect();
    if all.iter().any(|known| same(known, attribute)) {
        return Ok(());
    }
    all.extend(ENTERPRISE.map(|(short, _)| short));
    // Servers have attributes of their own beside the core ones, so a strange name is only
    // refused where it is all but one that exists.
    match closest(attribute, all) {
        Some(near) => Err(format!(
            "SCIM users have no attribute `{attribute}`; did you mean `{near}`?"
        )),
        None => Ok(()),
    }
}

/// "there is no `x` in …", with the nearest name or all of them.
fn unknown(name: &str, place: &str, known: &[&str], prefix: &str) -> String {
    match closest(name, known.iter().copied()) {
        Some(near) => format!("there is no `{name}` in {place}; did you mean `{prefix}{near}`?"),
        None => format!(
            "there is no `{name}` in {place}; it has {}",
            list(prefix, known)
        ),
    }
}

fn list(prefix: &str, names: &[&str]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .map(|name| format!("`{prefix}{name}`"))
        .collect();
    quoted.join(", ")
}

/// The attribute at the start of a path: `emails` of `emails[type eq "work"].value`.
fn attribute_name(path: &str) -> &str {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    path[..end].trim()
}

/// Attribute names and URNs are compared without regard to case (RFC 7643 §2.1).
fn same(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
}
