//! What good files build, and what only the sources can tell.

use std::collections::BTreeSet;

use provisor_connectors::Kind;

use super::*;
use crate::plan::action::Limit;
use crate::plan::rules::{Allowance, DriftRules, OnDrift, WhenGone};
use crate::scim::path::AttributePath;
use crate::target::{Auth, Secret};

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
fn drift_is_one_choice_or_one_for_each_path() {
    let rules = |lines| {
        demo(lines).unwrap().targets["demo"]
            .target
            .rules
            .drift
            .clone()
    };
    assert_eq!(rules(""), DriftRules::default());
    assert_eq!(rules("").default, OnDrift::Enforce);
    assert_eq!(rules("drift = \"leave\"").default, OnDrift::Leave);
    let rules = rules(
        "[targets.demo.drift]\ndefault = \"list\"\ndepartment = \"leave\"\nemails = \"enforce\"\n\
         members = \"enforce\"\n\"name.givenName\" = \"leave\"",
    );
    let of = |path: &str| rules.of(&path.parse().unwrap());
    assert_eq!(of("title"), OnDrift::List);
    let urn = crate::scim::ENTERPRISE_SCHEMA;
    assert_eq!(of(&format!("{urn}:department")), OnDrift::Leave);
    assert_eq!(of("emails[type eq \"work\"].value"), OnDrift::Enforce);
    assert_eq!(of("members"), OnDrift::Enforce);
    assert_eq!(of("name.givenName"), OnDrift::Leave);
    assert_eq!(of("name.familyName"), OnDrift::List);
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
fn names_are_understood_in_either_form() {
    let config = demo(
        "protect = [\"ZOE\u{308}@example.com\"]\n[targets.demo.groups]\n\
         push = [\"E\u{301}quipe*\"]\nrename = { \"E\u{301}quipe\" = \"Cafe\u{301}\" }\n",
    )
    .unwrap();
    let rules = &config.targets["demo"].target.rules;
    assert!(rules.protect.contains("zo\u{eb}@example.com"));
    let push = rules.groups.push.as_ref().unwrap();
    // The second is an id, which is never changed.
    for name in ["\u{c9}quipe 1", "E\u{301}quipe 1"] {
        assert!(push.is_match(name), "{name}");
        let name = name.trim_end_matches(" 1");
        assert_eq!(rules.groups.name_at_target("", name), "Caf\u{e9}");
    }
    assert_eq!(
        rules.groups.name_at_target("\u{c9}quipe", "g1"),
        "Caf\u{e9}"
    );
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
        "drift = \"leave\"",
        "[targets.demo.limits]\ndeactivations = 1",
        "[targets.demo.pace]\nconcurrency = 1",
        "[lookups.unused]\na = \"1\"",
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
        "[targets.demo.mapping]\ntitle = \"{{ x }}\"",
        "[targets.demo.mapping]\ntitle = \"{{ x | lookup('t') }}\"\n[lookups.t]\na = \"1\"",
        "[targets.demo.mapping]\ntitle = \"{{ x | lookup('t') }}\"\n[lookups.t]\na = \"2\"",
        "[targets.demo.scope]\nwhen = \"x\"",
        "[targets.demo.scope]\nwhen = \"y\"",
        "[targets.demo.scope]\nwhen = \"y | lookup('t') == 'z'\"\n[lookups.t]\na = \"1\"",
        "[targets.demo.scope]\nwhen = \"y | lookup('t') == 'z'\"\n[lookups.t]\na = \"2\"",
        "[targets.demo.scope]\ngroups = [\"x\"]",
        "[targets.demo.groups]\npush = []",
        "[targets.demo.groups]\npush = [\"x\"]",
        "[targets.demo.groups]\nwhen_gone = \"delete\"",
        "[targets.demo.groups]\nnested = \"direct\"",
        "[targets.demo.groups]\nauthoritative = true",
        "[targets.demo.groups]\nrename = { x = \"y\" }",
        "[targets.demo.groups]\ngroup_by = \"department\"",
        "[targets.demo.groups]\ngroup_by = \"department\"\nfallback = \"x\"",
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
fn every_source_must_have_what_joins_its_people() {
    let text = "[sources.hr.csv]\nusers = \"hr.csv\"\n[targets.demo]\npreset = \"sandbox\"\n\
                source = [\"hr\", \"staff\"]\njoin_key = \"{{ badge or number }}\"";
    let config = load(text).unwrap();
    let target = &config.targets["demo"];
    let both = |staff: &[&str]| {
        let mut facts = facts(staff);
        facts.insert("hr".to_owned(), self::facts(&["badge"])["staff"].clone());
        facts
    };
    check_names(target, &both(&["number", "mail"])).unwrap();
    check_names(target, &facts(&["number"])).unwrap();

    let error = check_names(target, &both(&["mail", "numbr"])).unwrap_err();
    assert_eq!((error.line, error.column), (Some(8), Some(25)), "{error}");
    assert!(error.message.contains("attribute `number`"), "{error}");
    let error = check_names(
        target,
        &both(&["mail", "number"])
            .into_iter()
            .map(|(source, mut facts)| {
                if source == "hr" {
                    facts.attributes =
                        BTreeMap::from([(Kind::User, BTreeSet::from(["number".to_owned()]))]);
                }
                (source, facts)
            })
            .collect(),
    );
    assert!(error.is_err(), "`badge` is of no source");
}

#[test]
fn names_in_templates_and_conditions_are_pointed_at() {
    let names = ["mail", "givenName", "sn", "msDS-x"];
    let table = [
        (
            "[targets.demo.mapping]\ntitle = \"{{ givenName }} {{ sm }}\"",
            (7, 29),
            "did you mean `sn`?",
        ),
        (
            "[targets.demo.mapping]\ntitle = \"\"\"\n{{ sn }}\n{{ record['msDS-y'] }}\"\"\"",
            (9, 11),
            "did you mean `msDS-x`?",
        ),
        (
            "[targets.demo.mapping]\ntitle = \"{{ msDS-x }}\"",
            (7, 13),
            "write record['msDS-x']",
        ),
        (
            "[targets.demo.scope]\nwhen = \"sn and mial == 'x'\"",
            (7, 16),
            "did you mean `mail`?",
        ),
    ];
    for (lines, place, help) in table {
        let config = demo(lines).unwrap();
        check_names(&config.targets["demo"], &BTreeMap::new()).unwrap();
        let error = check_names(&config.targets["demo"], &facts(&names)).unwrap_err();
        assert_eq!(
            (error.line, error.column),
            (Some(place.0), Some(place.1)),
            "{error}"
        );
        assert!(error.message.contains(help), "{error}");
    }
    let good = "[targets.demo.mapping]\ntitle = \"{{ sn[:1] ~ record['msDS-x'] }}\"\n\
                [targets.demo.scope]\nwhen = \"mail is endingwith '@example.com'\"";
    check_names(&demo(good).unwrap().targets["demo"], &facts(&names)).unwrap();
}
