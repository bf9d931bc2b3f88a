//! What a selection takes for known, from a mirror and from links.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use provisor_connectors::{
    Attributes, Batch, Change, Coverage, Kind, Lifecycle, MemberKey, Members, Question, Record,
    RecordKey, SourceId, Value,
};

use super::*;
use crate::config::Config;
use crate::scim::resource::AttributeMap;
use crate::snapshot::{Link, MemberEdge, Origin, Store, TargetChange};

fn record(kind: Kind, id: &str) -> RecordKey {
    RecordKey {
        source: "corp".to_owned(),
        kind,
        id: SourceId::new(id),
    }
}

/// A person, and what the source answered to the question, if it did.
fn person(id: &str, answer: Option<(&str, bool)>) -> Change {
    let name = Value::Text(format!("{id}@example.com"));
    let mut attributes = BTreeMap::from([("userName".to_owned(), vec![name])]);
    if let Some((question, answer)) = answer {
        attributes.insert(question.to_owned(), vec![Value::Boolean(answer)]);
    }
    Change::Upsert(Record {
        kind: Kind::User,
        id: SourceId::new(id),
        lifecycle: Lifecycle::Active,
        attributes: Attributes(attributes),
        members: Members::Complete(BTreeSet::new()),
    })
}

fn group(id: &str, members: &[&str]) -> Change {
    let name = Value::Text(id.to_owned());
    let members = members.iter().map(|id| MemberKey {
        kind: Kind::User,
        id: SourceId::new(*id),
    });
    Change::Upsert(Record {
        kind: Kind::Group,
        id: SourceId::new(id),
        lifecycle: Lifecycle::Active,
        attributes: Attributes(BTreeMap::from([("displayName".to_owned(), vec![name])])),
        members: Members::Complete(members.collect()),
    })
}

fn read(store: &Store, changes: Vec<Change>) {
    let mut stage = store.stage("corp", None).unwrap();
    stage.offer(changes).unwrap();
    let batch = Batch {
        coverage: Kind::ALL.map(|kind| (kind, Coverage::Complete)).into(),
        tells_lifecycle: true,
        cursor: None,
        voided: false,
        unanswered: BTreeMap::new(),
        warnings: Vec::new(),
    };
    let staged = stage.finish(&batch, Utc::now()).unwrap();
    staged.publish(None).unwrap();
}

fn link(key: &RecordKey) -> TargetChange {
    let link = Link {
        resource: ResourceId(format!("r-{}", key.id)),
        origin: Origin::Created,
        acknowledged: AttributeMap::new(),
        active: true,
        deactivated: None,
        foreign_external_id: None,
        unsettled: false,
        missing: false,
        own_forms: BTreeMap::new(),
        sent: BTreeSet::new(),
        keys_sent: BTreeMap::new(),
    };
    TargetChange::PutLink(key.clone(), Box::new(link))
}

/// A target that takes everybody and every group, and an empty store.
fn everybody() -> (tempfile::TempDir, Store, Target) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("provisor.toml");
    let text = "[sources.corp.csv]\nusers = \"a.csv\"\n[targets.demo]\npreset = \"sandbox\"\n\
                source = \"corp\"\ngroups = { push = [\"*\"] }\n";
    std::fs::write(&path, text).unwrap();
    let target = Config::load(&path).unwrap().targets["demo"].target.clone();
    let opened = Store::open(Store::lock(&folder.path().join("state")).unwrap(), None).unwrap();
    (folder, opened.store, target)
}

/// Ana is where the scope says, Bo is not, and of Cy the source did not tell. Fails when `doubt`
/// does not ask the row for the answers: Cy would leave the group like Bo.
#[test]
fn whose_answer_is_not_known_stays_in_groups() {
    let (_folder, store, everyone) = everybody();
    let (place, filter) = (
        Question::Below("ou=sales".to_owned()),
        Question::Matches("(title=*)".to_owned()),
    );
    let mut by_place = everyone.clone();
    by_place.scope.below = vec![place.name()];
    let mut by_filter = everyone;
    by_filter.scope.matches = Some(filter.name());
    for (target, question) in [(by_place, place.name()), (by_filter, filter.name())] {
        let people = [("ana", Some(true)), ("bo", Some(false)), ("cy", None)];
        let mut changes = vec![group("all", &["ana", "bo", "cy"])];
        changes.extend(
            people.map(|(id, answer)| person(id, answer.map(|answer| (&*question, answer)))),
        );
        read(&store, changes);
        let part = store.target("demo");
        let all = record(Kind::Group, "all");
        let mut links = vec![link(&all)];
        for id in ["ana", "bo", "cy"] {
            let resource = ResourceId(format!("r-{id}"));
            links.push(link(&record(Kind::User, id)));
            links.push(TargetChange::PutMember(
                all.clone(),
                resource,
                MemberEdge::Added,
            ));
        }
        part.commit(links).unwrap();

        let known = Known::new(part, &target.fingerprint).unwrap();
        let readings = Readings::published(&store, ["corp".to_owned()].iter()).unwrap();
        let selection = select(&known, &readings, &target, true, true, Utc::now()).unwrap();
        let owned = &selection.groups[&all].owned;
        let unknown = ["ana", "bo", "cy"].map(|id| owned[&ResourceId(format!("r-{id}"))].unknown);
        assert_eq!(unknown, [false, false, true], "{question}");
    }
}

/// Ana joins. Fails when `narrow` keeps the edges of others that are in doubt, or of nobody: Cy and
/// Dee, who are in the source's group no more, would be put into it again.
#[test]
fn one_persons_group_leaves_alone_what_is_in_doubt_of_others() {
    let (_folder, store, target) = everybody();
    let mut changes = vec![group("all", &["ana", "bo"])];
    changes.extend(["ana", "bo", "cy", "dee"].map(|id| person(id, None)));
    read(&store, changes);
    let part = store.target("demo");
    let all = record(Kind::Group, "all");
    let ana = record(Kind::User, "ana");
    let mut changes = vec![link(&all), link(&ana)];
    let edges = [
        ("bo", MemberEdge::Added),
        ("cy", MemberEdge::Sent),
        ("dee", MemberEdge::Orphaned),
    ];
    for (id, edge) in edges {
        let resource = ResourceId(format!("r-{id}"));
        changes.push(link(&record(Kind::User, id)));
        changes.push(TargetChange::PutMember(all.clone(), resource, edge));
    }
    part.commit(changes).unwrap();
    let known = Known::new(part, &target.fingerprint).unwrap();
    let readings = Readings::published(&store, ["corp".to_owned()].iter()).unwrap();
    let one = one::select_one(&known, &readings, &target, &ana, true, Utc::now()).unwrap();
    let group = &one.selection.groups[&all];
    let owned: Vec<&str> = group.owned.keys().map(|it| it.0.as_str()).collect();
    assert_eq!(owned, ["r-bo"]);
    let members = [ana, record(Kind::User, "bo")];
    assert_eq!(group.members, BTreeSet::from(members));
}
