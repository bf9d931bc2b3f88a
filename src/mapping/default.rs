//! The default mapping: which source attributes are taken without being asked for.
//!
//! A closed list, so that the engine can tell which attributes are in use before it has
//! read a single record. An attribute named like a SCIM path goes to that path; a few
//! names that directories use for the same thing are understood as well.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use provisor_connectors::Kind;

use crate::scim::ENTERPRISE_SCHEMA;
use crate::scim::path::{AttributePath, Selector};

/// Every source attribute name that the default mapping looks at for this kind.
pub fn default_attributes(kind: Kind) -> BTreeSet<String> {
    let defaults = match kind {
        Kind::User => user(),
        Kind::Group => group(),
    };
    defaults
        .iter()
        .flat_map(|(_, names)| names)
        .map(|&name| name.to_owned())
        .collect()
}

/// A path with the source attributes to take it from: the first that has a value wins.
pub(super) type Default = (AttributePath, Vec<&'static str>);

/// A user's defaults. Built once: they are looked at for every record.
pub(super) fn user() -> &'static [Default] {
    static USER: LazyLock<Vec<Default>> = LazyLock::new(build_user);
    &USER
}

/// A group's defaults.
pub(super) fn group() -> &'static [Default] {
    static GROUP: LazyLock<Vec<Default>> = LazyLock::new(|| {
        vec![(
            AttributePath::display_name(),
            vec!["displayName", "name", "cn"],
        )]
    });
    &GROUP
}

fn build_user() -> Vec<Default> {
    let simple = SIMPLE
        .iter()
        .map(|&name| (AttributePath::core(name), vec![name]));
    let names = NAME
        .iter()
        .map(|&(sub, names)| (AttributePath::core("name").join(sub), names.to_vec()));
    let elements = ELEMENTS.iter().map(|&(attribute, element, sub, names)| {
        (element_path(attribute, element, sub), names.to_vec())
    });
    let enterprise = ENTERPRISE
        .iter()
        .map(|&(name, full)| (enterprise_path(name), vec![full, name]));
    simple
        .chain(names)
        .chain(elements)
        .chain(enterprise)
        .collect()
}

/// `attribute[type eq "element"].sub`.
pub(super) fn element_path(attribute: &str, element: &str, sub: &str) -> AttributePath {
    let selector = Selector {
        attribute: "type".to_owned(),
        value: element.to_owned(),
    };
    AttributePath::core(attribute).select(selector).join(sub)
}

/// `URN:name` of the enterprise extension (RFC 7643 §4.3).
pub(super) fn enterprise_path(name: &str) -> AttributePath {
    AttributePath::core(name).within(Some(ENTERPRISE_SCHEMA))
}

/// Core attributes with one plain value (RFC 7643 §4.1.1). `externalId` is not here: it is
/// the source's id.
pub(super) const SIMPLE: [&str; 9] = [
    "userName",
    "displayName",
    "nickName",
    "profileUrl",
    "title",
    "userType",
    "preferredLanguage",
    "locale",
    "timezone",
];

/// Sub-attributes of `name`, each with the source attributes to take it from.
pub(super) const NAME: [(&str, &[&str]); 6] = [
    ("formatted", &["name.formatted"]),
    ("familyName", &["name.familyName", "familyName", "sn"]),
    ("givenName", &["name.givenName", "givenName"]),
    ("middleName", &["name.middleName"]),
    ("honorificPrefix", &["name.honorificPrefix"]),
    ("honorificSuffix", &["name.honorificSuffix"]),
];

/// Enterprise attributes: the short name and the full one.
pub(super) const ENTERPRISE: [(&str, &str); 6] = [
    (
        "employeeNumber",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber",
    ),
    (
        "costCenter",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter",
    ),
    (
        "organization",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:organization",
    ),
    (
        "division",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:division",
    ),
    (
        "department",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
    ),
    (
        "manager",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",
    ),
];

/// Elements of multi-valued attributes: attribute, type, sub-attribute, source attributes.
type Element = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const ELEMENTS: [Element; 17] = [
    (
        "emails",
        "work",
        "value",
        &[r#"emails[type eq "work"].value"#, "emails", "mail", "email"],
    ),
    (
        "emails",
        "home",
        "value",
        &[r#"emails[type eq "home"].value"#],
    ),
    (
        "emails",
        "other",
        "value",
        &[r#"emails[type eq "other"].value"#],
    ),
    (
        "phoneNumbers",
        "work",
        "value",
        &[r#"phoneNumbers[type eq "work"].value"#, "phoneNumbers"],
    ),
    (
        "phoneNumbers",
        "home",
        "value",
        &[r#"phoneNumbers[type eq "home"].value"#],
    ),
    (
        "phoneNumbers",
        "mobile",
        "value",
        &[r#"phoneNumbers[type eq "mobile"].value"#],
    ),
    (
        "phoneNumbers",
        "fax",
        "value",
        &[r#"phoneNumbers[type eq "fax"].value"#],
    ),
    (
        "phoneNumbers",
        "pager",
        "value",
        &[r#"phoneNumbers[type eq "pager"].value"#],
    ),
    (
        "phoneNumbers",
        "other",
        "value",
        &[r#"phoneNumbers[type eq "other"].value"#],
    ),
    (
        "addresses",
        "work",
        "formatted",
        &[r#"addresses[type eq "work"].formatted"#],
    ),
    (
        "addresses",
        "work",
        "streetAddress",
        &[r#"addresses[type eq "work"].streetAddress"#],
    ),
    (
        "addresses",
        "work",
        "locality",
        &[r#"addresses[type eq "work"].locality"#],
    ),
    (
        "addresses",
        "work",
        "region",
        &[r#"addresses[type eq "work"].region"#],
    ),
    (
        "addresses",
        "work",
        "postalCode",
        &[r#"addresses[type eq "work"].postalCode"#],
    ),
    (
        "addresses",
        "work",
        "country",
        &[r#"addresses[type eq "work"].country"#],
    ),
    (
        "photos",
        "photo",
        "value",
        &[r#"photos[type eq "photo"].value"#],
    ),
    (
        "photos",
        "thumbnail",
        "value",
        &[r#"photos[type eq "thumbnail"].value"#],
    ),
];
