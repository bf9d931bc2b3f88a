//! A push under `requests_per_second`: how much of the limit is used over a minute, and the most
//! requests that the server saw in any second.
//!
//! `cargo bench --bench pace`; `-- R` takes another limit. The server is in this process, answers
//! at once, and notes when each request arrives.

#[expect(dead_code, reason = "every benchmark uses a part of it")]
mod common;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use chrono::Utc;
use common::{Agent, Outcome, judge, tell};
use provisor::target::Pace;
use serde_json::json;
use url::Url;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

type Arrivals = Arc<Mutex<Vec<Instant>>>;

fn main() -> Outcome<()> {
    let argument = std::env::args().skip(1).find_map(|it| it.parse().ok());
    let limit: u32 = argument.unwrap_or(100);
    let arrivals = common::runtime()?.block_on(push(limit))?;
    let first = *arrivals.first().ok_or("nothing arrived")?;
    let in_a_minute = arrivals
        .iter()
        .filter(|it| it.duration_since(first) < MINUTE)
        .count();
    let share = in_a_minute as f64 / (60.0 * f64::from(limit));
    let most = most_in_a_second(&arrivals);
    tell("the limit", format!("{limit}/s"));
    judge(
        "(d) of the limit, over a minute",
        format!("{:.1} %", share * 100.0),
        "97 %",
        share >= 0.97,
    );
    judge(
        "(d) the most in any second",
        most.to_string(),
        &limit.to_string(),
        most <= limit as usize,
    );
    Ok(())
}

/// Pushes a little more than a minute's worth of people.
async fn push(limit: u32) -> Outcome<Vec<Instant>> {
    let folder = common::folder("pace");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    common::write_config(&folder, "")?;
    common::write_people(&folder.join("people.csv"), limit as usize * 62, |_| None)?;
    let arrivals = Arrivals::default();
    let server = serve(Arc::clone(&arrivals)).await?;
    let pace = Pace {
        requests_per_second: Some(f64::from(limit)),
        concurrency: 4,
    };
    Agent::open(&folder, &server, pace)?
        .cycle(Utc::now())
        .await?;
    let arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(arrivals.clone())
}

fn most_in_a_second(arrivals: &[Instant]) -> usize {
    let mut window = VecDeque::new();
    let mut most = 0;
    for arrival in arrivals {
        window.push_back(*arrival);
        while window
            .front()
            .is_some_and(|first| arrival.duration_since(*first) >= SECOND)
        {
            window.pop_front();
        }
        most = most.max(window.len());
    }
    most
}

/// Has nobody, and creates everybody.
async fn serve(arrivals: Arrivals) -> Outcome<Url> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let answer = move |request: Request| {
        let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.push(Instant::now());
        let (status, body) = match *request.method() {
            Method::POST => (
                StatusCode::CREATED,
                json!({"id": format!("id-{}", arrivals.len())}),
            ),
            _ => (
                StatusCode::OK,
                json!({"totalResults": 0, "startIndex": 1, "Resources": []}),
            ),
        };
        let answer = (
            status,
            [(header::CONTENT_TYPE, "application/scim+json")],
            body.to_string(),
        );
        async move { answer }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    Ok(Url::parse(&format!("http://{address}/scim/v2"))?)
}
