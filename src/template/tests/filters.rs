//! Every filter, test and function by table.

use super::super::filters::{FILTERS, FUNCTIONS, TESTS};
use super::*;

/// Expression and result, for Ana.
const TABLE: &[(&str, &str)] = &[
    ("'ÄÖ İ ß' | lower", r#""äö i\u{307} ß""#),
    ("'straße ﬁ' | upper", r#""STRASSE FI""#),
    ("mails | upper | last", r#""SMTP:A.LI@EXAMPLE.COM""#),
    ("'éMILE ana' | capitalize", r#""Émile ana""#),
    ("'' | capitalize", "nothing"),
    ("'ana maría li' | title", r#""Ana María Li""#),
    ("'  a b ' | trim", r#""a b""#),
    ("'xxaxx' | trim('x')", r#""a""#),
    ("'a.b.c' | replace('.', '')", r#""abc""#),
    ("'aaa' | replace('a', 'aa')", r#""aaaaaa""#),
    (
        "mails | replace('smtp:', '') | last",
        r#""a.li@example.com""#,
    ),
    ("'ana@example.com' | split('@') | first", r#""ana""#),
    ("'a  b' | split | last", r#""b""#),
    ("'e\\u0301' | nfc", r#""é""#),
    ("('e\\u0301' | nfc) | length", "1"),
    ("'Ana' | string", r#""Ana""#),
    ("(level | string) ~ 1", r#""31""#),
    ("'añb' | length", "3"),
    ("mails | length", "2"),
    ("nobody | length", "0"),
    // ASCII.
    ("'José Ñandú Çelik' | ascii", r#""Jose Nandu Celik""#),
    ("'Jose\\u0301' | ascii", r#""Jose""#),
    (
        "'Großmann Øre Ærø Łódź Đorđe Þór Œuvre ıĦ' | ascii",
        r#""Grossmann Ore Aero Lodz Dorde Thor Oeuvre iH""#,
    ),
    ("'Jürgen Öz ÄÜ' | ascii", r#""Jurgen Oz AU""#),
    (
        "'Jürgen Öz ÄÜ' | ascii(german=true)",
        r#""Juergen Oez AeUe""#,
    ),
    ("'Ju\\u0308rgen' | ascii(german=true)", r#""Juergen""#),
    ("'D’Arcy–Müller ﬁ １' | ascii", r#""D'Arcy-Muller fi 1""#),
    ("'Ана A' | ascii(other='')", r#""A""#),
    ("'李a' | ascii(other='?')", r#""?a""#),
    ("'' | ascii", "nothing"),
    // Phone numbers.
    ("' +41 (44) 123-45 67' | digits", r#""+41441234567""#),
    ("'044/123' | digits", r#""044123""#),
    ("'＋４１ ４４' | digits", r#""+4144""#),
    ("'1+2' | digits", r#""12""#),
    ("'none' | digits", "nothing"),
    // Distinguished names.
    (
        r"'CN=Li\\, Ana,OU=R+OU=D,DC=example' | dn('cn')",
        r#""Li, Ana""#,
    ),
    (r"'CN=a,OU=Inner,OU=Outer' | dn('OU') | first", r#""Inner""#),
    (
        r"'CN=a,OU=Inner,OU=Outer' | dn('OU') | join('/')",
        r#""Inner/Outer""#,
    ),
    (r"'CN=Lu\\C4\\8Di\\C4\\87' | dn('CN')", r#""Lučić""#),
    (r"'CN = a b \\ ; O=x' | dn('CN') ~ '|'", r#""a b  |""#),
    (r"'cn=a+uid=b,o=c' | dn('uid')", r#""b""#),
    ("'CN=a' | dn('OU')", "nothing"),
    ("nobody | dn('CN')", "nothing"),
    (
        "['CN=a,O=x', 'CN=b,O=x'] | dn('CN') | join('+')",
        r#""a+b""#,
    ),
    // Choices.
    ("nobody | default('x')", r#""x""#),
    ("blank | default(givenName)", r#""Ana""#),
    ("sn | default('x')", r#""Li""#),
    ("false | default('x')", "false"),
    ("[] | default('x', true)", r#""x""#),
    ("department | lookup('cost_centers')", r#""4711""#),
    ("givenName | lookup('cost_centers', 'none')", r#""none""#),
    ("givenName | lookup('cost_centers', '')", "nothing"),
    ("nobody | lookup('cost_centers')", "nothing"),
    ("nobody | lookup('cost_centers', 'none')", r#""none""#),
    (
        "['Sales', 'R&D'] | lookup('cost_centers') | join(' ')",
        r#""0815 4711""#,
    ),
    (
        "department | switch('?', 'R&D', 'Lab', 'Sales', 'Shop')",
        r#""Lab""#,
    ),
    ("switch(givenName, '?', 'R&D', 'Lab')", r#""?""#),
    ("switch(level, 0, 3, 30)", "30"),
    ("switch(nobody, 'x', '', 'empty')", r#""empty""#),
    ("'yes' | bool", "true"),
    ("' FALSE ' | bool", "false"),
    ("'0' | bool", "false"),
    ("manages | bool", "true"),
    ("' 42 ' | int", "42"),
    ("'-7' | int", "-7"),
    ("'x' | int(0)", "0"),
    ("nobody | int(1)", "1"),
    // Lists, and single values as lists of one.
    ("sn | first", r#""Li""#),
    ("sn | last", r#""Li""#),
    ("nobody | first", "nothing"),
    ("[] | last", "nothing"),
    ("(givenName | first)[:1]", r#""A""#),
    (
        "mails | join(', ')",
        r#""SMTP:ana@example.com, smtp:a.li@example.com""#,
    ),
    ("sn | join(', ')", r#""Li""#),
    ("nobody | join(', ')", "nothing"),
    ("[1, 2] | join", r#""12""#),
    ("sn | list | length", "1"),
    ("nobody | list | length", "0"),
    ("['b', 'a'] | sort | join", r#""ab""#),
    ("sn | sort | join", r#""Li""#),
    ("['b', 'a', 'b'] | unique | join", r#""ba""#),
    ("['b', 'a'] | reverse | join", r#""ab""#),
    ("sn | reverse | join", r#""Li""#),
    (
        "mails | map('lower') | map('replace', 'smtp:', '') | last",
        r#""a.li@example.com""#,
    ),
    ("sn | map('upper') | join", r#""LI""#),
    (
        "mails | select('startingwith', 'SMTP:') | first",
        r#""SMTP:ana@example.com""#,
    ),
    (
        "mails | reject('startingwith', 'SMTP:') | first",
        r#""smtp:a.li@example.com""#,
    ),
    ("sn | select('eq', 'Li') | first", r#""Li""#),
    ("mails | select('containing', 'a.li') | list | length", "1"),
    ("'L' in sn", "true"),
    ("'L' in sn | list", "false"),
    ("'Li' in sn | list", "true"),
    // Tests.
    ("manages is boolean", "true"),
    ("sn is containing 'i'", "true"),
    ("nobody is defined", "true"),
    ("sn is undefined", "false"),
    ("sn is endingwith('i')", "true"),
    ("level is eq 3", "true"),
    ("level is ne 3", "false"),
    ("level is lt 4", "true"),
    ("level is le 3", "true"),
    ("level is gt 3", "false"),
    ("level is ge 3", "true"),
    ("sn is in ['Li']", "true"),
    ("level is integer", "true"),
    ("none is none", "true"),
    ("level is number", "true"),
    ("mails is sequence", "true"),
    ("sn is startingwith 'L'", "true"),
    ("sn is string", "true"),
    ("[1, 2, 3] | select('>', 2) | first", "3"),
    // Functions.
    ("range(3) | join", r#""012""#),
];

#[test]
fn filters_tests_and_functions_do_as_they_say() {
    for (expression, expected) in TABLE {
        gives(&format!("{{{{ {expression} }}}}"), expected);
    }
}

#[test]
fn each_is_in_the_table() {
    let used = |mark: &str, name: &str| {
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        TABLE.iter().any(|(expression, _)| {
            let wanted = format!("{mark}{name}");
            expression
                .match_indices(&wanted)
                .any(|(at, _)| ends(&expression[at + wanted.len()..]))
        })
    };
    for name in FILTERS {
        assert!(used("| ", name), "filter {name}");
    }
    for name in TESTS {
        assert!(used("is ", name), "test {name}");
    }
    for name in FUNCTIONS {
        assert!(used("", name), "function {name}");
    }
}

#[test]
fn each_that_is_listed_exists_and_nothing_else_does() {
    let environment = super::super::language::bare();
    let mut state = environment.empty_state();
    let nothing = [minijinja::Value::from("")];
    for name in FILTERS {
        if let Err(error) = state.apply_filter(name, &nothing) {
            assert_ne!(error.kind(), minijinja::ErrorKind::UnknownFilter, "{name}");
        }
    }
    for name in TESTS {
        if let Err(error) = state.perform_test(name, &nothing) {
            assert_ne!(error.kind(), minijinja::ErrorKind::UnknownTest, "{name}");
        }
    }
    let globals: Vec<&str> = environment.globals().map(|(name, _)| name).collect();
    assert_eq!(globals, FUNCTIONS);
}

#[test]
fn what_has_no_ascii_form_is_an_error_unless_something_stands_for_it() {
    fails("{{ 'Ана' | ascii }}", "ascii(other='')");
    fails("{{ 'a' | ascii(othr='') }}", "too many arguments");
}

#[test]
fn names_that_are_cut_or_badly_escaped_are_not_distinguished() {
    for dn in [
        r"CN=a\\",
        r"CN=a\\4",
        r"CN=\\FF",
        "no name",
        "CN=a,,O=b",
        "=a",
        "C N=a",
    ] {
        fails(
            &format!("{{{{ '{dn}' | dn('CN') }}}}"),
            "not a distinguished name",
        );
    }
}
