//! The contract between a directory and the engine: records, and the trait that reads them.
//!
//! Everything here is a plain value. Nothing in this module may know a target, a mapping or
//! a snapshot. The one rule that matters most: *unknown is not absent*. A read that did not
//! provably finish is an error, never a shorter batch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use tokio::sync::mpsc::Sender;

use crate::known::Known;
use crate::question::Question;
use crate::secret::SecretError;
use crate::unchanged::Unchanged;

/// Which of SCIM's two core resource types a record becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A person.
    User,
    /// A group of people, or of groups.
    Group,
}

impl Kind {
    /// Both kinds, in the order in which they are read and planned.
    pub const ALL: [Kind; 2] = [Kind::User, Kind::Group];
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Kind::User => "user",
            Kind::Group => "group",
        })
    }
}

/// The immutable key of a record in its source: an `objectGUID`, an `entryUUID`, a CSV
/// column. Never a DN and never an e-mail, because those change while the person stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceId(String);

impl SourceId {
    /// Takes the text as the source gives it; it is compared byte for byte.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as the source gave it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The key of a record across all sources: (source name, kind, [`SourceId`]).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    /// The name of the source in the configuration.
    pub source: String,
    /// User or group.
    pub kind: Kind,
    /// The record's immutable key in that source.
    pub id: SourceId,
}

/// What the source says about a record's life. A record that a complete read did not
/// contain is gone; that is not a lifecycle but its end, and the mirror remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    /// May have access, if in scope.
    Active,
    /// Present, but switched off.
    Disabled,
    /// In the directory's recycle bin, from where it can come back with the same key.
    SoftDeleted {
        /// When it was deleted, where the source says.
        since: Option<DateTime<Utc>>,
    },
    /// The source could not tell (the attribute was hidden, the part was not read).
    Unknown,
}

/// One typed value of a source attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A boolean.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Anything else, as text.
    Text(String),
}

// By hand: what serde derives for an untagged value copies it and tries one form after another,
// and a large organisation has many millions of them.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyForm;

        impl Visitor<'_> for AnyForm {
            type Value = Value;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a boolean, a whole number or text")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Boolean(value))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Integer(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
                let value = i64::try_from(value);
                value
                    .map(Value::Integer)
                    .map_err(|_| E::custom("a whole number does not fit into 64 bits with a sign"))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
                Ok(Value::Text(value.to_owned()))
            }

            fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
                Ok(Value::Text(value))
            }
        }

        deserializer.deserialize_any(AnyForm)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(value) => write!(formatter, "{value}"),
            Value::Integer(value) => write!(formatter, "{value}"),
            Value::Text(value) => formatter.write_str(value),
        }
    }
}

/// A record's attributes: ordered lists of values by name. An attribute without a value is
/// not in the map. Names are spelled as the configuration or the source's header spells them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(pub BTreeMap<String, Vec<Value>>);

impl Attributes {
    /// The values of an attribute; empty when the record has none.
    pub fn values(&self, name: &str) -> &[Value] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

/// A member of a group: another record of the same source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberKey {
    /// A person, or a nested group.
    pub kind: Kind,
    /// The member's key in the same source.
    pub id: SourceId,
}

/// What a read says about a group's direct members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Members {
    /// The whole list.
    Complete(BTreeSet<MemberKey>),
    /// Only what changed since the cursor.
    Changed {
        /// Members that are there now.
        added: BTreeSet<MemberKey>,
        /// Members that are no longer there.
        removed: BTreeSet<MemberKey>,
    },
    /// The list could not be read to its end: the group's last known members stand.
    #[default]
    Unknown,
}

/// One user or group as the source gave it, before mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// User or group.
    pub kind: Kind,
    /// Its immutable key.
    pub id: SourceId,
    /// What the source says about its life.
    pub lifecycle: Lifecycle,
    /// Its attributes: at least those that [`ReadRequest::attributes`] names, where present.
    pub attributes: Attributes,
    /// Direct members; [`Members::Complete`] and empty for a user.
    pub members: Members,
}

/// A position from which a source can read only what changed. Opaque to the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct ReadRequest {
    /// The attribute names in use, and the names of questions ([`Question`]). A source may give
    /// more; the engine drops what is not in use. `None`: everything the source has (the default mapping takes what is there).
    pub attributes: Option<BTreeSet<String>>,
    /// Where the last published read ended; `None`: there was none.
    pub since: Option<Cursor>,
    /// Read everything, wherever the last read ended: what changes alone do not show is found
    /// by that.
    pub everything: bool,
    /// What time it is. Some directories say when somebody's access ends and nothing more: who
    /// is switched off by then is judged by this moment. The default is long ago.
    pub now: DateTime<Utc>,
    /// Recognises people who are as they were, so that a source need not build them. A source
    /// that never asks is right, too.
    pub unchanged: Option<Unchanged>,
    /// What the last published read left, record by record. A source that reads only changes
    /// may need it; without it everything is read.
    pub known: Option<Known>,
}

/// One fact of a running read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The record exists and looks like this.
    Upsert(Record),
    /// The record exists and is as it was (a source that can say so without its attributes).
    Present(Kind, SourceId),
    /// The source says that the record is gone.
    Removal(Kind, SourceId),
}

/// What a finished read covered, per collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coverage {
    /// The whole collection: what was neither upserted nor present is gone.
    Complete,
    /// Only changes: what was not named stands as it was.
    Changes,
}

/// Something an operator should see although the read is good. Holds no attribute values
/// but keys and names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub String);

/// The end of a read: what was covered, and where the next one can start. A read that did
/// not provably finish returns an error instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The collections this source has. One that is not listed was not read: its mirror stands.
    pub coverage: BTreeMap<Kind, Coverage>,
    /// Whether this read could tell who is active (there is such a column, or attribute). A
    /// source that could once and cannot any more is not believed that everyone is.
    pub tells_lifecycle: bool,
    /// Where the next read of only changes starts, if the source can do that.
    pub cursor: Option<Cursor>,
    /// Whether only changes were to be read, and the server refused the cursor: everything was
    /// read instead, and whoever acts on that is to be careful.
    pub voided: bool,
    /// Questions that have no answer for anybody, by their names ([`Question::name`]), and why.
    pub unanswered: BTreeMap<String, String>,
    /// What an operator should see.
    pub warnings: Vec<Warning>,
}

/// What `check` reports of a source that could be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFacts {
    /// One line each, in the order in which to print them ("12 columns in people.csv").
    pub lines: Vec<String>,
    /// Every attribute name the source can give, where it can say so (a CSV header).
    pub attributes: BTreeMap<Kind, BTreeSet<String>>,
}

/// A directory that can be read.
pub trait Source: Send + Sync {
    /// Connects, reads as little as possible and says what there is, and whether it could answer
    /// what it will be asked. Fails as a read would.
    fn check<'a>(
        &'a self,
        questions: &'a BTreeSet<Question>,
    ) -> BoxFuture<'a, Result<SourceFacts, SourceError>>;

    /// The names of the attributes that it can give, as far as it can say so; connects only where
    /// the names are found by that. Fails as a check does.
    fn attribute_names(
        &self,
    ) -> BoxFuture<'_, Result<BTreeMap<Kind, BTreeSet<String>>, SourceError>>;

    /// Reads every record, or those changed since the cursor, into `changes` in chunks of a
    /// bounded size (about 1,000), and ends with what it covered.
    ///
    /// An incomplete read is an error, never a shorter batch. The receiver must discard all
    /// chunks of a read that ends in an error. A closed `changes` ends the read with
    /// [`SourceError::Abandoned`].
    fn read<'a>(
        &'a self,
        request: &'a ReadRequest,
        changes: Sender<Vec<Change>>,
    ) -> BoxFuture<'a, Result<Batch, SourceError>>;
}

/// The configuration of one source. The kind of a source is its table's name:
/// `[sources.staff.csv]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum SourceConfig {
    /// CSV files.
    Csv(crate::csv::CsvConfig),
    /// A directory that speaks LDAP.
    Ldap(Box<crate::ldap::LdapConfig>),
    /// A Microsoft Entra tenant.
    Entra(Box<crate::entra::EntraConfig>),
}

impl SourceConfig {
    /// Refuses keys that contradict each other, so that a wrong configuration is reported
    /// before anything is opened. [`Source::check`] and [`Source::read`] refuse them too.
    ///
    /// # Errors
    ///
    /// [`SourceError::Configuration`], naming the keys.
    pub fn validate(&self) -> Result<(), SourceError> {
        match self {
            SourceConfig::Csv(config) => config.validate(),
            SourceConfig::Ldap(config) => config.validate(),
            SourceConfig::Entra(config) => config.validate(),
        }
    }

    /// Refuses a question that this source cannot answer, or that is not written as it writes
    /// them.
    ///
    /// # Errors
    ///
    /// [`SourceError::Configuration`], saying what would be right.
    pub fn check_question(&self, question: &Question) -> Result<(), SourceError> {
        match self {
            SourceConfig::Csv(_) => Err(SourceError::Configuration {
                problem: "a CSV file cannot answer that; use `when`".to_owned(),
            }),
            SourceConfig::Ldap(_) => crate::ldap::check_question(question),
            SourceConfig::Entra(_) => crate::entra::check_question(question),
        }
    }

    /// Builds the source. `base` is the folder of the configuration file, from which
    /// relative paths are taken. Opens nothing yet.
    pub fn build(&self, base: &Path) -> Box<dyn Source> {
        match self {
            SourceConfig::Csv(config) => Box::new(crate::csv::CsvSource::new(config, base)),
            SourceConfig::Ldap(config) => Box::new(crate::ldap::LdapSource::new(config, base)),
            SourceConfig::Entra(config) => Box::new(crate::entra::EntraSource::new(config, base)),
        }
    }
}

/// Why a source could not be read. Messages name the file and line or the server, and what
/// to do; never an attribute's value.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file could not be opened or read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}:{line}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it and what would be right.
        problem: String,
    },
    /// A file was written, replaced or removed while it was read.
    #[error(
        "{} changed while it was being read; write the new file beside it and move it into place",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The configuration contradicts itself or what the source has.
    #[error("{problem}")]
    Configuration {
        /// The keys, and what would be right.
        problem: String,
    },
    /// A server gave up on what it was asked for: it would take too long, or be too much.
    #[error("{server}: {problem}")]
    Limit {
        /// Its URL.
        server: String,
        /// What was asked, and what to do.
        problem: String,
    },
    /// A server could not be reached, broke off, or refused.
    #[error("{server}: {problem}")]
    Server {
        /// Its URL.
        server: String,
        /// What was asked, what came of it in words, and what to do.
        problem: String,
        /// What the system or a library said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A secret cannot be read.
    #[error("the credential cannot be used")]
    Secret(#[from] SecretError),
    /// The receiver went away: the engine gave up on this read.
    #[error("the read was abandoned")]
    Abandoned,
}
