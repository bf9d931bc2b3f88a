//! A Graph that is not Graph: the token stays where it belongs, memory stays bounded, and every
//! error says what is wrong.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::settled;
use crate::entra::simulator::Asked;
use crate::entra::wire::{self, Answer};
use crate::support::run::{finish, program};

/// Another server, which notes what it is asked.
struct Elsewhere {
    origin: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Elsewhere {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let origin = format!("http://{}", listener.local_addr().expect("its address"));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let of_listener = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let asked = Arc::clone(&of_listener);
                std::thread::spawn(move || {
                    wire::serve(stream, |request| {
                        let line = format!("{} {:?}", request.path, request.headers);
                        asked.lock().expect("nobody panics with it").push(line);
                        Answer::new(200, &json!({"value": []}))
                    });
                });
            }
        });
        Self { origin, asked }
    }

    fn was_not_asked(&self) {
        let asked = self.asked.lock().expect("nobody panics with it");
        assert!(asked.is_empty(), "{asked:?}");
    }
}

/// A page of a list with this link to the next one.
fn page(link: &str) -> Answer {
    Answer::new(200, &json!({"value": [], "@odata.nextLink": link}))
}

fn of_users(asked: &Asked) -> bool {
    asked.path == "/v1.0/users/delta"
}

#[test]
fn a_link_to_another_host_is_not_followed() {
    let elsewhere = Elsewhere::start();
    let mut settled = settled(1, "");
    settled.disable_first();
    let other = &elsewhere.origin;
    let port = other.rsplit(':').next().expect("a port");
    let address = settled.simulator.address;
    for link in [
        format!("{other}/v1.0/users/delta?$skiptoken=x"),
        // The right host, as it looks to somebody in a hurry.
        format!("http://{address}@127.0.0.1:{port}/v1.0/users/delta?$skiptoken=x"),
        format!("http://{address}/login/users?$skiptoken=x"),
        "https://graph.microsoft.com/v1.0/users/delta?$skiptoken=x".to_owned(),
    ] {
        settled
            .simulator
            .instead(move |asked, _| of_users(asked).then(|| page(&link)));
        settled.endures(&["cannot read users", "not followed"]);
    }
    elsewhere.was_not_asked();
    settled.simulator.behave();
    settled.recovers();
}

#[test]
fn a_token_for_changes_at_another_host_is_not_kept() {
    let elsewhere = Elsewhere::start();
    let settled = settled(1, "");
    let link = format!("{}/v1.0/users/delta?$deltatoken=x", elsewhere.origin);
    settled.simulator.instead(move |asked, _| {
        let end = json!({"value": [], "@odata.deltaLink": link});
        of_users(asked).then(|| Answer::new(200, &end))
    });
    settled.survives(&["not followed"]);
    elsewhere.was_not_asked();
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Elsewhere::start();
    let settled = settled(1, "");
    for status in [301, 302, 307, 308] {
        let to = format!("{}/v1.0/users/delta", elsewhere.origin);
        settled.simulator.instead(move |asked, _| {
            of_users(asked).then(|| Answer::text(status, String::new()).with("Location", &to))
        });
        settled.endures(&["redirect"]);
    }
    elsewhere.was_not_asked();
}

#[test]
fn pages_without_end_end() {
    let count = Arc::new(AtomicUsize::new(0));
    let settled = settled(1, "");
    let (origin, counted) = (settled.simulator.origin(), Arc::clone(&count));
    settled.simulator.instead(move |asked, _| {
        let number = counted.fetch_add(usize::from(of_users(asked)), Ordering::Relaxed);
        of_users(asked).then(|| page(&format!("{origin}/v1.0/users/delta?$skiptoken={number}")))
    });
    settled.survives(&["does not end"]);
    assert!(count.load(Ordering::Relaxed) < 2_000);
}

#[test]
fn a_page_that_leads_back_to_itself_ends() {
    let settled = settled(1, "");
    let link = format!(
        "{}/v1.0/users/delta?$skiptoken=x",
        settled.simulator.origin()
    );
    settled
        .simulator
        .instead(move |asked, _| of_users(asked).then(|| page(&link)));
    settled.survives(&["leads back to itself"]);
}

#[test]
fn a_list_that_just_stops_is_not_complete() {
    let settled = settled(1, "");
    settled
        .simulator
        .instead(|asked, _| of_users(asked).then(|| Answer::new(200, &json!({"value": []}))));
    settled.survives(&["not complete"]);
}

#[test]
fn what_is_no_page_is_no_empty_page() {
    let deep = format!("{{\"value\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let settled = settled(1, "");
    for body in [
        "",
        "null",
        "{}",
        "[]",
        "<html>Sign in</html>",
        "{\"value\":{}}",
        "{\"value\":[7]}",
        &deep,
    ] {
        let body = body.to_owned();
        settled
            .simulator
            .instead(move |asked, _| of_users(asked).then(|| Answer::text(200, body.clone())));
        settled.endures(&["not a page"]);
    }
}

#[test]
fn a_user_without_an_id_and_an_id_that_is_none_are_errors() {
    let settled = settled(1, "");
    for item in [json!({}), json!({"id": "../../me"}), json!({"id": 7})] {
        settled.simulator.alter(move |asked, mut answer| {
            if of_users(asked) {
                let mut body: Value = serde_json::from_str(&answer.body).expect("a page");
                body["value"] = json!([item]);
                answer.body = body.to_string();
            }
            answer
        });
        settled.endures(&["a user has no id"]);
    }
}

#[test]
fn an_answer_that_is_cut_is_asked_for_again() {
    let mut settled = settled(3, "");
    settled.disable_first();
    settled.simulator.alter(|asked, mut answer| {
        answer.is_cut = asked.before % 2 == 0;
        answer
    });
    settled.recovers();
}

#[test]
fn an_answer_that_is_always_cut_is_an_error() {
    let settled = settled(1, "");
    settled.simulator.alter(|asked, mut answer| {
        answer.is_cut = of_users(asked);
        answer
    });
    settled.survives(&["cannot read users", "the connection broke"]);
}

#[test]
fn two_gigabytes_are_not_read() {
    let settled = settled(1, "");
    settled.disable_first();
    settled.simulator.alter(|asked, mut answer| {
        if of_users(asked) {
            answer.padding = 2 << 30;
        }
        answer
    });
    // A shell that allows the program less memory than that.
    let path = program().get_program().to_owned();
    let mut shell = std::process::Command::new("sh");
    shell
        .current_dir(settled.story.folder())
        .args([
            "-c",
            "ulimit -v 1500000; exec \"$0\" --config provisor.toml sync",
        ])
        .arg(path);
    let ran = finish(&mut shell, Duration::from_secs(60));
    assert_eq!(ran.exit, 1, "{ran:#?}");
    assert!(ran.stderr.contains("larger than 32 MiB"), "{}", ran.stderr);
    settled.survives(&["larger than 32 MiB"]);
}
