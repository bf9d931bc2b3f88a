//! The services behind one loopback port, and how they misbehave: answers that are lost before
//! or after the write, errors, listings that end early, a call that arrives twice, and the
//! moment at which provisor dies. What comes in is shown to the oracle before anything is done.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use url::Url;

use super::death::Death;
use super::oracle::Oracle;
use super::service::{Answer, Request, Service, answer};

/// One target's service, and who watches it.
pub(super) struct Side {
    pub(super) service: Service,
    pub(super) oracle: Oracle,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    Fair,
    /// One request of so many goes wrong.
    OneIn(u32),
    /// Nothing is answered but 503.
    Down,
}

/// What the server, the engine's caller and the oracle share.
pub(super) struct Shared {
    pub(super) sides: BTreeMap<String, Side>,
    pub(super) weather: Weather,
    pub(super) rng: Rng,
    pub(super) death: Death,
    /// What happened, for whoever reads a failure.
    pub(super) story: Vec<String>,
    pub(super) requests: u64,
    /// Those that were taken.
    pub(super) writes: u64,
}

impl Shared {
    pub(super) fn tell(&mut self, line: impl Into<String>) {
        self.story.push(line.into());
    }
}

pub(super) struct Server {
    pub(super) url: String,
    address: SocketAddr,
    pub(super) shared: Arc<Mutex<Shared>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What becomes of a request.
enum Reaction {
    Answer(Answer),
    /// The answer breaks off in the middle.
    Half(Answer),
    Cut,
    /// Nothing is ever said: whoever asked is dead.
    Silence,
}

impl Server {
    pub(super) fn start(shared: Shared) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let url = format!("http://{address}");
        let shared = Arc::new(Mutex::new(shared));
        let over = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (shared, over) = (Arc::clone(&shared), Arc::clone(&over));
            move || {
                // Those who died wait for ever: a cut would be an answer.
                let mut silent = Vec::new();
                for stream in listener.incoming() {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    // A client that goes away is none of the server's business.
                    if let Ok(Some(stream)) = serve(stream, &shared) {
                        silent.push(stream);
                    }
                }
            }
        });
        Self {
            url,
            address,
            shared,
            over,
            thread: Some(thread),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }

    pub(super) fn queue(&self) -> Queue {
        Queue(self.address)
    }
}

/// The line in front of the server, which serves one after the other.
pub(super) struct Queue(SocketAddr);

impl Queue {
    /// Comes back when everything that was sent before has been served.
    pub(super) fn pass(&self) {
        let mut stream = TcpStream::connect(self.0).expect("the server listens");
        stream.shutdown(Shutdown::Write).expect("it is open");
        // Who asks nothing is answered nothing.
        let read = stream.read(&mut [0]).expect("its turn comes");
        assert_eq!(read, 0, "nothing was asked");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(super) fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads one request and reacts. Gives the stream back when nothing may be said.
fn serve(stream: TcpStream, shared: &Mutex<Shared>) -> std::io::Result<Option<TcpStream>> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let Some((target, request)) = read_request(&stream)? else {
        return Ok(None);
    };
    let reaction = react(&mut lock(shared), &target, &request);
    match reaction {
        Reaction::Answer(answer) => write_answer(&stream, &answer, false)?,
        Reaction::Half(answer) => write_answer(&stream, &answer, true)?,
        Reaction::Cut => stream.shutdown(Shutdown::Both)?,
        Reaction::Silence => return Ok(Some(stream)),
    }
    Ok(None)
}

fn react(shared: &mut Shared, target: &str, request: &Request) -> Reaction {
    shared.death.look();
    if shared.death.happened() {
        return Reaction::Silence;
    }
    shared.requests += 1;
    if request.is_write() {
        let side = shared.sides.get_mut(target).expect("a known target");
        side.oracle.see(request, &side.service);
    }
    if let Some(after) = shared.death.is_due_at_a_request() {
        if after {
            perform(shared, target, request);
        }
        let when = if after { "after" } else { "before" };
        shared.tell(format!(
            "    provisor dies {when} {}",
            line(target, request)
        ));
        shared.death.happen();
        return Reaction::Silence;
    }
    let reaction = misbehave(shared, target, request);
    if request.is_write() {
        let what = match &reaction {
            Reaction::Answer(answer) => answer.status.to_string(),
            Reaction::Half(_) => "broken off".to_owned(),
            Reaction::Cut | Reaction::Silence => "cut".to_owned(),
        };
        shared.tell(format!("    {} -> {what}", line(target, request)));
    }
    reaction
}

fn line(target: &str, request: &Request) -> String {
    let Request {
        method,
        collection,
        id,
        query: _,
        body,
    } = request;
    let body = match &body["Operations"] {
        Value::Null => body,
        operations => operations,
    };
    format!(
        "{method} /{target}/{collection}/{} {body}",
        id.as_deref().unwrap_or_default()
    )
}

/// Does what is asked, and tells the oracle what came of it.
fn perform(shared: &mut Shared, target: &str, request: &Request) -> Answer {
    let side = shared.sides.get_mut(target).expect("a known target");
    let before = side.service.clone();
    let answer = side.service.handle(request);
    side.oracle.note(request, &before, &side.service);
    shared.writes += u64::from(request.is_write() && answer.status < 300);
    answer
}

fn misbehave(shared: &mut Shared, target: &str, request: &Request) -> Reaction {
    let is_bad = match shared.weather {
        Weather::Fair => false,
        Weather::OneIn(many) => shared.rng.u32(0..many) == 0,
        Weather::Down => return Reaction::Answer(answer(503, Value::Null)),
    };
    if !is_bad {
        return Reaction::Answer(perform(shared, target, request));
    }
    let how = shared.rng.u32(0..12);
    shared.tell(format!("    misbehaves in way {how}"));
    match how {
        // Nothing is done, and the answer says so, or nothing.
        0 => Reaction::Cut,
        1 => Reaction::Answer(answer(500, json!({"detail": "not today"}))),
        2 => Reaction::Answer(answer(503, Value::Null)),
        // `write_answer` adds a Retry-After to it.
        3 => Reaction::Answer(answer(429, json!({"detail": "not so fast"}))),
        4 if request.is_write() => Reaction::Answer(answer(400, json!({"detail": "no reason"}))),
        // It is done, and nobody hears of it.
        4 | 5 => {
            perform(shared, target, request);
            Reaction::Cut
        }
        6 => {
            perform(shared, target, request);
            Reaction::Answer(answer(500, json!({"detail": "after the fact"})))
        }
        7 => {
            perform(shared, target, request);
            Reaction::Answer(answer(504, Value::Null))
        }
        8 => Reaction::Half(perform(shared, target, request)),
        // A proxy in between repeats it, and hands on the second answer.
        9 => {
            perform(shared, target, request);
            Reaction::Answer(perform(shared, target, request))
        }
        // The same, but for the first answer.
        10 => {
            let first = perform(shared, target, request);
            perform(shared, target, request);
            Reaction::Answer(first)
        }
        _ => {
            let mut answer = perform(shared, target, request);
            end_early(&mut answer.body);
            Reaction::Answer(answer)
        }
    }
}

/// A listing loses its last resources, and still says how many there are.
fn end_early(body: &mut Value) {
    if let Some(resources) = body["Resources"].as_array_mut() {
        resources.pop();
    }
}

/// The target and what is asked of it; `None` when nobody asks anything.
fn read_request(stream: &TcpStream) -> std::io::Result<Option<(String, Request)>> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let url = format!("http://server{}", words.next().unwrap_or_default());
    let url = Url::parse(&url).map_err(std::io::Error::other)?;
    let mut segments = url.path_segments().into_iter().flatten().map(str::to_owned);
    let target = segments.next().unwrap_or_default();
    let request = Request {
        method,
        collection: segments.next().unwrap_or_default(),
        id: segments.next(),
        query: url.query_pairs().into_owned().collect(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    Ok(Some((target, request)))
}

fn write_answer(mut stream: &TcpStream, answer: &Answer, half: bool) -> std::io::Result<()> {
    let Answer { status, body } = answer;
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let retry = if *status == 429 {
        "Retry-After: 0\r\n"
    } else {
        ""
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\n{retry}\
         Content-Type: application/scim+json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let sent = if half { body.len() / 2 } else { body.len() };
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body.as_bytes()[..sent])?;
    stream.shutdown(Shutdown::Both)
}
