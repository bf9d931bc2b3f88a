//! An initial push of 10,000 people to the sandbox in another process on loopback, beside what
//! a bare HTTP load generator gets from such a sandbox with the same bodies and concurrency.
//!
//! `cargo bench --bench push`; `-- N` takes N people instead. Both are measured with as many
//! requests at once as a target has by default, and with twice as many. Each round starts with an
//! empty sandbox and an empty state directory; reading, listing and planning are part of the push.

#![expect(
    clippy::print_stdout,
    reason = "figures are for whoever ran the benchmark"
)]

#[expect(dead_code, reason = "every benchmark uses a part of it")]
mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use chrono::Utc;
use common::{Agent, Outcome, judge, tell};
use futures_util::{StreamExt, stream};
use provisor::plan::action::Write;
use provisor::sandbox::{self, SandboxOptions};
use provisor::target::{Pace, dialect};
use provisor_connectors::Kind;
use serde_json::Value;
use url::Url;

const ROUNDS: usize = 3;
/// The default of `targets.NAME.pace.concurrency`, and twice that.
const CONCURRENCIES: [usize; 2] = [4, 8];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(place) = arguments.iter().position(|it| it == "--sandbox") {
        let folder = arguments.get(place + 1).ok_or("no folder")?;
        return common::runtime()?.block_on(serve(Path::new(folder)));
    }
    let argument = arguments.iter().skip(1).find_map(|it| it.parse().ok());
    let people: usize = argument.unwrap_or(10_000);
    // On a thread of the runtime, as the program's targets are.
    for concurrency in CONCURRENCIES {
        tell("requests at once", concurrency.to_string());
        common::runtime()?.block_on(async { tokio::spawn(compare(people, concurrency)).await? })?;
    }
    Ok(())
}

async fn compare(people: usize, concurrency: usize) -> Outcome<()> {
    let (mut bare, mut pushed, mut applied) = (f64::MAX, f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        let push = push(people, concurrency).await?;
        pushed = pushed.min(push.seconds);
        applied = applied.min(push.applying);
        bare = bare.min(post(push.bodies, concurrency).await?);
    }
    let rate = |seconds: f64| format!("{:.0}/s", people as f64 / seconds);
    tell("a bare load generator", rate(bare));
    tell("applying alone, of a push", rate(applied));
    tell(
        "applying alone, of the bare load",
        format!("{:.2}", bare / applied),
    );
    tell("(c) an initial push", rate(pushed));
    let share = bare / pushed;
    judge(
        "(c) of the bare load",
        format!("{share:.2}"),
        "0.5",
        share >= 0.5,
    );
    Ok(())
}

/// What a first cycle took, and what it sent.
struct Push {
    bodies: Vec<Value>,
    seconds: f64,
    /// From the plan to the last record that is durable.
    applying: f64,
}

/// A whole first cycle.
async fn push(people: usize, concurrency: usize) -> Outcome<Push> {
    let folder = common::folder("push");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    common::write_config(&folder, "")?;
    common::write_people(&folder.join("people.csv"), people, |_| None)?;
    let sandbox = Process::start(&folder.join("sandbox"))?;
    let pace = Pace {
        requests_per_second: None,
        concurrency,
    };
    let agent = Agent::open(&folder, &sandbox.url, pace)?;
    let start = Instant::now();
    let (report, applying) = agent.time_cycle(Utc::now()).await?;
    let seconds = start.elapsed().as_secs_f64();
    tell(
        "peak of memory, with everybody's action",
        format!("{:.0} MB", common::peak_resident()?),
    );
    let plan = report.plan.ok_or("no plan")?;
    let requests = plan.actions.iter().flat_map(|action| &action.requests);
    let bodies: Vec<Value> = requests
        .filter_map(|request| match &request.write {
            Write::Create { attributes, .. } => {
                Some(dialect::create_body(Kind::User, attributes, &[]))
            }
            _ => None,
        })
        .collect();
    if bodies.len() != people {
        return Err(format!("{} people were created", bodies.len()).into());
    }
    Ok(Push {
        bodies,
        seconds,
        applying: applying.as_secs_f64(),
    })
}

/// The same requests from something that does nothing else.
async fn post(bodies: Vec<Value>, concurrency: usize) -> Outcome<f64> {
    let folder = common::folder("push-bare");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let sandbox = Process::start(&folder)?;
    let users = format!("{}/Users", sandbox.url);
    let client = reqwest::Client::new();
    let start = Instant::now();
    let mut answers = stream::iter(bodies)
        .map(|body| {
            let request = client.post(&users).bearer_auth(common::TOKEN).json(&body);
            async move { request.send().await?.error_for_status()?.bytes().await }
        })
        .buffer_unordered(concurrency);
    while let Some(answer) = answers.next().await {
        std::hint::black_box(answer?);
    }
    Ok(start.elapsed().as_secs_f64())
}

/// The sandbox, in a process of its own. Ended when dropped.
struct Process {
    child: Child,
    url: Url,
}

impl Process {
    fn start(folder: &Path) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--sandbox")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Self {
            child,
            url: Url::parse(line.trim())?,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and nothing waits for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn serve(folder: &Path) -> Outcome<()> {
    let sandbox = sandbox::serve(SandboxOptions {
        state: folder.to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        token: common::TOKEN.to_owned(),
        faults: Vec::new(),
        seed: 0,
    })
    .await?;
    println!("{}", sandbox.base_url());
    // Ends with whoever started it.
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    sandbox.stop().await?;
    Ok(())
}
