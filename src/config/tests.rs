//! Every mistake shows its line, its column and what would be right; good files build what
//! they say.

use std::collections::BTreeSet;

use provisor_connectors::Kind;

use super::document::Document;
use super::*;
use crate::plan::action::Limit;
use crate::plan::rules::{Allowance, WhenGone};
use crate::scim::path::AttributePath;
use crate::target::{Auth, Secret};

const SOURCE: &str = "[sources.staff.csv]\nusers = \"people.csv\"\n";

/// A file with one source and these lines; they start at line 3.
fn load(text: &str) -> Result<Config, ConfigError> {
    load_raw(&format!("{SOURCE}{text}"))
}

fn load_raw(text: &str) -> Result<Config, ConfigError> {
    let document = Document::new(Path::new("config.toml"), text.to_owned());
    file::build(
        Path::new("/etc/provisor/config.toml"),
        document,
        Some(Path::new("/var/lib/elsewhere")),
    )
}

/// A sandbox target with these lines, which start at line 6, column 1.
fn demo(lines: &str) -> Result<Config, ConfigError> {
    load(&format!(
        "[targets.demo]\npreset = \"sandbox\"\nsource = \"staff\"\n{lines}"
    ))
}

/// A remote target with these lines, which start at line 6, column 1.
fn remote(lines: &str) -> Result<Config, ConfigError> {
    load(&format!(
        "[targets.app]\nsource = \"staff\"\nauth = {{ bearer = {{ env = \"T\" }} }}\n{lines}"
    ))
}

/// Asserts the place and that problem and hint are in the message.
#[track_caller]
fn assert_error(result: Result<Config, ConfigError>, line: usize, column: usize, parts: &[&str]) {
    let error = result.expect_err("a mistake");
    let message = &error.message;
    assert_eq!(
        (error.line, error.column),
        (Some(line), Some(column)),
        "{message}"
    );
    let place = format!("config.toml:{line}:{column}");
    for part in parts.iter().copied().chain([place.as_str(), "help: "]) {
        assert!(message.contains(part), "no {part:?} in\n{message}");
    }
    assert!(!message.contains('\u{1b}'), "{message}");
}

#[test]
fn an_error_shows_the_line_and_what_would_be_right() {
    let error = demo("stlae = \"list\"").unwrap_err();
    insta::assert_snapshot!(error, @r#"
    error: unknown key `stlae`
     --> config.toml:6:1
      |
    6 | stlae = "list"
      | ^^^^^
      |
    help: did you mean `stale`?
    "#);
}

#[test]
fn a_file_without_sources_or_targets_is_told_the_least_that_works() {
    for text in ["", SOURCE] {
        let error = load_raw(text).unwrap_err();
        let (_, example) = error.message.split_once(" is\n").expect("an example");
        assert_eq!(load_raw(example).unwrap().targets.len(), 1, "{example}");
    }
    assert!(load_raw("").unwrap_err().message.contains("no source"));
    assert!(load_raw(SOURCE).unwrap_err().message.contains("no target"));
}

#[test]
fn mistakes_at_the_top_and_in_sources_are_pointed_at() {
    let target = "[targets.demo]\npreset = \"sandbox\"\nsource = \"staff\"\n";
    let table: &[(&str, usize, usize, &[&str])] = &[
        ("stat_dir = \"x\"\n", 1, 1, &["did you mean `state_dir`?"]),
        ("state_dir = \"\"\n", 1, 13, &["/var/lib/provisor"]),
        ("audit_values = 1\n", 1, 16, &["write true or false"]),
        (
            "[sources.staff.ldap]\nurl = \"x\"\n",
            1,
            16,
            &["`ldap` are not supported by this version", "`csv`"],
        ),
        (
            "[sources.a.entra]\n",
            1,
            12,
            &["`entra` are not supported by this version"],
        ),
        (
            "[sources.a.okta]\n",
            1,
            12,
            &["`okta` are not supported by this version"],
        ),
        ("[sources.staff.cvs]\n", 1, 16, &["did you mean `csv`?"]),
        (
            "[sources.staff]\n",
            1,
            1,
            &["exactly one kind", "[sources.staff.csv]"],
        ),
        (
            "[sources.staff.csv]\n",
            1,
            1,
            &["`users` is missing", "add `users"],
        ),
        (
            "[sources.staff.csv]\nusers = \"p\"\ngruops = \"g\"\n",
            3,
            1,
            &["did you mean `groups`?"],
        ),
        (
            "[sources.\"my staff\".csv]\nusers = \"p\"\n",
            1,
            10,
            &["letters, digits"],
        ),
        (
            "[sources.staff.csv]\nusers = \"p\"\ngroups = \"g\"\ngroup_column = \"c\"\n",
            1,
            1,
            &["contradicts itself", "keep one of them"],
        ),
    ];
    for (text, line, column, parts) in table {
        assert_error(load_raw(&format!("{text}{target}")), *line, *column, parts);
    }
}

#[test]
fn mistakes_in_a_target_are_pointed_at() {
    let table: &[(&str, usize, usize, &[&str])] = &[
        ("stale = \"lst\"", 6, 9, &["did you mean `list`?"]),
        ("stale = \"never\"", 6, 9, &["`list`, `deactivate`"]),
        ("enabled = \"yes\"", 6, 11, &["write true or false"]),
        ("full_every = 5", 6, 14, &["no unit", "\"5s\""]),
        (
            "full_every = \"often\"",
            6,
            14,
            &["not a span of time", "\"24h\""],
        ),
        ("full_every = \"0s\"", 6, 14, &["leave it out for 24h"]),
        ("timeout = \"0s\"", 6, 11, &["leave `timeout` out for 30s"]),
        (
            "schedule = \"* * * *\"",
            6,
            12,
            &["this has 4", "minute hour day"],
        ),
        (
            "schedule = \"0 0 31 2 *\"",
            6,
            12,
            &["never comes", "minute hour day"],
        ),
        ("protect = [\"a\", \" \"]", 6, 17, &["protects nobody"]),
        ("match = []", 6, 9, &["created twice", "leave `match` out"]),
        (
            "match = [\"username\", \"userName\"]",
            6,
            22,
            &["named twice"],
        ),
        (
            "match = [\"active\"]",
            6,
            10,
            &["cannot be mapped", "\"externalId\""],
        ),
        ("rehire_key = \"\"", 6, 14, &["employeeNumber"]),
        (
            "keep_when_empty = [\"titel\"]",
            6,
            20,
            &["did you mean `title`?"],
        ),
        ("preset = \"generic\"", 6, 1, &["set twice", "remove one"]),
        (
            "base_url = \"https://x\"",
            6,
            12,
            &["sandbox takes no `base_url`"],
        ),
        ("tenant = \"x\"", 6, 10, &["sandbox takes no `tenant`"]),
        (
            "[targets.demo.scope]\ngroups = []",
            7,
            10,
            &["leave `groups` out for everyone"],
        ),
        (
            "[targets.demo.scope]\ngroups = [\"\"]",
            7,
            11,
            &["exact name"],
        ),
        (
            "[targets.demo.groups]\npush = [\"eng-[\"]",
            7,
            9,
            &["not valid", "\"eng-*\""],
        ),
        (
            "[targets.demo.groups]\npush = [\"\"]",
            7,
            9,
            &["empty", "\"eng-*\""],
        ),
        (
            "[targets.demo.groups]\nwhen_gone = \"emtpy\"",
            7,
            13,
            &["did you mean `empty`?"],
        ),
        (
            "[targets.demo.limits]\ndeactivation = 5",
            7,
            1,
            &["did you mean `deactivations`?"],
        ),
        (
            "[targets.demo.limits]\ndeletions = -1",
            7,
            13,
            &["0 means never"],
        ),
        (
            "[targets.demo.limits]\ndeletions = 0.5",
            7,
            13,
            &["not a fraction", "\"10%\""],
        ),
        (
            "[targets.demo.limits]\ndeletions = \"101%\"",
            7,
            13,
            &["\"100%\""],
        ),
        (
            "[targets.demo.limits]\ndeletions = \"10\"",
            7,
            13,
            &["\"100%\""],
        ),
        (
            "[targets.demo.limits]\ndeletions = {}",
            7,
            13,
            &["neither count nor share"],
        ),
        (
            "[targets.demo.limits]\ndeletions = { cout = 1 }",
            7,
            15,
            &["did you mean `count`?"],
        ),
        (
            "[targets.demo.limits]\ndeletions = { share = \"x\" }",
            7,
            23,
            &["\"100%\""],
        ),
        (
            "[targets.demo.pace]\nrequests_per_second = 0",
            7,
            23,
            &["`enabled = false`"],
        ),
        (
            "[targets.demo.pace]\nconcurrency = 65",
            7,
            15,
            &["from 1 to 64"],
        ),
        (
            "[targets.demo.pace]\nconcurrency = 0",
            7,
            15,
            &["from 1 to 64"],
        ),
    ];
    for (lines, line, column, parts) in table {
        assert_error(demo(lines), *line, *column, parts);
    }
    assert_error(
        load("[targets.demo]\npreset = \"sandbx\"\n"),
        4,
        10,
        &["unknown preset `sandbx`", "did you mean `sandbox`?"],
    );
    assert_error(load("[targets.\"a b\"]\n"), 3, 10, &["letters, digits"]);
}

#[test]
fn sources_of_a_target_must_exist() {
    let table: &[(&str, usize, &[&str])] = &[
        ("source = \"stff\"", 10, &["did you mean `staff`?"]),
        (
            "source = [\"staff\", \"payroll\"]",
            20,
            &["the sources are: `staff`"],
        ),
        ("source = [\"staff\", \"staff\"]", 20, &["named twice"]),
        ("source = []", 10, &["name one or more"]),
    ];
    for (line, column, parts) in table {
        assert_error(load(&format!("[targets.a]\n{line}")), 4, *column, parts);
    }
    assert_error(
        load("[targets.a]\n"),
        3,
        10,
        &["`source` is missing", "source = \"staff\""],
    );
}

#[test]
fn mistakes_in_a_mapping_are_pointed_at() {
    let table: &[(&str, usize, &[&str])] = &[
        ("active = false", 1, &["cannot be mapped", "lifecycle"]),
        (
            "manager = \"boss\"",
            1,
            &["managers are not supported yet", "leave this key out"],
        ),
        ("titel = \"title\"", 1, &["did you mean `title`?"]),
        ("title = true", 9, &["`false` to drop"]),
        ("title = 5", 9, &["an attribute's name, or false"]),
        (
            "title = \"{{ x }}\"",
            9,
            &["templates are not supported yet", "bare attribute name"],
        ),
        ("title = \"\"", 9, &["`false` to map nothing"]),
        (
            "addresses = \"street\"",
            1,
            &["addresses[type eq \"work\"].formatted"],
        ),
        ("name.givenName = \"x\"", 1, &["\"name.givenName\""]),
    ];
    for (line, column, parts) in table {
        assert_error(
            demo(&format!("[targets.demo.mapping]\n{line}")),
            7,
            *column,
            parts,
        );
    }
    assert_error(
        demo("[targets.demo.mapping]\nemails = \"a\"\n'emails[type eq \"work\"].value' = \"b\""),
        8,
        1,
        &["both mean", "keep one of them"],
    );
}

#[test]
fn settings_of_later_versions_are_refused_and_never_ignored() {
    let table = [
        ("delete_after = \"30d\"", 6, 16),
        ("forget_after = \"30d\"", 6, 16),
        ("join_key = \"mail\"", 6, 12),
        ("drift = \"report\"", 6, 9),
        ("[targets.demo.scope]\nassigned_to = \"App\"", 7, 15),
        ("[targets.demo.scope]\nwhen = \"true\"", 7, 8),
        ("[targets.demo.scope]\nou = \"OU=x\"", 7, 6),
        ("[targets.demo.scope]\nfilter = \"(x=y)\"", 7, 10),
        ("[targets.demo.groups]\nnested = \"direct\"", 7, 10),
        ("[targets.demo.groups]\nauthoritative = true", 7, 17),
        ("[targets.demo.groups]\ngroup_by = \"department\"", 7, 12),
        ("[targets.demo.groups]\nfallback = \"x\"", 7, 12),
        ("[targets.demo.groups]\nrename = { a = \"b\" }", 7, 10),
    ];
    for (lines, line, column) in table {
        let parts = ["is not supported by this version", "leave it out"];
        assert_error(demo(lines), line, column, &parts);
    }
    demo("[targets.demo.groups]\nnested = \"flatten\"\nauthoritative = false").unwrap();
}

#[test]
fn mistakes_about_reaching_a_target_are_pointed_at() {
    let table: &[(&str, usize, usize, &[&str])] = &[
        (
            "",
            3,
            10,
            &["`base_url` is missing", "preset = \"sandbox\""],
        ),
        (
            "base_url = \"app.example.com\"",
            6,
            12,
            &["not a URL", "https://"],
        ),
        (
            "base_url = \"ftp://app.example.com\"",
            6,
            12,
            &["neither https nor http"],
        ),
        (
            "base_url = \"https://app.example.com/?a=b\"",
            6,
            12,
            &["query"],
        ),
        (
            "base_url = \"http://app.example.com\"",
            6,
            12,
            &["in the clear", "allow_plaintext"],
        ),
        (
            "base_url = \"http://localhost.example.com\"",
            6,
            12,
            &["in the clear"],
        ),
        (
            "base_url = \"https://x\"\nproxy = \"socks5://x\"",
            7,
            9,
            &["neither https nor http"],
        ),
    ];
    for (lines, line, column, parts) in table {
        assert_error(remote(lines), *line, *column, parts);
    }
    assert_error(
        load("[targets.app]\nsource = \"staff\"\nbase_url = \"https://x\""),
        3,
        10,
        &["`auth` is missing", "{ env = \"APP_TOKEN\" }"],
    );
}

#[test]
fn a_secret_in_the_file_is_refused_and_never_shown() {
    let table = [
        ("auth = \"s3cret\"", 5, 8),
        ("auth = { bearer = \"s3cret\" }", 5, 19),
        ("auth = { bearer = 53 }", 5, 19),
        ("auth = { bearer = { env = \"s3cret!\" } }", 5, 27),
        ("auth = { bearer = { value = \"s3cret\" } }", 5, 21),
        ("auth = { bearer = {} }", 5, 19),
        ("auth = { bearer = { credential = \"../s3cret\" } }", 5, 34),
        (
            "auth = { basic = { username = \"u:s3cret\", password = { env = \"P\" } } }",
            5,
            31,
        ),
        (
            "auth = { basic = { username = \"u\", password = \"s3cret\" } }",
            5,
            47,
        ),
        (
            "auth = { header = { name = \"a b\", value = { env = \"s3cret\" } } }",
            5,
            28,
        ),
        ("auth = { baerer = \"s3cret\" }", 5, 10),
        ("auth = { }", 5, 8),
        ("[targets.app.auth.bearer]\nliteral = \"s3cret\"", 6, 1),
        (
            "[targets.app.auth.header]\nname = \"X\"\nvalue = \"s3cret\"",
            7,
            9,
        ),
        (
            "auth = { bearer = { env = \"T\" } }\nproxy = \"http://u:s3cret@proxy\"",
            6,
            9,
        ),
    ];
    for (lines, line, column) in table {
        let head = "[targets.app]\nsource = \"staff\"\n";
        let url = "base_url = \"https://app.example.com\"\n";
        let text = match lines.strip_prefix("auth") {
            // The URL goes last, so that the line numbers stay.
            Some(_) => format!("{head}{lines}\n{url}"),
            None => format!("{head}{lines}\n"),
        };
        let result = load(&text);
        let message = result.as_ref().unwrap_err().message.clone();
        assert!(!message.contains("s3cret"), "{message}");
        assert!(!message.contains("53"), "{message}");
        assert_error(result, line, column, &[]);
    }
    let unclosed = load("[targets.app]\nauth = { bearer = \"s3cret }\n").unwrap_err();
    assert!(!unclosed.message.contains("s3cret"), "{unclosed}");
    assert_eq!(unclosed.line, Some(4));
}

#[test]
fn two_targets_for_one_app_are_refused_unless_both_share_it() {
    let two = |first: &str, second: &str| {
        load(&format!(
            "[targets.a]\nsource = \"staff\"\nbase_url = \"https://APP.example.com:443/scim/\"\n\
             auth = {{ bearer = {{ env = \"T\" }} }}\n{first}\n\
             [targets.b]\nsource = \"staff\"\nbase_url = \"https://app.example.com/scim\"\n\
             auth = {{ bearer = {{ env = \"T\" }} }}\n{second}\n"
        ))
    };
    for (first, second) in [("", ""), ("shared = true", ""), ("", "shared = true")] {
        assert_error(
            two(first, second),
            10,
            12,
            &["`a` and `b`", "`shared = true` in both"],
        );
    }
    two("shared = true", "shared = true").unwrap();
    let config = two("tenant = \"one\"", "tenant = \"two\"").unwrap();
    assert_eq!(
        config.targets["a"].target.fingerprint,
        "https://app.example.com/scim tenant one"
    );
}

#[test]
fn a_remote_target_is_built_as_written() {
    let config = remote(
        "base_url = \"https://app.example.com/scim/v2/\"\nca_file = \"ca.pem\"\n\
         proxy = \"http://proxy.example.com:3128\"\ntimeout = \"5s\"\n\
         pace = { requests_per_second = 2.5, concurrency = 8 }\n",
    )
    .unwrap();
    let target = &config.targets["app"];
    assert_eq!(target.preset, "generic");
    assert_eq!(target.target.fingerprint, "https://app.example.com/scim/v2");
    let Endpoint::Remote(connection) = &target.endpoint else {
        panic!("not remote");
    };
    assert_eq!(
        connection.base_url.as_str(),
        "https://app.example.com/scim/v2"
    );
    assert_eq!(connection.auth, Auth::Bearer(Secret::Env("T".to_owned())));
    assert_eq!(
        connection.ca_file.as_deref(),
        Some(Path::new("/etc/provisor/ca.pem"))
    );
    assert_eq!(connection.timeout, Duration::from_secs(5));
    assert_eq!(connection.pace.requests_per_second, Some(2.5));
    assert_eq!(connection.pace, target.pace);
}

#[test]
fn relative_paths_start_in_the_files_folder() {
    let config = load_raw(&format!(
        "state_dir = \"state\"\n{SOURCE}[targets.app]\nsource = \"staff\"\n\
         base_url = \"https://x\"\nauth = {{ bearer = {{ file = \"token\" }} }}\n\
         [targets.demo]\npreset = \"sandbox\"\nsource = \"staff\"\n"
    ))
    .unwrap();
    assert_eq!(config.state_dir, Path::new("/etc/provisor/state"));
    let Endpoint::Remote(connection) = &config.targets["app"].endpoint else {
        panic!("not remote");
    };
    assert_eq!(
        connection.auth,
        Auth::Bearer(Secret::File("/etc/provisor/token".into()))
    );
    let Endpoint::Sandbox { folder } = &config.targets["demo"].endpoint else {
        panic!("not the sandbox");
    };
    assert_eq!(folder, Path::new("/etc/provisor/state/sandbox/demo"));
    assert_eq!(
        demo("").unwrap().state_dir,
        Path::new("/var/lib/elsewhere"),
        "$STATE_DIRECTORY where nothing is written"
    );
}

#[test]
fn plain_http_is_for_loopback_or_by_word() {
    for url in [
        "http://localhost:8080/scim",
        "http://127.0.0.1",
        "http://[::1]:1",
    ] {
        let config = remote(&format!("base_url = \"{url}\"")).unwrap();
        assert_eq!(config.warnings, Vec::<String>::new());
    }
    let config = remote("base_url = \"http://app.example.com\"\nallow_plaintext = true").unwrap();
    assert_eq!(
        config.warnings,
        ["config.toml:6:12: plain http: the token and people's data are sent in the clear"]
    );
}

#[test]
fn doubtful_settings_are_warned_about() {
    let config = demo("schedule = \"0 6 1 * 1\"\n[sources.spare.csv]\nusers = \"x\"").unwrap();
    assert!(config.warnings[0].starts_with("config.toml:6:12: the schedule names days"));
    assert_eq!(config.warnings[1], "no target uses the source `spare`");
}

#[test]
fn rules_are_built_as_written() {
    let config = demo(
        "protect = [\"BreakGlass@corp.example\"]\nmatch = [\"emails\", \"userName\"]\n\
         rehire_key = \"employeeNumber\"\n[targets.demo.scope]\ngroups = [\"staff\"]\n\
         [targets.demo.groups]\npush = [\"eng-*\"]\nwhen_gone = \"keep\"\n\
         [targets.demo.limits]\ndeactivations = 3\nidentifiers = \"1.5%\"\n\
         cleared = { count = 7 }\ndeletions = { count = 1, share = \"50%\" }\n",
    )
    .unwrap();
    let target = &config.targets["demo"].target;
    assert_eq!(
        target.rules.protect,
        BTreeSet::from(["breakglass@corp.example".to_owned()])
    );
    assert_eq!(
        target.rules.match_on,
        [AttributePath::core("emails"), AttributePath::user_name()]
    );
    assert_eq!(target.rules.rehire_key.as_deref(), Some("employeeNumber"));
    assert_eq!(target.scope.groups, ["staff"]);
    assert_eq!(target.rules.groups.when_gone, WhenGone::Keep);
    let push = target.rules.groups.push.as_ref().unwrap();
    assert!(push.is_match("eng-platform/core") && !push.is_match("Eng-platform"));
    let allowance = |count, percent| Allowance { count, percent };
    for (limit, expected) in [
        (Limit::Deactivations, allowance(Some(3), None)),
        (Limit::Identifiers, allowance(None, Some(1.5))),
        (Limit::Cleared, allowance(Some(7), None)),
        (Limit::Deletions, allowance(Some(1), Some(50.0))),
        (Limit::Recreations, allowance(None, Some(5.0))),
    ] {
        assert_eq!(target.rules.limits.0[&limit], expected, "{limit:?}");
    }
}

#[test]
fn the_settings_digest_moves_with_what_decides_the_outcome_and_nothing_else() {
    let digest = |lines: &str| {
        demo(lines).unwrap().targets["demo"]
            .target
            .settings_digest
            .clone()
    };
    let plain = digest("");
    assert_eq!(plain.len(), 64);
    for lines in [
        "schedule = \"0 6 * * *\"",
        "timeout = \"5s\"",
        "full_every = \"1h\"",
        "stale = \"list\"",
        "[targets.demo.limits]\ndeactivations = 1",
        "[targets.demo.pace]\nconcurrency = 1",
    ] {
        assert_eq!(digest(lines), plain, "{lines}");
    }
    let mut seen = BTreeSet::from([plain]);
    for lines in [
        "stale = \"deactivate\"",
        "adopt_inactive = \"hold\"",
        "take_over = true",
        "rehire_key = \"x\"",
        "protect = [\"x\"]",
        "match = [\"userName\"]",
        "keep_when_empty = [\"title\"]",
        "[targets.demo.mapping]\ntitle = \"x\"",
        "[targets.demo.mapping]\ntitle = false",
        "[targets.demo.scope]\ngroups = [\"x\"]",
        "[targets.demo.groups]\npush = []",
        "[targets.demo.groups]\npush = [\"x\"]",
        "[targets.demo.groups]\nwhen_gone = \"delete\"",
    ] {
        assert!(seen.insert(digest(lines)), "{lines}");
    }
}

fn facts(names: &[&str]) -> BTreeMap<String, SourceFacts> {
    let names: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
    BTreeMap::from([(
        "staff".to_owned(),
        SourceFacts {
            lines: Vec::new(),
            attributes: BTreeMap::from([(Kind::User, names)]),
        },
    )])
}

#[test]
fn attribute_names_that_no_source_has_are_pointed_at() {
    let config =
        demo("rehire_key = \"badge\"\n[targets.demo.mapping]\nuserName = \"mial\"").unwrap();
    let target = &config.targets["demo"];
    check_names(target, &facts(&["mail", "badge", "mial"])).unwrap();
    check_names(target, &facts(&[])).unwrap();
    check_names(target, &BTreeMap::new()).unwrap();

    let error = check_names(target, &facts(&["mail", "badge"])).unwrap_err();
    assert_eq!((error.line, error.column), (Some(8), Some(12)));
    assert!(error.message.contains("an attribute `mial`"), "{error}");
    assert!(error.message.contains("did you mean `mail`?"), "{error}");

    let error = check_names(target, &facts(&["mial"])).unwrap_err();
    assert_eq!((error.line, error.column), (Some(6), Some(14)), "{error}");
}

#[test]
fn an_unreadable_file_says_how_to_name_another() {
    let folder = tempfile::tempdir().unwrap();
    let error = Config::load(&folder.path().join("none.toml")).unwrap_err();
    assert!(error.message.contains("none.toml"), "{error}");
    assert!(error.message.contains("--config"), "{error}");
    let latin1 = folder.path().join("latin1.toml");
    std::fs::write(&latin1, b"# caf\xe9\n").unwrap();
    let error = Config::load(&latin1).unwrap_err();
    assert!(error.message.contains("not UTF-8"), "{error}");
}

/// The example with every switched-off setting switched on.
fn switch_everything_on(example: &str) -> String {
    let lines = example.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

const EXAMPLE: &str = include_str!("../../config.example.toml");

#[test]
fn the_example_runs_and_every_setting_in_it_is_known() {
    let plain = load_raw(EXAMPLE).unwrap();
    assert_eq!(plain.warnings, Vec::<String>::new());
    let all = load_raw(&switch_everything_on(EXAMPLE)).unwrap();
    assert!(matches!(all.targets["app"].endpoint, Endpoint::Remote(_)));
    for SourceConfig::Csv(csv) in plain.sources.values() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(root.join(&csv.users).is_file());
    }
}

#[test]
fn the_example_states_the_defaults_that_the_code_has() {
    let plain = load_raw(EXAMPLE).unwrap();
    let all = load_raw(&switch_everything_on(EXAMPLE)).unwrap();
    assert_eq!(plain.audit_values, all.audit_values);
    assert_eq!(plain.sources["staff"], all.sources["staff"]);
    let (plain, all) = (&plain.targets["demo"], &all.targets["demo"]);
    assert_eq!(plain.enabled, all.enabled);
    assert_eq!(plain.timeout, all.timeout);
    assert_eq!(plain.pace.concurrency, all.pace.concurrency);
    assert_eq!(plain.target.full_every, all.target.full_every);
    let (plain, all) = (&plain.target.rules, &all.target.rules);
    assert_eq!(plain.match_on, all.match_on);
    assert_eq!(plain.stale, all.stale);
    assert_eq!(plain.adopt_inactive, all.adopt_inactive);
    assert_eq!(plain.protect, all.protect);
    assert_eq!(plain.take_over, all.take_over);
    assert_eq!(plain.limits, all.limits);
    assert_eq!(plain.settle, all.settle);
    assert_eq!(plain.groups.when_gone, all.groups.when_gone);
}

#[test]
fn the_example_has_every_setting_there_is() {
    // serde lists the known keys when it meets an unknown one.
    for table in [
        "",
        "[sources.x.csv]",
        "[targets.x]",
        "[targets.x.scope]",
        "[targets.x.groups]",
        "[targets.x.pace]",
    ] {
        let error = load_raw(&format!("{table}\nqqqqqq = 1\n")).unwrap_err();
        let (_, keys) = error.message.split_once("the keys here are: ").unwrap();
        for key in keys.split('`').skip(1).step_by(2) {
            let mentioned = EXAMPLE.lines().any(|line| {
                let line = line.trim_start_matches('#');
                line.starts_with(&format!("{key} =")) || line.contains(&format!(".{key}]"))
            }) || ["sources", "targets"].contains(&key);
            let later = [
                "delete_after",
                "forget_after",
                "join_key",
                "drift",
                "assigned_to",
                "when",
                "ou",
                "filter",
                "group_by",
                "fallback",
                "rename",
            ]
            .contains(&key);
            assert_eq!(mentioned, !later, "{table} {key}");
        }
    }
}
