//! How the list is printed; what is in it is told by the scenarios.

use provisor_connectors::{Kind, RecordKey, SourceId};

use super::*;
use crate::scim::resource::ResourceId;

fn resident(name: &str, state: State, record: Option<&str>) -> Resident {
    Resident {
        resource: ResourceId(format!("r-{name}")),
        name: name.to_owned(),
        active: true,
        state,
        record: record.map(|id| RecordKey {
            source: "staff".to_owned(),
            kind: Kind::User,
            id: SourceId::new(id),
        }),
        origin: record.map(|_| Origin::Adopted),
        detail: "why, \"in\" words".to_owned(),
    }
}

#[test]
fn the_table_lines_up_and_ends_in_counts() {
    let (ana, bo) = (
        resident("ana", State::Linked, Some("1")),
        resident("bo@example.com", State::Unlinked, None),
    );
    assert_eq!(
        table(&[&ana, &bo]),
        "linked    active    ana             staff/1 -> r-ana  why, \"in\" words\n\
         unlinked  active    bo@example.com  - -> r-bo@example.com  why, \"in\" words\n\n\
         1 linked, 1 unlinked\n"
    );
}

#[test]
fn what_is_printed_as_csv_is_a_file_that_can_be_filled_in() {
    let printed = csv("demo", &[&resident("ana", State::Stale, Some("1"))]);
    assert_eq!(
        printed,
        "action,target,state,active,name,source,source_id,resource_id,origin,detail\n\
         ,demo,stale,true,ana,staff,1,r-ana,adopted,\"why, \"\"in\"\" words\"\n"
    );
}

#[test]
fn csv_has_its_header_also_when_there_is_nobody() {
    assert_eq!(csv("demo", &[]), format!("{}\n", COLUMNS.join(",")));
}

#[test]
fn json_has_every_key_for_everybody() {
    let document: serde_json::Value = serde_json::from_str(&json(
        "demo",
        &[
            &resident("ana", State::Linked, Some("1")),
            &resident("bo", State::Unlinked, None),
        ],
    ))
    .unwrap();
    let keys = |at: usize| -> Vec<String> {
        let account = document["accounts"][at].as_object().unwrap();
        account.keys().cloned().collect()
    };
    assert_eq!(keys(0), keys(1));
    assert!(document["accounts"][1]["source_id"].is_null());
}
