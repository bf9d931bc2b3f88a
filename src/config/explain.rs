//! What TOML and serde say, in words that help: names the key, and the one probably meant.
//!
//! Knows the wording of serde's errors; a change there shows in the tests beside `config`.

use crate::spelling::closest;

/// "did you mean `x`?", or all the names there are.
pub(super) fn suggest<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
    what: &str,
) -> String {
    if let Some(near) = closest(name, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let all: Vec<String> = known.into_iter().map(|name| format!("`{name}`")).collect();
    if all.is_empty() {
        format!("there are no {what}")
    } else {
        format!("{what}: {}", all.join(", "))
    }
}

/// Problem and help of a deserialiser's message. With `hidden`, values are left out: the
/// place could hold a secret.
pub(super) fn explain(message: &str, hidden: bool) -> (String, String) {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let (name, known) = unknown(rest, &names);
        return (
            format!("unknown key `{name}`"),
            suggest(name, known.iter().copied(), "the keys here are"),
        );
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let (name, known) = unknown(rest, &names);
        if known.contains(&"csv") {
            // The only choice that has this value: a source's kind.
            return (
                format!("sources of the kind `{name}` are not supported by this version"),
                suggest(name, known.iter().copied(), "the kinds are"),
            );
        }
        let problem = match hidden {
            true => "unknown value".to_owned(),
            false => format!("unknown value `{name}`"),
        };
        return (
            problem,
            suggest(name, known.iter().copied(), "the values are"),
        );
    }
    if let Some(name) = message
        .strip_prefix("missing field ")
        .and_then(|_| names.first())
    {
        return (
            format!("`{name}` is missing"),
            format!("add `{name} = …` to this table"),
        );
    }
    if message.starts_with("wanted exactly 1 element") {
        return (
            "a source has exactly one kind".to_owned(),
            "its kind is the table's name, as in `[sources.staff.csv]`".to_owned(),
        );
    }
    let mismatch = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "));
    if let Some((found, expected)) = mismatch {
        let help = match expected {
            "a boolean" => "write true or false, without quotation marks".to_owned(),
            "a string" => "put it in quotation marks".to_owned(),
            "a sequence" => "write a list: [\"…\"]".to_owned(),
            _ => format!("write {expected}"),
        };
        if hidden {
            return (
                format!("expected {expected}, found something else"),
                format!("{help}; secrets are never literals, so the line is not shown"),
            );
        }
        return (format!("expected {expected}, found {found}"), help);
    }
    if message == "duplicate key" {
        return (
            "this is set twice".to_owned(),
            "remove one of the two".to_owned(),
        );
    }
    match message.split_once('\n') {
        Some((problem, help)) => (problem.to_owned(), help.replace('\n', ", ")),
        None => (
            message.to_owned(),
            "in TOML, texts stand in quotation marks, lists in [ ], inline tables in { }, and \
             each setting on a line of its own"
                .to_owned(),
        ),
    }
}

/// The unknown name and the known ones. The first is in backticks and may hold some itself.
fn unknown<'a>(rest: &'a str, names: &[&'a str]) -> (&'a str, Vec<&'a str>) {
    let quoted = rest
        .rsplit_once(", expected ")
        .or_else(|| rest.rsplit_once(", there are no "))
        .map_or(rest, |(quoted, _)| quoted);
    let name = quoted.trim_matches('`');
    let skipped = name.matches('`').count() / 2 + 1;
    (name, names.iter().skip(skipped).copied().collect())
}
