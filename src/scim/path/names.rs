//! The names of RFC 7643: which attributes the core and enterprise schemas have, how they
//! are spelled, and what shape they have. Only what a path needs; no types, no mutability.

use super::{AttributePath, Parts, Selector};
use crate::scim::{ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA};

/// What can follow an attribute's name.
enum Shape {
    /// Nothing.
    Simple,
    /// One of these sub-attributes.
    Complex(&'static [&'static str]),
    /// A selector, one of these sub-attributes, or both.
    Multiple(&'static [&'static str]),
}

const PLURAL: &[&str] = &["value", "display", "type", "primary", "$ref"];

/// The attributes of User and Group, and the common ones (RFC 7643 §3.1, §4.1, §4.2, §8.7).
const CORE: &[(&str, Shape)] = &[
    ("schemas", Shape::Simple),
    ("id", Shape::Simple),
    ("externalId", Shape::Simple),
    (
        "meta",
        Shape::Complex(&[
            "resourceType",
            "created",
            "lastModified",
            "location",
            "version",
        ]),
    ),
    ("userName", Shape::Simple),
    (
        "name",
        Shape::Complex(&[
            "formatted",
            "familyName",
            "givenName",
            "middleName",
            "honorificPrefix",
            "honorificSuffix",
        ]),
    ),
    ("displayName", Shape::Simple),
    ("nickName", Shape::Simple),
    ("profileUrl", Shape::Simple),
    ("title", Shape::Simple),
    ("userType", Shape::Simple),
    ("preferredLanguage", Shape::Simple),
    ("locale", Shape::Simple),
    ("timezone", Shape::Simple),
    ("active", Shape::Simple),
    ("password", Shape::Simple),
    ("emails", Shape::Multiple(PLURAL)),
    ("phoneNumbers", Shape::Multiple(PLURAL)),
    ("ims", Shape::Multiple(PLURAL)),
    ("photos", Shape::Multiple(PLURAL)),
    (
        "addresses",
        Shape::Multiple(&[
            "formatted",
            "streetAddress",
            "locality",
            "region",
            "postalCode",
            "country",
            "type",
            "primary",
        ]),
    ),
    ("groups", Shape::Multiple(PLURAL)),
    ("entitlements", Shape::Multiple(PLURAL)),
    ("roles", Shape::Multiple(PLURAL)),
    ("x509Certificates", Shape::Multiple(PLURAL)),
    ("members", Shape::Multiple(PLURAL)),
];

/// The enterprise extension (RFC 7643 §4.3).
const ENTERPRISE: &[(&str, Shape)] = &[
    ("employeeNumber", Shape::Simple),
    ("costCenter", Shape::Simple),
    ("organization", Shape::Simple),
    ("division", Shape::Simple),
    ("department", Shape::Simple),
    ("manager", Shape::Complex(&["value", "$ref", "displayName"])),
];

/// The canonical spelling of a schema URN that we know.
pub(super) fn known_schema(urn: &str) -> Option<&'static str> {
    [USER_SCHEMA, GROUP_SCHEMA, ENTERPRISE_SCHEMA]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(urn))
}

/// An attribute of a known schema, for messages.
pub(super) fn example_of(urn: &str) -> &'static str {
    match urn {
        ENTERPRISE_SCHEMA => "department",
        GROUP_SCHEMA => "displayName",
        _ => "userName",
    }
}

/// Settles the spelling of what the schemas know, drops a core schema's URN, and refuses
/// what cannot follow a known attribute. Unknown names keep their spelling: servers have
/// attributes of their own.
pub(super) fn canonicalise(
    schema: Option<&str>,
    attribute: &str,
    selector: Option<Selector>,
    sub: Option<&str>,
) -> Result<AttributePath, String> {
    let known = schema.map(|urn| (urn, known_schema(urn)));
    let (schema, attributes) = match known {
        None | Some((_, Some(USER_SCHEMA | GROUP_SCHEMA))) => (None, CORE),
        Some((_, Some(urn))) => (Some(urn.to_owned()), ENTERPRISE),
        Some((urn, None)) => (Some(urn.to_owned()), &[] as &[_]),
    };
    let Some((attribute, shape)) = attributes
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(attribute))
    else {
        return Ok(AttributePath::from(Parts {
            schema,
            attribute: attribute.to_owned(),
            selector,
            sub: sub.map(str::to_owned),
        }));
    };
    let subs: &[&str] = match shape {
        Shape::Simple if selector.is_some() || sub.is_some() => {
            return Err(format!(
                "`{attribute}` holds one plain value; write just `{attribute}`"
            ));
        }
        Shape::Complex(_) if selector.is_some() => {
            return Err(format!(
                "`{attribute}` is not multi-valued, so nothing can be selected in it; write \
                 `{attribute}` and a sub-attribute"
            ));
        }
        Shape::Simple => &[],
        Shape::Complex(subs) | Shape::Multiple(subs) => subs,
    };
    let spell = |name: &str| {
        subs.iter()
            .find(|known| known.eq_ignore_ascii_case(name))
            .map_or_else(|| name.to_owned(), |known| (*known).to_owned())
    };
    Ok(AttributePath::from(Parts {
        schema,
        attribute: (*attribute).to_owned(),
        selector: selector.map(|Selector { attribute, value }| Selector {
            attribute: spell(&attribute),
            value,
        }),
        sub: sub.map(spell),
    }))
}
