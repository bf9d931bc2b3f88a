//! What is noted of a call before and after it, and a disk that does not take it: then nothing
//! more may be sent than is under way, and the run says what it met. What is said to make a test
//! fail was tried.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use provisor_connectors::{Kind, RecordKey, SourceId};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::*;
use crate::audit::Entry;
use crate::plan::action::{
    Acknowledge, Action, Change, Cost, Limit, PLAN_VERSION, Reason, Reference, Subject, Write,
};
use crate::scim::resource::{AttributeMap, ResourceId};
use crate::snapshot::{Due, Link, MemberEdge, Open, Origin, Store};
use crate::target::{Auth, Connection, Pace, Secret};

fn entry() -> Entry {
    Entry {
        target: "demo".to_owned(),
        kind: Kind::User,
        source: Some("staff".to_owned()),
        source_id: Some("u1".to_owned()),
        resource_id: None,
        change: "create".to_owned(),
        reason: "NewInScope".to_owned(),
        method: Some("POST".to_owned()),
        attributes: Vec::new(),
        values: None,
        request_id: None,
        outcome: "done".to_owned(),
        status: Some(201),
        generation: 0,
    }
}

fn record() -> RecordKey {
    RecordKey {
        source: "staff".to_owned(),
        kind: Kind::User,
        id: SourceId::new("u1"),
    }
}

/// Of the record, to a resource that is active.
fn link() -> Link {
    Link {
        resource: ResourceId("r1".to_owned()),
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
    }
}

/// What a call may have come to.
fn change() -> TargetChange {
    let open = Open {
        why: "it was refused".to_owned(),
        due: Due::Now,
        attempts: 1,
        failed: true,
        awaits: None,
    };
    TargetChange::PutOpen(record(), open)
}

/// One person to create.
pub(super) fn plan() -> Plan {
    let write = Write::Create {
        attributes: AttributeMap::new(),
        members: Vec::new(),
    };
    let action = Action {
        subject: Subject {
            kind: Kind::User,
            record: Some(record()),
            resource: None,
            name: "ana@example.com".to_owned(),
        },
        change: Change::Create,
        reason: Reason::NewInScope,
        adoption: None,
        differences: Vec::new(),
        requests: vec![Request::new(Phase::Joiners, write, Acknowledge::default())],
        costs: Vec::new(),
    };
    Plan {
        version: PLAN_VERSION,
        target: "demo".to_owned(),
        actions: vec![action],
        releases: Vec::new(),
        held: Vec::new(),
        listed: Vec::new(),
        unchanged: 0,
        held_id: None,
    }
}

/// Nothing is asked of it.
fn client() -> Client {
    let connection = Connection {
        base_url: "http://127.0.0.1:9/scim".parse().unwrap(),
        auth: Auth::Bearer(Secret::Generated("s3cret".to_owned().into())),
        timeout: Duration::from_secs(1),
        ca_file: None,
        client_certificate: None,
        proxy: None,
        allow_plaintext: false,
        pace: Pace {
            requests_per_second: None,
            concurrency: 1,
        },
    };
    Client::new(connection).unwrap()
}

/// What an applier borrows.
pub(super) struct Setting {
    pub(super) folder: TempDir,
    pub(super) client: Client,
    pub(super) store: TargetStore,
    profile: Profile,
    audit: Arc<Mutex<Audit>>,
    pub(super) stop: CancellationToken,
}

impl Setting {
    pub(super) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let state_dir = folder.path().join("state");
        let lock = Store::lock(&state_dir).unwrap();
        Self {
            store: Store::open(lock, None).unwrap().store.target("demo"),
            audit: Arc::new(Mutex::new(Audit::open(&state_dir).unwrap())),
            folder,
            client: client(),
            profile: Profile::default(),
            stop: CancellationToken::new(),
        }
    }

    pub(super) fn applier(&self) -> Applier<'_> {
        Applier {
            client: &self.client,
            store: &self.store,
            profile: &self.profile,
            audit: &self.audit,
            audit_values: false,
            clock: &|| DateTime::UNIX_EPOCH,
            stop: &self.stop,
            ledger: Arc::default(),
        }
    }
}

pub(super) fn says(failure: &Failure, words: &str) {
    assert!(failure.chain.join(": ").contains(words), "{failure:?}");
}

/// Fails when the error of `append_all` is swallowed, and when it is forgotten: whoever ends
/// later must not take their call for recorded.
#[tokio::test]
async fn error_of_the_audit_log_ends_the_run_for_everybody() {
    let setting = Setting::new();
    let applier = setting.applier();
    let now = DateTime::UNIX_EPOCH;
    applier.ledger.add_entry(now, entry());
    applier.write_down().await.unwrap();
    assert_eq!(setting.audit.lock().await.last_number(), 1);

    setting.audit.lock().await.make_read_only();
    applier.ledger.add_entry(now, entry());
    let failure = applier.write_down().await.unwrap_err();
    says(&failure, "audit.jsonl");
    assert_eq!(setting.audit.lock().await.last_number(), 1);
    // Nothing waits any more, and what was lost is still lost.
    assert_eq!(applier.write_down().await.unwrap_err(), failure);
}

/// Fails when the error of `commit_all` is swallowed in `Ledger::commit`, and when it is forgotten.
#[tokio::test]
async fn error_of_the_snapshot_ends_the_run_for_everybody() {
    let setting = Setting::new();
    let applier = setting.applier();
    applier.ledger.add_changes(vec![change()]);
    applier.write_down().await.unwrap();

    setting.store.damage_totals().unwrap();
    applier.ledger.add_changes(vec![change()]);
    applier.ledger.add_entry(DateTime::UNIX_EPOCH, entry());
    let failure = applier.write_down().await.unwrap_err();
    says(&failure, "target's progress");
    let audited = setting.audit.lock().await.last_number();
    assert_eq!(audited, 0, "the log does not say what is not known");
    assert_eq!(applier.write_down().await.unwrap_err(), failure);
}

/// Fails when the error of `commit` is swallowed in `note_before`: a lost answer would leave
/// something unexplained at the target.
#[tokio::test]
async fn nothing_is_sent_that_could_not_be_noted() {
    let setting = Setting::new();
    let (applier, turn) = (setting.applier(), (Phase::Joiners, 0));
    assert!(applier.note_before(&plan(), &[0], turn).await.unwrap().any);

    setting.store.damage_totals().unwrap();
    let noted = applier.note_before(&plan(), &[0], turn).await;
    says(&noted.unwrap_err(), "target's progress");
}

/// Whom a create replaces is in no group any more, for all that is known. Fails when `doubts` says so of
/// the link alone: should the create not come, a cycle that does not look would take them out.
#[tokio::test]
async fn memberships_of_what_is_made_again_lead_to_nobody() {
    let setting = Setting::new();
    let group = RecordKey {
        kind: Kind::Group,
        id: SourceId::new("g1"),
        ..record()
    };
    let member = ResourceId("r1".to_owned());
    let changes = vec![
        TargetChange::PutLink(record(), Box::new(link())),
        TargetChange::PutMember(group.clone(), member.clone(), MemberEdge::Added),
    ];
    setting.store.commit(changes).unwrap();
    let turn = (Phase::Joiners, 0);
    let noted = setting.applier().note_before(&plan(), &[0], turn).await;
    assert!(noted.unwrap().any);
    assert!(setting.store.link(&record()).unwrap().unwrap().missing);
    let edge = setting.store.member(&group, &member).unwrap();
    assert_eq!(edge, Some(MemberEdge::Orphaned));
}

/// An answer in the same run has named their resource for somebody else. Fails when `send` sends what is
/// about nobody's link any more: whoever has the resource now would be deleted unseen.
#[tokio::test]
async fn what_became_another_records_is_left_alone() {
    let setting = Setting::new();
    let mut plan = plan();
    let action = &mut plan.actions[0];
    action.change = Change::Delete;
    action.subject.resource = Some(ResourceId("r1".to_owned()));
    action.requests = vec![Request::new(
        Phase::Deletions,
        Write::Delete,
        Acknowledge::default(),
    )];
    let action = &plan.actions[0];
    let applier = setting.applier();
    let ending = applier.run_request(action, &action.requests[0], None).await;
    let Ending::Pending(why) = ending else {
        panic!("it was sent");
    };
    assert!(why.contains("another record's"), "{why}");
}

/// Who was refused for most of a day, and is switched off in the end, counts from that on. Fails
/// when `spend` leaves what was spent at the first call.
#[tokio::test]
async fn what_is_sent_again_is_spent_at_that_moment() {
    let setting = Setting::new();
    let linked = TargetChange::PutLink(record(), Box::new(link()));
    setting.store.commit(vec![linked]).unwrap();
    let mut plan = plan();
    let action = &mut plan.actions[0];
    action.change = Change::Deactivate;
    action.reason = Reason::GoneFromSource;
    action.costs = vec![Cost {
        limit: Limit::Deactivations,
        amount: 1,
    }];
    let write = Write::Patch {
        active: Some(false),
        operations: Vec::new(),
        add: Vec::new(),
        remove: Vec::new(),
    };
    action.requests = vec![Request::new(Phase::Leavers, write, Acknowledge::default())];

    let later = DateTime::UNIX_EPOCH + TimeDelta::hours(23);
    for clock in [&(|| DateTime::UNIX_EPOCH) as &Clock, &move || later] {
        let applier = Applier {
            clock,
            ..setting.applier()
        };
        let turn = (Phase::Leavers, 0);
        assert!(applier.note_before(&plan, &[0], turn).await.unwrap().any);
    }
    let counts = |from| setting.store.spent_since(from).unwrap().len();
    assert_eq!((counts(DateTime::UNIX_EPOCH), counts(later)), (1, 1));
}

/// Either call may have made the group: whom either named is ours to take out. Fails when
/// `note_refused` drops the earlier one.
#[tokio::test]
async fn a_create_that_is_refused_again_keeps_whom_the_first_one_named() {
    let setting = Setting::new();
    let applier = setting.applier();
    let member = |id: &str| ResourceId(id.to_owned());
    for id in ["r1", "r2"] {
        let mut plan = plan();
        plan.actions[0].requests[0].write = Write::Create {
            attributes: AttributeMap::new(),
            members: vec![Reference::Linked(member(id))],
        };
        let turn = (Phase::Joiners, 0);
        assert!(applier.note_before(&plan, &[0], turn).await.unwrap().any);
        applier.note_refused(&plan.actions[0], true).unwrap();
        applier.write_down().await.unwrap();
    }
    let intent = setting.store.intent(&record()).unwrap().unwrap();
    assert!(intent.refused);
    assert_eq!(intent.members, [member("r1"), member("r2")].into());
    assert_eq!(intent.earlier, None);
}

/// Fails when the error of `sync_audit` is swallowed in `flush`.
#[tokio::test]
async fn a_log_that_is_not_durable_ends_the_run() {
    let setting = Setting::new();
    let applier = setting.applier();
    applier.make_durable().await.unwrap();

    setting.audit.lock().await.refuse_to_sync();
    let failure = applier.make_durable().await.unwrap_err();
    says(&failure, "cannot sync the audit log");
}
