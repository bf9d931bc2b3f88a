//! Names that go and come, against a real store.

use std::collections::BTreeSet;
use std::fs;

use chrono::{DateTime, Utc};
use provisor_connectors::{
    Attributes, Batch, Change, Coverage, Kind, Lifecycle, Members, Record, RecordKey, SourceId,
};
use tempfile::TempDir;

use super::*;
use crate::cli::exit::Exit;
use crate::scim::resource::{AttributeMap, ResourceId};
use crate::snapshot::target::{Progress, TargetChange};
use crate::snapshot::{Link, Origin};

/// A state directory that has seen one person of the source `staff` at the target `demo`.
struct Known {
    folder: TempDir,
    store: Store,
}

impl Known {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Store::lock(&folder.path().join("state")).unwrap(), None)
            .unwrap()
            .store;
        let known = Self { folder, store };

        let mut stage = known.store.stage("staff", None).unwrap();
        stage.offer(vec![Change::Upsert(person())]).unwrap();
        let batch = Batch {
            coverage: BTreeMap::from([(Kind::User, Coverage::Complete)]),
            tells_lifecycle: true,
            cursor: None,
            voided: false,
            unanswered: BTreeMap::new(),
            warnings: Vec::new(),
        };
        stage.finish(&batch, now()).unwrap().publish(None).unwrap();

        let config = known.configure("staff", "demo");
        let fingerprint = config.targets["demo"].target.fingerprint.clone();
        let part = known.store.target("demo");
        part.commit(vec![
            TargetChange::PutLink(key(), Box::new(link())),
            TargetChange::PutProgress(Box::new(Progress {
                fingerprint,
                ..Progress::default()
            })),
        ])
        .unwrap();
        known
    }

    /// A configuration with one source and one target of these names.
    fn configure(&self, source: &str, target: &str) -> Config {
        let path = self.folder.path().join("provisor.toml");
        let text = format!(
            r#"
            state_dir = "state"
            [sources.{source}.csv]
            users = "people.csv"
            [targets.{target}]
            source = "{source}"
            base_url = "https://scim.example.com/v2"
            auth = {{ bearer = {{ env = "NO_SUCH_VARIABLE" }} }}
            "#
        );
        fs::write(&path, text).unwrap();
        Config::load(&path).unwrap()
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_763_769_600, 0).unwrap()
}

fn key() -> RecordKey {
    RecordKey {
        source: "staff".to_owned(),
        kind: Kind::User,
        id: SourceId::new("s-1"),
    }
}

fn person() -> Record {
    Record {
        kind: Kind::User,
        id: SourceId::new("s-1"),
        lifecycle: Lifecycle::Active,
        attributes: Attributes::default(),
        members: Members::Complete(BTreeSet::new()),
    }
}

fn link() -> Link {
    Link {
        resource: ResourceId("r-1".to_owned()),
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

#[test]
fn the_same_names_say_nothing() {
    let known = Known::new();
    let config = known.configure("staff", "demo");
    assert_eq!(check_renames(&config, &known.store).unwrap(), [""; 0]);
}

#[test]
fn a_renamed_target_is_refused_and_both_names_are_said() {
    let known = Known::new();
    let config = known.configure("staff", "wiki");
    let stop = check_renames(&config, &known.store).unwrap_err();
    assert_eq!(stop.exit, Exit::Usage);
    let said = stop.chain().join(" ");
    assert!(said.contains("`demo`") && said.contains("`wiki`"), "{said}");
}

#[test]
fn a_renamed_source_is_refused_while_links_use_its_name() {
    let known = Known::new();
    let config = known.configure("people", "demo");
    let stop = check_renames(&config, &known.store).unwrap_err();
    assert_eq!(stop.exit, Exit::Usage);
    let said = stop.chain().join(" ");
    assert!(
        said.contains("`staff`") && said.contains("`people`"),
        "{said}"
    );
}

#[test]
fn a_source_that_nobody_is_linked_through_may_go() {
    let known = Known::new();
    let part = known.store.target("demo");
    part.commit(vec![TargetChange::DropLink(key())]).unwrap();
    let config = known.configure("people", "demo");
    assert_eq!(check_renames(&config, &known.store).unwrap(), [""; 0]);
}

#[test]
fn a_removed_target_sends_nothing_and_is_said() {
    let known = Known::new();
    let mut config = known.configure("staff", "demo");
    config.targets.clear();
    let said = check_renames(&config, &known.store).unwrap().join(" ");
    assert!(said.contains("`demo`"), "{said}");
}

#[tokio::test]
async fn a_secret_that_is_not_set_fails_that_target_as_configuration() {
    let known = Known::new();
    let config = known.configure("staff", "demo");
    let failure = connect(&config.targets["demo"]).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Configuration);
    assert!(
        failure.chain.join(" ").contains("NO_SUCH_VARIABLE"),
        "{failure:?}"
    );
}

#[test]
fn an_audit_log_that_ends_too_early_is_said() {
    let known = Known::new();
    let config = known.configure("staff", "demo");
    let audit = Audit::open(known.folder.path()).unwrap();
    assert_eq!(check_audit(&config, &known.store, &audit).unwrap(), None);
    let part = known.store.target("demo");
    let progress = Progress {
        audited: 7,
        ..part.progress().unwrap()
    };
    part.commit(vec![TargetChange::PutProgress(Box::new(progress))])
        .unwrap();
    let said = check_audit(&config, &known.store, &audit).unwrap().unwrap();
    assert!(
        said.contains("number 0") && said.contains("number 7"),
        "{said}"
    );
}
