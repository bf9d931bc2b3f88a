//! What goes on at once in a turn, and how far each may be ahead of the others. What is said to
//! make a test fail was tried.

use std::fs;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};

use provisor_connectors::SourceId;
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::apply::Ledger;
use crate::apply::tests::{Setting, plan, says};
use crate::plan::action::Phase;
use crate::snapshot::TargetStore;
use crate::target::test_server::{Reply, TestServer, json, status};
use crate::target::{Client, Pace};

const TURN: Turn = (Phase::Joiners, 0);

struct Silent;

impl Progress for Silent {
    fn report(&self, _step: &str, _done: u64, _total: Option<u64>) {}
}

fn plan_for(people: usize) -> Plan {
    let mut plan = plan();
    let first = plan.actions.remove(0);
    plan.actions = (0..people)
        .map(|number| {
            let mut action = first.clone();
            if let Some(record) = &mut action.subject.record {
                record.id = SourceId::new(format!("u{number}"));
            }
            action
        })
        .collect();
    plan
}

fn created(number: usize) -> Reply {
    json(
        201,
        json!({"id": format!("r{number}"), "userName": "somebody"}),
    )
}

/// A setting whose client sends to the server, so many at once.
fn setting_for(server: &TestServer, concurrency: usize) -> Setting {
    let mut connection = server.connection();
    connection.pace = Pace {
        requests_per_second: None,
        concurrency,
    };
    let mut setting = Setting::new();
    setting.client = Client::new(connection).unwrap();
    setting
}

fn audit_log(setting: &Setting) -> PathBuf {
    setting.folder.path().join("state/audit.jsonl")
}

/// How many calls are on record.
fn records(setting: &Setting) -> usize {
    fs::read_to_string(audit_log(setting))
        .unwrap()
        .lines()
        .count()
}

async fn run_turn(setting: &Setting, people: usize) -> Result<(), Failure> {
    let plan = plan_for(people);
    let work: Vec<usize> = (0..people).collect();
    let mut run = Run::new(&plan);
    let applier = setting.applier();
    applier
        .run_turn(&plan, TURN, &work, &mut run, "", &Silent)
        .await
}

/// From now on nothing is written down, until that is `released`, or its sender dropped.
fn hold_up(ledger: Arc<Ledger>, released: mpsc::Receiver<()>) {
    let (hold, held) = mpsc::channel();
    std::thread::spawn(move || {
        let _guard = ledger.hold_up();
        hold.send(()).unwrap();
        // An error: nobody waits for it any more.
        let _ = released.recv();
    });
    held.recv().unwrap();
}

/// Lets a turn go on until the server has seen enough, and sees nothing more of it; whether it has. On
/// a busy machine a turn may be quiet for a while before that.
async fn is_quiet(
    mut turn: Pin<&mut impl Future<Output = Result<(), Failure>>>,
    server: &TestServer,
    enough: impl Fn(usize) -> bool,
) -> bool {
    let (mut seen, mut quiet) = (0, 0);
    for _ in 0..100 {
        if timeout(Duration::from_millis(30), &mut turn).await.is_ok() {
            return false;
        }
        let now = server.seen().len();
        let is_quiet = now == seen && enough(now);
        quiet = if is_quiet { quiet + 1 } else { 0 };
        if quiet == 10 {
            return true;
        }
        seen = now;
    }
    false
}

/// Fails when more may be sent and not be on record, and when fewer: they would wait for the disk.
#[tokio::test]
async fn a_slow_disk_is_waited_for_when_much_is_not_on_record() {
    // Nor is what is yet to be noted, where the disk stops just then: less can be sent in that case.
    for _ in 0..20 {
        if sends_all_it_may_to_a_slow_disk().await {
            return;
        }
    }
    panic!("fewer were sent than may be");
}

/// Whether a disk that stops in the middle of 600 creations is what they wait for.
async fn sends_all_it_may_to_a_slow_disk() -> bool {
    let told = Arc::new(OnceLock::<(TargetStore, Arc<Ledger>)>::new());
    let (release, released) = mpsc::channel::<()>();
    let (at, released) = (Arc::clone(&told), std::sync::Mutex::new(Some(released)));
    let server = TestServer::start(move |_, number| {
        let (store, ledger) = at.get().expect("it was told");
        // More is noted than may be sent from now on.
        let enough = |_: &mut _| store.intents().unwrap().len() > 2 * MOST_UNRECORDED;
        if let Some(released) = released.lock().unwrap().take_if(enough) {
            hold_up(Arc::clone(ledger), released);
        }
        created(number)
    })
    .await;
    let setting = setting_for(&server, 2);
    let (people, applier) = (600, setting.applier());
    let _ = told.set((setting.store.clone(), Arc::clone(&applier.ledger)));
    let plan = plan_for(people);
    let work: Vec<usize> = (0..people).collect();
    let mut run = Run::new(&plan);
    let mut turn = pin!(applier.run_turn(&plan, TURN, &work, &mut run, "", &Silent));
    let not_on_record = |seen: usize| seen - records(&setting);
    let enough = |seen| not_on_record(seen) >= MOST_UNRECORDED;
    if !is_quiet(turn.as_mut(), &server, enough).await {
        return false;
    }
    assert_eq!(not_on_record(server.seen().len()), MOST_UNRECORDED);
    release.send(()).unwrap();
    turn.await.unwrap();
    assert_eq!(server.seen().len(), people);
    assert_eq!(records(&setting), people);
    assert!(setting.store.intents().unwrap().is_empty());
    assert_eq!(setting.store.totals().unwrap().users, people as u64);
    true
}

/// Fails when what has ended with "target gone" counts only once it is written down.
#[tokio::test]
async fn once_the_target_is_gone_nothing_new_is_sent() {
    let server = TestServer::start(|_, _| status(401)).await;
    let setting = setting_for(&server, 2);
    let applier = setting.applier();
    let plan = plan_for(100);
    let work: Vec<usize> = (0..100).collect();
    let mut run = Run::new(&plan);
    let (release, released) = mpsc::channel();
    hold_up(Arc::clone(&applier.ledger), released);
    let mut turn = pin!(applier.run_turn(&plan, TURN, &work, &mut run, "", &Silent));
    assert!(is_quiet(turn.as_mut(), &server, |seen| seen >= 2).await);
    // Two at once, each of them with a secret that was read anew.
    assert!(
        server.seen().len() <= 4,
        "{} were sent",
        server.seen().len()
    );
    release.send(()).unwrap();
    says(&turn.await.unwrap_err(), "401");
    assert!(
        server.seen().len() <= 4,
        "{} were sent",
        server.seen().len()
    );
    assert!(setting.store.intents().unwrap().is_empty());
}

/// Fails when the next call does not wait for the last one's record.
#[tokio::test]
async fn one_after_another_each_is_on_record_before_the_next() {
    let log = Arc::new(OnceLock::new());
    let late = Arc::new(AtomicBool::new(false));
    let (path, is_late) = (Arc::clone(&log), Arc::clone(&late));
    let server = TestServer::start(move |_, number| {
        let text = fs::read_to_string(path.get().expect("it was told")).unwrap();
        is_late.fetch_or(text.lines().count() < number, Ordering::SeqCst);
        created(number)
    })
    .await;
    let setting = setting_for(&server, 1);
    log.set(audit_log(&setting)).unwrap();
    run_turn(&setting, 20).await.unwrap();
    assert_eq!(server.seen().len(), 20);
    assert!(!late.load(Ordering::SeqCst));
}

/// Of two calls, the second is answered once the first is on record. Fails when what has ended waits
/// for everything that is under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_ended_does_not_wait_for_a_slow_call() {
    let log = Arc::new(OnceLock::<PathBuf>::new());
    let waited_in_vain = Arc::new(AtomicBool::new(false));
    let (path, in_vain) = (Arc::clone(&log), Arc::clone(&waited_in_vain));
    let server = TestServer::start(move |_, number| {
        let path = path.get().expect("it was told");
        let is_on_record = || fs::read_to_string(path).unwrap().lines().count() > 0;
        let start = Instant::now();
        while number == 1 && !is_on_record() && start.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
        in_vain.fetch_or(number == 1 && !is_on_record(), Ordering::SeqCst);
        created(number)
    })
    .await;
    let setting = setting_for(&server, 2);
    log.set(audit_log(&setting)).unwrap();
    run_turn(&setting, 2).await.unwrap();
    assert_eq!(server.seen().len(), 2);
    assert!(!waited_in_vain.load(Ordering::SeqCst));
}

/// Fails when a group is noted and not flushed. That holds for every group: the simulation drops
/// what is not flushed at every death.
#[tokio::test]
async fn what_was_noted_is_durable_before_anything_is_sent() {
    let store = Arc::new(OnceLock::<TargetStore>::new());
    let early = Arc::new(AtomicBool::new(false));
    let (at, is_early) = (Arc::clone(&store), Arc::clone(&early));
    let server = TestServer::start(move |_, number| {
        let flushed = at.get().expect("it was told").flushed_generation();
        is_early.fetch_or(flushed == 0, Ordering::SeqCst);
        created(number)
    })
    .await;
    let setting = setting_for(&server, 1);
    let _ = store.set(setting.store.clone());
    run_turn(&setting, 1).await.unwrap();
    assert_eq!(server.seen().len(), 1);
    assert!(!early.load(Ordering::SeqCst));
}

/// Fails when the intents of those who were not sent stay, and when a stop is not heeded.
#[tokio::test]
async fn a_stop_leaves_nobody_in_doubt() {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    let server = TestServer::start(move |_, number| {
        asked.cancel();
        created(number)
    })
    .await;
    let mut setting = setting_for(&server, 2);
    setting.stop = stop;
    says(
        &run_turn(&setting, 100).await.unwrap_err(),
        "stopped between two calls",
    );
    let sent = server.seen().len();
    assert!(sent <= 2, "{sent} were sent");
    assert_eq!(setting.store.totals().unwrap().users, sent as u64);
    assert!(setting.store.intents().unwrap().is_empty());
}

/// Fails when what was noted counts as noted though that is not durable.
#[tokio::test]
async fn what_could_not_be_noted_is_not_sent() {
    let server = TestServer::start(|_, number| created(number)).await;
    let setting = setting_for(&server, 2);
    setting.store.damage_totals().unwrap();
    says(
        &run_turn(&setting, 10).await.unwrap_err(),
        "target's progress",
    );
    assert!(server.seen().is_empty());
}

/// A server that answers every creation with one and the same resource. Fails when what is contested
/// counts as done.
#[tokio::test]
async fn what_is_answered_with_the_resource_of_another_is_a_conflict() {
    let server = TestServer::start(|_, _| created(1)).await;
    let setting = setting_for(&server, 2);
    let plan = plan_for(2);
    let mut run = Run::new(&plan);
    let applier = setting.applier();
    applier
        .run_turn(&plan, TURN, &[0, 1], &mut run, "", &Silent)
        .await
        .unwrap();
    let applied = run.finish(None);
    assert_eq!(applied.conflicts.len(), 1);
    let words = "the target answered with the resource of staff u";
    let failed = applied.outcomes.iter().filter(
        |outcome| matches!(outcome, crate::apply::report::Outcome::Failed(why) if why.contains(words)),
    );
    assert_eq!(failed.count(), 1, "{:?}", applied.outcomes);
    assert_eq!(setting.store.totals().unwrap().users, 1);
    assert_eq!(setting.store.intents().unwrap().len(), 1);
}

#[test]
fn groups_are_as_large_as_two_seconds() {
    assert_eq!(group_size(8, Duration::from_secs(8)), 2);
    assert_eq!(group_size(20, Duration::from_secs(1)), 40);
    assert_eq!(group_size(1_000, Duration::from_millis(1)), MOST_TOGETHER);
    assert_eq!(group_size(5, Duration::ZERO), MOST_TOGETHER);
}
