//! The schemas of the resources that the sandbox keeps (RFC 7643 §4, §8.7), as data.
//!
//! One table serves both `/Schemas` and the checks on what clients send, so that what is
//! announced is what is enforced. `password` is left out: the sandbox signs nobody in, and
//! should not keep secrets.

mod protocol;

use serde_json::{Map, Value, json};

use crate::scim::{ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA};

/// The kinds of resources.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub(super) enum Kind {
    User,
    Group,
}

impl Kind {
    /// Its name, as in `meta.resourceType`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::User => "User",
            Kind::Group => "Group",
        }
    }

    /// Its endpoint below the base URL.
    pub(super) fn endpoint(self) -> &'static str {
        match self {
            Kind::User => "Users",
            Kind::Group => "Groups",
        }
    }

    /// Its core schema.
    pub(super) fn schema(self) -> &'static str {
        match self {
            Kind::User => USER_SCHEMA,
            Kind::Group => GROUP_SCHEMA,
        }
    }

    /// The attribute that names one, unique without regard to case. RFC 7643 asks that of
    /// `userName`; groups are held to it too, because clients adopt groups by their names.
    pub(super) fn naming_attribute(self) -> &'static str {
        match self {
            Kind::User => "userName",
            Kind::Group => "displayName",
        }
    }

    /// An attribute of the core schema, or one that all resources have.
    pub(super) fn attribute(self, name: &str) -> Option<&'static Attribute> {
        let own = match self {
            Kind::User => USER,
            Kind::Group => GROUP,
        };
        find(own, name).or_else(|| find(COMMON, name))
    }
}

/// Finds an attribute by name, without regard to case.
pub(super) fn find(attributes: &'static [Attribute], name: &str) -> Option<&'static Attribute> {
    attributes
        .iter()
        .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

/// What kind of value an attribute has (RFC 7643 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Boolean,
    Integer,
    Reference,
    Binary,
    Complex,
}

/// Who may set an attribute (RFC 7643 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutability {
    ReadWrite,
    ReadOnly,
    Immutable,
}

/// One attribute's characteristics (RFC 7643 §2.2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) kind: Type,
    pub(super) multiple: bool,
    pub(super) required: bool,
    pub(super) mutability: Mutability,
    pub(super) subs: &'static [Attribute],
    case_exact: bool,
    unique: bool,
    canonical: &'static [&'static str],
    references: &'static [&'static str],
}

const fn attribute(name: &'static str, kind: Type) -> Attribute {
    Attribute {
        name,
        kind,
        multiple: false,
        required: false,
        mutability: Mutability::ReadWrite,
        subs: &[],
        case_exact: matches!(kind, Type::Reference | Type::Binary),
        unique: false,
        canonical: &[],
        references: &[],
    }
}

const fn text(name: &'static str) -> Attribute {
    attribute(name, Type::Text)
}

const fn boolean(name: &'static str) -> Attribute {
    attribute(name, Type::Boolean)
}

const fn reference(name: &'static str, references: &'static [&'static str]) -> Attribute {
    Attribute {
        references,
        ..attribute(name, Type::Reference)
    }
}

const fn complex(name: &'static str, subs: &'static [Attribute]) -> Attribute {
    Attribute {
        subs,
        ..attribute(name, Type::Complex)
    }
}

impl Attribute {
    const fn multiple(mut self) -> Self {
        self.multiple = true;
        self
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    const fn exact(mut self) -> Self {
        self.case_exact = true;
        self
    }

    const fn read_only(mut self) -> Self {
        self.mutability = Mutability::ReadOnly;
        self
    }

    const fn immutable(mut self) -> Self {
        self.mutability = Mutability::Immutable;
        self
    }

    const fn one_of(mut self, canonical: &'static [&'static str]) -> Self {
        self.canonical = canonical;
        self
    }

    /// Its definition as `/Schemas` shows it (RFC 7643 §7).
    fn to_json(self) -> Value {
        let mut json = Map::new();
        let mut set = |name: &str, value: Value| json.insert(name.to_owned(), value);
        set("name", json!(self.name));
        set(
            "type",
            json!(match self.kind {
                Type::Text => "string",
                Type::Boolean => "boolean",
                Type::Integer => "integer",
                Type::Reference => "reference",
                Type::Binary => "binary",
                Type::Complex => "complex",
            }),
        );
        set("multiValued", json!(self.multiple));
        set("required", json!(self.required));
        set(
            "mutability",
            json!(match self.mutability {
                Mutability::ReadWrite => "readWrite",
                Mutability::ReadOnly => "readOnly",
                Mutability::Immutable => "immutable",
            }),
        );
        set("returned", json!("default"));
        if self.kind == Type::Complex {
            let subs: Vec<Value> = self.subs.iter().map(|sub| sub.to_json()).collect();
            set("subAttributes", json!(subs));
        } else {
            set("caseExact", json!(self.case_exact));
            set(
                "uniqueness",
                json!(if self.unique { "server" } else { "none" }),
            );
        }
        if !self.canonical.is_empty() {
            set("canonicalValues", json!(self.canonical));
        }
        if !self.references.is_empty() {
            set("referenceTypes", json!(self.references));
        }
        Value::Object(json)
    }
}

/// One schema.
pub(super) struct Schema {
    pub(super) id: &'static str,
    name: &'static str,
    description: &'static str,
    attributes: &'static [Attribute],
}

impl Schema {
    /// The schema as `/Schemas` shows it, without `meta`.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        let attributes: Vec<Value> = self.attributes.iter().map(|a| a.to_json()).collect();
        let mut json = Map::new();
        json.insert(
            "schemas".to_owned(),
            json!(["urn:ietf:params:scim:schemas:core:2.0:Schema"]),
        );
        json.insert("id".to_owned(), json!(self.id));
        json.insert("name".to_owned(), json!(self.name));
        json.insert("description".to_owned(), json!(self.description));
        json.insert("attributes".to_owned(), json!(attributes));
        json
    }
}

/// Everything that `/Schemas` lists.
pub(super) const SCHEMAS: &[Schema] = &[
    Schema {
        id: USER_SCHEMA,
        name: "User",
        description: "A person's account",
        attributes: USER,
    },
    Schema {
        id: GROUP_SCHEMA,
        name: "Group",
        description: "A group of people and groups",
        attributes: GROUP,
    },
    Schema {
        id: ENTERPRISE_SCHEMA,
        name: "EnterpriseUser",
        description: "What a company knows of a person",
        attributes: ENTERPRISE,
    },
    protocol::SERVICE_PROVIDER_CONFIG,
    protocol::RESOURCE_TYPE,
    protocol::SCHEMA,
];

/// What every resource has (RFC 7643 §3.1); no schema lists it.
const COMMON: &[Attribute] = &[
    text("id").exact().read_only(),
    text("externalId").exact(),
    complex("meta", &[]).read_only(),
];

const ANY: &[&str] = &[];

const fn element(value: Attribute, types: &'static [&'static str]) -> [Attribute; 4] {
    [
        value,
        text("display"),
        text("type").one_of(types),
        boolean("primary"),
    ]
}

const USER: &[Attribute] = &[
    text("userName").required().unique(),
    complex(
        "name",
        &[
            text("formatted"),
            text("familyName"),
            text("givenName"),
            text("middleName"),
            text("honorificPrefix"),
            text("honorificSuffix"),
        ],
    ),
    text("displayName"),
    text("nickName"),
    reference("profileUrl", &["external"]),
    text("title"),
    text("userType"),
    text("preferredLanguage"),
    text("locale"),
    text("timezone"),
    boolean("active"),
    complex(
        "emails",
        &element(text("value"), &["work", "home", "other"]),
    )
    .multiple(),
    complex(
        "phoneNumbers",
        &element(
            text("value"),
            &["work", "home", "mobile", "fax", "pager", "other"],
        ),
    )
    .multiple(),
    complex("ims", &element(text("value"), ANY)).multiple(),
    complex(
        "photos",
        &element(reference("value", &["external"]), &["photo", "thumbnail"]),
    )
    .multiple(),
    complex(
        "addresses",
        &[
            text("formatted"),
            text("streetAddress"),
            text("locality"),
            text("region"),
            text("postalCode"),
            text("country"),
            text("type").one_of(&["work", "home", "other"]),
            boolean("primary"),
        ],
    )
    .multiple(),
    complex(
        "groups",
        &[
            text("value").exact().read_only(),
            reference("$ref", &["Group"]).read_only(),
            text("display").read_only(),
            text("type").one_of(&["direct", "indirect"]).read_only(),
        ],
    )
    .multiple()
    .read_only(),
    complex("entitlements", &element(text("value"), ANY)).multiple(),
    complex("roles", &element(text("value"), ANY)).multiple(),
    complex(
        "x509Certificates",
        &element(attribute("value", Type::Binary), ANY),
    )
    .multiple(),
];

const GROUP: &[Attribute] = &[
    text("displayName").required().unique(),
    complex(
        "members",
        &[
            text("value").exact().immutable(),
            reference("$ref", &["User", "Group"]).immutable(),
            text("type").one_of(&["User", "Group"]).immutable(),
            text("display"),
        ],
    )
    .multiple(),
];

/// The enterprise extension's attributes.
pub(super) const ENTERPRISE: &[Attribute] = &[
    text("employeeNumber"),
    text("costCenter"),
    text("organization"),
    text("division"),
    text("department"),
    complex(
        "manager",
        &[
            text("value").exact(),
            reference("$ref", &["User"]),
            text("displayName").read_only(),
        ],
    ),
];
