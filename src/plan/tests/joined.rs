//! Who is one person in several sources.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use provisor_connectors::{Kind, RecordKey, SourceId};

use crate::plan::joined::{Claimant, Joined, Presence};

/// Whom one value of the key is shared by: source, id, presence, linked.
type Told = (&'static str, String, Presence, bool);

const SOURCES: [&str; 3] = ["hr", "ad", "partners"];

fn record(source: &str, id: &str) -> RecordKey {
    RecordKey {
        source: source.to_owned(),
        kind: Kind::User,
        id: SourceId::new(id),
    }
}

fn join(told: &[Told]) -> Joined {
    let claimants = told.iter().map(|(source, id, presence, linked)| Claimant {
        record: record(source, id),
        presence: *presence,
        linked: *linked,
    });
    let sources = SOURCES.map(str::to_owned);
    Joined::new(&sources, &[claimants.collect()], BTreeMap::new())
}

fn told(source: &'static str, id: &str, presence: Presence, linked: bool) -> Told {
    (source, id.to_owned(), presence, linked)
}

#[test]
fn first_source_speaks_until_another_owns_a_resource() {
    let ad = record("ad", "a");
    let hr = record("hr", "h");
    let joined = join(&[
        told("ad", "a", Presence::Active, false),
        told("hr", "h", Presence::Active, false),
    ]);
    assert_eq!(joined.records(&ad), [hr.clone(), ad.clone()]);
    assert_eq!(joined.speaker(&ad), &hr);

    let joined = join(&[
        told("ad", "a", Presence::Gone, true),
        told("hr", "h", Presence::Active, false),
    ]);
    assert_eq!(joined.speaker(&hr), &ad, "the owner, though it is gone");
}

#[test]
fn who_owns_a_resource_speaks_for_it() {
    let joined = join(&[
        told("hr", "h", Presence::Active, true),
        told("ad", "a", Presence::Active, true),
        told("partners", "p", Presence::Active, false),
    ]);
    let (hr, ad) = (record("hr", "h"), record("ad", "a"));
    assert_eq!(
        joined.speaker(&ad),
        &ad,
        "both resources must be switched off"
    );
    assert_eq!(joined.speaker(&record("partners", "p")), &hr);
    let everybody = joined.speakers([&record("partners", "p")]);
    assert_eq!(everybody, BTreeSet::from([hr, ad]));
}

#[test]
fn two_active_records_of_one_source_contest_the_value() {
    let joined = join(&[
        told("hr", "h1", Presence::Active, false),
        told("hr", "h2", Presence::Active, false),
        told("ad", "a", Presence::Active, true),
    ]);
    for it in [record("hr", "h1"), record("hr", "h2"), record("ad", "a")] {
        assert!(
            joined
                .contested(&it)
                .is_some_and(|why| why.contains("2 active records of hr"))
        );
        assert_eq!(joined.records(&it), std::slice::from_ref(&it));
    }
    // Whoever left, or is switched off, does not.
    let joined = join(&[
        told("hr", "h1", Presence::Inactive, false),
        told("hr", "h2", Presence::Active, false),
        told("ad", "a", Presence::Active, false),
    ]);
    assert_eq!(joined.speaker(&record("ad", "a")), &record("hr", "h2"));
    assert_eq!(joined.records(&record("hr", "h1")).len(), 1);
}

/// Fails where all are contested alike, and where nobody is who is switched off.
#[test]
fn whom_the_most_trusted_source_switched_off_is_not_contested() {
    let two = |first: &'static str, second: &'static str| {
        join(&[
            told(first, "one", Presence::Inactive, true),
            told(second, "a1", Presence::Active, false),
            told(second, "a2", Presence::Active, false),
        ])
    };
    assert_eq!(two("hr", "ad").contested(&record("hr", "one")), None);
    // Another source is trusted more, and still has them.
    let overruled = two("ad", "hr");
    assert!(overruled.contested(&record("ad", "one")).is_some());
    // Who is gone from one source may be in another.
    let gone = join(&[
        told("hr", "h", Presence::Gone, true),
        told("ad", "a1", Presence::Active, false),
        told("ad", "a2", Presence::Active, false),
    ]);
    assert!(gone.contested(&record("hr", "h")).is_some());
}

#[test]
fn a_new_record_in_one_source_does_not_part_them_from_their_resource() {
    let (former, newer, ad) = (record("hr", "h1"), record("hr", "h2"), record("ad", "a"));
    let joined = join(&[
        told("hr", "h1", Presence::Gone, true),
        told("hr", "h2", Presence::Active, false),
        told("ad", "a", Presence::Active, false),
    ]);
    assert_eq!(joined.records(&former), [newer.clone(), ad.clone()]);
    assert_eq!(joined.speaker(&newer), &former);
    assert_eq!(joined.speaker(&ad), &former);
    // Nor does it when the other source lets go of them.
    let joined = join(&[
        told("hr", "h1", Presence::Gone, true),
        told("hr", "h2", Presence::Active, false),
    ]);
    assert_eq!(joined.records(&former), std::slice::from_ref(&newer));
    assert_eq!(joined.speaker(&newer), &former);
    // A record that is still there is not a former one: it is somebody else's.
    let joined = join(&[
        told("hr", "h1", Presence::Inactive, true),
        told("hr", "h2", Presence::Active, false),
        told("ad", "a", Presence::Active, false),
    ]);
    assert_eq!(joined.speaker(&newer), &newer);
    assert_eq!(joined.records(&former), std::slice::from_ref(&former));
}

fn any_told() -> impl Strategy<Value = Vec<Told>> {
    let presence = prop_oneof![
        3 => Just(Presence::Active),
        1 => Just(Presence::Inactive),
        1 => Just(Presence::Gone),
    ];
    let one = (0..SOURCES.len(), 0..3_u8, presence, any::<bool>());
    proptest::collection::btree_map((0..SOURCES.len(), 0..3_u8), one, 0..7).prop_map(|all| {
        all.into_iter()
            .map(|((source, id), (_, _, presence, linked))| {
                (SOURCES[source], format!("r{id}"), presence, linked)
            })
            .collect()
    })
}

proptest! {
    /// Whoever stands for somebody is of the same person and stands for itself, has at most
    /// one record of each source beside it, in the order of trust; whatever order they came in.
    #[test]
    fn joining_is_a_partition(told in any_told(), turn in 0..6_usize) {
        let joined = join(&told);
        let mut turned = told.clone();
        if !turned.is_empty() {
            let turn = turn % turned.len();
            turned.rotate_left(turn);
        }
        prop_assert_eq!(&joined, &join(&turned));
        for (source, id, presence, linked) in &told {
            let it = record(source, id);
            let records = joined.records(&it);
            let speaker = joined.speaker(&it);
            let former = speaker == &it && *linked && *presence == Presence::Gone;
            prop_assert!(records.contains(&it) || former);
            prop_assert_eq!(joined.speaker(speaker), speaker);
            let places: Vec<_> = records
                .iter()
                .map(|each| SOURCES.iter().position(|source| *source == each.source))
                .collect();
            prop_assert!(places.is_sorted_by(|left, right| left < right));
            for each in records {
                prop_assert_eq!(joined.records(each), records);
            }
            // What owns a resource is never spoken for by something else: it would not be
            // switched off.
            if *linked {
                prop_assert_eq!(speaker, &it);
            }
            if joined.contested(&it).is_some() {
                prop_assert_eq!(records.len(), 1);
            }
            if *presence == Presence::Gone && !linked {
                prop_assert_eq!(records.len(), 1, "says nothing of anybody");
            }
        }
    }
}
