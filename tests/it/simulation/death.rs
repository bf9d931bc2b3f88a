//! Dying: everything that was not flushed is lost.
//!
//! The durable image is a copy of the state directory, taken at the first look after a flush:
//! a request that arrives, or a step that is reported. The engine runs in one task, which
//! waits meanwhile, so nothing is written but what a flush that is under way, or sled's own
//! thread, may carry out of what was committed since: part of the tail, as a power cut may
//! leave it. The audit log is cut anywhere between what was synced and what was written: it may
//! be ahead of the database.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use provisor::snapshot::Store;
use tokio::sync::Notify;

/// When provisor dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// At the request after so many, before or after it is done.
    Request(u32, bool),
    /// When so many steps were reported.
    Report(u32),
    /// At the place after so many that a run passes between its steps.
    Place(u32),
}

pub(super) struct Death {
    when: Option<When>,
    happened: bool,
    pub(super) notify: Arc<Notify>,
    state_dir: PathBuf,
    image: PathBuf,
    store: Option<Store>,
    generation: u64,
    /// The length of the audit log when it was last made durable, and when death came.
    audit: (u64, u64),
}

impl Death {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            when: None,
            happened: false,
            notify: Arc::new(Notify::new()),
            state_dir: folder.join("state"),
            image: folder.join("image"),
            store: None,
            generation: 0,
            audit: (0, 0),
        }
    }

    /// A run begins, which may die. What is in the directory now is durable.
    pub(super) fn schedule(&mut self, when: Option<When>, store: &Store) {
        self.when = when;
        self.happened = false;
        if when.is_some() {
            self.store = Some(store.clone());
            self.keep_image();
        }
    }

    /// The run is over; whether it died.
    pub(super) fn end(&mut self) -> bool {
        self.when = None;
        self.store = None;
        std::mem::take(&mut self.happened)
    }

    pub(super) fn happened(&self) -> bool {
        self.happened
    }

    /// Takes an image where there was a flush since the last one.
    pub(super) fn look(&mut self) {
        if self.happened || self.when.is_none() {
            return;
        }
        let flushed = self.store.as_ref().map(Store::flushed_generation);
        if flushed.is_some_and(|flushed| flushed != self.generation) {
            self.keep_image();
        }
    }

    fn keep_image(&mut self) {
        self.generation = self.store.as_ref().map_or(0, Store::flushed_generation);
        // Calls are sent while the next ones are flushed, on a thread of its own. So what was
        // recorded of flushes is taken before the database, which is then never older (world
        // 1352, which played well when it was played again).
        let recorded = fs::read(self.state_dir.join("generation")).ok();
        self.audit.0 = audit_length(&self.state_dir);
        let _ = fs::remove_dir_all(&self.image);
        copy_folder(&self.state_dir, &self.image);
        let copy = self.image.join("generation");
        match recorded {
            Some(recorded) => fs::write(copy, recorded).expect("the image is written"),
            None => drop(fs::remove_file(copy)),
        }
    }

    /// Whether provisor dies at this request, and whether what it asks is done.
    pub(super) fn is_due_at_a_request(&mut self) -> Option<bool> {
        match &mut self.when {
            Some(When::Request(0, after)) => Some(*after),
            Some(When::Request(left, _)) => {
                *left -= 1;
                None
            }
            _ => None,
        }
    }

    /// A step was reported.
    pub(super) fn report(&mut self) {
        self.look();
        if let Some(When::Report(left)) = &mut self.when {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => self.happen(),
            }
        }
    }

    /// A run passes a place between two of its steps. Whether it dies there.
    pub(super) fn pass(&mut self) -> bool {
        self.look();
        if let Some(When::Place(left)) = &mut self.when {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => self.happen(),
            }
        }
        self.happened
    }

    /// From here on nothing that provisor does counts.
    pub(super) fn happen(&mut self) {
        if !self.happened {
            self.happened = true;
            self.audit.1 = audit_length(&self.state_dir);
            self.notify.notify_one();
        }
    }

    /// Puts the directory back to what was durable. Nobody may have it open.
    pub(super) fn restore(&self, rng: &mut fastrand::Rng) {
        let audit = self.state_dir.join("audit.jsonl");
        let log = fs::read(&audit).unwrap_or_default();
        fs::remove_dir_all(&self.state_dir).expect("the state directory is removed");
        copy_folder(&self.image, &self.state_dir);
        let (synced, written) = self.audit;
        let kept = rng.u64(synced..=written.max(synced));
        let kept = usize::try_from(kept).expect("a short log").min(log.len());
        fs::write(&audit, &log[..kept]).expect("the log is written");
        set_mode(&audit, 0o600);
    }
}

fn audit_length(state_dir: &Path) -> u64 {
    fs::metadata(state_dir.join("audit.jsonl")).map_or(0, |found| found.len())
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder is made");
    set_mode(to, 0o700);
    for found in fs::read_dir(from).expect("the folder is read") {
        let found = found.expect("the folder is read");
        let place = to.join(found.file_name());
        if found.file_type().is_ok_and(|kind| kind.is_dir()) {
            copy_folder(&found.path(), &place);
        } else {
            // sled removes old snapshots while we look.
            let _ = fs::copy(found.path(), place);
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions are set");
}
