//! Where a PATCH operation points: its path, resolved against the schemas.

use std::fmt;

use serde_json::{Map, Value};

use crate::sandbox::refusal::Refusal;
use crate::sandbox::schema::{self, Attribute, Kind, Mutability, Type};
use crate::sandbox::validate;
use crate::scim::ENTERPRISE_SCHEMA;
use crate::scim::filter::{Filter, Target, is_core, parse_target};

/// A resolved path.
pub(super) struct Place {
    /// As it was written, for messages.
    text: String,
    /// The extension's URN.
    pub(super) extension: Option<String>,
    pub(super) shape: Shape,
    name: String,
    pub(super) filter: Option<Filter>,
    pub(super) sub: Option<String>,
    known: Option<&'static Attribute>,
}

/// How much of the resource a path covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// All of an extension: the path is its URN.
    WholeExtension,
    /// An attribute, or something in it.
    Attribute,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Resolves a path.
pub(super) fn find(kind: Kind, path: &str) -> Result<Place, Refusal> {
    if path.trim().eq_ignore_ascii_case(ENTERPRISE_SCHEMA) {
        return find_plain(kind, path.trim());
    }
    let Target { attribute, filter } =
        parse_target(path).map_err(|error| Refusal::bad("invalidPath", error.to_string()))?;
    let extension = attribute.schema.filter(|urn| !is_core(urn));
    resolve(
        kind,
        path,
        extension,
        &attribute.name,
        filter,
        attribute.sub,
    )
}

/// Resolves a member's name in the value of an operation without a path.
pub(super) fn find_plain(kind: Kind, name: &str) -> Result<Place, Refusal> {
    if !validate::is_urn(name) {
        return resolve(kind, name, None, name, None, None);
    }
    let extension = validate::extension_urn(kind, name)
        .map_err(|refusal| Refusal::bad("invalidPath", refusal.detail))?;
    Ok(Place {
        text: name.to_owned(),
        extension: Some(extension.to_owned()),
        shape: Shape::WholeExtension,
        name: String::new(),
        filter: None,
        sub: None,
        known: None,
    })
}

fn resolve(
    kind: Kind,
    text: &str,
    extension: Option<String>,
    name: &str,
    filter: Option<Filter>,
    sub: Option<String>,
) -> Result<Place, Refusal> {
    let unknown = || {
        let kind = kind.name();
        Refusal::bad("invalidPath", format!("a {kind} has no `{text}`"))
    };
    let extension = match extension {
        Some(urn) => Some(
            validate::extension_urn(kind, &urn)
                .map_err(|_| unknown())?
                .to_owned(),
        ),
        None => None,
    };
    let known = match extension.as_deref() {
        None => Some(kind.attribute(name).ok_or_else(unknown)?),
        Some(ENTERPRISE_SCHEMA) => {
            Some(schema::find(schema::ENTERPRISE, name).ok_or_else(unknown)?)
        }
        Some(_) => None,
    };
    let place = Place {
        text: text.to_owned(),
        extension,
        shape: Shape::Attribute,
        name: known.map_or(name, |known| known.name).to_owned(),
        filter,
        sub,
        known,
    };
    if known.is_some() && place.sub.is_some() && place.sub_attribute().is_none() {
        return Err(unknown());
    }
    Ok(place)
}

impl Place {
    /// The strictest rule on the way to the place.
    pub(super) fn mutability(&self) -> Mutability {
        match (self.known, self.sub_attribute()) {
            (Some(known), _) if known.mutability == Mutability::ReadOnly => Mutability::ReadOnly,
            (_, Some(sub)) => sub.mutability,
            (Some(known), None) => known.mutability,
            (None, None) => Mutability::ReadWrite,
        }
    }

    /// Whether the place itself may not be empty.
    pub(super) fn is_required(&self) -> bool {
        self.sub.is_none() && self.known.is_some_and(|known| known.required)
    }

    /// Whether it holds a list; for attributes of unknown extensions the value tells.
    pub(super) fn is_multiple(&self, current: &Value) -> bool {
        match self.known {
            Some(known) => known.multiple,
            None => current.is_array() || self.filter.is_some(),
        }
    }

    /// The sub-attribute's definition, where the schema has one.
    pub(super) fn sub_attribute(&self) -> Option<&'static Attribute> {
        let known = self.known.filter(|known| known.kind == Type::Complex)?;
        schema::find(known.subs, self.sub.as_deref()?)
    }

    /// The attribute's spelling in its object.
    pub(super) fn name_in(&self, container: &Map<String, Value>) -> String {
        container
            .keys()
            .find(|name| name.eq_ignore_ascii_case(&self.name))
            .unwrap_or(&self.name)
            .clone()
    }

    /// A value for the whole attribute, checked.
    pub(super) fn check(&self, value: &Value) -> Result<Option<Value>, Refusal> {
        match self.known {
            Some(known) => validate::value(known, value),
            None => Ok((!value.is_null()).then(|| value.clone())),
        }
    }

    /// A value for one element of the attribute, checked.
    pub(super) fn check_element(&self, value: &Value) -> Result<Map<String, Value>, Refusal> {
        let element = match self.known {
            Some(known) => validate::single(known, value)?,
            None => Some(value.clone()),
        };
        match element {
            Some(Value::Object(fields)) => Ok(fields),
            _ => Err(Refusal::bad(
                "invalidValue",
                format!("`{self}` must be set to an object that is not empty"),
            )),
        }
    }
}
