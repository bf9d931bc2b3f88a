//! Directories that speak LDAP as a source: Active Directory, OpenLDAP, 389 Directory Server,
//! FreeIPA.
//!
//! A search that hit a limit, lost a page or was cut is an error, never a shorter batch. People
//! are streamed; what is held per record is an id and a few digests. Must not interpret
//! attributes, apart from ids, who is switched off, members and references to people.

mod answers;
mod check;
mod config;
mod connect;
mod controller;
mod deleted;
mod dirsync;
mod dn;
mod entry;
mod error;
mod filter;
mod flavor;
mod groups;
mod id;
mod index;
mod lifecycle;
mod message;
mod name;
mod people;
mod position;
mod read;
mod search;
mod sync;
mod tls;
mod tracking;
mod url;
mod usn;
mod waiting;
mod walk;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc::Sender;

use self::connect::Connector;
use self::flavor::Settings;
use self::read::{Place, read_all};
use crate::question::Question;
use crate::source::{Batch, Change, Kind, ReadRequest, Source, SourceError, SourceFacts};

pub use self::config::{Changes, GroupsConfig, LdapConfig, Referrals, Sasl, UsersConfig};
pub use self::dn::{Dn, DnError};
pub use self::filter::{Filter, FilterError};
pub use self::flavor::Flavor;
pub use self::id::IdEncoding;
pub use self::lifecycle::Rule;
pub use self::name::{AttributeName, NameError};
pub use self::url::ServerUrl;

/// Whether a question is written as directories write places and filters.
pub(crate) fn check_question(question: &Question) -> Result<(), SourceError> {
    let problem = match question {
        Question::Below(place) => Dn::parse(place).err().map(|error| error.to_string()),
        Question::Matches(filter) => Filter::parse(filter).err().map(|error| error.to_string()),
        Question::AssignedTo(_) | Question::RolesIn(_) => {
            Some("a directory that speaks LDAP has no apps; use `groups`, `ou` or `filter`".into())
        }
    };
    match problem {
        // The help stands on the second line.
        Some(problem) => Err(SourceError::Configuration {
            problem: problem.replace('\n', "; "),
        }),
        None => Ok(()),
    }
}

/// A directory as a source.
pub struct LdapSource {
    config: LdapConfig,
    connector: Connector,
}

impl LdapSource {
    /// Takes relative paths from the folder `base`. Opens nothing yet.
    pub fn new(config: &LdapConfig, base: &Path) -> Self {
        Self {
            config: config.clone(),
            connector: Connector::new(config, base),
        }
    }

    /// Connects, and finds out what to go by.
    async fn open(&self) -> Result<(Arc<connect::Connection>, Settings), SourceError> {
        self.config.validate()?;
        let connection = self.connector.connect().await?;
        let bases = self.config.users.base.as_slice();
        let flavor = match self.config.flavor {
            Some(flavor) => flavor,
            None => connection.root.flavor(bases),
        };
        Ok((Arc::new(connection), Settings::new(&self.config, flavor)))
    }

    fn place<'a>(
        &'a self,
        connection: Arc<connect::Connection>,
        settings: &'a Settings,
    ) -> Place<'a> {
        Place {
            connector: &self.connector,
            connection,
            settings,
            referrals: self.config.referrals,
            page_size: self.config.page_size.get(),
            changes: self.config.changes,
        }
    }
}

impl Source for LdapSource {
    /// Names are the same in any case there, which is not how they would be compared.
    fn attribute_names(
        &self,
    ) -> BoxFuture<'_, Result<BTreeMap<Kind, BTreeSet<String>>, SourceError>> {
        Box::pin(async { Ok(BTreeMap::new()) })
    }

    fn check<'a>(
        &'a self,
        _questions: &'a BTreeSet<Question>,
    ) -> BoxFuture<'a, Result<SourceFacts, SourceError>> {
        Box::pin(async move {
            let (connection, settings) = self.open().await?;
            check::check(self.place(connection, &settings)).await
        })
    }

    fn read<'a>(
        &'a self,
        request: &'a ReadRequest,
        changes: Sender<Vec<Change>>,
    ) -> BoxFuture<'a, Result<Batch, SourceError>> {
        Box::pin(async move {
            let (connection, settings) = self.open().await?;
            read_all(self.place(connection, &settings), request, changes).await
        })
    }
}
