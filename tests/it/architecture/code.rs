//! Reads the program's own code: files without comments and tests, and the paths they
//! mention. Understands no more of the language than the house style uses.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The production code of every file, by its path below `src/`.
pub(super) fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut texts = BTreeMap::new();
    let mut tests: Vec<PathBuf> = Vec::new();
    for file in files_under(&root) {
        let text = fs::read_to_string(&file).expect("a source file can be read");
        // `foo.rs` declares the modules in `foo/`; `lib.rs` those beside it.
        let folder = match file.file_stem().and_then(|stem| stem.to_str()) {
            Some("lib" | "main") => root.clone(),
            _ => file.with_extension(""),
        };
        tests.extend(test_modules(&text).iter().map(|name| folder.join(name)));
        texts.insert(file, text);
    }
    texts
        .into_iter()
        .filter(|(file, _)| {
            !tests
                .iter()
                .any(|test| file.with_extension("").starts_with(test))
        })
        .map(|(file, text)| {
            let path = file
                .strip_prefix(&root)
                .ok()
                .and_then(Path::to_str)
                .expect("a source file has a plain name below src/")
                .to_owned();
            (path, production_code(&text))
        })
        .collect()
}

/// Every Rust file below a folder, in order.
pub(super) fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for found in fs::read_dir(folder).expect("a source folder can be listed") {
        let path = found.expect("a source folder can be listed").path();
        if path.is_dir() {
            files.extend(files_under(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Names of the modules that a file declares for tests only.
pub(super) fn test_modules(text: &str) -> Vec<String> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "#[cfg(test)]");
    let mut found = Vec::new();
    while lines.next().is_some() {
        let declared = lines.next().and_then(|line| line.strip_suffix(';'));
        if let Some((_, name)) = declared.and_then(|line| line.split_once("mod ")) {
            found.push(name.to_owned());
        }
        while lines
            .clone()
            .next()
            .is_some_and(|line| line != "#[cfg(test)]")
        {
            lines.next();
        }
    }
    found
}

/// The file without comments, and without what follows an inline test module: tests last.
pub(super) fn production_code(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let opens = |next: &&str| next.contains("mod ") && next.ends_with('{');
        if line == "#[cfg(test)]" && lines.peek().is_some_and(opens) {
            break;
        }
        code.push_str(line.split_once("//").map_or(line, |(code, _)| code));
        code.push('\n');
    }
    code
}

/// Every path that the code mentions below `root`, with `{…}` written out.
pub(super) fn mentions(code: &str, root: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (position, _) in code.match_indices(root) {
        let before = code[..position].chars().next_back();
        if !before.is_some_and(|before| before.is_alphanumeric() || "_:$".contains(before)) {
            expand("", &code[position + root.len()..], &mut found);
        }
    }
    found
}

/// Reads one use-tree and returns what follows it.
fn expand<'a>(prefix: &str, text: &'a str, found: &mut Vec<String>) -> &'a str {
    let end = text
        .find(|character: char| !(character.is_alphanumeric() || "_:".contains(character)))
        .unwrap_or(text.len());
    let path = format!("{prefix}{}", &text[..end]);
    let Some(mut rest) = text[end..]
        .strip_prefix('{')
        .filter(|_| path.is_empty() || path.ends_with("::"))
    else {
        found.push(path.trim_end_matches("::").to_owned());
        return &text[end..];
    };
    loop {
        rest = rest
            .trim_start_matches(|character: char| character == ',' || character.is_whitespace());
        match rest.strip_prefix('}') {
            Some(after) => return after,
            None if rest.is_empty() => return rest,
            None => {
                let after = expand(&path, rest, found);
                // Skips `as name` and whatever else is not a path, so that this ends.
                let skip = after.find([',', '}']).unwrap_or(after.len());
                rest = &after[skip..];
            }
        }
    }
}
