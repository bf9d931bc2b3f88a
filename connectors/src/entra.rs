//! Microsoft Entra ID as a source: users, groups and app assignments from Microsoft Graph.
//!
//! Only what changed is read where Graph can tell it, and everything where that is in doubt.
//! A page that failed, a list without its end or an object that shows only its id is an error,
//! never a shorter batch. Must not decide what happens to anybody.

mod answer;
mod apps;
mod asked;
mod assertion;
mod batch;
mod changes;
mod check;
mod config;
mod deleted;
mod error;
mod graph;
mod group;
mod pace;
mod person;
mod position;
mod properties;
mod read;
mod roles;
mod round;
mod sign_in;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc::Sender;

use self::graph::Graph;
use crate::question::Question;
use crate::source::{Batch, Change, Kind, ReadRequest, Source, SourceError, SourceFacts};

pub use self::config::{Changes, Cloud, EntraConfig};

/// Refuses questions that a tenant has no answer to.
pub(crate) fn check_question(question: &Question) -> Result<(), SourceError> {
    let problem = match question {
        Question::AssignedTo(app) | Question::RolesIn(app) if app.trim().is_empty() => {
            "the app has no name: write that of the enterprise application, or its id"
        }
        Question::AssignedTo(_) | Question::RolesIn(_) => return Ok(()),
        Question::Below(_) | Question::Matches(_) => {
            "a Microsoft Entra tenant has no such places or filters; use `assigned_to`, `groups` or \
             `when`"
        }
    };
    Err(SourceError::Configuration {
        problem: problem.to_owned(),
    })
}

/// A tenant as a source.
pub struct EntraSource {
    config: EntraConfig,
    graph: Graph,
}

impl EntraSource {
    /// Takes relative paths from the folder `base`. Opens nothing yet.
    pub fn new(config: &EntraConfig, base: &Path) -> Self {
        Self {
            config: config.clone(),
            graph: Graph::new(config, base),
        }
    }
}

impl Source for EntraSource {
    fn check<'a>(
        &'a self,
        questions: &'a BTreeSet<Question>,
    ) -> BoxFuture<'a, Result<SourceFacts, SourceError>> {
        Box::pin(async move {
            self.config.validate()?;
            check::check(&self.graph, &self.config, questions).await
        })
    }

    fn attribute_names(
        &self,
    ) -> BoxFuture<'_, Result<BTreeMap<Kind, BTreeSet<String>>, SourceError>> {
        // Nobody has to be asked for them.
        Box::pin(async { Ok(properties::names(&self.config.extension_properties)) })
    }

    fn read<'a>(
        &'a self,
        request: &'a ReadRequest,
        changes: Sender<Vec<Change>>,
    ) -> BoxFuture<'a, Result<Batch, SourceError>> {
        Box::pin(async move {
            self.config.validate()?;
            read::read_all(&self.graph, &self.config, request, changes).await
        })
    }
}
