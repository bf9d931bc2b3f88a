//! The schemas of the discovery documents themselves (RFC 7643 §8.7.2). Nothing of them can
//! be written; RFC 7644 §4 wants them announced.

use super::{Attribute, Schema, Type, attribute, boolean, complex, reference, text};

const fn flag(name: &'static str) -> Attribute {
    boolean(name).required().read_only()
}

const fn word(name: &'static str) -> Attribute {
    text(name).required().read_only()
}

const fn number(name: &'static str) -> Attribute {
    attribute(name, Type::Integer).required().read_only()
}

const SUPPORTED: &[Attribute] = &[flag("supported")];

const fn feature(name: &'static str, subs: &'static [Attribute]) -> Attribute {
    complex(name, subs).required().read_only()
}

pub(super) const SERVICE_PROVIDER_CONFIG: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig",
    name: "ServiceProviderConfig",
    description: "What the service provider can do",
    attributes: &[
        reference("documentationUri", &["external"]).read_only(),
        feature("patch", SUPPORTED),
        feature(
            "bulk",
            &[
                flag("supported"),
                number("maxOperations"),
                number("maxPayloadSize"),
            ],
        ),
        feature("filter", &[flag("supported"), number("maxResults")]),
        feature("changePassword", SUPPORTED),
        feature("sort", SUPPORTED),
        feature("etag", SUPPORTED),
        feature(
            "authenticationSchemes",
            &[
                word("type"),
                word("name"),
                word("description"),
                reference("specUri", &["external"]).read_only(),
                reference("documentationUri", &["external"]).read_only(),
                boolean("primary").read_only(),
            ],
        )
        .multiple(),
    ],
};

pub(super) const RESOURCE_TYPE: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:ResourceType",
    name: "ResourceType",
    description: "What kinds of resources there are",
    attributes: &[
        text("id").read_only(),
        word("name"),
        text("description").read_only(),
        reference("endpoint", &["uri"]).required().read_only(),
        reference("schema", &["uri"]).required().read_only(),
        complex(
            "schemaExtensions",
            &[
                reference("schema", &["uri"]).required().read_only(),
                flag("required"),
            ],
        )
        .multiple()
        .read_only(),
    ],
};

const CHARACTERISTICS: [Attribute; 11] = [
    word("name"),
    word("type"),
    flag("multiValued"),
    text("description").read_only(),
    flag("required"),
    text("canonicalValues").multiple().read_only(),
    boolean("caseExact").read_only(),
    text("mutability").read_only(),
    text("returned").read_only(),
    text("uniqueness").read_only(),
    text("referenceTypes").multiple().read_only(),
];

const DEFINITION: &[Attribute] = &{
    let [a, b, c, d, e, f, g, h, i, j, k] = CHARACTERISTICS;
    let subs = complex("subAttributes", &CHARACTERISTICS)
        .multiple()
        .read_only();
    [a, b, c, d, e, f, g, h, i, j, k, subs]
};

pub(super) const SCHEMA: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:Schema",
    name: "Schema",
    description: "Which attributes a resource has",
    attributes: &[
        word("id"),
        text("name").read_only(),
        text("description").read_only(),
        feature("attributes", DEFINITION).multiple(),
    ],
};
