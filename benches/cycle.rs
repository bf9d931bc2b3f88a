//! An unchanged cycle, and one with 1,000 changes, over a CSV file of 1,000,000 people, beside
//! what the `csv` crate takes to read that file into owned `String` records.
//!
//! `cargo bench --bench cycle`; `-- N` takes N people instead. What is linked beforehand stays in
//! `target/tmp` for the next run. The target is a server in this process that says yes to
//! everything; an unchanged cycle asks it nothing.

#![expect(
    clippy::print_stdout,
    reason = "figures are for whoever ran the benchmark"
)]

mod common;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use axum::Router;
use axum::http::StatusCode;
use chrono::Utc;
use common::{Agent, Outcome, judge, tell};
use futures_util::{StreamExt, stream};
use provisor::scim::resource::ResourceId;
use provisor::snapshot::{Link, Origin, Store, TargetChange};
use provisor::target::Pace;
use provisor_connectors::{Change, ReadRequest, RecordKey};
use serde_json::json;
use url::Url;

/// How often each figure is taken; the least disturbed one counts.
const ROUNDS: usize = 5;
const CHANGES: usize = 1_000;
/// Asks this program to link everybody, and for nothing else.
const PREPARE: &str = "--prepare";
const PACE: Pace = Pace {
    requests_per_second: None,
    concurrency: 4,
};

/// Everybody is linked by a process of its own: what that took of memory is not the cycle's.
fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = arguments.iter().find_map(|it| it.parse().ok());
    let people: usize = argument.unwrap_or(1_000_000);
    let folder = common::folder(&format!("cycle-{people}"));
    if arguments.iter().any(|it| it == PREPARE) {
        return common::runtime()?.block_on(async {
            let server = serve().await?;
            if !is_current(&folder, people, &server).await? {
                prepare(&folder, people, &server).await?;
            }
            Ok(())
        });
    }
    let mut prepare = Command::new(std::env::current_exe()?);
    let prepared = prepare.args([PREPARE, &people.to_string()]).status()?;
    if !prepared.success() {
        return Err("nobody could be linked".into());
    }
    common::runtime()?.block_on(async {
        let server = serve().await?;
        measure(&folder, people, &server).await
    })
}

/// Whether an earlier run left everybody linked as this build would leave them. What was read by
/// a build that tells people apart in another way would all count as changed.
async fn is_current(folder: &Path, people: usize, server: &Url) -> Outcome<bool> {
    if !folder.join("ready").exists() {
        return Ok(false);
    }
    common::write_people(&folder.join("people.csv"), people, |_| None)?;
    let agent = Agent::open(folder, server, PACE)?;
    let before = agent.store.view(common::SOURCE)?.generation();
    agent.read(Utc::now()).await?;
    let view = agent.store.view(common::SOURCE)?;
    let target = &agent.target().target;
    let progress = agent.store.target(&target.name).progress()?;
    Ok(view.changed_since(before)?.len() <= CHANGES
        && progress.fingerprint == target.fingerprint
        && progress.settings_digest == target.settings_digest)
}

/// Reads everybody and links them, as a first sync would have left it, without sending anything.
async fn prepare(folder: &Path, people: usize, server: &Url) -> Outcome<()> {
    println!("linking {people} people first; this takes minutes, once");
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    common::write_config(folder, "")?;
    common::write_people(&folder.join("people.csv"), people, |_| None)?;
    let agent = Agent::open(folder, server, PACE)?;
    let start = Instant::now();
    agent.read(Utc::now()).await?;
    let seconds = start.elapsed().as_secs_f64();
    tell(
        "first read of the file into the mirror",
        format!("{seconds:.1} s"),
    );
    let start = Instant::now();
    link_everybody(&agent).await?;
    let seconds = start.elapsed().as_secs_f64();
    tell("linking everybody", format!("{seconds:.1} s"));
    drop(agent);
    // So much was written that whoever opens the store next compacts it.
    let start = Instant::now();
    Agent::open(folder, server, PACE)?;
    let seconds = start.elapsed().as_secs_f64();
    tell("opening what that left", format!("{seconds:.1} s"));
    std::fs::write(folder.join("ready"), "")?;
    Ok(())
}

/// In the order of the file: what lies together in the store is written together.
async fn link_everybody(agent: &Agent) -> Outcome<()> {
    let source = agent.sources.get(common::SOURCE).ok_or("no source")?;
    let request = ReadRequest::default();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
    let link = async {
        let mut linked = 0;
        while let Some(changes) = receiver.recv().await {
            tokio::task::block_in_place(|| link(agent, changes, &mut linked))?;
        }
        Outcome::Ok(())
    };
    let (read, linked) = tokio::join!(source.read(&request, sender), link);
    read?;
    linked?;

    let target = &agent.target().target;
    let store = agent.store.target(&target.name);
    let mut progress = store.progress()?;
    progress.fingerprint.clone_from(&target.fingerprint);
    progress.settings_digest.clone_from(&target.settings_digest);
    let generation = agent.store.view(common::SOURCE)?.generation();
    progress.seen.insert(common::SOURCE.to_owned(), generation);
    store.commit(vec![TargetChange::PutProgress(Box::new(progress))])?;
    tokio::task::block_in_place(|| store.flush())?;
    Ok(())
}

fn link(agent: &Agent, changes: Vec<Change>, linked: &mut usize) -> Outcome<()> {
    let target = &agent.target().target;
    let mut links = Vec::new();
    for change in changes {
        let Change::Upsert(record) = change else {
            return Err("a file has only people".into());
        };
        let link = Link {
            resource: ResourceId(format!("00000000-0000-4000-8000-{linked:012x}")),
            origin: Origin::Created,
            acknowledged: target.mapping.apply_record(&record)?,
            active: true,
            deactivated: None,
            foreign_external_id: None,
            unsettled: false,
            missing: false,
            own_forms: Default::default(),
            sent: Default::default(),
            keys_sent: Default::default(),
        };
        let record = RecordKey {
            source: common::SOURCE.to_owned(),
            kind: record.kind,
            id: record.id,
        };
        links.push(TargetChange::PutLink(record, Box::new(link)));
        *linked += 1;
    }
    agent.store.target(&target.name).commit(links)?;
    Ok(())
}

async fn measure(folder: &Path, people: usize, server: &Url) -> Outcome<()> {
    let file = folder.join("people.csv");
    let start = Instant::now();
    let agent = Agent::open(folder, server, PACE)?;
    tell(
        "opening the store",
        format!("{:.2} s", start.elapsed().as_secs_f64()),
    );
    tell(
        "resident after that",
        format!("{:.0} MB", common::peak_resident()?),
    );
    listed_just_now(&agent.store)?;
    // Whatever the last run of this benchmark changed is changed back, and not measured.
    agent.cycle(Utc::now()).await?;

    let (mut plain, mut unchanged, mut resident) = (f64::MAX, f64::MAX, 0_f64);
    for _ in 0..ROUNDS {
        plain = plain.min(read_plainly(&file)?);
        common::forget_peak()?;
        let asked = agent.client.requests();
        let start = Instant::now();
        let report = agent.cycle(Utc::now()).await?;
        unchanged = unchanged.min(start.elapsed().as_secs_f64());
        resident = resident.max(common::peak_resident()?);
        if !report.outcomes.is_empty() || agent.client.requests() != asked {
            return Err("an unchanged cycle did something".into());
        }
    }
    tell("the csv crate, into owned Strings", format!("{plain:.2} s"));
    tell("(a) an unchanged cycle", format!("{unchanged:.2} s"));
    let ratio = unchanged / plain;
    judge(
        "(a) in times of the csv crate",
        format!("{ratio:.2}"),
        "3",
        ratio <= 3.0,
    );
    judge(
        "(a) resident at most",
        format!("{resident:.0} MB"),
        "400 MB",
        resident < 400.0,
    );

    let (mut changed, mut bare) = (f64::MAX, f64::MAX);
    for round in 1..=ROUNDS {
        let step = (people / CHANGES).max(1);
        let title = |number: usize| {
            number
                .is_multiple_of(step)
                .then(|| format!("Title {round}"))
        };
        common::write_people(&file, people, title)?;
        let start = Instant::now();
        let report = agent.cycle(Utc::now()).await?;
        let whole = start.elapsed().as_secs_f64();
        if report.outcomes.len() != people.min(CHANGES) {
            return Err(format!("{} changes were sent", report.outcomes.len()).into());
        }
        let network = send_plainly(server, report.outcomes.len()).await?;
        bare = bare.min(network);
        changed = changed.min(whole - network);
    }
    tell("1,000 bare PATCH requests", format!("{bare:.2} s"));
    tell(
        "(b) a cycle of 1,000 changes, network apart",
        format!("{changed:.2} s"),
    );
    let ratio = changed / unchanged;
    judge(
        "(b) in times of (a)",
        format!("{ratio:.2}"),
        "1.3",
        ratio <= 1.3,
    );
    Ok(())
}

/// The next full cycle is a day off.
fn listed_just_now(store: &Store) -> Outcome<()> {
    let target = store.target(common::TARGET);
    let mut progress = target.progress()?;
    progress.last_full = Some(Utc::now());
    target.commit(vec![TargetChange::PutProgress(Box::new(progress))])?;
    Ok(())
}

/// What anybody has to do who wants to have every cell.
fn read_plainly(file: &Path) -> Outcome<f64> {
    let start = Instant::now();
    let mut rows = 0;
    for record in csv::Reader::from_path(file)?.into_deserialize::<Vec<String>>() {
        rows += std::hint::black_box(record?).len();
    }
    std::hint::black_box(rows);
    Ok(start.elapsed().as_secs_f64())
}

/// As many requests of the same size, with nothing around them.
async fn send_plainly(server: &Url, count: usize) -> Outcome<f64> {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "title", "value": "Title 1"}],
    });
    let client = reqwest::Client::new();
    let start = Instant::now();
    let mut answers = stream::iter(0..count)
        .map(|number| {
            let request = client.patch(format!("{server}/Users/bare-{number}"));
            let request = request.bearer_auth(common::TOKEN).json(&body);
            async move { request.send().await?.error_for_status()?.bytes().await }
        })
        .buffer_unordered(PACE.concurrency);
    while let Some(answer) = answers.next().await {
        std::hint::black_box(answer?);
    }
    Ok(start.elapsed().as_secs_f64())
}

/// A server that says yes to everything, on a thread of its own.
async fn serve() -> Outcome<Url> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = Router::new().fallback(|| async { StatusCode::NO_CONTENT });
    tokio::spawn(async move { axum::serve(listener, service).await });
    Ok(Url::parse(&format!("http://{address}/scim/v2"))?)
}
