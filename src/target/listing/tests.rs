//! Each stopping rule of DESIGN §10, against servers that page well and badly.

use std::ops::Range;

use serde_json::{Value, json};

use super::*;
use crate::target::test_server::{self, Reply, Seen, TestServer};

fn user(number: usize) -> Value {
    json!({"id": format!("u{number:03}"), "userName": format!("{number}@example.com")})
}

fn page(total: Option<usize>, users: impl IntoIterator<Item = usize>) -> Value {
    let resources: Vec<Value> = users.into_iter().map(user).collect();
    let mut page = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "Resources": resources,
    });
    if let Some(total) = total {
        page["totalResults"] = json!(total);
    }
    page
}

fn parameter(seen: &Seen, name: &str) -> Option<String> {
    let url = url::Url::parse(&format!("http://localhost{}", seen.target)).unwrap();
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

fn start_index(seen: &Seen) -> usize {
    parameter(seen, "startIndex").unwrap().parse().unwrap()
}

/// What an honest server with users 1..=size and its own largest page has at `start`.
fn window(start: usize, count: usize, size: usize) -> Range<usize> {
    start.min(size + 1)..(start + count).min(size + 1)
}

async fn list(
    reply: impl Fn(&Seen, usize) -> Value + Send + Sync + 'static,
) -> (Result<Listing, TargetError>, Vec<String>) {
    let server = TestServer::start(move |seen, n| test_server::json(200, reply(seen, n))).await;
    let listing = server.client().list(Kind::User, of(20), &|_, _| ()).await;
    (listing, server.lines())
}

fn of(size: u64) -> Paging {
    Paging {
        size,
        by_cursor: false,
    }
}

async fn list_by_cursor(
    reply: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
) -> (Result<Listing, TargetError>, Vec<String>) {
    let server = TestServer::start(reply).await;
    let paging = Paging {
        size: 20,
        by_cursor: true,
    };
    let listing = server.client().list(Kind::User, paging, &|_, _| ()).await;
    (listing, server.lines())
}

fn with_next(mut page: Value, next: &str) -> Reply {
    page["nextCursor"] = json!(next);
    test_server::json(200, page)
}

#[tokio::test]
async fn pages_are_followed_to_the_total_and_no_further() {
    let (listing, lines) = list(|seen, _| page(Some(45), window(start_index(seen), 20, 45))).await;
    assert_eq!(listing.unwrap().resources.len(), 45);
    assert_eq!(
        lines,
        [
            "GET /scim/Users?startIndex=1&count=20",
            "GET /scim/Users?startIndex=21&count=20",
            "GET /scim/Users?startIndex=41&count=20",
        ]
    );
}

#[tokio::test]
async fn the_walk_advances_by_what_arrived_not_by_what_was_asked_for() {
    // This server never gives more than seven.
    let (listing, lines) = list(|seen, _| page(Some(16), window(start_index(seen), 7, 16))).await;
    assert_eq!(listing.unwrap().resources.len(), 16);
    assert_eq!(lines[1], "GET /scim/Users?startIndex=8&count=20");
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn a_server_that_ignores_paging_is_listed_in_one_request() {
    let (listing, lines) = list(|_, _| page(Some(50), 1..51)).await;
    assert_eq!(listing.unwrap().resources.len(), 50);
    assert_eq!(lines.len(), 1);
}

#[tokio::test]
async fn nobody_at_all_is_a_complete_listing() {
    let (listing, lines) = list(|_, _| json!({"totalResults": 0})).await;
    assert_eq!(listing.unwrap(), Listing::default());
    assert_eq!(lines.len(), 1);
}

#[tokio::test]
async fn an_empty_page_before_the_total_is_partial() {
    let (listing, _) = list(|seen, _| page(Some(60), window(start_index(seen), 20, 40))).await;
    let error = listing.unwrap_err();
    assert!(
        matches!(
            error,
            TargetError::Partial {
                seen: 40,
                total: 60,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn the_first_page_again_is_the_end() {
    // Past the end this server starts over; without a total that is the only sign.
    let reply = |total: Option<usize>| {
        move |seen: &Seen, _: usize| {
            let start = start_index(seen);
            page(total, window(if start > 40 { 1 } else { start }, 20, 40))
        }
    };
    let (listing, lines) = list(reply(None)).await;
    assert_eq!(listing.unwrap().resources.len(), 40);
    assert_eq!(lines.len(), 3);

    let (listing, _) = list(reply(Some(41))).await;
    assert!(matches!(
        listing,
        Err(TargetError::Partial {
            seen: 40,
            total: 41,
            ..
        })
    ));
}

#[tokio::test]
async fn without_a_total_a_short_page_is_not_the_end() {
    // Asked for 20, this server gives 10 at a time and never says how many there are.
    let (listing, lines) = list(|seen, _| page(None, window(start_index(seen), 10, 25))).await;
    assert_eq!(listing.unwrap().resources.len(), 25);
    assert_eq!(lines.len(), 4);
}

#[tokio::test]
async fn duplicates_count_once() {
    // Twenty announced, one of them twice.
    let (listing, _) = list(|seen, _| {
        page(
            Some(20),
            if start_index(seen) == 1 {
                (1..20).chain(5..6)
            } else {
                (1..1).chain(1..1)
            },
        )
    })
    .await;
    assert!(matches!(
        listing,
        Err(TargetError::Partial {
            seen: 19,
            total: 20,
            ..
        })
    ));
}

#[tokio::test]
async fn a_collection_that_shrinks_meanwhile_hides_nobody() {
    // User 3 is deleted after the first page: everybody behind moves up by one, and user 21
    // would be between the pages.
    let (listing, lines) = list(|seen, n| {
        let start = start_index(seen);
        if n == 0 {
            return page(Some(60), window(start, 20, 60));
        }
        let left = (1..61).filter(|user| *user != 3).skip(start - 1).take(20);
        page(Some(59), left)
    })
    .await;
    let listing = listing.unwrap();
    assert!(
        listing
            .resources
            .contains_key(&ResourceId("u021".to_owned()))
    );
    assert_eq!(listing.resources.len(), 60);
    let starts: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split(['=', '&']).nth(1))
        .collect();
    assert_eq!(starts, ["1", "21", "20", "40"]);
}

#[tokio::test]
async fn a_total_that_drops_to_nothing_does_not_make_a_listing_complete() {
    let (listing, lines) = list(|seen, _| {
        let users = window(start_index(seen), 20, 40);
        page(Some(if users.is_empty() { 0 } else { 60 }), users)
    })
    .await;
    assert!(matches!(
        listing,
        Err(TargetError::Partial {
            seen: 40,
            total: 60,
            ..
        })
    ));
    assert!(lines.len() < 20, "{}", lines.len());
}

#[tokio::test]
async fn cursors_are_followed_and_encoded() {
    let (listing, lines) = list(|seen, _| {
        let (mut answer, next) = match parameter(seen, "cursor").as_deref() {
            None => (page(Some(50), 1..21), Some("a+b/2=")),
            Some("a+b/2=") => (page(Some(50), 21..41), Some("3")),
            _ => (page(Some(50), 41..51), None),
        };
        if let Some(next) = next {
            answer["nextCursor"] = json!(next);
        }
        answer
    })
    .await;
    assert_eq!(listing.unwrap().resources.len(), 50);
    assert_eq!(lines[1], "GET /scim/Users?cursor=a%2Bb%2F2%3D&count=20");
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn cursors_that_end_early_or_go_in_circles_are_errors() {
    let (listing, _) = list(|seen, _| {
        let mut answer = page(Some(50), 1..21);
        if parameter(seen, "cursor").is_none() {
            answer["nextCursor"] = json!("2");
        }
        answer
    })
    .await;
    assert!(matches!(
        listing,
        Err(TargetError::Partial { seen: 20, .. })
    ));

    let (listing, lines) = list(|_, _| {
        let mut answer = page(None, 1..21);
        answer["nextCursor"] = json!("2");
        answer
    })
    .await;
    assert!(matches!(listing, Err(TargetError::Unusable { .. })));
    assert_eq!(lines.len(), 2);
}

#[tokio::test]
async fn a_resource_without_an_id_and_a_body_that_is_no_list_are_errors() {
    let (listing, _) =
        list(|_, _| json!({"totalResults": 1, "Resources": [{"userName": "ana"}]})).await;
    assert!(matches!(listing, Err(TargetError::Unusable { .. })));
    let (listing, _) = list(|_, _| json!({"id": "u1"})).await;
    assert!(matches!(listing, Err(TargetError::Unusable { .. })));
}

#[tokio::test]
async fn a_server_that_fails_on_count_is_asked_without() {
    let server = TestServer::start(|seen, _| {
        if parameter(seen, "count").is_some() {
            return test_server::status(400);
        }
        test_server::json(200, page(Some(3), 1..4))
    })
    .await;
    let client = server.client();
    let listing = client
        .list(Kind::Group, of(2000), &|_, _| ())
        .await
        .unwrap();
    assert_eq!(listing.resources.len(), 3);
    assert_eq!(server.lines()[1], "GET /scim/Groups?startIndex=1");
}

#[tokio::test]
async fn a_page_that_fails_fails_the_listing_and_progress_is_told() {
    let server = TestServer::start(|seen, _| match start_index(seen) {
        1 => test_server::json(200, page(Some(40), 1..21)),
        _ => Reply::Cut,
    })
    .await;
    let told = std::sync::Mutex::new(Vec::new());
    let progress = |seen, total| told.lock().unwrap().push((seen, total));
    let error = server
        .client()
        .list(Kind::User, of(20), &progress)
        .await
        .unwrap_err();
    assert!(matches!(error, TargetError::Unreachable { .. }), "{error}");
    assert_eq!(*told.lock().unwrap(), [(20, Some(40))]);
}

#[tokio::test]
async fn cursors_that_are_announced_are_asked_for() {
    let (listing, lines) = list_by_cursor(|seen, _| {
        match parameter(seen, "cursor").as_deref() {
            Some("") => with_next(page(None, 1..21), "b"),
            // An empty page is not the end while there is a further cursor.
            Some("b") => with_next(page(None, 1..1), "c"),
            _ => test_server::json(200, page(None, 21..31)),
        }
    })
    .await;
    assert_eq!(listing.unwrap().resources.len(), 30);
    assert_eq!(
        lines,
        [
            "GET /scim/Users?cursor=&count=20",
            "GET /scim/Users?cursor=b&count=20",
            "GET /scim/Users?cursor=c&count=20",
        ]
    );
}

#[tokio::test]
async fn cursors_without_end_are_an_error() {
    // Fails without the limit of pages in a row that bring nothing new.
    let (listing, lines) =
        list_by_cursor(|_, n| with_next(page(None, 1..21), &format!("c{n}"))).await;
    assert!(matches!(listing, Err(TargetError::Unusable { .. })));
    assert_eq!(lines.len(), 12);
}

#[tokio::test]
async fn a_cursor_that_expires_is_a_reason_to_begin_again_and_then_an_error() {
    let expired = || {
        let body = json!({"status": "400", "scimType": "expiredCursor"});
        test_server::json(400, body)
    };
    // The first time only.
    let (listing, lines) =
        list_by_cursor(
            move |seen, n| match (parameter(seen, "cursor").as_deref(), n) {
                (Some(""), _) => with_next(page(None, 1..21), "b"),
                (_, 1) => expired(),
                _ => test_server::json(200, page(None, 21..31)),
            },
        )
        .await;
    assert_eq!(listing.unwrap().resources.len(), 30);
    assert_eq!(lines.len(), 4);

    // Whoever came until then is not all there is.
    let (listing, lines) =
        list_by_cursor(move |seen, _| match parameter(seen, "cursor").as_deref() {
            Some("") => with_next(page(None, 1..21), "b"),
            _ => expired(),
        })
        .await;
    let error = listing.unwrap_err();
    assert_eq!(error.status(), Some(400), "{error}");
    assert_eq!(lines.len(), 4);
}

#[tokio::test]
async fn announced_cursors_that_are_refused_or_ignored_are_done_without() {
    let (listing, lines) = list_by_cursor(|seen, _| {
        if parameter(seen, "cursor").is_some() {
            return test_server::status(400);
        }
        test_server::json(200, page(Some(3), 1..4))
    })
    .await;
    assert_eq!(listing.unwrap().resources.len(), 3);
    assert_eq!(lines[2], "GET /scim/Users?startIndex=1&count=20");

    let (listing, lines) = list_by_cursor(|seen, _| {
        let start = parameter(seen, "startIndex").map_or(1, |start| start.parse().unwrap());
        test_server::json(200, page(Some(25), window(start, 20, 25)))
    })
    .await;
    assert_eq!(listing.unwrap().resources.len(), 25);
    assert_eq!(lines[1], "GET /scim/Users?startIndex=21&count=20");
}

#[test]
fn a_page_is_no_larger_than_either_side_allows() {
    let profile = Profile::default();
    let size = |filter_max_results, max_page_size| {
        let capabilities = Capabilities {
            filter_max_results,
            max_page_size,
            ..Capabilities::default()
        };
        Paging::new(&profile, Some(&capabilities)).size
    };
    assert_eq!(size(None, None), 100);
    assert_eq!(size(Some(50), Some(200)), 50);
    // Nonsense says nothing.
    assert_eq!(size(Some(0), Some(20)), 20);
}
