//! Planning alone: 100,000 people and a twentieth as many groups, first when nobody is at the target yet, and
//! then when everybody is and nothing has changed. Time, memory, and instructions, which do not
//! depend on what else the machine does.
//!
//! `cargo bench --bench planning`; `-- N` takes N people instead. Instructions are counted by Valgrind where it is installed:
//! the benchmark starts itself under it, with and without the planning.

#![expect(
    clippy::print_stdout,
    reason = "figures are for whoever ran the benchmark"
)]

#[expect(dead_code, reason = "every benchmark uses a part of it")]
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use chrono::{DateTime, Utc};
use common::{Outcome, tell};
use provisor::config::Config;
use provisor::plan::guard::Window;
use provisor::plan::input::{Candidate, GroupCandidate, Input, Observed, OwnedEdge, Standing};
use provisor::scim::path::AttributePath;
use provisor::scim::resource::{AttributeMap, ResourceId};
use provisor::snapshot::{Link, Origin};
use provisor_connectors::{Attributes, Kind, RecordKey, SourceId, Value};

const PEOPLE: usize = 100_000;
const PEOPLE_PER_GROUP: usize = 20;
/// Of each group; so everybody is in five groups.
const MEMBERS: usize = 100;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(place) = arguments.iter().position(|it| it == "--only") {
        let linked = arguments.get(place + 1).is_some_and(|it| it == "linked");
        let planned = arguments.get(place + 2).is_some_and(|it| it == "planned");
        let people = arguments.get(place + 3).ok_or("no number")?.parse()?;
        return once(people, linked, planned);
    }
    let argument = arguments.iter().skip(1).find_map(|it| it.parse().ok());
    let people: usize = argument.unwrap_or(PEOPLE);
    for (what, linked) in [("all are new", false), ("nothing changed", true)] {
        let folder = configure()?;
        let target = Config::load(&folder)?
            .targets
            .remove(common::TARGET)
            .ok_or("no target")?
            .target;
        common::forget_peak()?;
        let input = input(people, &target, linked)?;
        let before = common::peak_resident()?;
        let start = Instant::now();
        let planned = provisor::plan::plan(&input, &Window::default(), None);
        let took = start.elapsed().as_secs_f64();
        let after = common::peak_resident()?;
        let actions = planned.plan.actions.len();
        if actions
            != if linked {
                0
            } else {
                people + people / PEOPLE_PER_GROUP
            }
        {
            return Err(format!("{actions} actions").into());
        }
        black_box(planned);
        tell(&format!("(e) {what}: planning"), format!("{took:.2} s"));
        tell(
            &format!("(e) {what}: memory of the input"),
            format!("{before:.0} MB"),
        );
        tell(
            &format!("(e) {what}: more while planning"),
            format!("{:.0} MB", after - before),
        );
        match (count(people, linked, true), count(people, linked, false)) {
            (Some(with), Some(without)) => tell(
                &format!("(e) {what}: instructions"),
                format!("{:.2} G", (with - without) / 1e9),
            ),
            _ => println!("instructions are not counted: valgrind is not installed"),
        }
    }
    Ok(())
}

fn configure() -> Outcome<std::path::PathBuf> {
    let folder = common::folder("planning");
    std::fs::create_dir_all(&folder)?;
    common::write_config(&folder, "[targets.app.groups]\npush = [\"*\"]\n")?;
    Ok(folder.join("config.toml"))
}

/// What Valgrind counts.
fn once(people: usize, linked: bool, planned: bool) -> Outcome<()> {
    let config = Config::load(&configure()?)?;
    let target = &config.targets[common::TARGET].target;
    let input = input(people, target, linked)?;
    if planned {
        let planned = provisor::plan::plan(&input, &Window::default(), None);
        std::mem::forget(black_box(planned));
    }
    // Giving the memory back is not planning.
    std::mem::forget(black_box(input));
    Ok(())
}

fn count(people: usize, linked: bool, planned: bool) -> Option<f64> {
    let output = Command::new("valgrind")
        .args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ])
        .arg(std::env::current_exe().ok()?)
        .args(["--only", if linked { "linked" } else { "new" }])
        .arg(if planned { "planned" } else { "input" })
        .arg(people.to_string())
        .output()
        .ok()?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = told
        .lines()
        .find(|line| line.contains("I refs:") || line.contains("I   refs:"))?;
    let digits: String = line
        .rsplit(':')
        .next()?
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

/// Everybody in scope, as the cycle would hand them to the planner.
fn input<'a>(
    count: usize,
    target: &'a provisor::cycle::Target,
    linked: bool,
) -> Outcome<Input<'a>> {
    let mut people = BTreeMap::new();
    for number in 0..count {
        let (record, attributes) = person(number);
        let desired = target.mapping.apply(Kind::User, &record.id, &attributes)?;
        let link = linked.then(|| link(Kind::User, number, desired.clone()));
        people.insert(record, candidate(desired, link));
    }
    let mut groups = BTreeMap::new();
    for number in 0..count / PEOPLE_PER_GROUP {
        let record = key(Kind::Group, number);
        let name = Value::Text(format!("Group {number}"));
        let attributes = Attributes(BTreeMap::from([("displayName".to_owned(), vec![name])]));
        let desired = target.mapping.apply(Kind::Group, &record.id, &attributes)?;
        let link = linked.then(|| link(Kind::Group, number, desired.clone()));
        // Spread, so that neighbours are not all in the same groups.
        let numbers: Vec<usize> = (0..MEMBERS)
            .map(|it| (number * 61 + it * 997) % count)
            .collect();
        let members: BTreeSet<RecordKey> = numbers.iter().map(|it| key(Kind::User, *it)).collect();
        let there = numbers.iter().filter(|_| linked);
        let there: BTreeMap<RecordKey, ResourceId> = there
            .map(|it| (key(Kind::User, *it), resource(Kind::User, *it)))
            .collect();
        let owned = there.iter().map(|(record, resource)| {
            let edge = OwnedEdge {
                sent: false,
                orphaned: false,
                record: Some(record.clone()),
                unknown: false,
                protected: None,
            };
            (resource.clone(), edge)
        });
        let group = GroupCandidate {
            group: candidate(desired, link),
            members,
            owned: owned.collect(),
            member_resources: there,
        };
        groups.insert(record, group);
    }
    let empty = || Observed {
        complete: !linked,
        ..Observed::default()
    };
    let at_target = if linked {
        people.len() + groups.len()
    } else {
        0
    };
    Ok(Input {
        target: &target.name,
        now: DateTime::<Utc>::UNIX_EPOCH,
        rules: &target.rules,
        profile: &target.profile,
        keep_when_empty: &target.mapping.keep_when_empty,
        people,
        groups,
        observed_users: empty(),
        observed_groups: empty(),
        linked: at_target as u64,
        snapshot_lost: false,
        full: !linked,
        complete: true,
        clock_doubt: None,
    })
}

fn candidate(desired: AttributeMap, link: Option<Link>) -> Candidate {
    Candidate {
        standing: Standing::Entitled,
        desired: Some(Ok(desired)),
        link,
        missing: false,
        intent: None,
        due: true,
        suspended: false,
        rehire_key: None,
        manager: None,
        joined: Vec::new(),
        contested: None,
    }
}

fn link(kind: Kind, number: usize, acknowledged: AttributeMap) -> Link {
    debug_assert!(acknowledged.contains_key(&AttributePath::external_id()));
    Link {
        resource: resource(kind, number),
        origin: Origin::Created,
        acknowledged,
        active: true,
        deactivated: None,
        foreign_external_id: None,
        unsettled: false,
        missing: false,
        own_forms: BTreeMap::new(),
        sent: BTreeSet::new(),
        keys_sent: BTreeMap::new(),
    }
}

fn key(kind: Kind, number: usize) -> RecordKey {
    RecordKey {
        source: common::SOURCE.to_owned(),
        kind,
        id: SourceId::new(format!("6f9619ff-8b86-d011-b42d-{number:012x}")),
    }
}

fn resource(kind: Kind, number: usize) -> ResourceId {
    let first = if kind == Kind::User {
        "00000000"
    } else {
        "11111111"
    };
    ResourceId(format!("{first}-0000-4000-8000-{number:012x}"))
}

/// Twelve attributes, as in the file of the other benchmarks.
fn person(number: usize) -> (RecordKey, Attributes) {
    let values = [
        ("userName", format!("user.{number}@example.com")),
        ("givenName", "Ana".to_owned()),
        ("familyName", format!("Kovač {number}")),
        ("displayName", format!("Ana Kovač {number}")),
        ("mail", format!("user.{number}@example.com")),
        ("title", "Staff Engineer".to_owned()),
        ("department", "Engineering".to_owned()),
        ("employeeNumber", number.to_string()),
        ("costCenter", format!("CC-{}", number % 97)),
        ("locale", "en-GB".to_owned()),
    ];
    let values = values.map(|(name, value)| (name.to_owned(), vec![Value::Text(value)]));
    (key(Kind::User, number), Attributes(BTreeMap::from(values)))
}
