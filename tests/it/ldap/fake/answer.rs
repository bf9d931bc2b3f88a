//! What the server answers: entries, pages, ranges, changes (RFC 4511, RFC 2696, and the
//! controls of MS-ADTS §3.1.1.3.4.1).

use super::ber::{self, ENUMERATED, Elements, INTEGER, OCTETS, SEQUENCE, SET};
use super::filter::matches;
use super::{Asked, LOGIN, Object, Rules};

pub(super) const BIND: u8 = 0x60;
pub(super) const BIND_RESPONSE: u8 = 0x61;
pub(super) const SEARCH: u8 = 0x63;
pub(super) const ABANDON: u8 = 0x50;
const ENTRY: u8 = 0x64;
const DONE: u8 = 0x65;

const PAGED: &str = "1.2.840.113556.1.4.319";
const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
const SHOW_RECYCLED: &str = "1.2.840.113556.1.4.2064";
const DIRSYNC: &str = "1.2.840.113556.1.4.841";

/// The domain that it serves.
pub(in crate::ldap) const SUFFIX: &str = "DC=ad,DC=example,DC=com";

/// A search request, taken apart.
pub(super) struct Search {
    pub(super) base: String,
    scope: i64,
    filter: (u8, Vec<u8>),
    attributes: Vec<String>,
    controls: Vec<(String, Vec<u8>)>,
}

/// A message: its id, an operation, and the controls of a response.
pub(super) fn message(id: i64, operation: &[u8], control: Option<(&str, Vec<u8>)>) -> Vec<u8> {
    let mut parts = vec![ber::number(INTEGER, id), operation.to_vec()];
    if let Some((oid, value)) = control {
        let one = ber::of(SEQUENCE, &[ber::text(oid), ber::element(OCTETS, &value)]);
        parts.push(ber::element(0xa0, &one));
    }
    ber::of(SEQUENCE, &parts)
}

/// An LDAPResult under the tag of its operation.
pub(super) fn result(tag: u8, code: i64, said: &str) -> Vec<u8> {
    ber::of(
        tag,
        &[
            ber::number(ENUMERATED, code),
            ber::text(""),
            ber::text(said),
        ],
    )
}

/// The result code of a bind.
pub(super) fn bind(body: &[u8]) -> i64 {
    let mut parts = Elements(body);
    let (_, name, password) = (parts.number(), parts.text(), parts.text());
    let expected = (Some(LOGIN.0.to_owned()), Some(LOGIN.1.to_owned()));
    if (name, password) == expected { 0 } else { 49 }
}

/// The last update sequence number that was given out.
pub(super) fn highest_usn(objects: &[Object]) -> i64 {
    objects.iter().map(usn).max().unwrap_or_default()
}

fn usn(object: &Object) -> i64 {
    let text = object.values("uSNChanged").first();
    let text = text.and_then(|value| std::str::from_utf8(value).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

impl Search {
    pub(super) fn read(body: &[u8], controls: &[u8]) -> Option<Self> {
        let mut parts = Elements(body);
        let base = parts.text()?;
        let scope = parts.number()?;
        // How aliases are followed, the limits, and whether only types are wanted.
        let (_, _, _, _) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (tag, filter) = parts.next()?;
        let (_, names) = parts.next()?;
        let text = |content: &[u8]| String::from_utf8_lossy(content).into_owned();
        let control = |(_, content): (u8, &[u8])| {
            let mut parts = Elements(content);
            let oid = parts.text()?;
            // Between them may be whether it is critical.
            let value = parts.find(|(tag, _)| *tag == OCTETS);
            Some((oid, value.map_or(Vec::new(), |(_, value)| value.to_vec())))
        };
        Some(Self {
            base,
            scope,
            filter: (tag, filter.to_vec()),
            attributes: Elements(names).map(|(_, name)| text(name)).collect(),
            controls: Elements(controls).filter_map(control).collect(),
        })
    }

    pub(super) fn asked(&self, before: usize) -> Asked {
        Asked {
            base: self.base.clone(),
            before,
            goes_on: self.page().is_some_and(|(_, cookie)| !cookie.is_empty()),
            attributes: self.attributes.clone(),
            synchronises: self.control(DIRSYNC).is_some(),
        }
    }

    fn control(&self, oid: &str) -> Option<&[u8]> {
        let mut controls = self.controls.iter();
        let found = controls.find(|(own, _)| own == oid);
        found.map(|(_, value)| value.as_slice())
    }

    /// The size and cookie of a page that is asked for.
    fn page(&self) -> Option<(usize, Vec<u8>)> {
        let (_, content) = Elements(self.control(PAGED)?).next()?;
        let mut parts = Elements(content);
        let size = usize::try_from(parts.number()?).ok()?;
        Some((size, parts.next()?.1.to_vec()))
    }

    pub(super) fn refuse(&self, id: i64, code: i64, said: &str) -> Vec<u8> {
        message(id, &result(DONE, code, said), None)
    }

    /// The right answer; or its entries, but with another result at their end.
    pub(super) fn answer(
        &self,
        id: i64,
        objects: &[Object],
        rules: &Rules,
        instead: Option<(i64, &str)>,
    ) -> Vec<u8> {
        if self.base.is_empty() && self.scope == 0 {
            let entry = self.entry(id, &root(objects), rules);
            let (code, said) = instead.unwrap_or((0, ""));
            return [entry, self.refuse(id, code, said)].concat();
        }
        if let Some(value) = self.control(DIRSYNC) {
            return self.changes(id, objects, rules, value, instead);
        }
        if !objects.iter().any(|object| object.is_within(&self.base)) {
            return self.refuse(
                id,
                32,
                "0000208D: NameErr: DSID-03100241, problem 2001 (NO_OBJECT)",
            );
        }
        let (given, more) = self.find(objects, rules);
        let mut answer: Vec<u8> = given
            .iter()
            .flat_map(|object| self.entry(id, object, rules))
            .collect();
        let more = more.is_some();
        let (code, said) = match (instead, self.page()) {
            (Some(instead), _) => instead,
            (None, None) if more => (4, "0000207E: sizeLimitExceeded"),
            _ => (0, ""),
        };
        let control = self.next_cookie(objects, rules).map(|cookie| {
            let cookie = ber::element(OCTETS, &cookie);
            (PAGED, ber::of(SEQUENCE, &[ber::number(INTEGER, 0), cookie]))
        });
        answer.extend(message(id, &result(DONE, code, said), control));
        answer
    }

    /// The objects of this page, or of the whole answer; and how many are in it and before it, if
    /// others follow.
    fn find<'o>(&self, objects: &'o [Object], rules: &Rules) -> (Vec<&'o Object>, Option<usize>) {
        let within = objects.iter().filter(|object| object.is_within(&self.base));
        let found: Vec<&Object> = within.filter(|object| self.finds(object)).collect();
        let limit = rules.page_limit.unwrap_or(usize::MAX);
        let (from, count) = match self.page() {
            Some((size, cookie)) => (offset(&cookie), size.min(limit)),
            None => (0, limit),
        };
        let upto = from.saturating_add(count).min(found.len());
        let given = found[from.min(upto)..upto].to_vec();
        (given, (upto < found.len()).then_some(upto))
    }

    /// The cookie of the page that is asked for, empty where it is the last; `None` where there
    /// are no pages.
    pub(super) fn next_cookie(&self, objects: &[Object], rules: &Rules) -> Option<Vec<u8>> {
        self.page()?;
        let (_, more) = self.find(objects, rules);
        Some(more.map_or(Vec::new(), |upto| upto.to_string().into_bytes()))
    }

    /// The cookie that it goes on from, empty at the beginning; `None` where there are no pages.
    pub(super) fn cookie(&self) -> Option<Vec<u8>> {
        self.page().map(|(_, cookie)| cookie)
    }

    /// What changed since a cookie, which is the number of the last change that was told. The
    /// rest of what does not fit into one answer follows behind the cookie of that answer.
    fn changes(
        &self,
        id: i64,
        objects: &[Object],
        rules: &Rules,
        value: &[u8],
        instead: Option<(i64, &str)>,
    ) -> Vec<u8> {
        let content = Elements(value)
            .next()
            .map_or(&[][..], |(_, content)| content);
        let flags = Elements(content).number().unwrap_or_default();
        if flags & 1 == 0 && !rules.replicates {
            return self.refuse(id, 50, "00002105: Replication access was denied");
        }
        let cookie = Elements(content).find(|(tag, _)| *tag == OCTETS);
        let since = cookie.map_or(0, |(_, cookie)| offset(cookie));
        let mut changed: Vec<&Object> = objects
            .iter()
            .filter(|object| usn(object) > i64::try_from(since).unwrap_or(i64::MAX))
            .filter(|object| object.is_within(&self.base))
            .filter(|object| matches(self.filter.0, &self.filter.1, object))
            .collect();
        changed.sort_by_key(|object| usn(object));
        let limit = rules.sync_limit.unwrap_or(usize::MAX);
        let more = changed.len() > limit;
        changed.truncate(limit);
        let mut answer: Vec<u8> = changed
            .iter()
            .flat_map(|object| self.entry(id, object, rules))
            .collect();
        let last = match (more, changed.last()) {
            (true, Some(object)) => usn(object),
            _ => highest_usn(objects),
        };
        let control = ber::of(
            SEQUENCE,
            &[
                ber::number(INTEGER, i64::from(more)),
                ber::number(INTEGER, 0),
                ber::text(&last.to_string()),
            ],
        );
        let (code, said) = instead.unwrap_or((0, ""));
        let done = result(DONE, code, said);
        answer.extend(message(id, &done, Some((DIRSYNC, control))));
        answer
    }

    fn finds(&self, object: &Object) -> bool {
        let level = match self.scope {
            0 => object.dn.eq_ignore_ascii_case(&self.base),
            1 => object
                .dn
                .split_once(',')
                .is_some_and(|(_, parent)| parent.eq_ignore_ascii_case(&self.base)),
            _ => true,
        };
        let shown = self.control(SHOW_DELETED).is_some() || self.control(SHOW_RECYCLED).is_some();
        level && (shown || !object.deleted) && matches(self.filter.0, &self.filter.1, object)
    }

    /// One entry with the attributes that were asked for, in ranges where the rules say so.
    fn entry(&self, id: i64, object: &Object, rules: &Rules) -> Vec<u8> {
        let mut attributes = Vec::new();
        for (name, values) in &object.attributes {
            let (from, name_asked) = match self.wanted(name) {
                Some(wanted) => wanted,
                None => continue,
            };
            let limit = rules.value_limit.unwrap_or(usize::MAX);
            let rest = values.get(from..).unwrap_or_default();
            if !name_asked && rest.len() <= limit {
                attributes.push(attribute(name, rest));
                continue;
            }
            let given = &rest[..rest.len().min(limit)];
            let last = match given.len() == rest.len() {
                true => "*".to_owned(),
                false => (from + given.len() - 1).to_string(),
            };
            if !name_asked {
                // As Active Directory does: the plain name is there, and has nothing.
                attributes.push(attribute(name, &[]));
            }
            attributes.push(attribute(&format!("{name};range={from}-{last}"), given));
        }
        let body = ber::of(
            ENTRY,
            &[ber::text(&object.dn), ber::of(SEQUENCE, &attributes)],
        );
        message(id, &body, None)
    }

    /// Whether an attribute is asked for: from which value on, and whether by a range.
    fn wanted(&self, name: &str) -> Option<(usize, bool)> {
        if self.attributes.is_empty() {
            return Some((0, false));
        }
        self.attributes.iter().find_map(|asked| {
            let (own, range) = match asked.split_once(";range=") {
                Some((own, range)) => (own, Some(range)),
                None => (asked.as_str(), None),
            };
            if own != "*" && !own.eq_ignore_ascii_case(name) {
                return None;
            }
            let from = range.map(|range| range.split('-').next().unwrap_or_default());
            let start = from.and_then(|from| from.parse().ok()).unwrap_or_default();
            Some((start, range.is_some()))
        })
    }
}

fn attribute(name: &str, values: &[Vec<u8>]) -> Vec<u8> {
    let values: Vec<Vec<u8>> = values
        .iter()
        .map(|value| ber::element(OCTETS, value))
        .collect();
    ber::of(SEQUENCE, &[ber::text(name), ber::of(SET, &values)])
}

fn offset(cookie: &[u8]) -> usize {
    let text = std::str::from_utf8(cookie).unwrap_or_default();
    text.parse().unwrap_or_default()
}

/// What it says of itself.
fn root(objects: &[Object]) -> Object {
    let mut root = Object::new(
        "",
        &[
            ("defaultNamingContext", SUFFIX),
            ("rootDomainNamingContext", SUFFIX),
            ("dnsHostName", "dc1.ad.example.com"),
            ("supportedCapabilities", "1.2.840.113556.1.4.800"),
            ("supportedCapabilities", "1.2.840.113556.1.4.1670"),
            ("dsServiceName", SERVICE),
            ("highestCommittedUSN", &highest_usn(objects).to_string()),
        ],
    );
    for oid in [PAGED, SHOW_DELETED, SHOW_RECYCLED, DIRSYNC] {
        root.add("supportedControl", oid.as_bytes());
    }
    for context in [SUFFIX, "CN=Configuration,DC=ad,DC=example,DC=com"] {
        root.add("namingContexts", context.as_bytes());
    }
    root
}

/// The object of this domain controller's service: its `invocationId` is whose numbers count.
pub(in crate::ldap) const SERVICE: &str = "CN=NTDS Settings,CN=DC1,CN=Servers,CN=Default-First-Site-Name,\
     CN=Sites,CN=Configuration,DC=ad,DC=example,DC=com";
