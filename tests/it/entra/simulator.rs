//! Graph and its login as a server on loopback, holding a tenant. It ends with the process; a
//! connection ends with its client.

mod lists;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use serde_json::{Value, json};

use super::round::{LIFETIME, Manners, Mark, Round, Tokens};
use super::sign_in::{CLIENT, Login, TENANT, VIRTUAL_MACHINE_PATH};
use super::tenant::Tenant;
use super::wire::{self, Answer, Request};

/// A request that arrived.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) raw_query: String,
    /// What it would have cost (Graph, "Service-specific throttling limits").
    pub(super) units: u32,
    pub(super) at: Instant,
    /// How many requests to Graph arrived before it, since the last time that was asked.
    pub(super) before: usize,
    /// Whether it is a part of a batch.
    pub(super) in_batch: bool,
}

/// Decides what happens instead, if anything.
type Script = Box<dyn Fn(&Asked, &Request) -> Option<Answer> + Send>;
/// Makes another answer of the right one.
type Altering = Box<dyn Fn(&Asked, Answer) -> Answer + Send>;

/// Changes the tenant while it is read.
type Meanwhile = Box<dyn FnMut(&Asked, &mut Tenant) + Send>;

/// What all connections share.
struct State {
    tenant: Tenant,
    login: Login,
    tokens: Tokens,
    manners: Manners,
    script: Option<Script>,
    altering: Option<Altering>,
    meanwhile: Option<Meanwhile>,
    asked: Vec<Asked>,
    logins: usize,
}

/// A running simulator.
pub(super) struct Simulator {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Simulator {
    pub(super) fn start(tenant: Tenant) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its own address");
        let state = Arc::new(Mutex::new(State {
            tenant,
            login: Login::new(&format!("http://{address}")),
            tokens: Tokens::default(),
            manners: Manners::default(),
            script: None,
            altering: None,
            meanwhile: None,
            asked: Vec::new(),
            logins: 0,
        }));
        serve_at(listener, &state);
        Self { address, state }
    }

    /// Answers at another address as well.
    pub(super) fn listen_at(&self, address: &str) {
        let listener = TcpListener::bind(address).expect("the address is free");
        serve_at(listener, &self.state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    /// Where it is.
    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The tables of a source that reads this tenant. `more` are further keys.
    pub(super) fn source(&self, more: &str) -> String {
        let origin = self.origin();
        format!(
            "[sources.cloud.entra]\ntenant_id = \"{TENANT}\"\nclient_id = \"{CLIENT}\"\n\
             client_secret = {{ file = \"client-secret\" }}\nlogin_url = \"{origin}\"\n\
             graph_url = \"{origin}\"\n{more}\n"
        )
    }

    /// Looks at the tenant, or changes it.
    pub(super) fn tenant<T>(&self, work: impl FnOnce(&mut Tenant) -> T) -> T {
        work(&mut self.state().tenant)
    }

    pub(super) fn manners(&self, work: impl FnOnce(&mut Manners)) {
        work(&mut self.state().manners);
    }

    pub(super) fn login<T>(&self, work: impl FnOnce(&mut Login) -> T) -> T {
        work(&mut self.state().login)
    }

    /// From now on this happens, instead of what is right.
    pub(super) fn instead(
        &self,
        script: impl Fn(&Asked, &Request) -> Option<Answer> + Send + 'static,
    ) {
        self.state().script = Some(Box::new(script));
    }

    /// From now on right answers are altered.
    pub(super) fn alter(&self, altering: impl Fn(&Asked, Answer) -> Answer + Send + 'static) {
        self.state().altering = Some(Box::new(altering));
    }

    /// From now on this happens before each request is answered.
    pub(super) fn meanwhile(&self, change: impl FnMut(&Asked, &mut Tenant) + Send + 'static) {
        self.state().meanwhile = Some(Box::new(change));
    }

    /// From now on it answers rightly again.
    pub(super) fn behave(&self) {
        let mut state = self.state();
        state.script = None;
        state.altering = None;
        state.meanwhile = None;
    }

    /// The requests to Graph since the last time this was asked.
    pub(super) fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state().asked)
    }

    /// How many times somebody wanted to sign in.
    pub(super) fn logins(&self) -> usize {
        self.state().logins
    }

    /// No token for changes is known any more.
    pub(super) fn forget_marks(&self) {
        self.state().tokens.marks.clear();
    }
}

fn serve_at(listener: TcpListener, state: &Arc<Mutex<State>>) {
    let state = Arc::clone(state);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = Arc::clone(&state);
            std::thread::spawn(move || {
                wire::serve(stream, |request| {
                    state
                        .lock()
                        .expect("nobody panics with it")
                        .answer(&request)
                });
            });
        }
    });
}

impl State {
    fn answer(&mut self, request: &Request) -> Answer {
        if let "/machine/token" | VIRTUAL_MACHINE_PATH = request.path.as_str() {
            self.logins += 1;
            return self.login.answer_machine(request);
        }
        if !request.path.starts_with("/v1.0/") {
            self.logins += 1;
            return self.login.answer(request);
        }
        self.answer_graph(request, false)
    }

    fn answer_graph(&mut self, request: &Request, in_batch: bool) -> Answer {
        let asked = Asked {
            path: request.path.clone(),
            raw_query: request.raw_query.clone(),
            units: lists::units(request),
            at: Instant::now(),
            before: self.asked.len(),
            in_batch,
        };
        self.asked.push(asked.clone());
        if let Some(change) = &mut self.meanwhile {
            change(&asked, &mut self.tenant);
        }
        if let Some(answer) = self.script.as_ref().and_then(|it| it(&asked, request)) {
            return answer;
        }
        let answer = self.right_answer(request, in_batch);
        match &self.altering {
            Some(altering) => altering(&asked, answer),
            None => answer,
        }
    }

    fn right_answer(&mut self, request: &Request, in_batch: bool) -> Answer {
        let permissions = match in_batch {
            // The whole was let in.
            true => Some(self.login.permissions.clone()),
            false => self.login.admit(request),
        };
        let Some(permissions) = permissions else {
            let words = "Access token has expired.";
            return error(401, "InvalidAuthenticationToken", words);
        };
        let path = request.path.trim_start_matches("/v1.0");
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let needed = lists::permission(&parts);
        if needed.is_some_and(|needed| !permissions.contains(needed)) {
            let words = "Insufficient privileges to complete the operation.";
            return error(403, "Authorization_RequestDenied", words);
        }
        match (request.method.as_str(), &parts[..]) {
            ("GET", ["users" | "groups", "delta"]) => self.delta(request, parts[0] == "users"),
            ("POST", ["$batch"]) if !in_batch => self.batch(request),
            ("GET", _) => lists::answer(
                &self.tenant,
                &self.manners,
                &self.login.origin,
                request,
                &parts,
            ),
            _ => error(400, "BadRequest", "Resource not found for the segment."),
        }
    }

    /// `/users/delta` and `/groups/delta`.
    fn delta(&mut self, request: &Request, of_users: bool) -> Answer {
        let asked = |name: &str| request.query.get(name).map(String::as_str);
        // Everything else is in the token, which is good as it was given and not otherwise.
        let verbatim = |name: &str| request.raw_query.strip_prefix(name)?.strip_prefix('=');
        let mut round = if asked("$skiptoken").is_some() {
            let token = verbatim("$skiptoken");
            let Some(round) = token.and_then(|token| self.tokens.rounds.get(token)) else {
                return error(400, "Request_BadRequest", "The skip token is not valid.");
            };
            round.clone()
        } else if let Some(token) = asked("$deltatoken") {
            if token == "latest" {
                return self.latest(request, of_users);
            }
            let now = self.tenant.now();
            let token = verbatim("$deltatoken");
            let mark = token.and_then(|token| self.tokens.marks.get(token));
            let mark = mark.filter(|mark| mark.of_users == of_users);
            let Some(mark) = mark.filter(|mark| now - mark.at < LIFETIME) else {
                let words = "The sync state generation is not found. The delta token is expired and \
                             data must be synchronized again.";
                return error(400, "syncStateNotFound", words);
            };
            Round::begin(&self.tenant, mark.clone(), false, &self.manners)
        } else {
            match self.first_mark(request, of_users) {
                Ok(mark) => Round::begin(&self.tenant, mark, true, &self.manners),
                Err(answer) => return answer,
            }
        };
        let (value, goes_on) = round.turn(&self.tenant, &self.manners);
        let name = if of_users { "users" } else { "groups" };
        let text = self.tokens.new_text();
        let (link, parameter) = match goes_on {
            true => ("@odata.nextLink", "$skiptoken"),
            false => ("@odata.deltaLink", "$deltatoken"),
        };
        match goes_on {
            true => drop(self.tokens.rounds.insert(text.clone(), round)),
            false => drop(self.tokens.marks.insert(text.clone(), round.next)),
        }
        let origin = &self.login.origin;
        Answer::new(
            200,
            &json!({
                "@odata.context": format!("{origin}/v1.0/$metadata#{name}"),
                link: format!("{origin}/v1.0/{name}/delta?{parameter}={text}"),
                "value": value,
            }),
        )
        .with("x-ms-resource-unit", "1")
    }

    /// Only a token for what changes from now on.
    fn latest(&mut self, request: &Request, of_users: bool) -> Answer {
        let mark = match self.first_mark(request, of_users) {
            Ok(mark) => mark,
            Err(answer) => return answer,
        };
        let name = if of_users { "users" } else { "groups" };
        let text = self.tokens.new_text();
        let since = self.tenant.changes;
        self.tokens
            .marks
            .insert(text.clone(), Mark { since, ..mark });
        let link = format!("{}/v1.0/{name}/delta?$deltatoken={text}", self.login.origin);
        Answer::new(200, &json!({"value": [], "@odata.deltaLink": link}))
    }

    fn first_mark(&self, request: &Request, of_users: bool) -> Result<Mark, Answer> {
        for name in request.query.keys() {
            if !["$select", "$deltatoken", "$filter"].contains(&name.as_str()) {
                let words = format!("The query parameter '{name}' is not supported.");
                return Err(error(400, "Request_UnsupportedQuery", &words));
            }
        }
        let of_type = if of_users { "user" } else { "group" };
        Ok(Mark {
            of_users,
            select: lists::selected(request, of_type)?,
            since: 0,
            at: self.tenant.now(),
        })
    }

    /// `$batch`: the whole is fine, whatever becomes of the parts, which come in no order.
    fn batch(&mut self, request: &Request) -> Answer {
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let Some(parts) = body["requests"].as_array() else {
            return error(400, "BadRequest", "Invalid batch payload format.");
        };
        if parts.is_empty() || parts.len() > 20 {
            return error(400, "BadRequest", "A batch takes 1 to 20 requests.");
        }
        let mut responses = Vec::new();
        for part in parts.iter().rev() {
            let url = part["url"].as_str().unwrap_or_default();
            let mut inner = wire::target_of(&format!("/v1.0{url}"));
            inner.method = part["method"].as_str().unwrap_or_default().to_owned();
            inner.headers = request.headers.clone();
            let answer = self.answer_graph(&inner, true);
            let headers: BTreeMap<&String, &String> = answer
                .headers
                .iter()
                .map(|(name, value)| (name, value))
                .collect();
            let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
            responses.push(json!({"id": part["id"], "status": answer.status,
                "headers": headers, "body": body}));
        }
        Answer::new(200, &json!({"responses": responses}))
    }
}

/// An error in Graph's form.
pub(in crate::entra) fn error(status: u16, code: &str, words: &str) -> Answer {
    Answer::new(
        status,
        &json!({"error": {"code": code, "message": words,
            "innerError": {"date": "2026-11-22T09:00:00", "request-id": "1b2c3d"}}}),
    )
}
