//! Which names a template uses, and which there are.

use super::*;

fn uses(source: &str) -> Vec<(String, &str)> {
    let template = language().template(source).unwrap();
    let uses = template.uses().iter();
    uses.map(|used| (used.name.clone(), &source[used.place.clone()]))
        .collect()
}

#[test]
fn every_attribute_that_is_read_is_known_with_its_place() {
    let names = |source: &str| -> Vec<String> {
        let found = uses(source);
        for (name, place) in &found {
            assert_eq!(place.trim_matches(['\'', '"']), name, "{source}");
        }
        found.into_iter().map(|(name, _)| name).collect()
    };
    for (source, expected) in [
        ("{{ givenName }}.{{ sn | lower }}", &["givenName", "sn"][..]),
        ("{{ a if b else c }}", &["a", "b", "c"]),
        (
            "{{ record['msDS-x'] ~ record.sn ~ record[\"ä ö\"] }}",
            &["msDS-x", "sn", "ä ö"],
        ),
        (
            "{% for mail in mails %}{{ mail ~ loop.index ~ x }}{% endfor %}",
            &["mails", "x"],
        ),
        ("{% set n = sn %}{{ n }}", &["sn"]),
        ("{{ x | default(y) | ascii(german=z) }}", &["x", "y", "z"]),
        ("{{ switch(a, b, 'c', d) }}", &["a", "b", "d"]),
        (
            "{{ 'sn' }} sn {# {{ sn }} #}{% raw %}{{ sn }}{% endraw %}{{ cn }}",
            &["cn"],
        ),
        ("{{ '}}' ~ sn }}", &["sn"]),
        ("{{ x is defined }}", &["x"]),
        (
            "{{ givenName[:1] ~ (sn | first)[at:] }}",
            &["at", "givenName", "sn"],
        ),
        (
            "{% for a, b in x if a[:1] == c[:1] %}{{ a[b:] }}{% endfor %}",
            &["c", "x"],
        ),
        (
            "{% set a = x %}{{ a[1:] }}{% with b = y %}{{ b[1:] }}{% endwith %}",
            &["x", "y"],
        ),
        ("{% if x[:1] == y %}{% endif %}", &["x", "y"]),
        ("{{ true and not false }}", &[]),
        ("{{ größe }}", &["größe"]),
    ] {
        assert_eq!(names(source), expected, "{source}");
    }
    assert_eq!(uses("{{ 'sn' ~ x.sn ~ (y | lower) ~ sn }}")[0].1, "sn");
    let template = language().expression("a == 'a' or b").unwrap();
    let places: Vec<_> = template
        .uses()
        .iter()
        .map(|used| used.place.clone())
        .collect();
    assert_eq!(places, [0..1, 12..13]);
}

#[test]
fn what_does_not_exist_is_found_on_every_branch_and_pointed_at() {
    for (source, word, part) in [
        (
            "{% if x %}{{ mail | lwoer }}{% endif %}",
            "lwoer",
            "did you mean `lower`?",
        ),
        (
            "{{ mail | urlencode }}",
            "urlencode",
            "the filters are `ascii`, ",
        ),
        (
            "{% filter uper %}x{% endfilter %}",
            "uper",
            "did you mean `upper`?",
        ),
        ("{{ x is not defned }}", "defned", "did you mean `defined`?"),
        ("{{ now() }}", "now", "the functions are `range`, `switch`"),
        ("{{ lower(mail) }}", "lower", "as in `mail | lower`"),
        ("{{ mail.lower() }}", "lower", "as in `mail | lower`"),
        (
            "{{ mail.casefold() }}",
            "casefold",
            "values have no methods",
        ),
        (
            "{{ x | lookup('cost_center') }}",
            "lookup",
            "did you mean `cost_centers`?",
        ),
        (
            "{{ x | lookup('other') }}",
            "lookup",
            "the tables are `cost_centers`",
        ),
        ("{{ x | lookup(table) }}", "lookup", "in quotation marks"),
        ("{{ record[name] }}", "record", "record['name']"),
        ("{{ record | items }}", "record", "record['name']"),
    ] {
        let error = refusal(source);
        assert!(error.problem.contains(part), "{source}: {error}");
        assert_eq!(
            error.place.map(|place| &source[place]),
            Some(word),
            "{source}"
        );
    }
    let error = Language::default()
        .template("{{ x | lookup('t') }}")
        .unwrap_err();
    assert!(error.problem.contains("add [lookups.t]"), "{error}");
}

#[test]
fn what_is_not_a_template_is_refused_with_its_place() {
    for (source, word) in [
        ("{{ a b }}", "b"),
        ("{{ a", ""),
        ("{{ }}", "}}"),
        ("{% if x %}", ""),
        ("{% include 'x' %}", "include"),
        ("{% macro x() %}{% endmacro %}", "macro"),
        ("{{ a ? b }}", ""),
        ("{{ a 佐 }}", "佐"),
        ("{{ 'a }}", ""),
    ] {
        let error = refusal(source);
        assert!(
            error.problem.starts_with("syntax error"),
            "{source}: {error}"
        );
        if !word.is_empty() {
            assert_eq!(
                error.place.map(|place| &source[place]),
                Some(word),
                "{source}"
            );
        }
    }
}

#[test]
fn tables_that_are_named_are_known() {
    let template = language().template("{{ x | lookup('cost_centers', '') }}");
    let names: Vec<String> = template.unwrap().lookups().keys().cloned().collect();
    assert_eq!(names, ["cost_centers"]);
    let template = language().template("{{ x | map('lookup', \"cost_centers\") | first }}");
    assert_eq!(template.unwrap().lookups().len(), 1);
    assert!(language().template("{{ x }}").unwrap().lookups().is_empty());
}
