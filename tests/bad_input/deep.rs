//! Input that is deep, long or huge on purpose: what random strategies do not reach.
//!
//! A stack that overflows ends the process, and cannot be caught: each of these is a test that
//! would take all others down with it.

use super::CHECKS;
use super::checks;

/// Deeper than any parser's own limit, and more than a thread's stack has frames for.
const DEEP: usize = 20_000;
/// Longer than anything that is written by hand.
const LONG: usize = 256 * 1024;

#[test]
fn nesting_does_not_overflow_the_stack() {
    let openings = [
        "[",
        "{",
        "(",
        "{\"a\":",
        "{\"value\":",
        "[[",
        "not (",
        "a[",
        "\"",
        "{{",
        "{{ (",
        "{{ [",
        "{{ {",
        "{{ not ",
        "{{ -",
        "{{ a if ",
        "{{ a|",
        "{% if a %}",
        "{% for x in d %}",
        "a.",
        "a = {",
        "a = [",
        "[a.",
        "a.a.",
        "{{ a[",
        "{{ a(",
        "((a pr) and (",
        "a eq \"\\",
    ];
    for opening in openings {
        for times in [30, 150, 1_000, DEEP] {
            let text = opening.repeat(times);
            for check in CHECKS {
                check(text.as_bytes());
            }
        }
    }
}

#[test]
fn chains_do_not_overflow_the_stack() {
    let links = [
        ("a", " or a pr"),
        ("a pr", " and a pr"),
        ("a", " + a"),
        ("a", " ~ a"),
        ("a", "|lower"),
        ("a", ".a"),
        ("a", "[0]"),
        ("a", " == a"),
        ("a", " and a"),
        ("a", " if a else a"),
        ("{{ a ", "| upper"),
        ("x", "{{ a }}"),
        ("x", "{% if a %}x{% elif b %}"),
    ];
    for (start, link) in links {
        for times in [100, 390, DEEP] {
            let text = format!("{start}{}", link.repeat(times));
            checks::filter(text.as_bytes());
            checks::expression(text.as_bytes());
            checks::path(text.as_bytes());
        }
    }
}

#[test]
fn long_texts_and_numbers_are_only_long() {
    let digits = "9".repeat(LONG);
    let letters = "é".repeat(LONG / 2);
    let texts = [
        digits.clone(),
        format!("-{digits}"),
        format!("1e{digits}"),
        format!("{{\"totalResults\":{digits}}}"),
        format!("{{\"id\":{digits}}}"),
        format!("{{\"detail\":\"{letters}\"}}"),
        format!("\"{letters}\""),
        format!("id,a\n1,\"{letters}\"\n"),
        format!("id,{letters}\n1,2\n"),
        format!("{letters} eq 1"),
        format!("action,source_id\nlink,{letters}\n"),
        format!("state_dir = \"{letters}\"\n"),
        format!("state_dir = {digits}\n"),
        format!("[targets.{}]\n", "a".repeat(LONG)),
        ",".repeat(LONG / 8),
        "\n".repeat(LONG / 8),
        "a,".repeat(LONG / 64) + "\n",
        "\0".repeat(LONG),
    ];
    for text in &texts {
        for check in CHECKS {
            check(text.as_bytes());
        }
    }
}
