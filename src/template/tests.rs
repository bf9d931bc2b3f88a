//! What templates give, what they refuse, and that neither depends on luck.

mod filters;
mod forms;
mod limits;
mod names;
mod properties;

use std::collections::BTreeMap;

use super::*;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A person with one of everything.
fn ana() -> Attributes {
    let one = |name: &str, value: Value| (name.to_owned(), vec![value]);
    let mails = ["SMTP:ana@example.com", "smtp:a.li@example.com"];
    Attributes(BTreeMap::from([
        one("givenName", text("Ana")),
        one("sn", text(" Li ")),
        one("department", text("R&D")),
        one("msDS-x", text("odd")),
        one("blank", text("  ")),
        one("level", Value::Integer(3)),
        one("manages", Value::Boolean(true)),
        ("mails".to_owned(), mails.map(text).to_vec()),
        ("twice".to_owned(), vec![text(""), text("once")]),
    ]))
}

fn language() -> Language {
    let rows = [("R&D", "4711"), ("Sales", "0815")];
    let rows = rows.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Language::new(Lookups::from([(
        "cost_centers".to_owned(),
        rows.into_iter().collect(),
    )]))
}

fn render_for(source: &str, attributes: &Attributes) -> Result<Option<Value>, TemplateError> {
    language()
        .template(source)
        .unwrap_or_else(|error| panic!("{source}: {error}"))
        .render(attributes)
}

/// What a template gives for Ana; text in quotation marks, so that types show.
#[track_caller]
fn gives(source: &str, expected: &str) {
    let shown = match render_for(source, &ana()) {
        Ok(Some(Value::Text(text))) => format!("{text:?}"),
        Ok(Some(other)) => other.to_string(),
        Ok(None) => "nothing".to_owned(),
        Err(error) => format!("error: {error}"),
    };
    assert_eq!(shown, expected, "{source}");
}

/// Why it fails for Ana.
#[track_caller]
fn fails(source: &str, part: &str) {
    let error = render_for(source, &ana()).expect_err(source).to_string();
    assert!(error.contains(part), "{source}: {error}");
}

/// Why it does not compile.
fn refusal(source: &str) -> TemplateError {
    language().template(source).expect_err(source)
}

#[test]
fn text_is_put_together_and_trimmed() {
    for (source, expected) in [
        ("{{ givenName }} {{ sn | upper }}", r#""Ana LI""#),
        ("  {{ givenName }}\n", r#""Ana""#),
        ("{{ nobody }}  {{ blank }}", "nothing"),
        ("{{ givenName }}{# not shown #}", r#""Ana""#),
        ("{% raw %}{{ x }}{% endraw %}", r#""{{ x }}""#),
        (
            "{% if manages %}Boss{% else %}Staff{% endif %}",
            r#""Boss""#,
        ),
        ("{% if nobody %}x{% endif %}", "nothing"),
        (
            "{% for m in mails %}{{ m[5:] }};{% endfor %}",
            r#""ana@example.com;a.li@example.com;""#,
        ),
        ("{% set n = sn | lower %}{{ n }}{{ n }}", r#""lili""#),
        ("{{ record['msDS-x'] }}/{{ record.level }}", r#""odd/3""#),
        ("{{ level }}{{ manages }}", r#""3true""#),
    ] {
        gives(source, expected);
    }
}

#[test]
fn a_single_expression_keeps_its_type() {
    for (source, expected) in [
        ("{{ level }}", "3"),
        ("{{- level -}}", "3"),
        ("{{ level + 1 }}", "4"),
        ("{{ -level }}", "-3"),
        ("{{ manages }}", "true"),
        ("{{ not manages }}", "false"),
        ("{{ level > 2 and sn == 'Li' }}", "true"),
        ("{{ '7' | int }}", "7"),
        ("{{ 'No' | bool }}", "false"),
        ("{{ sn }}", r#""Li""#),
        ("{{ level }} ", "3"),
        ("{{ level }}x", r#""3x""#),
        ("{{ level }}{{ level }}", r#""33""#),
        ("{{ '}}' }}", r#""}}""#),
        ("{{ 7 / 2 }}", r#""3.5""#),
        ("{{ none }}", "nothing"),
        ("{{ '' }}", "nothing"),
        ("{{ 'Boss' if manages else level }}", r#""Boss""#),
        ("{{ level if manages else 'none' }}", "3"),
    ] {
        gives(source, expected);
    }
}

#[test]
fn several_values_must_be_picked_from() {
    for source in ["{{ mails }}", "To: {{ mails }}", "{{ mails | lower }}"] {
        fails(source, "it gives several values and this takes one");
    }
    fails("{{ {'a': 1} }}", "a table and not a value");
    for (source, expected) in [
        ("{{ mails | first }}", r#""SMTP:ana@example.com""#),
        (
            "{{ mails | select('startingwith', 'smtp:') }}",
            r#""smtp:a.li@example.com""#,
        ),
        ("{{ mails | select('eq', 'x') }}", "nothing"),
        ("{{ [level] }}", "3"),
        ("{{ twice }}", r#""once""#),
    ] {
        gives(source, expected);
    }
}

#[test]
fn errors_name_the_place_and_never_the_value() {
    let error = render_for("{{ givenName }} {{ sn | int }}", &ana()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "this is not a whole number; give a default, as in int(0) (character 25 of `{{ givenName \
         }} {{ sn | int }}`)"
    );
    assert_eq!(error.place, Some(24..27));
    for (source, part) in [
        ("{{ givenName - 1 }}", "does not fit the kind of value"),
        ("{{ givenName.x }}", "there is no such value"),
        ("{{ givenName | lower(1, 2) }}", "too many arguments"),
        ("{{ givenName | replace('x') }}", "missing argument"),
        ("{{ mails | map('nothing') | first }}", "unknown filter"),
        ("{% for x in level %}{% endfor %}", "character 13 of"),
        ("{{ mails | split(' ') }}", "given a list"),
        (
            "{{ givenName | lookup('cost_centers') }}",
            "has no row for this value",
        ),
        ("{{ givenName | dn('CN') }}", "not a distinguished name"),
        ("{{ givenName | bool }}", "none of true, false"),
        (
            "{{ switch(givenName, 'x', 'key') }}",
            "pairs of a key and a value",
        ),
    ] {
        fails(source, part);
        let error = render_for(source, &ana()).unwrap_err().to_string();
        assert!(
            !error.contains("Ana") && !error.contains("example.com"),
            "{error}"
        );
    }
    let late = format!("{{# {} #}}{{{{ sn | int }}}}", "x".repeat(200));
    let error = render_for(&late, &ana()).unwrap_err().to_string();
    let (_, shown) = error.split_once(" (character").unwrap();
    let xs = "x".repeat(20);
    assert_eq!(shown, format!(" 215 of `…{xs} #}}{{{{ sn | int }}}}`)"));
    let early = format!("{{{{ sn | int }}}}{}", "x".repeat(200));
    let error = render_for(&early, &ana()).unwrap_err().to_string();
    let xs = "x".repeat(106);
    assert!(
        error.ends_with(&format!("of `{{{{ sn | int }}}}{xs}…`)")),
        "{error}"
    );
}

#[test]
fn an_expression_stands_without_braces() {
    let given = |source: &str| language().expression(source).unwrap().render(&ana());
    assert_eq!(
        given("manages and level > 2"),
        Ok(Some(Value::Boolean(true)))
    );
    assert_eq!(
        given(" {'a': {'b': level}}['a']['b'] "),
        Ok(Some(Value::Integer(3)))
    );
    let error = language().expression("level >").unwrap_err();
    assert!(error.problem.starts_with("syntax error, "), "{error}");
    let error = given("level and\n sn | int").unwrap_err();
    assert_eq!(error.place, Some(16..19), "{error}");
    for source in [
        "{{ manages }}",
        "{% if x %}",
        "manages }} {{ level",
        "",
        "a b",
    ] {
        assert!(language().expression(source).is_err(), "{source}");
    }
}

#[test]
fn templates_are_equal_when_they_cannot_differ() {
    let with = |value: &str| {
        let rows = BTreeMap::from([("a".to_owned(), value.to_owned())]);
        Language::new(Lookups::from([("t".to_owned(), rows)]))
    };
    let using = "{{ x | lookup('t') }}";
    let one = |language: &Language, source: &str| language.template(source).unwrap();
    assert_eq!(one(&with("1"), using), one(&with("1"), using));
    assert_ne!(one(&with("1"), using), one(&with("2"), using));
    assert_eq!(one(&with("1"), "{{ x }}"), one(&with("2"), "{{ x }}"));
    assert_ne!(one(&with("1"), "{{ x }}"), one(&with("1"), "{{ y }}"));
    let shown = format!("{:?}", one(&with("1"), "{{ x }}"));
    assert_eq!(shown, r#"Template("{{ x }}")"#);
}
