//! What the audit log has of the requests that were sent while the disk filled up. Reads
//! files; what is wrong is told in words.

use std::path::Path;

use serde_json::Value;

/// How many requests the audit log in a state directory names.
pub(crate) fn recorded(state: &Path) -> usize {
    let log = std::fs::read_to_string(state.join("audit.jsonl"));
    let log = log.expect("the audit log is there, and text");
    let whole = log
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let names_one = |line: &&str| {
        let line: Value = serde_json::from_str(line).expect("a record");
        line["method"].is_string()
    };
    whole.filter(names_one).count()
}

/// What was sent is on record, apart from the calls that may be sent before they are
/// (docs/reliability.md, "A full or read-only disk"): what is wrong with that.
pub(crate) fn missing(writes: usize, recorded: usize, at_once: usize) -> Option<String> {
    let allowed = match at_once {
        1 => 1,
        many => usize::max(64, 2 * many),
    };
    let wrong = writes > recorded + allowed;
    wrong.then(|| format!("{writes} writes, and {recorded} of them on record"))
}
