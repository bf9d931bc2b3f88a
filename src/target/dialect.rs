//! From a planned write to the body that this target understands. Pure.
//!
//! The default dialect is RFC 7644's letter (DESIGN §10). Deviations come from the profile.

use provisor_connectors::Kind;
use serde_json::{Value, json};

use super::profile::Profile;
use crate::scim::filter;
use crate::scim::message::{Op, Operation};
use crate::scim::resource::{AttributeMap, ResourceId, to_json};

/// RFC 7643 §8.7.1.
const USER_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// RFC 7643 §8.7.1.
const GROUP_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// RFC 7644 §3.5.2.
const PATCH_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// The body of a POST. `members` are ids (or, in a preview, `pending:SOURCE_ID`).
///
/// A user is created active: only the entitled are created. A group without members has no
/// `members`, because an empty list means the same (RFC 7643 §2.5) and is refused by some.
pub fn create_body(
    kind: Kind,
    attributes: &AttributeMap,
    members: &[String],
    _profile: &Profile,
) -> Value {
    let schema = match kind {
        Kind::User => USER_SCHEMA,
        Kind::Group => GROUP_SCHEMA,
    };
    let mut body = to_json(schema, attributes);
    if kind == Kind::User {
        body["active"] = Value::Bool(true);
    }
    if !members.is_empty() {
        body["members"] = member_values(members);
    }
    body
}

/// The body of a PATCH: `active` first, then attributes, member removals, member additions.
///
/// Each removal is an operation of its own with a filter, never a `remove` with a value
/// list: RFC-strict servers empty the whole group for that (DESIGN §10).
pub fn patch_body(
    active: Option<bool>,
    operations: &[Operation],
    add: &[String],
    remove: &[ResourceId],
    _profile: &Profile,
) -> Value {
    let active = active.map(|value| operation(Op::Replace, "active", Some(Value::Bool(value))));
    let removals = remove.iter().map(|id| {
        let path = format!("members[{}]", filter::equals("value", &id.0));
        operation(Op::Remove, &path, None)
    });
    let additions =
        (!add.is_empty()).then(|| operation(Op::Add, "members", Some(member_values(add))));
    let operations: Vec<Operation> = active
        .into_iter()
        .chain(operations.iter().cloned())
        .chain(removals)
        .chain(additions)
        .collect();
    json!({ "schemas": [PATCH_SCHEMA], "Operations": operations })
}

fn operation(op: Op, path: &str, value: Option<Value>) -> Operation {
    Operation {
        op,
        path: path.to_owned(),
        value,
    }
}

fn member_values(ids: &[String]) -> Value {
    ids.iter().map(|id| json!({ "value": id })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::path::AttributePath;

    #[test]
    fn a_user_is_created_active_and_without_an_id() {
        let attributes =
            AttributeMap::from([(AttributePath::user_name(), json!("ana@example.com"))]);
        let body = create_body(Kind::User, &attributes, &[], &Profile::default());
        assert_eq!(
            body,
            json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                "userName": "ana@example.com",
                "active": true,
            })
        );
    }

    #[test]
    fn a_group_is_created_with_members_only_where_it_has_some() {
        let attributes = AttributeMap::from([(AttributePath::display_name(), json!("Staff"))]);
        let empty = create_body(Kind::Group, &attributes, &[], &Profile::default());
        assert_eq!(
            empty,
            json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
                "displayName": "Staff",
            })
        );
        let members = ["u1".to_owned(), "pending:7".to_owned()];
        let full = create_body(Kind::Group, &attributes, &members, &Profile::default());
        assert_eq!(
            full["members"],
            json!([{"value": "u1"}, {"value": "pending:7"}])
        );
    }

    #[test]
    fn a_patch_is_ordered_and_removes_members_one_by_one() {
        let title = Operation {
            op: Op::Replace,
            path: "title".to_owned(),
            value: Some(json!("Engineer")),
        };
        let body = patch_body(
            Some(false),
            &[title],
            &["u3".to_owned(), "u4".to_owned()],
            &[ResourceId("u1".to_owned()), ResourceId("u\"2".to_owned())],
            &Profile::default(),
        );
        assert_eq!(
            body,
            json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [
                    {"op": "replace", "path": "active", "value": false},
                    {"op": "replace", "path": "title", "value": "Engineer"},
                    {"op": "remove", "path": "members[value eq \"u1\"]"},
                    {"op": "remove", "path": "members[value eq \"u\\\"2\"]"},
                    {"op": "add", "path": "members", "value": [{"value": "u3"}, {"value": "u4"}]},
                ],
            })
        );
    }
}
