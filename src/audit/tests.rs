//! The log is opened, written, cut and tampered with as files.

use std::fs;

use chrono::TimeZone;
use provisor_connectors::Kind;
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
    lines[1] = chain::seal(fields, &prev).0;
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
