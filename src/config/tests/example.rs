//! The example configuration: it runs, it is complete, and it tells the truth.

use super::*;

/// The example with every switched-off setting switched on.
fn switch_everything_on(example: &str) -> String {
    let lines = example.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

const EXAMPLE: &str = include_str!("../../../config.example.toml");

#[test]
fn the_example_runs_and_every_setting_in_it_is_known() {
    let plain = load_raw(EXAMPLE).unwrap();
    assert_eq!(plain.warnings, Vec::<String>::new());
    let all = load_raw(&switch_everything_on(EXAMPLE)).unwrap();
    assert!(matches!(all.targets["app"].endpoint, Endpoint::Remote(_)));
    for source in plain.sources.values() {
        let SourceConfig::Csv(csv) = source else {
            panic!("it runs without a server");
        };
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
    assert_eq!(
        plain.target.profile.members_per_request,
        all.target.profile.members_per_request
    );
    let (plain, all) = (&plain.target.rules, &all.target.rules);
    assert_eq!(plain.match_on, all.match_on);
    assert_eq!(plain.stale, all.stale);
    assert_eq!(plain.adopt_inactive, all.adopt_inactive);
    assert_eq!(plain.protect, all.protect);
    assert_eq!(plain.take_over, all.take_over);
    assert_eq!(plain.drift, all.drift);
    assert_eq!(plain.limits, all.limits);
    assert_eq!(plain.settle, all.settle);
    assert_eq!(plain.groups.when_gone, all.groups.when_gone);
    assert_eq!(plain.groups.nested, all.groups.nested);
    assert_eq!(plain.groups.authoritative, all.groups.authoritative);
}

#[test]
fn the_example_has_every_setting_there_is() {
    // serde lists the known keys when it meets an unknown one.
    for table in [
        "",
        "[sources.x.csv]",
        "[sources.x.ldap]",
        "[sources.x.ldap.users]",
        "[sources.x.ldap.groups]",
        "[sources.x.entra]",
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
            }) || ["sources", "targets", "lookups"].contains(&key);
            assert!(mentioned, "{table} {key}");
        }
    }
}
