//! Searches that end completely or fail: paged (RFC 2696), in chunks, with referrals noted.
//!
//! A limit, a lost page or a cut is an error. Must not know what entries mean.

use std::sync::Arc;

use ldap3::asn1::{PL, StructureTag, parse_tag};
use ldap3::controls::{Control, MakeCritical, PagedResults, RawControl};
use ldap3::{LdapResult, ResultEntry, Scope, SearchOptions, SearchStream};

use super::connect::{Connection, guarded};
use super::dn::Dn;
use super::entry::Entry;
use super::error::{GARBAGE, Request};
use super::filter::Filter;
use super::message::Malformed;
use super::pack::unpack;
use crate::source::SourceError;

/// RFC 2696.
pub(super) const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";

/// About how many entries a chunk has at most, however large a page is: a few that came in one
/// message may be more.
pub(super) const CHUNK: u16 = 1_000;

/// More pages than this without an entry, one after the other, are no progress.
const EMPTY_PAGES: usize = 1_000;

/// What to search.
#[derive(Debug, Clone)]
pub(super) struct Search {
    pub(super) base: Dn,
    pub(super) scope: Scope,
    pub(super) filter: Filter,
    pub(super) attributes: Vec<String>,
    /// Sent with each page, besides the one for paging.
    pub(super) controls: Vec<RawControl>,
    /// Entries a page.
    pub(super) page_size: u16,
    /// Whether it is no error that the whole base is kept elsewhere.
    pub(super) follow: bool,
    /// Whether it is no error that the base is not there, or not for this account.
    pub(super) optional: bool,
    /// Whether the next page is asked for before the entries of the last one are taken. Only for
    /// whoever takes everything to its end, and asks for nothing else on the connection meanwhile.
    pub(super) reads_ahead: bool,
}

/// How a search ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Everything there is was given.
    Read,
    /// An optional base is not there, or not for this account.
    Withheld,
}

impl Search {
    /// Everything below a base that a filter matches.
    pub(super) fn below(
        base: &Dn,
        filter: Filter,
        attributes: Vec<String>,
        page_size: u16,
    ) -> Self {
        Self {
            base: base.clone(),
            scope: Scope::Subtree,
            filter,
            attributes,
            controls: Vec::new(),
            page_size,
            follow: false,
            optional: false,
            reads_ahead: false,
        }
    }

    fn request(&self) -> Request {
        match self.scope {
            Scope::Base => Request::Entry {
                place: self.base.place().to_owned(),
            },
            _ => Request::search(&self.base, &self.filter),
        }
    }
}

/// A search under way. Nobody else may page on the same connection meanwhile: OpenLDAP keeps
/// one paged search a connection.
pub(super) struct Running {
    connection: Arc<Connection>,
    search: Search,
    stream: Option<SearchStream<'static, String, Vec<String>>>,
    next: Next,
    empty_pages: usize,
    entries_in_page: usize,
    /// Whether a page has ended well.
    has_page: bool,
    pub(super) outcome: Outcome,
    /// Where else the server says that entries are (`ldap://host/base`), in its order.
    pub(super) referrals: Vec<String>,
}

enum Next {
    /// The first page, or one behind this cookie.
    Page(Vec<u8>),
    End,
}

impl Running {
    pub(super) fn new(connection: Arc<Connection>, search: Search) -> Self {
        Self {
            connection,
            search,
            stream: None,
            next: Next::Page(Vec::new()),
            empty_pages: 0,
            entries_in_page: 0,
            has_page: false,
            outcome: Outcome::Read,
            referrals: Vec::new(),
        }
    }

    /// The connection, for a request between two chunks that is not paged.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The next entries; `None` when everything was read. An error once is an error for good.
    ///
    /// Where the search reads ahead, the server is asked for the next page before the entries of
    /// the last one are given: it looks for them while those are taken, and a whole page of
    /// them, so that neither waits for the other. Whoever may stop in the middle must not: a page
    /// that nobody takes would be under way while another search pages. Where it does not read
    /// ahead, nothing is under way behind a chunk, unless a page has more than [`CHUNK`].
    pub(super) async fn next_chunk(&mut self) -> Result<Option<Vec<Entry>>, SourceError> {
        let mut chunk = Vec::new();
        let most = usize::from(CHUNK);
        let first = most.min(self.search.page_size.into());
        loop {
            let is_enough = match (self.search.reads_ahead, self.has_page) {
                // A page of the usual size is taken to its end.
                (true, true) => chunk.len() > most,
                (true, false) => chunk.len() >= first,
                (false, _) => match &self.stream {
                    Some(_) => chunk.len() > most,
                    None => !chunk.is_empty(),
                },
            };
            if is_enough {
                break;
            }
            let Some(mut stream) = self.stream.take() else {
                let cookie = match std::mem::replace(&mut self.next, Next::End) {
                    Next::Page(cookie) => cookie,
                    Next::End => break,
                };
                // What was asked for with a cookie is asked once: a page that fails is lost.
                self.stream = Some(self.start(cookie).await?);
                match self.search.reads_ahead && !chunk.is_empty() {
                    true => break,
                    false => continue,
                }
            };
            match guarded(self.connection.timeout, stream.next()).await {
                Ok(Some(message)) => {
                    self.stream = Some(stream);
                    if message.is_ref() {
                        self.referrals.extend(uris(message.0));
                    } else if !message.is_intermediate() {
                        let before = chunk.len();
                        let taken = take_entries(&message, &mut chunk);
                        taken.map_err(|Malformed| self.garbage())?;
                        self.entries_in_page += chunk.len() - before;
                    }
                }
                Ok(None) => self.end_page(stream.finish().await)?,
                Err(trouble) => {
                    let request = self.search.request();
                    return Err(self.connection.explain(&request, trouble).await);
                }
            }
        }
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    async fn start(
        &mut self,
        cookie: Vec<u8>,
    ) -> Result<SearchStream<'static, String, Vec<String>>, SourceError> {
        let mut controls = self.search.controls.clone();
        if self.pages() {
            let paged = PagedResults {
                size: i32::from(self.search.page_size),
                cookie,
            };
            controls.push(paged.critical().into());
        }
        let mut ldap = self.connection.handle();
        ldap.with_controls(controls);
        self.entries_in_page = 0;
        let timeout = self.connection.timeout;
        let base = self.search.base.as_str().to_owned();
        let filter = self.search.filter.as_str().to_owned();
        let attributes = self.search.attributes.clone();
        let scope = self.search.scope;
        let starting = async move {
            ldap.streaming_search(&base, scope, &filter, attributes)
                .await
        };
        match guarded(timeout, starting).await {
            Ok(stream) => Ok(stream),
            Err(trouble) => {
                let request = self.search.request();
                Err(self.connection.explain(&request, trouble).await)
            }
        }
    }

    /// Whether to page: not for one entry, and not at a server that cannot.
    fn pages(&self) -> bool {
        self.search.scope != Scope::Base && self.connection.root.has_control(PAGED_RESULTS)
    }

    fn end_page(&mut self, result: ldap3::LdapResult) -> Result<(), SourceError> {
        if result.rc == 10 && self.search.follow {
            self.referrals.extend(result.refs);
            return Ok(());
        }
        // No such object; insufficient access rights.
        if matches!(result.rc, 32 | 50) && self.search.optional {
            self.outcome = Outcome::Withheld;
            return Ok(());
        }
        if result.rc != 0 {
            let request = self.search.request();
            return Err(request.refused(&self.connection.server, &result));
        }
        if !self.pages() {
            return Ok(());
        }
        let Some(cookie) = cookie(&result.ctrls) else {
            // A 389 Directory Server answers so, with success, where there is no such base or
            // none for this account to know of.
            let nothing = !self.has_page && self.entries_in_page == 0;
            if nothing && self.search.optional {
                self.outcome = Outcome::Withheld;
                return Ok(());
            }
            // Whoever can page says with each page whether another follows.
            let problem = match nothing {
                true => {
                    "the server found nothing, and did not say whether another page follows: \
                     perhaps there is no such entry, or not for this account"
                }
                false => "the server did not say whether another page follows",
            };
            let request = self.search.request();
            return Err(request.failed(&self.connection.server, problem, None));
        };
        self.has_page = true;
        if cookie.is_empty() {
            return Ok(());
        }
        self.empty_pages = match self.entries_in_page {
            0 => self.empty_pages + 1,
            _ => 0,
        };
        if self.empty_pages > EMPTY_PAGES {
            let problem = "the server gives one empty page after the other";
            let request = self.search.request();
            return Err(request.failed(&self.connection.server, problem, None));
        }
        self.next = Next::Page(cookie);
        Ok(())
    }

    fn garbage(&self) -> SourceError {
        let request = self.search.request();
        request.failed(&self.connection.server, GARBAGE, None)
    }
}

/// Runs a search that cannot page, and hands each message on. A limit is a result like others
/// here: it is for who asked to say what follows from one.
pub(super) async fn run_unpaged(
    connection: &Connection,
    search: &Search,
    control: RawControl,
    mut take: impl FnMut(ResultEntry) -> Result<(), Malformed>,
) -> Result<LdapResult, SourceError> {
    let request = search.request();
    let mut ldap = connection.handle();
    let mut controls = search.controls.clone();
    controls.push(control);
    ldap.with_controls(controls);
    // Without this, some servers give no more than a few hundred.
    ldap.with_search_options(SearchOptions::new().sizelimit(i32::MAX));
    let starting = ldap.streaming_search(
        search.base.as_str(),
        search.scope,
        search.filter.as_str(),
        search.attributes.clone(),
    );
    let mut stream = match guarded(connection.timeout, starting).await {
        Ok(stream) => stream,
        Err(trouble) => return Err(connection.explain(&request, trouble).await),
    };
    loop {
        match guarded(connection.timeout, stream.next()).await {
            Ok(Some(message)) => take(message)
                .map_err(|Malformed| request.failed(&connection.server, GARBAGE, None))?,
            Ok(None) => return Ok(stream.finish().await),
            Err(trouble) => return Err(connection.explain(&request, trouble).await),
        }
    }
}

/// Reads one entry by its name; `None` where there is none, or none that this account may see.
pub(super) async fn lookup(
    connection: &Connection,
    dn: &Dn,
    filter: &Filter,
    attributes: Vec<String>,
) -> Result<Option<Entry>, SourceError> {
    let search = Search {
        scope: Scope::Base,
        ..Search::below(dn, filter.clone(), attributes, 1)
    };
    let request = search.request();
    let mut ldap = connection.handle();
    let asked = ldap.search(
        search.base.as_str(),
        search.scope,
        search.filter.as_str(),
        search.attributes,
    );
    let found = match guarded(connection.timeout, asked).await {
        Ok(found) => found,
        Err(trouble) => return Err(connection.explain(&request, trouble).await),
    };
    match found.1.rc {
        0 => {}
        // No such object; a referral: it is kept elsewhere, and no part of this source.
        32 | 10 => return Ok(None),
        _ => return Err(request.refused(&connection.server, &found.1)),
    }
    let garbage = |Malformed| request.failed(&connection.server, GARBAGE, None);
    first_entry(&found.0).map_err(garbage)
}

/// Takes the entries in a message of a search.
pub(super) fn take_entries(
    message: &ResultEntry,
    entries: &mut Vec<Entry>,
) -> Result<(), Malformed> {
    for content in unpack(&message.0)? {
        entries.push(Entry::decode(content)?);
    }
    Ok(())
}

/// The first entry that a search has found.
pub(super) fn first_entry(messages: &[ResultEntry]) -> Result<Option<Entry>, Malformed> {
    let mut entries = Vec::new();
    let found = messages
        .iter()
        .find(|message| !message.is_ref() && !message.is_intermediate());
    if let Some(message) = found {
        take_entries(message, &mut entries)?;
    }
    Ok(entries.into_iter().next())
}

/// The cookie of a page's end: `SEQUENCE { size INTEGER, cookie OCTET STRING }`.
fn cookie(controls: &[Control]) -> Option<Vec<u8>> {
    let control = controls
        .iter()
        .find(|Control(_, raw)| raw.ctype == PAGED_RESULTS)?;
    let (_, tag) = parse_tag(control.1.val.as_ref()?).ok()?;
    let PL::C(parts) = tag.payload else {
        return None;
    };
    parts.into_iter().nth(1)?.expect_primitive()
}

/// The URIs of a SearchResultReference (RFC 4511 §4.5.3): any of them will do.
fn uris(message: StructureTag) -> Option<String> {
    let PL::C(uris) = message.payload else {
        return None;
    };
    String::from_utf8(uris.into_iter().next()?.expect_primitive()?).ok()
}
