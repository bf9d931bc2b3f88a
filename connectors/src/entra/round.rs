//! Walking a list to its end: page by page, as Graph says, and only as far as it makes sense.
//!
//! A list ends where Graph says so, and nowhere else: with a token for changes, or for a plain
//! list with a page that names no other. Must not interpret the objects.

use std::collections::BTreeSet;

use url::Url;

use super::answer::{Item, Page};
use super::error::{GraphError, What};
use super::graph::{Call, Graph};
use crate::digest::{Digest, digest};
use crate::source::SourceError;

/// So many pages one after another may hold nothing, or nothing but what was there before.
const MOST_IDLE: u32 = 500;
/// What a page costs at most (see [`Pace`](super::pace::Pace)).
const UNITS: f64 = 3.0;
/// More than any tenant has.
const MOST_OBJECTS: usize = 5_000_000;

/// Where a list ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// With a token for changes (`@odata.deltaLink`).
    WithToken,
    /// With the last page.
    Plainly,
}

/// A list that is being read.
pub(super) struct Pages<'a> {
    graph: &'a Graph,
    what: What,
    ends: Ends,
    next: Option<Url>,
    /// The link for what changes from here on, once the list has ended.
    delta: Option<String>,
    /// It begins at a token, or has one in its links.
    goes_on: bool,
    links: BTreeSet<Digest>,
    pages: BTreeSet<Digest>,
    idle: u32,
    objects: usize,
}

impl<'a> Pages<'a> {
    pub(super) fn new(graph: &'a Graph, what: What, first: Url, ends: Ends) -> Self {
        Self {
            graph,
            what,
            ends,
            next: Some(first),
            delta: None,
            goes_on: false,
            links: BTreeSet::new(),
            pages: BTreeSet::new(),
            idle: 0,
            objects: 0,
        }
    }

    /// The changes since a link of before.
    pub(super) fn since(graph: &'a Graph, what: What, link: &str) -> Result<Self, SourceError> {
        let first = graph.own_link(&what, link)?;
        Ok(Self {
            goes_on: true,
            ..Self::new(graph, what, first, Ends::WithToken)
        })
    }

    /// The objects of the next page; `None` after the last. A page may be empty and yet not the
    /// last (Graph, "Use delta query").
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Item>>, GraphError> {
        let Some(url) = self.next.take() else {
            return Ok(None);
        };
        let call = Call {
            what: &self.what,
            url,
            body: None,
            units: UNITS,
            goes_on: self.goes_on,
        };
        let body = self.graph.send(call).await?;
        let page: Page = serde_json::from_slice(&body)
            .map_err(|error| self.failed(&format!("an answer is not a page of a list: {error}")))?;
        self.turn(&page, &body)?;
        Ok(Some(page.value))
    }

    /// Where the list goes on, and whether it still makes sense.
    fn turn(&mut self, page: &Page, body: &[u8]) -> Result<(), GraphError> {
        self.objects += page.value.len();
        if self.objects > MOST_OBJECTS {
            return Err(self.failed("the list does not end: it has more than 5,000,000 objects"));
        }
        match (&page.next, &page.delta, self.ends) {
            (Some(next), None, _) => {
                if !self.links.insert(digest(next.as_bytes())) {
                    return Err(self.failed("the list does not end: a page leads back to itself"));
                }
                let objects = digest(objects_of(body));
                let is_idle = page.value.is_empty() || !self.pages.insert(objects);
                self.idle = if is_idle { self.idle + 1 } else { 0 };
                if self.idle > MOST_IDLE {
                    let problem = format!(
                        "the list does not end: more than {MOST_IDLE} pages brought nothing new"
                    );
                    return Err(self.failed(&problem));
                }
                self.next = Some(self.graph.own_link(&self.what, next)?);
                Ok(())
            }
            (None, Some(delta), Ends::WithToken) => {
                self.graph.own_link(&self.what, delta)?;
                self.delta = Some(delta.clone());
                Ok(())
            }
            (None, None, Ends::Plainly) => Ok(()),
            (None, None, Ends::WithToken) => Err(self.failed(
                "the last page names neither another one nor the token for changes, so the list \
                 is not complete",
            )),
            (Some(_), Some(_), _) | (None, Some(_), Ends::Plainly) => {
                Err(self.failed("a page names two ways to go on"))
            }
        }
    }

    /// The link for what changes after this list. An error before its end.
    pub(super) fn into_delta(self) -> Result<String, SourceError> {
        let server = &self.graph.server;
        let error = self.what.failed(server, "the list has not ended", None);
        self.delta.ok_or(error)
    }

    fn failed(&self, problem: &str) -> GraphError {
        self.what.failed(&self.graph.server, problem, None).into()
    }
}

/// The part of a page that holds the objects: its links differ also when it is the same page.
fn objects_of(body: &[u8]) -> &[u8] {
    let mark = b"\"value\"";
    let at = body.windows(mark.len()).position(|part| part == mark);
    &body[at.unwrap_or(0)..]
}
