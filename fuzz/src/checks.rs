//! What must hold whatever bytes arrive: one function for each kind of input, over the
//! library's ordinary public functions.
//!
//! No panic, no endless work, bounded memory; and where there is a writer, what is written reads
//! back. The fuzz targets call these with what the fuzzer makes up, and `tests/bad_input`
//! with what its own strategies make up, so that every run of the tests does a little of it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use provisor::audit::{self, Audit, Content, Entry};
use provisor::config::Config;
use provisor::mapping::{Expression, expand_key};
use provisor::scim::filter;
use provisor::scim::message::{read_capabilities, read_error, read_list};
use provisor::scim::path::AttributePath;
use provisor::scim::resource::{
    AttributeMap, fold, is_same, is_unassigned, normalized, read_emails, read_listed, read_path,
    to_json,
};
use provisor::scope::Condition;
use provisor::snapshot::{Approval, BasePoint, Intent, Link, MirrorRow, Open, Progress, Spent};
use provisor::template::{LONGEST_OUTPUT, Language, Lookups};
use provisor_connectors::retry::read_retry_after;
use provisor_connectors::{
    Attributes, Change, Kind, ReadRequest, Record, Source, SourceConfig, SourceId, Value,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tempfile::TempDir;

/// Stands between two inputs where a check takes several: ASCII's record separator.
pub const SEPARATOR: u8 = 0x1e;

/// The longest text that an error's words may hold on to.
const LONGEST_DETAIL: usize = 4 * 501 + 4;

/// A source's files: people, and behind the first separator groups. Each is read in several
/// configurations; every read ends, and gives what it gave before.
pub fn csv(data: &[u8]) {
    let (people, groups) = split(data);
    let folder = TempDir::new().expect("a temporary folder");
    write(folder.path(), "people.csv", people);
    write(folder.path(), "groups.csv", groups);
    let configurations = [
        "",
        "multi_valued = [\"a\", \"mail\"]\nseparator = \"|\"\n",
        "delimiter = \";\"\ngroup_column = \"a\"\nactive_column = \"\"\n",
        "groups = \"groups.csv\"\nfinal_newline = \"optional\"\n",
    ];
    for more in configurations {
        let config = format!("[csv]\nusers = \"people.csv\"\n{more}");
        let config: SourceConfig = toml::from_str(&config).expect("a source's table");
        let source = config.build(folder.path());
        let first = read(&*source);
        assert_eq!(first, read(&*source));
        // What is read twice counts once, or is an error.
        let records = first.unwrap_or_default();
        let keys: Vec<(Kind, &SourceId)> = records.iter().map(|r| (r.kind, &r.id)).collect();
        let mut distinct = keys.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), keys.len());
        let size = |record: &Record| {
            let values = record.attributes.0.values().flatten();
            values.map(value_size).sum::<usize>()
        };
        // Nothing grows on the way in. Normalization Form C may take three bytes for one.
        let held: usize = records.iter().map(size).sum();
        assert!(held <= 3 * people.len() + 3 * groups.len() + 64);
    }
}

/// What a directory answers over LDAP: one part, behind separators, to each request, and then the
/// end. Whatever it says, reading it ends, and nobody is made up.
pub fn directory(data: &[u8]) {
    for record in read_directory(data).unwrap_or_default() {
        let id = record.id.as_str().as_bytes();
        let said = data.windows(id.len()).any(|part| part == id);
        assert!(said || id.len() == 36, "{id:?}");
    }
}

/// Everybody whom that directory has, or the error in words.
pub fn read_directory(data: &[u8]) -> Result<Vec<Record>, String> {
    let folder = TempDir::new().expect("a temporary folder");
    let secret = folder.path().join("password");
    write(folder.path(), "password", b"only-for-this-test");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(secret, private).expect("its mode can be set");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its own address").port();
    let answers: Vec<Vec<u8>> = data
        .split(|&byte| byte == SEPARATOR)
        .map(<[u8]>::to_vec)
        .collect();
    let server = std::thread::spawn(move || {
        let Ok((mut client, _)) = listener.accept() else {
            return;
        };
        // Nobody else is answered.
        drop(listener);
        let mut request = [0; 4_096];
        for answer in answers {
            let asked = client.read(&mut request).is_ok_and(|length| length > 0);
            if !asked || client.write_all(&answer).is_err() {
                return;
            }
        }
    });
    let config = format!(
        "[ldap]\nurl = \"ldap://127.0.0.1:{port}\"\nbind_dn = \"cn=a\"\n\
         bind_password = {{ file = \"password\" }}\ntimeout = \"100ms\"\n\
         [ldap.users]\nbase = \"dc=a\"\n[ldap.groups]\nbase = \"dc=a\"\n"
    );
    let config: SourceConfig = toml::from_str(&config).expect("a source's table");
    let records = read(&*config.build(folder.path()));
    server.join().expect("the server ends with its client");
    records
}

/// A configuration file: good, or an error in words whose place is in the file.
pub fn configuration(data: &[u8]) {
    let folder = TempDir::new().expect("a temporary folder");
    write(folder.path(), "provisor.toml", data);
    let lines = data.split(|&byte| byte == b'\n').count() + 1;
    match Config::load(&folder.path().join("provisor.toml")) {
        Ok(config) => assert!(!config.targets.is_empty()),
        Err(error) => {
            assert!(!error.message.trim().is_empty());
            assert!(error.line.is_none_or(|line| (1..=lines).contains(&line)));
        }
    }
}

/// A template, an expression, a condition or a mapping's key. Behind a separator may stand the
/// attributes of a record, as JSON.
pub fn expression(data: &[u8]) {
    let (source, attributes) = split(data);
    let Ok(source) = std::str::from_utf8(source) else {
        return;
    };
    let attributes = serde_json::from_slice(attributes).unwrap_or_else(|_| a_person());
    let language = language();
    for compiled in [language.template(source), language.expression(source)] {
        match compiled {
            Ok(template) => {
                let rendered = template.render(&attributes);
                assert_eq!(rendered, template.render(&attributes));
                if let Ok(Some(Value::Text(text))) = rendered {
                    assert!(text.len() <= LONGEST_OUTPUT);
                }
            }
            Err(error) => {
                assert!(!error.problem.is_empty());
                assert!(error.place.is_none_or(|place| source.get(place).is_some()));
            }
        }
    }
    if let Ok(condition) = Condition::compile(source, language) {
        let _ = condition.judge(&attributes);
    }
    let _ = Expression::parse(source, "title", language);
    let _ = expand_key(source);
}

/// An answer's body, read as everything that an answer can be.
pub fn response(data: &[u8]) {
    let error = read_error(data);
    for words in [error.scim_type, error.detail].into_iter().flatten() {
        assert!(words.len() <= LONGEST_DETAIL);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = read_retry_after(text, DateTime::<Utc>::UNIX_EPOCH);
    }
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(data) else {
        return;
    };
    let capabilities = read_capabilities(&json);
    reads_back(&capabilities);
    if let Some(page) = read_list(json.clone()) {
        for resource in &page.resources {
            read_resource(resource);
        }
        // The same page, written and read.
        let written = json.to_string();
        let again = serde_json::from_str(&written).expect("what was written is JSON");
        assert_eq!(read_list(again), Some(page));
    }
    read_resource(&json);
}

fn read_resource(json: &serde_json::Value) {
    let _ = read_emails(json);
    for path in paths() {
        if let Some(found) = read_path(json, path) {
            assert!(!is_unassigned(found));
            assert!(is_same(path, found, found));
            let sent = normalized(path, found.clone());
            assert!(is_same(path, &sent, found), "{path}: {sent} and {found}");
            assert_eq!(fold(path, &sent), fold(path, found));
        }
    }
    if let Some(listed) = read_listed(json.clone()) {
        assert!(!listed.id.0.is_empty());
        assert_eq!(&listed.json, json);
    }
}

/// A filter, or a PATCH path with one in it.
pub fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let end = text.chars().count() + 1;
    match filter::parse(text) {
        Ok(parsed) => {
            let person = json!({
                "id": "1", "userName": "Ana", "active": true, "age": 1.5,
                "name": {"givenName": "Ana"},
                "emails": [{"type": "work", "value": "ana@example.com"}, "plain", null, []],
            });
            let found = filter::matches(&parsed, &person);
            let opposite = filter::Filter::Not(Box::new(parsed));
            assert_ne!(filter::matches(&opposite, &person), found);
        }
        Err(error) => assert!((1..=end).contains(&error.position), "{error}"),
    }
    if let Err(error) = filter::parse_target(text) {
        assert!((1..=end).contains(&error.position), "{error}");
    }
    if let Err(error) = filter::parse_attribute(text) {
        assert!((1..=end).contains(&error.position), "{error}");
    }
}

/// An attribute's path: what can be read is written and read back, in text and in JSON, and a
/// value that is put there is found there.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(path) = text.parse::<AttributePath>() else {
        return;
    };
    let written = path.to_string();
    assert_eq!(written.parse().as_ref(), Ok(&path), "{written}");
    reads_back(&path);
    let value = json!("value");
    let resource = to_json("core", &AttributeMap::from([(path.clone(), value.clone())]));
    // Selectors pick elements; the sub-attribute that selects already has its value.
    let selects_itself = path
        .selector
        .as_ref()
        .is_some_and(|selector| path.sub.as_ref() == Some(&selector.attribute));
    let is_envelope = path.schema.is_none() && path.attribute.eq_ignore_ascii_case("schemas");
    if !selects_itself && !is_envelope {
        assert_eq!(
            read_path(&resource, &path),
            Some(&value),
            "{written}: {resource}"
        );
    }
    // The filter's grammar holds every path that a mapping can write.
    assert!(filter::parse_target(&written).is_ok() || written.len() > filter::MAX_LENGTH);
}

/// A stored value, of whatever kind its bytes happen to be.
pub fn stored(data: &[u8]) {
    fn check<T: DeserializeOwned + Serialize + PartialEq + Debug>(data: &[u8]) {
        if let Ok(value) = serde_json::from_slice::<T>(data) {
            reads_back(&value);
        }
    }
    check::<Link>(data);
    check::<Intent>(data);
    check::<Open>(data);
    check::<MirrorRow>(data);
    check::<Progress>(data);
    check::<Spent>(data);
    check::<Approval>(data);
    check::<BasePoint>(data);
}

/// The file of `accounts apply`: rows, or the line that is wrong.
pub fn accounts(data: &[u8]) {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let folder = TempDir::new().expect("a temporary folder");
        let text = "[sources.staff.csv]\nusers = \"people.csv\"\n\
                    [targets.demo]\npreset = \"sandbox\"\nsource = \"staff\"\n\
                    [targets.wiki]\npreset = \"sandbox\"\nsource = \"staff\"\n";
        write(folder.path(), "provisor.toml", text.as_bytes());
        Config::load(&folder.path().join("provisor.toml")).expect("a good configuration")
    });
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let lines = u64::try_from(text.split(['\n', '\r']).count()).unwrap_or(u64::MAX);
    match provisor::cli::read_account_rows(text, config) {
        Ok(rows) => {
            for row in rows.values().flatten() {
                assert!((1..=lines).contains(&row.line));
            }
        }
        Err((line, problem)) => {
            assert!(line <= lines, "{line}: {problem}");
            assert!(!problem.is_empty());
        }
    }
}

/// An audit log: read, verified and continued. What is continued reads back, and a chain
/// that was whole stays whole.
pub fn audit_log(data: &[u8]) {
    let folder = TempDir::new().expect("a temporary folder");
    write(folder.path(), "audit.jsonl", data);
    let path = folder.path().join("audit.jsonl");
    let lines = data.iter().filter(|&&byte| byte == b'\n').count();
    let read = audit::records(&path).expect("the file can be read").count();
    assert!(read <= lines);
    let whole = audit::verify(&path);
    let Ok(mut log) = Audit::open(folder.path()) else {
        return;
    };
    let entry = an_entry(log.last_generation().unwrap_or_default());
    log.append(DateTime::UNIX_EPOCH, entry.clone())
        .expect("a record can be written");
    let last = audit::records(&path)
        .expect("the file can be read")
        .last()
        .expect("a record was written")
        .expect("what was written reads back");
    assert_eq!(last.content, Content::Entry(Box::new(entry)));
    if let Ok(before) = whole {
        let after = audit::verify(&path).expect("the chain goes on");
        assert_eq!(after.records, before.records + 1);
    }
}

fn reads_back<T: DeserializeOwned + Serialize + PartialEq + Debug>(value: &T) {
    let written = serde_json::to_vec(value).expect("what was read can be written");
    let read: T = serde_json::from_slice(&written).expect("what is written can be read");
    assert_eq!(&read, value);
}

fn split(data: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = data.splitn(2, |&byte| byte == SEPARATOR);
    let first = parts.next().unwrap_or_default();
    (first, parts.next().unwrap_or_default())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(folder.join(name), bytes).expect("a file in the temporary folder");
}

/// Every record, or the error in words.
fn read(source: &dyn Source) -> Result<Vec<Record>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (sender, mut changes) = tokio::sync::mpsc::channel::<Vec<Change>>(1);
        let request = ReadRequest::default();
        let mut records = Vec::new();
        let gather = async {
            while let Some(chunk) = changes.recv().await {
                records.extend(chunk.into_iter().filter_map(|change| match change {
                    Change::Upsert(record) => Some(record),
                    Change::Present(..) | Change::Removal(..) => None,
                }));
            }
        };
        let (batch, ()) = tokio::join!(source.read(&request, sender), gather);
        batch.map(|_| records).map_err(|error| error.to_string())
    })
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Boolean(_) | Value::Integer(_) => 1,
    }
}

fn language() -> &'static Language {
    static LANGUAGE: OnceLock<Language> = OnceLock::new();
    LANGUAGE.get_or_init(|| {
        let rows = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        Language::new(Lookups::from([("table".to_owned(), rows)]))
    })
}

fn a_person() -> Attributes {
    let text = |text: &str| vec![Value::Text(text.to_owned())];
    Attributes(BTreeMap::from([
        ("a".to_owned(), text("ana")),
        ("mail".to_owned(), text("ana@example.com")),
        ("b".to_owned(), vec![Value::Integer(i64::MAX)]),
        ("c".to_owned(), vec![Value::Boolean(true)]),
        (
            "d".to_owned(),
            ["x", "CN=Ana\\, Alba,OU=a"]
                .map(|t| Value::Text(t.to_owned()))
                .to_vec(),
        ),
    ]))
}

fn an_entry(generation: u64) -> Entry {
    Entry {
        target: "demo".to_owned(),
        kind: Kind::User,
        source: Some("staff".to_owned()),
        source_id: Some("1".to_owned()),
        resource_id: None,
        change: "create".to_owned(),
        reason: "NewInScope".to_owned(),
        method: Some("POST".to_owned()),
        attributes: vec!["userName".to_owned()],
        values: None,
        request_id: None,
        outcome: "done".to_owned(),
        status: Some(201),
        generation,
    }
}

fn paths() -> &'static [AttributePath] {
    static PATHS: OnceLock<Vec<AttributePath>> = OnceLock::new();
    PATHS.get_or_init(|| {
        [
            "userName",
            "externalId",
            "name.givenName",
            "title",
            "emails",
            "emails.value",
            "emails[type eq \"work\"].value",
            "phoneNumbers[type eq \"work\"].value",
            "members",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
        ]
        .iter()
        .map(|path| path.parse().expect("a path"))
        .collect()
    })
}
