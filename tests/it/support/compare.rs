//! Comparing what was expected with what came: plan text, and SCIM bodies as JSON.
//!
//! Two freedoms only. In text, `{…}` at the end of a line stands for any wording. In JSON,
//! the exact string `"{any}"` stands for any string.

use serde_json::Value;

/// Compares text line by line. `Err` shows both texts and the first line that differs.
///
/// Blank lines count, except between two lines that are not indented: how far the blocks of
/// two targets stand apart is not part of any contract.
pub(crate) fn text(expected: &str, actual: &str) -> Result<(), String> {
    let wanted = lines(expected);
    let got = lines(actual);
    let differs = (0..wanted.len().max(got.len())).find(|&at| {
        let (wanted, got) = (wanted.get(at), got.get(at));
        !matches!((wanted, got), (Some(wanted), Some(got)) if line_matches(wanted, got))
    });
    match differs {
        None => Ok(()),
        Some(at) => Err(format!(
            "line {} differs:\n  expected: {}\n  actual:   {}\n--- expected\n{}\n--- actual\n{}",
            at + 1,
            wanted.get(at).unwrap_or(&"(nothing)"),
            got.get(at).unwrap_or(&"(nothing)"),
            wanted.join("\n"),
            got.join("\n"),
        )),
    }
}

/// Whether a body is what was expected, member for member.
pub(crate) fn json(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::String(any), Value::String(_)) if any == "{any}" => true,
        (Value::Object(expected), Value::Object(actual)) => {
            expected.len() == actual.len()
                && expected
                    .iter()
                    .all(|(key, value)| actual.get(key).is_some_and(|got| json(value, got)))
        }
        (Value::Array(expected), Value::Array(actual)) => {
            expected.len() == actual.len()
                && expected
                    .iter()
                    .zip(actual)
                    .all(|(want, got)| json(want, got))
        }
        _ => expected == actual,
    }
}

/// Puts removals of single members that follow each other into one order. Their order is
/// that of ids which the server made up, so nobody can write it down beforehand.
pub(crate) fn settle_order(body: &mut Value) {
    let Some(operations) = body.get_mut("Operations").and_then(Value::as_array_mut) else {
        return;
    };
    let path = |operation: &Value| operation["path"].as_str().unwrap_or_default().to_owned();
    operations
        .chunk_by_mut(|one, next| {
            path(one).starts_with("members[") && path(next).starts_with("members[")
        })
        .for_each(|run| run.sort_by_key(path));
}

fn line_matches(expected: &str, actual: &str) -> bool {
    match expected.strip_suffix("{…}") {
        Some(start) => actual.starts_with(start),
        None => expected == actual,
    }
}

/// Lines without trailing blanks, without blank lines at either end or between two lines
/// that are not indented.
fn lines(text: &str) -> Vec<&str> {
    let all: Vec<&str> = text.trim_matches('\n').lines().map(str::trim_end).collect();
    let flush =
        |line: Option<&&str>| line.is_some_and(|line| !line.is_empty() && !line.starts_with(' '));
    all.iter()
        .enumerate()
        .filter(|(at, line)| {
            !(line.is_empty() && flush(all.get(at.wrapping_sub(1))) && flush(all.get(at + 1)))
        })
        .map(|(_, line)| *line)
        .collect()
}

#[test]
fn text_with_an_open_end_matches_any_wording_but_no_other_line() {
    assert!(text("  ! user  ana  held: X: {…}", "  ! user  ana  held: X: why").is_ok());
    assert!(text("  ! user  ana  held: X: {…}", "  ! user  bo  held: X: why").is_err());
    assert!(text("one", "one\ntwo").is_err(), "a line too many");
    assert!(text("one\ntwo", "one").is_err(), "a line too few");
    assert!(
        text("one\n\n  two", "one\n  two").is_err(),
        "a blank line in a block"
    );
}

#[test]
fn bodies_differ_by_a_member_more_or_less() {
    let body = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert!(json(&body(r#"{"a":"{any}"}"#), &body(r#"{"a":"x"}"#)));
    assert!(!json(&body(r#"{"a":"{any}"}"#), &body(r#"{"a":1}"#)));
    assert!(!json(&body(r#"{"a":1}"#), &body(r#"{"a":1,"b":2}"#)));
    assert!(!json(&body("[1,2]"), &body("[2,1]")), "order counts");
}
