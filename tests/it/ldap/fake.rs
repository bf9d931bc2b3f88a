//! An LDAP server of our own, for what the real ones here never do: it answers as an Active
//! Directory does that limits pages and forces ranges, has a recycle bin, or is in trouble,
//! as each test prescribes. It speaks plain LDAP on loopback and ends with the value.
//!
//! It imports nothing from the connector: it would only agree with itself.

mod answer;
mod ber;
mod filter;
mod object;

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

pub(super) use answer::{SERVICE, SUFFIX};
pub(super) use object::Object;

/// What the server holds to, besides what it holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// No page has more entries, whatever is asked for (`MaxPageSize`); a search without pages
    /// ends there, with result 4.
    pub(super) page_limit: Option<usize>,
    /// No attribute is answered with more values at once (`MaxValRange`).
    pub(super) value_limit: Option<usize>,
    /// No answer to DirSync holds more entries.
    pub(super) sync_limit: Option<usize>,
    /// Whether the account may replicate: without that, DirSync wants to be asked for what the
    /// account may see.
    pub(super) replicates: bool,
    /// Whether a connection has one paged search at a time, as OpenLDAP: the cookie of a page is
    /// good only while no other page has ended.
    pub(super) one_cookie: bool,
}

/// A search that arrived.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// The base's name.
    pub(super) base: String,
    /// How many searches arrived before this one, on all connections. A page is a search.
    pub(super) before: usize,
    /// Whether it goes on behind a page.
    pub(super) goes_on: bool,
    /// The names of the attributes that were asked for.
    pub(super) attributes: Vec<String>,
    /// Whether it asks by DirSync for what has changed.
    pub(super) synchronises: bool,
}

/// What happens instead of the right answer.
#[derive(Debug, Clone)]
pub(super) enum Instead {
    /// The entries of this search, but then this result code instead of success.
    Result(i64, &'static str),
    /// These bytes, and then the end of the connection.
    Bytes(Vec<u8>),
    /// The right answer, in which these bytes are looked for and replaced.
    Altered(fn(Vec<u8>) -> Vec<u8>),
    /// The end of the connection.
    End,
    /// Nothing, ever.
    Silence,
    /// The entries at once, and the end of the page as late as it gets: after that of the next
    /// page behind which another follows, or, where none comes, after this time.
    LateEnd(Duration),
}

/// Decides what happens instead, if anything.
type Script = Box<dyn Fn(&Asked) -> Option<Instead> + Send + Sync>;

/// What all connections share.
struct Shared {
    objects: Mutex<Vec<Object>>,
    rules: Rules,
    script: Mutex<Option<Script>>,
    asked: Mutex<Vec<Asked>>,
}

/// A running server.
pub(super) struct Fake {
    /// Where it listens.
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

/// Who may bind, and with what.
pub(super) const LOGIN: (&str, &str) = ("CN=provisor,DC=ad,DC=example,DC=com", "agent-secret");

impl Fake {
    /// Starts one on a free port. It ends with the process; a connection ends with its client.
    pub(super) fn start(objects: Vec<Object>, rules: Rules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its own address");
        let shared = Arc::new(Shared {
            objects: Mutex::new(objects),
            rules,
            script: Mutex::new(None),
            asked: Mutex::new(Vec::new()),
        });
        let of_listener = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&of_listener);
                std::thread::spawn(move || shared.serve(client));
            }
        });
        Self { address, shared }
    }

    /// What it holds, to be changed.
    pub(super) fn objects(&self) -> MutexGuard<'_, Vec<Object>> {
        self.shared.objects.lock().expect("nobody panics with it")
    }

    /// Changes an object, as a directory notes it: with a new update sequence number.
    pub(super) fn change(&self, dn: &str, how: impl FnOnce(&mut Object)) {
        let mut objects = self.objects();
        let next = answer::highest_usn(&objects) + 1;
        let mut objects = objects.iter_mut();
        let object = objects.find(|object| object.dn.eq_ignore_ascii_case(dn));
        let object = object.expect("an object of that name");
        how(object);
        object.set("uSNChanged", &[next.to_string().as_str()]);
    }

    /// Deletes an object, as a directory with a recycle bin does.
    pub(super) fn delete(&self, dn: &str) {
        let (rdn, parent) = dn.split_once(',').expect("a name and a place");
        let (rdn, parent) = (rdn.to_owned(), parent.to_owned());
        self.change(dn, move |object| {
            object.dn = format!("{rdn}\\0ADEL:0,CN=Deleted Objects,{SUFFIX}");
            object.deleted = true;
            object.set("isDeleted", &["TRUE"]);
            object.set("lastKnownParent", &[parent.as_str()]);
            object.set("whenChanged", &["20260101120000.0Z"]);
        });
    }

    /// From now on this happens, instead of what is right.
    pub(super) fn instead(
        &self,
        script: impl Fn(&Asked) -> Option<Instead> + Send + Sync + 'static,
    ) {
        *self.shared.script.lock().expect("nobody panics with it") = Some(Box::new(script));
    }

    /// From now on it answers rightly again.
    pub(super) fn behave(&self) {
        *self.shared.script.lock().expect("nobody panics with it") = None;
    }

    /// The searches that arrived since the last time this was asked.
    pub(super) fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().expect("nobody panics with it"))
    }
}

impl Shared {
    /// Serves one connection until either side ends it.
    fn serve(&self, mut client: TcpStream) {
        let mut bound = false;
        let line = Arc::new(Line {
            to_client: Mutex::new(client.try_clone().expect("a second handle")),
            cookie: Mutex::new(None),
            late: Mutex::new(Vec::new()),
        });
        while let Some((_, content)) = ber::read(&mut client) {
            let mut parts = ber::Elements(&content);
            let (Some(id), Some((operation, body))) = (parts.number(), parts.next()) else {
                return;
            };
            let controls = parts.next().map_or(&[][..], |(_, controls)| controls);
            let reply = match operation {
                answer::BIND => {
                    let result = answer::bind(body);
                    bound = result == 0;
                    let result = answer::result(answer::BIND_RESPONSE, result, "");
                    Reply::Answer(answer::message(id, &result, None), None)
                }
                answer::SEARCH => self.search(id, body, controls, bound, &line),
                // Nothing is abandoned: every search is answered before the next is read.
                answer::ABANDON => continue,
                _ => return,
            };
            let sent = match reply {
                Reply::Answer(answer, cookie) => {
                    let goes_on = cookie.as_ref().is_some_and(|cookie| !cookie.is_empty());
                    line.send(&answer, cookie) && (!goes_on || line.catch_up())
                }
                Reply::Late(entries, end, cookie, delay) => {
                    let sent = line.send(&entries, None);
                    line.late().push((end, cookie));
                    let line = Arc::clone(&line);
                    std::thread::spawn(move || {
                        std::thread::sleep(delay);
                        line.catch_up()
                    });
                    sent
                }
                Reply::Last(answer) => {
                    line.send(&answer, None);
                    let _ = client.shutdown(Shutdown::Both);
                    return;
                }
                Reply::None => continue,
            };
            if !sent {
                return;
            }
        }
    }

    fn search(&self, id: i64, body: &[u8], controls: &[u8], bound: bool, line: &Line) -> Reply {
        let Some(search) = answer::Search::read(body, controls) else {
            return Reply::Last(Vec::new());
        };
        let asked = {
            let mut all = self.asked.lock().expect("nobody panics with it");
            let asked = search.asked(all.len());
            all.push(asked.clone());
            asked
        };
        if !bound && !search.base.is_empty() {
            let said = "000004DC: LdapErr: a bind must be completed first";
            return Reply::Answer(search.refuse(id, 1, said), None);
        }
        if self.rules.one_cookie && !line.goes_on_with(search.cookie()) {
            let said = "paged results cookie is invalid or old";
            return Reply::Answer(search.refuse(id, 53, said), None);
        }
        let script = self.script.lock().expect("nobody panics with it");
        let instead = script.as_ref().and_then(|script| script(&asked));
        let objects = self.objects.lock().expect("nobody panics with it");
        let right = |result| search.answer(id, &objects, &self.rules, result);
        let cookie = search.next_cookie(&objects, &self.rules);
        match instead {
            None => Reply::Answer(right(None), cookie),
            Some(Instead::Result(code, said)) => Reply::Answer(right(Some((code, said))), cookie),
            Some(Instead::Altered(how)) => Reply::Answer(how(right(None)), cookie),
            Some(Instead::Bytes(bytes)) => Reply::Last(bytes),
            Some(Instead::End) => Reply::Last(Vec::new()),
            Some(Instead::Silence) => Reply::None,
            Some(Instead::LateEnd(delay)) => {
                let mut entries = right(None);
                let end = entries.split_off(ber::start_of_last(&entries));
                Reply::Late(entries, end, cookie, delay)
            }
        }
    }
}

/// The server's side of a connection.
struct Line {
    to_client: Mutex<TcpStream>,
    /// Of the page that ended last, if another follows.
    cookie: Mutex<Option<Vec<u8>>>,
    /// The ends of pages that are still to be sent.
    late: Mutex<Vec<PageEnd>>,
}

/// The end of a page, and its cookie.
type PageEnd = (Vec<u8>, Option<Vec<u8>>);

impl Line {
    /// Sends what is late.
    fn catch_up(&self) -> bool {
        let late = std::mem::take(&mut *self.late());
        late.into_iter()
            .all(|(end, cookie)| self.send(&end, cookie))
    }

    fn late(&self) -> MutexGuard<'_, Vec<PageEnd>> {
        self.late.lock().expect("nobody panics with it")
    }

    /// Whether it could be sent. With it a page ends, perhaps.
    fn send(&self, answer: &[u8], cookie: Option<Vec<u8>>) -> bool {
        let mut to_client = self.to_client.lock().expect("nobody panics with it");
        if cookie.is_some() {
            *self.cookie.lock().expect("nobody panics with it") = cookie;
        }
        to_client.write_all(answer).is_ok()
    }

    /// Whether a page behind this cookie can be given; one behind none begins anew.
    fn goes_on_with(&self, cookie: Option<Vec<u8>>) -> bool {
        let cookie = cookie.filter(|cookie| !cookie.is_empty());
        cookie.is_none() || cookie == *self.cookie.lock().expect("nobody panics with it")
    }
}

/// What becomes of a request.
enum Reply {
    /// These bytes, and with them the end of a page with this cookie.
    Answer(Vec<u8>, Option<Vec<u8>>),
    /// The same in two parts, the second after some time.
    Late(Vec<u8>, Vec<u8>, Option<Vec<u8>>, Duration),
    /// The same, and then the end of the connection.
    Last(Vec<u8>),
    None,
}
