//! A log that cannot be written: nothing more may be sent than is under way.

use provisor_connectors::Kind;
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::audit::Audit;
use crate::snapshot::Store;
use crate::target::{Auth, Client, Connection, Pace, Profile, Secret};

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

/// Nothing is asked of it.
fn client() -> Client {
    let connection = Connection {
        base_url: "http://127.0.0.1:9/scim".parse().unwrap(),
        auth: Auth::Bearer(Secret::Generated("s3cret".to_owned().into())),
        timeout: std::time::Duration::from_secs(1),
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

/// Fails when the error of `append_all` is swallowed, and when it is forgotten: whoever ends
/// later must not take their call for recorded.
#[tokio::test]
async fn error_of_the_audit_log_ends_the_run_for_everybody() {
    let folder = TempDir::new().unwrap();
    let state_dir = folder.path().join("state");
    let lock = Store::lock(&state_dir).unwrap();
    let store = Store::open(lock, None).unwrap().store.target("demo");
    let audit = Arc::new(Mutex::new(Audit::open(&state_dir).unwrap()));
    let client = client();
    let profile = Profile::default();
    let applier = Applier {
        client: &client,
        store: &store,
        profile: &profile,
        audit: &audit,
        audit_values: false,
        clock: &|| DateTime::UNIX_EPOCH,
        stop: &CancellationToken::new(),
        ledger: Arc::default(),
    };
    let now: DateTime<Utc> = DateTime::UNIX_EPOCH;
    applier.ledger.add_entry(now, entry());
    applier.write_down().await.unwrap();
    assert_eq!(audit.lock().await.last_number(), 1);

    audit.lock().await.make_read_only();
    applier.ledger.add_entry(now, entry());
    let failure = applier.write_down().await.unwrap_err();
    assert!(
        failure.chain.join(": ").contains("audit.jsonl"),
        "{failure:?}"
    );
    assert_eq!(audit.lock().await.last_number(), 1);
    // Nothing waits any more, and what was lost is still lost.
    assert_eq!(applier.write_down().await.unwrap_err(), failure);
}
