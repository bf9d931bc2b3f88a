//! Listing all of one endpoint, with every stopping rule of DESIGN §10.
//!
//! From a listing follows who is absent, so it ends either provably complete or in an error.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::Kind;

use super::client::Client;
use super::endpoint::collection;
use super::error::TargetError;
use super::exchange::{Call, Verb};
use super::profile::Profile;
use crate::scim::message::{Capabilities, ListPage, read_list};
use crate::scim::resource::{Listed, ResourceId, read_listed};

/// No listing has more pages than this.
const MOST_PAGES: u32 = 100_000;
/// How often in a row a shrinking collection is read again from further up without anything
/// new coming of it.
const MOST_STEPS_BACK: u32 = 3;

/// How many pages in a row may bring nothing new while there is always a further cursor.
const MOST_BARREN_PAGES: u32 = 10;

/// How pages are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging {
    /// How many resources to ask for at once.
    pub size: u64,
    /// Whether the server has announced cursors (RFC 9865 §4).
    pub by_cursor: bool,
}

impl Paging {
    /// What suits both the profile and what the server says of itself.
    pub fn new(profile: &Profile, capabilities: Option<&Capabilities>) -> Self {
        let announced = capabilities
            .into_iter()
            .flat_map(|known| [known.filter_max_results, known.max_page_size])
            .flatten()
            .filter(|size| *size > 0);
        Self {
            size: announced.fold(profile.page_size, u64::min).max(1),
            by_cursor: capabilities.is_some_and(|known| known.cursor == Some(true)),
        }
    }
}

/// A listing that provably reached its end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// What is there, by id.
    pub resources: BTreeMap<ResourceId, Listed>,
}

impl Client {
    /// Lists `/Users` or `/Groups` to the end. Advances by what arrived; stops on an empty
    /// page, on `totalResults` seen, or on a page of nothing but ids seen before; fewer than
    /// `totalResults` is [`TargetError::Partial`]. Follows `nextCursor` when one is given.
    /// `progress` is told how many have arrived, and of how many.
    ///
    /// Without `totalResults`, only an empty page or one without anything new is the end; with
    /// cursors, only a page that gives no further one.
    /// Resources that arrive twice count once. What the server refuses at the start is left
    /// out: `count`, then the cursor. When `totalResults` shrinks between two pages, somebody
    /// was deleted, and what came after them moved up, past the pages that were read: the
    /// listing steps back by as many places, so that nobody is missed; those deleted meanwhile
    /// stay in the listing. A cursor that is refused, because it has expired, is a reason to
    /// begin again, once.
    pub async fn list(
        &self,
        kind: Kind,
        paging: Paging,
        progress: &(dyn Fn(u64, Option<u64>) + Sync),
    ) -> Result<Listing, TargetError> {
        let size = paging.size.max(1);
        let mut start = Start {
            count: Some(size),
            by_cursor: paging.by_cursor,
        };
        let mut walk = Walk::new(start);
        let mut began_again = false;
        for _ in 0..MOST_PAGES {
            let call = self.page_call(kind, &walk.position, start.count)?;
            let page = match self.exchange(&call).await {
                Ok(answer) => answer
                    .json()
                    .and_then(read_list)
                    .ok_or_else(|| call.unusable("the answer is not a list of resources"))?,
                Err(TargetError::Refused {
                    status: 400 | 500 | 501,
                    ..
                }) if walk.is_at_start()
                    && let Some(weaker) = start.weaker(size) =>
                {
                    start = weaker;
                    walk = Walk::new(start);
                    continue;
                }
                Err(TargetError::Refused {
                    status: 400 | 404 | 410,
                    ..
                }) if walk.follows_a_cursor() && !began_again => {
                    began_again = true;
                    walk = Walk::new(start);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let next = walk.take(&call, page)?;
            progress(walk.seen(), walk.total);
            if next == Next::End {
                return walk.finish(kind);
            }
        }
        Err(walk.partial(kind))
    }

    /// The first page, as [`Client::list`] asks for it, and nothing more.
    pub(super) async fn first_page(
        &self,
        kind: Kind,
        paging: Paging,
    ) -> Result<ListPage, TargetError> {
        let position = match paging.by_cursor {
            true => Position::FirstCursor,
            false => Position::Index(1),
        };
        let call = self.page_call(kind, &position, Some(paging.size))?;
        let answer = self.exchange(&call).await?;
        let page = answer.json().and_then(read_list);
        page.ok_or_else(|| call.unusable("the answer is not a list of resources"))
    }

    fn page_call(
        &self,
        kind: Kind,
        position: &Position,
        count: Option<u64>,
    ) -> Result<Call<'static>, TargetError> {
        let count = count.map(|count| count.to_string());
        let start;
        let mut query = Vec::new();
        match position {
            Position::Index(index) => {
                start = index.to_string();
                query.push(("startIndex", start.as_str()));
            }
            Position::FirstCursor => query.push(("cursor", "")),
            Position::Cursor(cursor) => query.push(("cursor", cursor.as_str())),
        }
        if let Some(count) = &count {
            query.push(("count", count.as_str()));
        }
        self.call(Verb::Get, collection(kind), &query, None)
    }
}

/// How a listing begins.
#[derive(Debug, Clone, Copy)]
struct Start {
    count: Option<u64>,
    by_cursor: bool,
}

impl Start {
    /// What is left to try: some servers fail on any `count`, some on a large one, and some
    /// announce cursors that they do not have.
    fn weaker(self, size: u64) -> Option<Self> {
        match (self.count, self.by_cursor) {
            (Some(_), _) => Some(Self {
                count: None,
                ..self
            }),
            (None, true) => Some(Self {
                count: Some(size),
                by_cursor: false,
            }),
            (None, false) => None,
        }
    }
}

/// Where the next page starts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Position {
    /// `startIndex`, from 1 (RFC 7644 §3.4.2.4).
    Index(u64),
    /// `cursor` without a value, which asks for cursors (RFC 9865 §2).
    FirstCursor,
    /// `cursor` as the server gave it.
    Cursor(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Page,
    End,
}

/// A listing under way.
struct Walk {
    resources: BTreeMap<ResourceId, Listed>,
    position: Position,
    /// The last `totalResults`.
    total: Option<u64>,
    /// The largest `totalResults`, for the message when the listing is partial.
    largest_total: u64,
    cursors: BTreeSet<String>,
    /// The first index that has not been asked for yet: before it, a page without anything
    /// new is one that is read again, and not the end.
    frontier: u64,
    steps_back: u32,
    /// How many pages with a further cursor have brought nothing new, in a row.
    barren: u32,
}

impl Walk {
    fn new(start: Start) -> Self {
        Self {
            resources: BTreeMap::new(),
            position: match start.by_cursor {
                true => Position::FirstCursor,
                false => Position::Index(1),
            },
            total: None,
            largest_total: 0,
            cursors: BTreeSet::new(),
            frontier: 1,
            steps_back: 0,
            barren: 0,
        }
    }

    fn is_at_start(&self) -> bool {
        let first = matches!(self.position, Position::Index(1) | Position::FirstCursor);
        first && self.resources.is_empty()
    }

    fn follows_a_cursor(&self) -> bool {
        matches!(self.position, Position::Cursor(_))
    }

    fn seen(&self) -> u64 {
        self.resources.len() as u64
    }

    /// Takes a page in and moves on.
    fn take(&mut self, call: &Call<'_>, page: ListPage) -> Result<Next, TargetError> {
        let received = page.resources.len() as u64;
        let before = self.seen();
        for json in page.resources {
            let resource = read_listed(json)
                .ok_or_else(|| call.unusable("a listed resource has no usable `id`"))?;
            self.resources.insert(resource.id.clone(), resource);
        }
        let new = self.seen() - before;
        if new > 0 {
            self.steps_back = 0;
        }
        let shrunk_by = match (self.total, page.total) {
            (Some(last), Some(total)) => last.saturating_sub(total),
            _ => 0,
        };
        self.total = page.total.or(self.total);
        self.largest_total = self.largest_total.max(self.total.unwrap_or(0));

        if let Some(cursor) = page.next_cursor {
            if !self.cursors.insert(cursor.clone()) {
                return Err(call.unusable("the listing gives the same `nextCursor` twice"));
            }
            self.barren = if new > 0 { 0 } else { self.barren + 1 };
            if self.barren > MOST_BARREN_PAGES {
                return Err(call.unusable("the listing gives cursors without end, and nothing new"));
            }
            self.position = Position::Cursor(cursor);
            return Ok(Next::Page);
        }
        let start = match self.position {
            Position::Index(start) => start,
            // It announced cursors and pages as if it had none.
            Position::FirstCursor => 1,
            // A cursor was followed, and there is no further one.
            Position::Cursor(_) => return Ok(Next::End),
        };
        if shrunk_by > 0 && start > 1 {
            self.steps_back += 1;
            if self.steps_back > MOST_STEPS_BACK {
                // It never fits: more was announced than can be had.
                self.total = Some(self.largest_total);
                return Ok(Next::End);
            }
            self.frontier = self.frontier.max(start);
            self.position = Position::Index(start.saturating_sub(shrunk_by).max(1));
            return Ok(Next::Page);
        }
        let next = start + received;
        let read_again = start < self.frontier;
        let past_total = self
            .total
            .is_some_and(|total| next > total && self.seen() >= total);
        if received == 0 || past_total || (new == 0 && !read_again) {
            return Ok(Next::End);
        }
        self.position = Position::Index(next);
        Ok(Next::Page)
    }

    fn finish(self, kind: Kind) -> Result<Listing, TargetError> {
        if self.total.is_some_and(|total| self.seen() < total) {
            return Err(self.partial(kind));
        }
        Ok(Listing {
            resources: self.resources,
        })
    }

    fn partial(&self, kind: Kind) -> TargetError {
        TargetError::Partial {
            path: collection(kind).to_owned(),
            seen: self.seen(),
            total: self.total.unwrap_or(self.largest_total),
        }
    }
}

#[cfg(test)]
mod tests;
