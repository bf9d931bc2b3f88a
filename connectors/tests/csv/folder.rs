//! A folder with the files of one CSV source, and a read of all of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use provisor_connectors::{
    Batch, Change, Kind, MemberKey, Members, ReadRequest, Record, Source, SourceConfig,
    SourceError, SourceFacts, SourceId,
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

/// Two people, one of them inactive.
pub(super) const PEOPLE: &str = "id,active,mail\n1,true,ana@example.com\n2,false,bo@example.com\n";

/// A complete list of members.
pub(super) fn members(keys: &[(Kind, &str)]) -> Members {
    let keys = keys.iter().map(|(kind, id)| MemberKey {
        kind: *kind,
        id: SourceId::new(*id),
    });
    Members::Complete(keys.collect())
}

/// Where `people.csv` and `groups.csv` stand, with the configuration that reads them.
pub(super) struct Folder {
    folder: TempDir,
    keys: String,
}

/// A finished read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) records: Vec<Record>,
    pub(super) batch: Batch,
}

impl Folder {
    /// Only people, all keys as by default.
    pub(super) fn with_users(users: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("people.csv"), users).unwrap();
        Self {
            folder,
            keys: "users = \"people.csv\"\n".to_owned(),
        }
    }

    /// People and a groups file.
    pub(super) fn with_groups(users: impl AsRef<[u8]>, groups: impl AsRef<[u8]>) -> Self {
        let folder = Self::with_users(users).set("groups = \"groups.csv\"");
        fs::write(folder.path("groups.csv"), groups).unwrap();
        folder
    }

    /// Adds a line to the source's table.
    pub(super) fn set(mut self, line: &str) -> Self {
        self.keys.push_str(line);
        self.keys.push('\n');
        self
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn source(&self) -> Box<dyn Source> {
        parse(&self.keys).unwrap().build(self.folder.path())
    }

    pub(super) fn read(&self) -> Result<Read, SourceError> {
        self.read_only(ReadRequest::default())
    }

    pub(super) fn read_only(&self, request: ReadRequest) -> Result<Read, SourceError> {
        let source = self.source();
        let (sender, mut receiver) = mpsc::channel::<Vec<Change>>(1);
        runtime().block_on(async {
            let gather = async {
                let mut records = Vec::new();
                while let Some(chunk) = receiver.recv().await {
                    assert!(chunk.len() <= 1_000, "a chunk of {}", chunk.len());
                    records.extend(chunk.into_iter().map(|change| match change {
                        Change::Upsert(record) => record,
                        other => panic!("a CSV source only has upserts: {other:?}"),
                    }));
                }
                records
            };
            let (batch, records) = tokio::join!(source.read(&request, sender), gather);
            Ok(Read {
                records,
                batch: batch?,
            })
        })
    }

    pub(super) fn check(&self) -> Result<SourceFacts, SourceError> {
        runtime().block_on(self.source().check(&BTreeSet::new()))
    }

    /// What a failed read says, with the file's folder left out.
    pub(super) fn failure(&self) -> String {
        let error = self.read().expect_err("the read should fail");
        let folder = format!("{}/", self.folder.path().display());
        error.to_string().replace(&folder, "")
    }
}

impl Read {
    pub(super) fn of(&self, kind: Kind) -> Vec<&Record> {
        let is_kind = |record: &&Record| record.kind == kind;
        self.records.iter().filter(is_kind).collect()
    }

    pub(super) fn ids(&self, kind: Kind) -> Vec<&str> {
        let records = self.of(kind);
        records.iter().map(|record| record.id.as_str()).collect()
    }

    pub(super) fn warnings(&self) -> Vec<&str> {
        let warnings = self.batch.warnings.iter();
        warnings.map(|warning| warning.0.as_str()).collect()
    }
}

/// The values of an attribute, as text.
pub(super) fn values(record: &Record, name: &str) -> Vec<String> {
    let values = record.attributes.values(name).iter();
    values.map(ToString::to_string).collect()
}

/// A source's table, as it would stand under `[sources.NAME.csv]`.
pub(super) fn parse(keys: &str) -> Result<SourceConfig, toml::de::Error> {
    toml::from_str(&format!("[csv]\n{keys}"))
}

pub(super) fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}
