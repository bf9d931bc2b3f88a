use serde_json::json;

use super::*;

fn item(json: serde_json::Value) -> Item {
    json.as_object().cloned().unwrap()
}

fn related(number: u128, of_type: Option<&str>, is_removed: bool) -> Related {
    Related {
        id: Uuid::from_u128(number),
        of_type: of_type.map(str::to_owned),
        is_removed,
    }
}

fn keys(members: &[(Kind, u128)]) -> BTreeSet<MemberKey> {
    let members = members.iter();
    members
        .map(|(kind, number)| member_key((*kind, Uuid::from_u128(*number))))
        .collect()
}

#[test]
fn slices_make_one_list_and_the_last_word_counts() {
    let mut heard = Heard::default();
    let first = vec![
        related(1, Some("user"), false),
        related(2, Some("group"), false),
    ];
    heard.take(item(json!({"displayName": "crew"})), Ok(Some(first)));
    let second = vec![
        related(3, Some("user"), false),
        related(4, Some("device"), false),
        related(1, Some("user"), true),
    ];
    heard.take(item(json!({})), Ok(Some(second)));
    let expected = keys(&[(Kind::Group, 2), (Kind::User, 3)]);
    assert_eq!(heard.complete(), Members::Complete(expected.clone()));
    let Members::Changed { added, removed } = heard.changed() else {
        panic!("a list of changes");
    };
    assert_eq!((added, removed), (expected, keys(&[(Kind::User, 1)])));
    assert_eq!(heard.item.get("displayName"), Some(&json!("crew")));
}

#[test]
fn a_member_that_does_not_say_what_it_is_makes_the_list_unknown() {
    let mut heard = Heard::default();
    heard.take(item(json!({})), Ok(Some(vec![related(1, None, false)])));
    assert_eq!(heard.complete(), Members::Unknown);
    assert_eq!(heard.changed(), Members::Unknown);
    let mut heard = Heard::default();
    heard.take(item(json!({})), Err(()));
    assert_eq!(heard.changed(), Members::Unknown);
    // One that goes may have been either.
    let mut heard = Heard::default();
    heard.take(item(json!({})), Ok(Some(vec![related(1, None, true)])));
    let Members::Changed { removed, .. } = heard.changed() else {
        panic!("a list of changes");
    };
    assert_eq!(removed, keys(&[(Kind::User, 1), (Kind::Group, 1)]));
}

#[test]
fn hidden_members_are_not_none() {
    let hidden = item(json!({"visibility": "HiddenMembership"}));
    let mut heard = Heard::default();
    heard.take(hidden.clone(), Ok(None));
    assert_eq!(heard.complete(), Members::Unknown);
    heard.take(hidden, Ok(Some(vec![related(1, Some("user"), false)])));
    assert!(matches!(heard.complete(), Members::Complete(_)));
}
