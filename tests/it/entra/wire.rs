//! HTTP/1.1 as bytes: a request read, an answer written, and answers that no good server would
//! give. Knows nothing of Graph.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What arrived.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// The path, decoded, without the query.
    pub(super) path: String,
    /// The query as it was written.
    pub(super) raw_query: String,
    /// The parameters, decoded.
    pub(super) query: BTreeMap<String, String>,
    /// Names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// What is answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    /// As many bytes of white space go before the body, if that is more than none.
    pub(super) padding: u64,
    /// The connection ends in the middle of the body.
    pub(super) is_cut: bool,
}

impl Answer {
    pub(super) fn new(status: u16, body: &serde_json::Value) -> Self {
        Self::text(status, body.to_string())
    }

    pub(super) fn text(status: u16, body: String) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
            padding: 0,
            is_cut: false,
        }
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Serves a connection until either side ends it.
pub(super) fn serve(stream: TcpStream, mut answer: impl FnMut(Request) -> Answer) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let Ok(mut out) = stream.try_clone() else {
        return;
    };
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let answer = answer(request);
        if write(&mut out, &answer).is_err() || answer.is_cut {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut parts = line.split_whitespace();
    let method = parts.next()?.to_owned();
    let target = parts.next()?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length");
    let length = length.and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        headers,
        body: String::from_utf8(body).ok()?,
        ..target_of(&target)
    })
}

/// A path and its parameters.
pub(super) fn target_of(target: &str) -> Request {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned();
    // A plus stands for itself in nothing that is asked for here.
    let path: String = url::form_urlencoded::parse(format!("p={path}").as_bytes())
        .map(|(_, path)| path.into_owned())
        .collect();
    Request {
        path,
        raw_query: query.to_owned(),
        query: pairs.collect(),
        ..Request::default()
    }
}

fn write(out: &mut TcpStream, answer: &Answer) -> std::io::Result<()> {
    let length = answer.padding + answer.body.len() as u64;
    let mut head = format!(
        "HTTP/1.1 {} X\r\ncontent-length: {length}\r\n",
        answer.status
    );
    let typed = answer
        .headers
        .iter()
        .any(|(name, _)| name == "content-type");
    if !typed {
        head.push_str("content-type: application/json\r\n");
    }
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    out.write_all(head.as_bytes())?;
    let blank = vec![b' '; 64 * 1024];
    let mut left = answer.padding;
    while left > 0 {
        let part = left.min(blank.len() as u64);
        out.write_all(&blank[..usize::try_from(part).expect("it is small")])?;
        left -= part;
    }
    let body = answer.body.as_bytes();
    let end = if answer.is_cut {
        body.len() / 2
    } else {
        body.len()
    };
    out.write_all(&body[..end])?;
    out.flush()
}
