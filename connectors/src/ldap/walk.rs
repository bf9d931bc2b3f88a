//! Several searches one after the other as one stream of entries, and, where that is wanted,
//! the parts that are kept on other servers.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use ldap3::Scope;
use url::Url;

use super::config::Referrals;
use super::connect::{Connection, Connector};
use super::dn::Dn;
use super::entry::Entry;
use super::search::{Outcome, Running, Search};
use crate::source::SourceError;

/// More places than this are taken for servers that refer to each other without end.
const PLACES: usize = 64;

/// Searches under way.
pub(super) struct Walk<'a> {
    connector: &'a Connector,
    home: Arc<Connection>,
    referrals: Referrals,
    waiting: VecDeque<(Option<String>, Search)>,
    /// The search under way, as it was asked for.
    current: Option<(Running, Search)>,
    places: BTreeSet<(String, String)>,
    outcome: Outcome,
}

impl<'a> Walk<'a> {
    /// Searches at `home`, in their order.
    pub(super) fn new(
        connector: &'a Connector,
        home: &Arc<Connection>,
        referrals: Referrals,
        searches: impl IntoIterator<Item = Search>,
    ) -> Self {
        let follow = referrals == Referrals::Follow;
        let searches = searches.into_iter();
        Self {
            connector,
            home: Arc::clone(home),
            referrals,
            waiting: searches
                .map(|search| (None, Search { follow, ..search }))
                .collect(),
            current: None,
            places: BTreeSet::new(),
            outcome: Outcome::Read,
        }
    }

    /// The same, asking for each page before the entries of the last one are taken
    /// ([`Search::reads_ahead`]).
    pub(super) fn reading_ahead(mut self) -> Self {
        for (_, search) in &mut self.waiting {
            search.reads_ahead = true;
        }
        self
    }

    /// The next entries; `None` when every search has ended completely.
    pub(super) async fn next_chunk(&mut self) -> Result<Option<Vec<Entry>>, SourceError> {
        loop {
            if let Some((running, _)) = &mut self.current {
                if let Some(chunk) = running.next_chunk().await? {
                    return Ok(Some(chunk));
                }
                if let Some((running, search)) = self.current.take() {
                    self.note(&running, &search)?;
                }
            }
            let Some((host, search)) = self.waiting.pop_front() else {
                return Ok(None);
            };
            let connection = match host {
                None => Arc::clone(&self.home),
                Some(host) => Arc::new(self.connector.connect_elsewhere(&host).await?),
            };
            self.current = Some((Running::new(connection, search.clone()), search));
        }
    }

    /// The connection of the search under way, for what belongs to its entries.
    pub(super) fn connection(&self) -> &Connection {
        match &self.current {
            Some((running, _)) => running.connection(),
            None => &self.home,
        }
    }

    /// How the searches so far ended.
    pub(super) fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Puts where else to look behind what is waiting. Each place is visited once.
    fn note(&mut self, running: &Running, search: &Search) -> Result<(), SourceError> {
        if running.outcome == Outcome::Withheld {
            self.outcome = Outcome::Withheld;
        }
        if self.referrals == Referrals::Ignore {
            return Ok(());
        }
        for uri in &running.referrals {
            let refused = || SourceError::Server {
                server: running.connection().server.clone(),
                problem: format!("it refers to `{uri}`, where nothing can be looked for"),
                source: None,
            };
            let (host, found) = referred(uri, search).ok_or_else(refused)?;
            let place = (host.clone(), found.base.as_str().to_lowercase());
            if self.places.insert(place) {
                self.waiting
                    .push_back(((!host.is_empty()).then_some(host), found));
            }
            if self.places.len() > PLACES {
                return Err(refused());
            }
        }
        Ok(())
    }
}

/// The host and port of a referral, and what to search there. No host: the same server.
fn referred(uri: &str, search: &Search) -> Option<(String, Search)> {
    let url = Url::parse(uri).ok()?;
    let host = url.host_str().unwrap_or_default();
    let host = match (url.port(), url.scheme()) {
        (Some(port), "ldap" | "ldaps") => format!("{host}:{port}"),
        (None, "ldap" | "ldaps") => host.to_owned(),
        _ => return None,
    };
    let parameters = ldap3::get_url_params(&url).ok()?;
    let base = match parameters.base.as_ref() {
        "" => search.base.clone(),
        base => Dn::parse(base).ok()?,
    };
    let scope = match url.query() {
        Some(_) => parameters.scope,
        None => Scope::Subtree,
    };
    let found = Search {
        base,
        scope,
        ..search.clone()
    };
    Some((host, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ldap::filter::Filter;

    #[test]
    fn a_referral_says_where_to_look_for_the_same() {
        let base = Dn::parse("dc=example,dc=com").unwrap();
        let search = Search::below(&base, Filter::constant("(a=b)"), Vec::new(), 10);
        let table = [
            (
                "ldap://dc2.example.com/",
                "dc2.example.com",
                "dc=example,dc=com",
            ),
            (
                "ldap://dc2.example.com:3389/ou=A%20B,dc=example,dc=com??sub",
                "dc2.example.com:3389",
                "ou=A B,dc=example,dc=com",
            ),
            (
                "ldap:///ou=x,dc=example,dc=com",
                "",
                "ou=x,dc=example,dc=com",
            ),
        ];
        for (uri, host, base) in table {
            let (found, search) = referred(uri, &search).unwrap();
            assert_eq!((found.as_str(), search.base.as_str()), (host, base));
            assert_eq!(search.filter.as_str(), "(a=b)");
        }
        assert!(referred("https://example.com/", &search).is_none());
    }
}
