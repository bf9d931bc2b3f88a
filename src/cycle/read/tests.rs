//! Reading several sources in one run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use provisor_connectors::{
    Attributes, Coverage, Lifecycle, Members, Question, Record, SourceError, SourceFacts, SourceId,
    Value,
};
use tokio::sync::Barrier;
use tokio::sync::mpsc::Sender;

use super::*;
use crate::config::Config;

/// A source whose read goes on only when all have begun theirs. One of them fails then.
struct Meeting {
    barrier: Arc<Barrier>,
    fails: bool,
}

impl Source for Meeting {
    fn check<'a>(
        &'a self,
        _questions: &'a BTreeSet<Question>,
    ) -> BoxFuture<'a, Result<SourceFacts, SourceError>> {
        Box::pin(async { unreachable!("nobody asks in this test") })
    }

    fn attribute_names(
        &self,
    ) -> BoxFuture<'_, Result<BTreeMap<Kind, BTreeSet<String>>, SourceError>> {
        Box::pin(async { unreachable!("nobody asks in this test") })
    }

    fn read<'a>(
        &'a self,
        _: &'a ReadRequest,
        changes: Sender<Vec<Change>>,
    ) -> BoxFuture<'a, Result<Batch, SourceError>> {
        Box::pin(async move {
            self.barrier.wait().await;
            if self.fails {
                return Err(SourceError::Abandoned);
            }
            let name = Value::Text("ana@example.com".to_owned());
            let record = Record {
                kind: Kind::User,
                id: SourceId::new("1"),
                lifecycle: Lifecycle::Active,
                attributes: Attributes(BTreeMap::from([("userName".to_owned(), vec![name])])),
                members: Members::Complete(BTreeSet::new()),
            };
            let sent = changes.send(vec![Change::Upsert(record)]).await;
            sent.map_err(|_| SourceError::Abandoned)?;
            Ok(Batch {
                coverage: BTreeMap::from([(Kind::User, Coverage::Complete)]),
                tells_lifecycle: true,
                cursor: None,
                voided: false,
                unanswered: BTreeMap::new(),
                warnings: Vec::new(),
            })
        })
    }
}

struct Silent;

impl Progress for Silent {
    fn report(&self, _: &str, _: u64, _: Option<u64>) {}
}

fn target_of(folder: &Path) -> Target {
    let path = folder.join("provisor.toml");
    let text = "[sources.a.csv]\nusers = \"a.csv\"\n[sources.b.csv]\nusers = \"b.csv\"\n\
                [sources.c.csv]\nusers = \"c.csv\"\n\
                [targets.demo]\npreset = \"sandbox\"\nsource = [\"a\", \"b\", \"c\"]\n";
    std::fs::write(&path, text).unwrap();
    let config = Config::load(&path).unwrap();
    config.targets["demo"].target.clone()
}

#[tokio::test]
async fn sources_are_read_side_by_side_and_one_that_fails_is_alone_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Store::open(Store::lock(&folder.path().join("state")).unwrap(), None).unwrap();
    let barrier = Arc::new(Barrier::new(3));
    let sources = ["a", "b", "c"]
        .into_iter()
        .map(|name| {
            let fails = name == "b";
            let barrier = Arc::clone(&barrier);
            let source: Box<dyn Source> = Box::new(Meeting { barrier, fails });
            (name.to_owned(), source)
        })
        .collect();
    let targets = [target_of(folder.path())];
    let whole = std::collections::BTreeSet::new();
    let read = read_sources(
        &opened.store,
        &sources,
        &targets,
        &whole,
        Utc::now(),
        &Silent,
    );
    // One after another, the first would wait for the others for ever.
    let mut readings = tokio::time::timeout(Duration::from_secs(60), read)
        .await
        .expect("all reads are under way at once")
        .unwrap();
    assert_eq!(readings.failures().keys().collect::<Vec<_>>(), ["b"]);
    readings.publish().await.unwrap();
    let living = |name: &str| opened.store.view(name).unwrap().rows(Kind::User).count();
    assert_eq!(["a", "b", "c"].map(living), [1, 0, 1]);
    opened.store.verify().unwrap();
}

/// A source whose server refuses the cursor, unless everything is asked for; and what it could
/// learn of the one record that the engine knows.
#[derive(Clone, Default)]
struct Refusing(Arc<std::sync::Mutex<Vec<KnownRecord>>>);

impl Source for Refusing {
    fn check<'a>(
        &'a self,
        _questions: &'a BTreeSet<Question>,
    ) -> BoxFuture<'a, Result<SourceFacts, SourceError>> {
        Box::pin(async { unreachable!("nobody asks in this test") })
    }

    fn attribute_names(
        &self,
    ) -> BoxFuture<'_, Result<BTreeMap<Kind, BTreeSet<String>>, SourceError>> {
        Box::pin(async { unreachable!("nobody asks in this test") })
    }

    fn read<'a>(
        &'a self,
        request: &'a ReadRequest,
        changes: Sender<Vec<Change>>,
    ) -> BoxFuture<'a, Result<Batch, SourceError>> {
        Box::pin(async move {
            let person = provisor_connectors::MemberKey {
                kind: Kind::User,
                id: SourceId::new("1"),
            };
            let known = request.known.as_ref().unwrap().of(&person).unwrap();
            self.0.lock().unwrap().push(known);
            let record = |kind, id: &str, members| {
                Change::Upsert(Record {
                    kind,
                    id: SourceId::new(id),
                    lifecycle: Lifecycle::Disabled,
                    attributes: Attributes::default(),
                    members: Members::Complete(members),
                })
            };
            let records = vec![
                record(Kind::User, "1", BTreeSet::new()),
                record(Kind::Group, "g", BTreeSet::from([person])),
            ];
            let sent = changes.send(records).await;
            sent.map_err(|_| SourceError::Abandoned)?;
            Ok(Batch {
                coverage: Kind::ALL.map(|kind| (kind, Coverage::Complete)).into(),
                tells_lifecycle: true,
                cursor: Some(Cursor("here".to_owned())),
                voided: !request.everything,
                unanswered: BTreeMap::new(),
                warnings: Vec::new(),
            })
        })
    }
}

#[tokio::test]
async fn a_refused_cursor_halves_the_limits_of_the_sources_targets() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Store::open(Store::lock(&folder.path().join("state")).unwrap(), None).unwrap();
    let store = opened.store;
    let source = Refusing::default();
    let boxed: Box<dyn Source> = Box::new(source.clone());
    let sources = BTreeMap::from([("a".to_owned(), boxed)]);
    let targets = [target_of(folder.path())];
    let now = Utc::now();
    // A target that had no full cycle yet has its sources read whole.
    let whole = crate::cycle::read_whole(&store, targets.iter(), false, now).unwrap();
    assert!(whole.contains("a"));
    let halved = || store.target("demo").progress().unwrap().halve_limits;
    let read = read_sources(&store, &sources, &targets, &whole, now, &Silent).await;
    let mut readings = read.unwrap();
    readings.publish().await.unwrap();
    assert!(!readings.is_careful("demo") && !halved());
    // A preview only says it.
    let only_changes = BTreeSet::new();
    let read = read_sources(&store, &sources, &targets, &only_changes, now, &Silent).await;
    let mut readings = read.unwrap();
    assert!(readings.is_careful("demo") && !halved());
    readings.publish().await.unwrap();
    assert!(halved());

    let mut asked = source.0.lock().unwrap().clone().into_iter();
    assert_eq!(asked.next(), Some(KnownRecord::default()));
    let known = asked.next().unwrap();
    assert_eq!(known.lifecycle, Some(Lifecycle::Disabled));
    assert_eq!(known.groups, BTreeSet::from([SourceId::new("g")]));
}
