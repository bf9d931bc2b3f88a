//! Several small requests in one (Graph, "Combine multiple requests in one HTTP call").
//!
//! Each part has an answer of its own: one that is throttled is asked again by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::time::sleep;
use url::Url;

use super::error::{GraphError, What, shorten};
use super::graph::{Call, Graph};
use crate::retry::{LONGEST_WAIT, backoff, read_retry_after};

/// Graph takes no more at once.
const MOST: usize = 20;
const ATTEMPTS: u32 = 10;

#[derive(Deserialize)]
struct Answers {
    responses: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    id: String,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, Json>,
    #[serde(default)]
    body: Json,
}

/// Asks for all of these, and gives the bodies in their order; `None`: it is not there.
pub(super) async fn get_all(
    graph: &Graph,
    what: &What,
    urls: &[Url],
) -> Result<Vec<Option<Json>>, GraphError> {
    let mut bodies: Vec<Option<Json>> = Vec::with_capacity(urls.len());
    for urls in urls.chunks(MOST) {
        let mut found = get_some(graph, what, urls).await?;
        bodies.extend((0..urls.len()).map(|number| found.remove(&number).flatten()));
    }
    Ok(bodies)
}

async fn get_some(
    graph: &Graph,
    what: &What,
    urls: &[Url],
) -> Result<BTreeMap<usize, Option<Json>>, GraphError> {
    let failed = |problem: &str| -> GraphError { what.failed(&graph.server, problem, None).into() };
    let mut found = BTreeMap::new();
    for attempt in 1..=ATTEMPTS {
        let open: Vec<usize> = (0..urls.len())
            .filter(|it| !found.contains_key(it))
            .collect();
        let requests: Vec<Json> = open
            .iter()
            .map(|number| json!({"id": number.to_string(), "method": "GET", "url": relative(&urls[*number])}))
            .collect();
        let call = Call {
            what,
            url: graph.url(&["$batch"], &[]),
            body: Some(json!({"requests": requests}).to_string()),
            units: 3.0 * f64::from(u32::try_from(open.len()).unwrap_or(u32::MAX)),
            goes_on: false,
        };
        let body = graph.send(call).await?;
        let answers: Answers = serde_json::from_slice(&body)
            .map_err(|error| failed(&format!("the answer to a batch is not one: {error}")))?;
        let mut wait: Option<Duration> = None;
        for part in answers.responses {
            let Some(number) = part.id.parse().ok().filter(|it| open.contains(it)) else {
                return Err(failed(
                    "the answer to a batch has a part that was not asked for",
                ));
            };
            match part.status {
                200 => {
                    found.insert(number, Some(part.body));
                }
                404 => {
                    found.insert(number, None);
                }
                403 => {
                    let error = what.forbidden(&graph.server);
                    return Err(GraphError::Forbidden(what.clone(), error));
                }
                429 | 500..=599 => {
                    let asked = retry_after(&part.headers);
                    let asked = asked.unwrap_or_else(|| backoff(attempt, fastrand::f64()));
                    wait = Some(wait.map_or(asked, |wait| wait.max(asked)));
                }
                status => {
                    let code = part.body["error"]["code"].as_str().unwrap_or_default();
                    let code = shorten(code);
                    return Err(failed(&format!("{status} `{code}` to a part of a batch")));
                }
            }
        }
        if found.len() == urls.len() {
            return Ok(found);
        }
        match wait {
            Some(wait) if wait <= LONGEST_WAIT => sleep(wait).await,
            Some(_) => return Err(failed("Graph asks to wait for too long")),
            None => return Err(failed("the answer to a batch leaves parts out")),
        }
    }
    Err(failed("parts of a batch are throttled again and again"))
}

/// Headers' names are in no particular case.
fn retry_after(headers: &BTreeMap<String, Json>) -> Option<Duration> {
    let mut headers = headers.iter();
    let (_, value) = headers.find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?;
    let text = value.as_str().map(str::to_owned);
    read_retry_after(&text.unwrap_or_else(|| value.to_string()), Utc::now())
}

/// From below the version on, as a batch wants it.
fn relative(url: &Url) -> String {
    let path = url.path();
    let path = path.strip_prefix("/v1.0").unwrap_or(path);
    match url.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}
