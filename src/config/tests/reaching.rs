//! Mistakes about reaching a target, and secrets that must not be shown.

use super::*;

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
        (
            "base_url = \"http://localhost\"\nproxy = \"http://proxy.example.com\"",
            7,
            9,
            &["show the token to the proxy", "use https"],
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
        // TOML 1.1 lets inline tables run over several lines.
        ("auth = {\n  bearer = {\n    env = \"s3cret!\" } }", 7, 11),
        (
            "auth = { header = {\n  name = \"a\",\n  lit = \"s3cret\" } }",
            7,
            3,
        ),
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
