//! Reading the sources: once each, side by side, into staging, for all their targets.
//!
//! A source that fails keeps its last mirror and its records count as unknown; the others go
//! on. Nothing here is visible to anybody until it is published.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use futures_util::future;
use provisor_connectors::{
    Batch, Change, Cursor, Kind, Known, KnownRecord, NotReadable, ReadRequest, Source, SourceError,
};

use super::{Progress, Target};
use crate::apply::report::{Failure, FailureKind};
use crate::mapping::Expression;
use crate::snapshot::{SnapshotError, Stage, Staged, Store, TargetChange, View};

/// What reading the sources came to, staged and not yet published.
pub struct Readings {
    sources: BTreeMap<String, Reading>,
    failures: BTreeMap<String, Failure>,
    warnings: BTreeMap<String, Vec<String>>,
    /// Questions that have no answer for anybody, and why, by source name.
    unanswered: BTreeMap<String, BTreeMap<String, String>>,
    /// The targets of sources that refused to say what has changed, and were read whole.
    careful: BTreeSet<String>,
    store: Store,
    /// Whether the snapshot agrees with its own counts, once somebody has asked.
    verified: OnceLock<Result<(), Failure>>,
}

struct Reading {
    view: View,
    staged: Option<(Staged, Option<Cursor>)>,
}

/// Reads every named source once, side by side, into staging. A source that fails is in the readings as
/// failed; the others go on. `targets` say which attributes are in use; `whole` are the sources
/// of which not only changes are read ([`read_whole`](super::read_whole)).
pub async fn read_sources(
    store: &Store,
    sources: &BTreeMap<String, Box<dyn Source>>,
    targets: &[Target],
    whole: &BTreeSet<String>,
    now: DateTime<Utc>,
    progress: &dyn Progress,
) -> Result<Readings, Failure> {
    let mut readings = Readings {
        sources: BTreeMap::new(),
        failures: BTreeMap::new(),
        warnings: BTreeMap::new(),
        unanswered: BTreeMap::new(),
        careful: BTreeSet::new(),
        store: store.clone(),
        verified: OnceLock::new(),
    };
    let used = sources
        .iter()
        .filter(|(name, _)| targets.iter().any(|target| target.sources.contains(name)));
    let reads = used.map(|(name, source)| async move {
        let in_use = attributes_in_use(name, targets);
        let request = ReadRequest {
            attributes: Some(in_use),
            everything: whole.contains(name),
            now,
            ..ReadRequest::default()
        };
        let read = read_source(store, name, source.as_ref(), request, progress).await;
        (name, read)
    });
    for (name, read) in future::join_all(reads).await {
        match read {
            Ok((staged, batch)) => {
                tracing::info!(
                    source = name,
                    people = staged.living(Kind::User),
                    groups = staged.living(Kind::Group),
                    generation = staged.generation(),
                    "read a source"
                );
                let warnings = batch
                    .warnings
                    .into_iter()
                    .map(|warning| warning.0)
                    .collect();
                readings.warnings.insert(name.clone(), warnings);
                readings.unanswered.insert(name.clone(), batch.unanswered);
                if batch.voided {
                    let having = targets
                        .iter()
                        .filter(|target| target.sources.contains(name));
                    let having = having.map(|target| target.name.clone());
                    readings.careful.extend(having);
                }
                let view = staged.view();
                let staged = Some((staged, batch.cursor));
                readings
                    .sources
                    .insert(name.clone(), Reading { view, staged });
            }
            Err(failure) => {
                readings.failures.insert(name.clone(), failure);
                let view = store.view(name).map_err(failed)?;
                readings
                    .sources
                    .insert(name.clone(), Reading { view, staged: None });
            }
        }
    }
    Ok(readings)
}

impl Readings {
    /// What was published last, without reading any source again.
    pub fn published<'a>(
        store: &Store,
        sources: impl Iterator<Item = &'a String>,
    ) -> Result<Self, Failure> {
        let mut readings = Self {
            sources: BTreeMap::new(),
            failures: BTreeMap::new(),
            warnings: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            careful: BTreeSet::new(),
            store: store.clone(),
            verified: OnceLock::new(),
        };
        for source in sources {
            let view = store.view(source).map_err(failed)?;
            let reading = Reading { view, staged: None };
            readings.sources.insert(source.clone(), reading);
        }
        Ok(readings)
    }

    /// Why sources could not be read, by name.
    pub fn failures(&self) -> &BTreeMap<String, Failure> {
        &self.failures
    }

    /// What an operator should see although the reads are good, by source name.
    pub fn warnings(&self) -> &BTreeMap<String, Vec<String>> {
        &self.warnings
    }

    /// Why a question has no answer for anybody of a source, if that is so.
    pub(super) fn unanswered(&self, source: &str, question: &str) -> Option<&String> {
        self.unanswered.get(source)?.get(question)
    }

    /// Holds the store against its own counts: once for all the targets of a run, because
    /// nobody can write meanwhile. Blocking.
    pub(super) fn verify(&self, store: &Store) -> Result<(), Failure> {
        let verified = self
            .verified
            .get_or_init(|| store.verify().map_err(|error| damaged(&error)));
        verified.clone()
    }

    /// The mirror of a source as this cycle sees it.
    pub(super) fn view(&self, source: &str) -> Option<&View> {
        self.sources.get(source).map(|reading| &reading.view)
    }

    /// Whether one of a target's sources refused to say what has changed: what follows from
    /// comparing everything again is planned under halved limits.
    pub(super) fn is_careful(&self, target: &str) -> bool {
        self.careful.contains(target)
    }

    /// Publishes what was read. Not called for a preview.
    pub async fn publish(&mut self) -> Result<(), Failure> {
        if !self.careful.is_empty() {
            // Before what was read: a crash between the two only makes somebody careful.
            let (store, careful) = (self.store.clone(), std::mem::take(&mut self.careful));
            let noted = blocking(move || note_careful(&store, &careful)).await?;
            noted.map_err(failed)?;
        }
        let staged: Vec<_> = self
            .sources
            .values_mut()
            .filter_map(|reading| reading.staged.take())
            .collect();
        blocking(move || {
            staged
                .into_iter()
                .try_for_each(|(staged, cursor)| staged.publish(cursor.as_ref()))
        })
        .await?
        .map_err(failed)
    }
}

/// Halves the limits of these targets for their next plan, durably.
fn note_careful(store: &Store, targets: &BTreeSet<String>) -> Result<(), SnapshotError> {
    for target in targets {
        let target = store.target(target);
        let mut progress = target.progress()?;
        progress.halve_limits = true;
        target.commit(vec![TargetChange::PutProgress(Box::new(progress))])?;
    }
    store.flush()?;
    Ok(())
}

/// Answers by the published mirror.
fn known(view: View) -> Known {
    let lists = view.clone();
    Known::new(
        move |record| {
            let row = view.row(record.kind, &record.id);
            let row = row.map_err(|_| NotReadable)?;
            let groups = view.groups_of(record).map_err(|_| NotReadable)?;
            let living = row.filter(|row| row.gone_since.is_none());
            Ok(KnownRecord {
                lifecycle: living.as_ref().map(|row| row.lifecycle),
                attributes: living.map(|row| row.attributes).unwrap_or_default(),
                groups,
            })
        },
        move |group| lists.members(group).map_err(|_| NotReadable),
    )
}

/// Source attributes that any target of this source uses: nothing else is kept.
pub fn attributes_in_use<'a>(
    source: &str,
    targets: impl IntoIterator<Item = &'a Target>,
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for target in targets
        .into_iter()
        .filter(|target| target.sources.iter().any(|name| name == source))
    {
        for kind in Kind::ALL {
            names.extend(target.mapping.in_use(kind));
        }
        names.extend(target.scope.attributes());
        names.extend(target.rules.rehire_key.clone());
        let join_key = target.rules.join_key.iter();
        names.extend(join_key.flat_map(Expression::attributes).map(str::to_owned));
        let group_by = target.rules.groups.group_by.as_ref();
        names.extend(group_by.map(|group_by| group_by.attribute.clone()));
    }
    names
}

async fn read_source(
    store: &Store,
    name: &str,
    source: &dyn Source,
    mut request: ReadRequest,
    progress: &dyn Progress,
) -> Result<(Staged, Batch), Failure> {
    let now = request.now;
    request.since = store.cursor(name).map_err(failed)?;
    request.known = Some(known(store.view(name).map_err(failed)?));
    let stage = blocking({
        let (store, name) = (store.clone(), name.to_owned());
        let in_use = request.attributes.clone();
        move || store.stage(&name, in_use)
    })
    .await?
    .map_err(failed)?;
    request.unchanged = Some(stage.unchanged());
    let (stage, batch) = stream(stage, name, source, &request, progress).await?;
    let staged = blocking({
        let batch = batch.clone();
        move || stage.finish(&batch, now)
    })
    .await?
    .map_err(failed)?;
    if staged.present_people() == 0 {
        return Err(refuse(
            "the source is empty: it has no people (who is in a recycle bin does not count), and \
             nothing is done on its word; check the export or the search base",
        ));
    }
    if staged.lost_lifecycle() {
        return Err(refuse(
            "the source does not say any more who is active, and everyone would count as \
             active: the column or attribute is missing; the source is frozen until it is back. \
             If it is meant so for a CSV file, set `active_column = \"\"`",
        ));
    }
    let vanished: Vec<String> = staged
        .vanished()
        .into_iter()
        .flat_map(|(kind, names)| {
            names
                .into_iter()
                .map(move |name| format!("`{name}` ({kind})"))
        })
        .collect();
    if !vanished.is_empty() {
        return Err(refuse(&format!(
            "no record has {} any more, which 20 or more had: a column or a permission is \
             missing; the source is frozen until it is back or no longer mapped",
            vanished.join(", ")
        )));
    }
    Ok((staged, batch))
}

/// Runs the read and feeds the stage, which blocks, on a thread of its own.
async fn stream(
    mut stage: Stage,
    name: &str,
    source: &dyn Source,
    request: &ReadRequest,
    progress: &dyn Progress,
) -> Result<(Stage, Batch), Failure> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Vec<Change>>(4);
    let (counted, mut counts) = tokio::sync::mpsc::unbounded_channel();
    let consumer = tokio::task::spawn_blocking(move || {
        let mut seen = 0;
        while let Some(changes) = receiver.blocking_recv() {
            seen += changes.len() as u64;
            stage.offer(changes)?;
            // Nobody listening is no reason to stop.
            let _ = counted.send(seen);
        }
        Ok::<_, SnapshotError>(stage)
    });
    let step = format!("reading {name}");
    let report = async {
        while let Some(seen) = counts.recv().await {
            progress.report(&step, seen, None);
        }
    };
    let (batch, ()) = future::join(source.read(request, sender), report).await;
    let stage = consumer.await.map_err(panicked)?;
    // The store's own error says more than "abandoned", which follows from it.
    let stage = stage.map_err(failed)?;
    let batch = batch.map_err(|error| source_failure(&error))?;
    Ok((stage, batch))
}

/// What a source's error comes to.
pub fn source_failure(error: &SourceError) -> Failure {
    let kind = match error {
        SourceError::Secret(_) => FailureKind::Configuration,
        _ => FailureKind::Failed,
    };
    Failure::new(kind, error)
}

/// Runs something that blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(panicked)
}

pub(super) fn failed(error: impl std::error::Error) -> Failure {
    Failure::new(FailureKind::Failed, &error)
}

fn damaged(error: &SnapshotError) -> Failure {
    let mut failure = Failure::new(FailureKind::Failed, error);
    failure.chain.insert(
        0,
        "the snapshot does not agree with its own counts, and nothing is done on its word"
            .to_owned(),
    );
    failure
}

fn panicked(error: tokio::task::JoinError) -> Failure {
    Failure::new(FailureKind::Failed, &error)
}

fn refuse(problem: &str) -> Failure {
    Failure {
        kind: FailureKind::Failed,
        chain: vec![problem.to_owned()],
    }
}

#[cfg(test)]
mod tests;
