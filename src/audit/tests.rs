//! The log is opened, written, cut and tampered with as files.

use std::fs;

use chrono::TimeZone;
use provisor_connectors::Kind;
use serde_json::Map;
use tempfile::TempDir;

use super::*;

fn entry(source_id: &str, generation: u64) -> Entry {
    Entry {
        target: "demo".to_owned(),
        kind: Kind::User,
        source: Some("staff".to_owned()),
        source_id: Some(source_id.to_owned()),
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

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 21, 9, 30, 0).unwrap()
}

fn log_of(count: u64) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut audit = Audit::open(folder.path()).unwrap();
    for number in 1..=count {
        audit
            .append(now(), entry(&format!("u{number}"), number))
            .unwrap();
    }
    audit.sync().unwrap();
    let path = folder.path().join("audit.jsonl");
    (folder, path)
}

fn broken_line(path: &Path) -> u64 {
    match verify(path) {
        Err(AuditProblem::Broken { line, .. }) => line,
        other => panic!("expected a broken chain, got {other:?}"),
    }
}

#[test]
fn the_chain_goes_on_after_reopening() {
    let (folder, path) = log_of(3);
    let mut audit = Audit::open(folder.path()).unwrap();
    assert_eq!(audit.last_generation(), Some(3));
    audit.append(now(), entry("u4", 9)).unwrap();
    drop(audit);
    assert_eq!(verify(&path).unwrap(), Verified { records: 4 });
    assert_eq!(
        Audit::open(folder.path()).unwrap().last_generation(),
        Some(9)
    );
}

#[test]
fn a_line_says_when_and_what() {
    let (_folder, path) = log_of(1);
    let line: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(line["time"], "2026-11-21T09:30:00.000Z");
    assert_eq!(line["seq"], 1);
    assert_eq!(line["source_id"], "u1");
    assert!(
        line.get("values").is_none(),
        "values are not written unless given"
    );
}

#[test]
fn a_changed_line_is_found() {
    let (_folder, path) = log_of(4);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"u2\"", "\"u9\"")).unwrap();
    assert_eq!(broken_line(&path), 2);
}

#[test]
fn a_changed_line_with_a_fitting_hash_breaks_the_next_one() {
    let (_folder, path) = log_of(4);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
    let mut fields: Map<String, Value> = serde_json::from_str(&lines[1]).unwrap();
    fields.remove("hash");
    fields.insert("source_id".to_owned(), "u9".into());
    let prev = fields["prev"].as_str().unwrap().to_owned();
    lines[1] = chain::seal(&fields, &prev).unwrap().0;
    fs::write(&path, lines.concat()).unwrap();
    assert_eq!(broken_line(&path), 3);
}

#[test]
fn removed_and_swapped_lines_are_found() {
    let (_folder, path) = log_of(4);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    fs::write(&path, [lines[0], lines[2], lines[3]].concat()).unwrap();
    assert_eq!(broken_line(&path), 2);
    fs::write(&path, [lines[0], lines[1], lines[3], lines[2]].concat()).unwrap();
    assert_eq!(broken_line(&path), 3);
    fs::write(&path, [lines[1], lines[2]].concat()).unwrap();
    assert_eq!(broken_line(&path), 1);
}

#[test]
fn a_torn_tail_is_set_aside_wherever_the_cut_was() {
    let (_folder, path) = log_of(2);
    let whole = fs::read(&path).unwrap();
    let second = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for cut in [1, second - 1, second + 1, whole.len() - 1] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        fs::write(&path, &whole[..cut]).unwrap();
        let mut audit = Audit::open(folder.path()).unwrap();
        audit.append(now(), entry("u3", 3)).unwrap();
        let left = u64::from(cut > second);
        assert_eq!(verify(&path).unwrap(), Verified { records: left + 2 });
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("torn tail set aside").count(), 1);
        let torn = folder.path().join(format!("audit.torn-{}", left + 1));
        let kept = [&whole[..second * left as usize], &fs::read(torn).unwrap()].concat();
        assert_eq!(
            kept,
            &whole[..cut],
            "nothing of the log is lost (cut at {cut})"
        );
    }
}

#[test]
fn the_note_about_a_torn_tail_keeps_the_generation() {
    let (folder, path) = log_of(2);
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("{\"half");
    fs::write(&path, text).unwrap();
    drop(Audit::open(folder.path()).unwrap());
    assert_eq!(
        Audit::open(folder.path()).unwrap().last_generation(),
        Some(2)
    );
}

#[test]
fn a_last_line_that_is_whole_and_foreign_is_not_continued() {
    let (folder, path) = log_of(2);
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("{\"seq\":3}\n");
    fs::write(&path, text).unwrap();
    assert!(matches!(
        Audit::open(folder.path()),
        Err(AuditError::Unusable { .. })
    ));
}

#[test]
fn a_last_line_longer_than_one_read_of_the_tail_is_found() {
    let (folder, path) = log_of(1);
    let mut long = entry("u2", 2);
    long.attributes = vec!["x".repeat(3 * usize::try_from(TAIL).unwrap())];
    let mut audit = Audit::open(folder.path()).unwrap();
    audit.append(now(), long).unwrap();
    drop(audit);
    let mut audit = Audit::open(folder.path()).unwrap();
    assert_eq!(audit.last_generation(), Some(2));
    audit.append(now(), entry("u3", 3)).unwrap();
    assert_eq!(verify(&path).unwrap(), Verified { records: 3 });
}

fn shown(path: &Path, filter: &Filter) -> Vec<u64> {
    records(path)
        .unwrap()
        .map(|record| record.unwrap())
        .filter(|record| filter.takes(record))
        .map(|record| record.seq)
        .collect()
}

/// Four records, an hour apart: two at `demo`, one of which failed; then two at `wiki`.
fn mixed_log() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut audit = Audit::open(folder.path()).unwrap();
    let mut failed = entry("u2", 1);
    failed.outcome = "failed".to_owned();
    let mut elsewhere = entry("u1", 2);
    elsewhere.target = "wiki".to_owned();
    elsewhere.resource_id = Some("r7".to_owned());
    let mut patched = elsewhere.clone();
    patched.change = "patch".to_owned();
    for (hour, entry) in [entry("u1", 1), failed, elsewhere, patched]
        .into_iter()
        .enumerate()
    {
        let later = chrono::Duration::hours(i64::try_from(hour).unwrap());
        audit.append(now() + later, entry).unwrap();
    }
    let path = folder.path().join(FILE_NAME);
    (folder, path)
}

#[test]
fn filters_join_by_and() {
    let (_folder, path) = mixed_log();
    let none = Filter::default();
    let text = |text: &str| Some(text.to_owned());
    let hour = |hour| Some(now() + chrono::Duration::hours(hour));
    let table = [
        (none.clone(), vec![1, 2, 3, 4]),
        (
            Filter {
                target: text("wiki"),
                ..none.clone()
            },
            vec![3, 4],
        ),
        (
            Filter {
                subject: text("u1"),
                ..none.clone()
            },
            vec![1, 3, 4],
        ),
        (
            Filter {
                subject: text("r7"),
                ..none.clone()
            },
            vec![3, 4],
        ),
        (
            Filter {
                subject: text("u"),
                ..none.clone()
            },
            vec![],
        ),
        (
            Filter {
                change: text("patch"),
                ..none.clone()
            },
            vec![4],
        ),
        (
            Filter {
                failed: true,
                ..none.clone()
            },
            vec![2],
        ),
        (
            Filter {
                since: hour(1),
                until: hour(3),
                ..none.clone()
            },
            vec![2, 3],
        ),
        (
            Filter {
                since: hour(1),
                subject: text("u1"),
                target: text("wiki"),
                ..none
            },
            vec![3, 4],
        ),
    ];
    for (filter, expected) in table {
        assert_eq!(shown(&path, &filter), expected, "{filter:?}");
    }
}

#[test]
fn a_line_that_is_being_written_is_left_out_and_a_broken_one_does_not_hide_the_rest() {
    let (_folder, path) = mixed_log();
    let mut text = fs::read_to_string(&path).unwrap();
    let second = text.match_indices('\n').nth(1).unwrap().0;
    let first = text.find('\n').unwrap();
    text.replace_range(first + 1..second, "{\"seq\":2}");
    text.push_str("{\"seq\":5,\"ta");
    fs::write(&path, text).unwrap();
    let read: Vec<Result<u64, u64>> = records(&path)
        .unwrap()
        .map(|record| match record {
            Ok(record) => Ok(record.seq),
            Err(AuditProblem::Broken { line, .. }) => Err(line),
            Err(other) => panic!("{other}"),
        })
        .collect();
    assert_eq!(read, [Ok(1), Err(2), Ok(3), Ok(4)]);
}

#[test]
fn a_note_is_shown_only_where_nothing_was_asked_for() {
    let (folder, path) = log_of(1);
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("{\"half");
    fs::write(&path, text).unwrap();
    drop(Audit::open(folder.path()).unwrap());
    assert_eq!(shown(&path, &Filter::default()), [1, 2]);
    let at_demo = Filter {
        target: Some("demo".to_owned()),
        ..Filter::default()
    };
    assert_eq!(shown(&path, &at_demo), [1]);
}

#[test]
fn the_log_remembers_who_is_linked_and_switched_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut audit = Audit::open(folder.path()).unwrap();
    let mut write = |source_id: &str, resource: &str, change: &str, outcome: &str| {
        let entry = Entry {
            resource_id: Some(resource.to_owned()),
            change: change.to_owned(),
            outcome: outcome.to_owned(),
            ..entry(source_id, 1)
        };
        audit.append(now(), entry).unwrap();
    };
    write("stays", "r1", "create", "done");
    write("left", "r2", "create", "done");
    write("left", "r2", "deactivate", "in_doubt");
    write("refused", "r3", "patch", "failed");
    write("first", "r4", "adopt", "done");
    write("rehired", "r4", "reactivate", "done");
    write("chosen", "r5", "link", "done");
    write("unlinked", "r6", "link", "done");
    write("unlinked", "r6", "unlink", "done");
    write("protected", "r7", "protect", "done");
    audit.sync().unwrap();

    let path = folder.path().join(FILE_NAME);
    let linked = remembered::linked_people(&path, "demo").unwrap();
    let linked: Vec<(&str, &str)> = linked
        .iter()
        .map(|(resource, record)| (resource.as_str(), record.id.as_str()))
        .collect();
    assert_eq!(
        linked,
        [("r1", "stays"), ("r4", "rehired"), ("r5", "chosen")]
    );
    let other = remembered::linked_people(&path, "another").unwrap();
    assert!(other.is_empty());

    let changed = fs::read_to_string(&path).unwrap().replace("left", "else");
    fs::write(&path, changed).unwrap();
    assert!(remembered::linked_people(&path, "demo").is_err());
    fs::remove_file(&path).unwrap();
    assert!(
        remembered::linked_people(&path, "demo").unwrap().is_empty(),
        "without a log nobody is remembered"
    );
}
