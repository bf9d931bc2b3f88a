//! How a target answers when it is asked, found out without writing anything: for `check`.
//!
//! Looks at first pages and two filters only, so it is a sample: nothing is decided by it. What
//! a sync relies on it finds out for itself.

use provisor_connectors::Kind;
use serde_json::Value;

use super::client::Client;
use super::error::{Scope, TargetError};
use super::listing::Paging;
use super::lookup::Lookup;
use crate::scim::message::ListPage;
use crate::scim::path::AttributePath;
use crate::scim::resource::{read_listed, read_path};

/// A userName that nobody has.
const NOBODY: &str = "provisor-check-asks-for-nobody";

/// What was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survey {
    /// What a filter on userName is worth; `None` where nobody is there to try it with.
    pub filters: Option<Filters>,
    /// How it pages; `None` where nobody is there, or the listing is refused.
    pub pages: Option<Pages>,
    /// What its first page of groups shows; `None` where nobody asked.
    pub groups: Option<Groups>,
}

/// What a listing of groups shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Groups {
    /// It is refused.
    Refused,
    /// There are none.
    None,
    /// There are some, and none of them shows a member.
    WithoutMembers,
    /// Some of them show members.
    WithMembers,
}

/// What a filter is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filters {
    /// It finds who is there, and nobody else.
    Honoured,
    /// It finds nobody, whoever is there.
    FindNothing,
    /// It finds others, or is refused.
    NotHonoured,
}

/// How a target pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// By `startIndex` (RFC 7644 §3.4.2.4).
    ByIndex,
    /// By `startIndex`, but it does not say how many there are.
    WithoutTotal,
    /// By cursor (RFC 9865).
    ByCursor,
    /// It gives more at once than it was asked for.
    Ignored,
}

impl Client {
    /// Asks for the first page of people and of groups (`groups`), and for two people by
    /// filter, at most four requests.
    ///
    /// # Errors
    ///
    /// What concerns the whole target, such as 401 or a server that is away.
    pub async fn survey(&self, paging: Paging, groups: bool) -> Result<Survey, TargetError> {
        let people = unless_refused(self.first_page(Kind::User, paging).await)?;
        let first = people.as_ref().and_then(somebody);
        let filters = match first {
            Some(name) => Some(self.try_filters(&name).await?),
            None => None,
        };
        let groups = match groups {
            true => {
                let page = unless_refused(self.first_page(Kind::Group, paging).await)?;
                Some(page.map_or(Groups::Refused, look_at_groups))
            }
            false => None,
        };
        Ok(Survey {
            filters,
            pages: people.as_ref().and_then(|page| pages(page, paging)),
            groups,
        })
    }

    async fn try_filters(&self, name: &Value) -> Result<Filters, TargetError> {
        let path = AttributePath::user_name();
        let known = self.look_up(Kind::User, &path, name).await?;
        let nobody = self
            .look_up(Kind::User, &path, &Value::from(NOBODY))
            .await?;
        Ok(match (known, nobody) {
            (Lookup::NotHonoured, _) | (_, Lookup::NotHonoured) => Filters::NotHonoured,
            (Lookup::Found(hits), _) if hits.is_empty() => Filters::FindNothing,
            (Lookup::Found(_), Lookup::Found(_)) => Filters::Honoured,
        })
    }
}

/// A refusal is an answer as well: there is nothing to be seen.
fn unless_refused(page: Result<ListPage, TargetError>) -> Result<Option<ListPage>, TargetError> {
    match page {
        Ok(page) => Ok(Some(page)),
        Err(error) if error.scope() == Scope::Target => Err(error),
        Err(_) => Ok(None),
    }
}

fn somebody(page: &ListPage) -> Option<Value> {
    let mut names = page.resources.iter();
    names.find_map(|user| read_path(user, &AttributePath::user_name()).cloned())
}

fn pages(page: &ListPage, paging: Paging) -> Option<Pages> {
    if page.resources.is_empty() {
        return None;
    }
    Some(match (page.next_cursor.is_some(), page.total) {
        (true, _) => Pages::ByCursor,
        (false, _) if page.resources.len() as u64 > paging.size => Pages::Ignored,
        (false, Some(_)) => Pages::ByIndex,
        (false, None) => Pages::WithoutTotal,
    })
}

fn look_at_groups(page: ListPage) -> Groups {
    if page.resources.is_empty() {
        return Groups::None;
    }
    let mut listed = page.resources.into_iter().filter_map(read_listed);
    let shown = listed.any(|group| group.members.is_some_and(|all| !all.is_empty()));
    if shown {
        Groups::WithMembers
    } else {
        Groups::WithoutMembers
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::target::test_server::{self, Reply, Seen, TestServer};

    fn page(resources: Value) -> Reply {
        let total = resources.as_array().map_or(0, Vec::len);
        test_server::json(200, json!({"totalResults": total, "Resources": resources}))
    }

    async fn survey(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Survey {
        let server = TestServer::start(move |seen, _| reply(seen)).await;
        let paging = Paging {
            size: 2,
            by_cursor: false,
        };
        server.client().survey(paging, true).await.unwrap()
    }

    fn ana() -> Value {
        json!({"id": "1", "userName": "ana"})
    }

    #[tokio::test]
    async fn an_honest_server_is_recognised() {
        let found = survey(|seen| match seen.target.as_str() {
            target if target.contains("asks-for-nobody") => page(json!([])),
            target if target.contains("/Users") => page(json!([ana()])),
            _ => page(json!([{"id": "g", "members": [{"value": "1"}]}, {"id": "h"}])),
        })
        .await;
        assert_eq!(found.filters, Some(Filters::Honoured));
        assert_eq!(found.pages, Some(Pages::ByIndex));
        assert_eq!(found.groups, Some(Groups::WithMembers));
    }

    #[tokio::test]
    async fn filters_that_are_ignored_or_find_nobody_are_told_apart_from_honest_ones() {
        // With one person there, an ignored filter finds the right one; the second gives it away.
        let ignored = survey(|_| page(json!([ana()]))).await;
        assert_eq!(ignored.filters, Some(Filters::NotHonoured));
        let nobody = survey(|seen| match seen.target.contains("filter=") {
            true => page(json!([])),
            false => page(json!([ana()])),
        })
        .await;
        assert_eq!(nobody.filters, Some(Filters::FindNothing));
        let refused = survey(|seen| match seen.target.contains("filter=") {
            true => test_server::status(400),
            false => page(json!([ana()])),
        })
        .await;
        assert_eq!(refused.filters, Some(Filters::NotHonoured));
    }

    #[tokio::test]
    async fn paging_is_told_from_the_first_page() {
        let three = json!([ana(), {"id": "2"}, {"id": "3"}]);
        let ignored = survey(move |_| page(three.clone())).await;
        assert_eq!(ignored.pages, Some(Pages::Ignored));
        let cursors =
            survey(|_| test_server::json(200, json!({"Resources": [ana()], "nextCursor": "b"})))
                .await;
        assert_eq!(cursors.pages, Some(Pages::ByCursor));
        let empty = survey(|_| page(json!([]))).await;
        assert_eq!((empty.pages, empty.filters), (None, None));
        assert_eq!(empty.groups, Some(Groups::None));
        let no_groups = survey(|seen| match seen.target.contains("/Groups") {
            true => test_server::status(404),
            false => page(json!([])),
        })
        .await;
        assert_eq!(no_groups.groups, Some(Groups::Refused));
    }
}
