//! Mistakes, each with its place and the hint.

use super::*;

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
            10,
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
        ("join_key = \" \"", 6, 12, &["attribute name is missing"]),
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
            "[targets.demo.scope]\nwhen = \"{{ x }}\"",
            7,
            8,
            &["an expression stands here", "write it without braces"],
        ),
        (
            "[targets.demo.scope]\nwhen = \"x ==\"",
            7,
            11,
            &["syntax error, unexpected end"],
        ),
        (
            "[targets.demo.scope]\nwhen = '''\nx and\ny | uper '''",
            9,
            5,
            &["did you mean `upper`?"],
        ),
        (
            "[targets.demo.scope]\nwhen = true",
            7,
            8,
            &["quotation marks"],
        ),
        ("[lookups.t]\na = 1", 7, 5, &["quotation marks"]),
        ("[lookups.\"t t\"]\na = \"1\"", 6, 10, &["letters, digits"]),
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
            "\"manager.displayName\" = \"boss\"",
            1,
            &["only the reference can be mapped", "write `manager`"],
        ),
        ("titel = \"title\"", 1, &["did you mean `title`?"]),
        ("title = true", 9, &["`false` to drop"]),
        ("title = 5", 9, &["an attribute's name, or false"]),
        (
            "title = \"{{ x y }}\"",
            15,
            &["syntax error, unexpected identifier", "docs/mapping.md"],
        ),
        (
            "title = '{{ x | lwoer }}'",
            17,
            &["there is no filter `lwoer`", "did you mean `lower`?"],
        ),
        (
            "title = \"ä {{ x | lwoer }}\"",
            19,
            &["did you mean `lower`?"],
        ),
        (
            // An escape moves what follows, so the whole value is shown.
            "title = \"\\u0041 {{ x | lwoer }}\"",
            9,
            &["did you mean `lower`?"],
        ),
        (
            "title = \"{{ x | lookup('y') }}\"",
            17,
            &["there is no lookup table `y`", "add [lookups.y]"],
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
fn drift_that_cannot_be_meant_is_refused() {
    let values = "the values are: `enforce`, `list`, `leave`";
    let table = [
        ("drift = \"report\"", 9, values),
        ("drift = 1", 9, "\"enforce\""),
        ("drift.title = \"keep\"", 15, values),
        ("drift.titel = \"list\"", 7, "did you mean `title`?"),
        ("drift.defualt = \"list\"", 7, "did you mean `default`?"),
        ("drift.member = \"list\"", 7, "did you mean `members`?"),
        ("drift.active = \"leave\"", 7, "not a matter of choice"),
    ];
    for (line, column, part) in table {
        assert_error(demo(line), 6, column, &[part]);
    }
    let twice =
        "[targets.demo.drift]\nemails = \"list\"\n'emails[type eq \"work\"].value' = \"leave\"";
    assert_error(demo(twice), 8, 1, &["is named twice"]);
}

#[test]
fn what_a_source_cannot_answer_is_not_asked() {
    let lines = [
        ("ou = \"OU=x\"", 6),
        ("filter = \"(x=y)\"", 10),
        ("assigned_to = \"App\"", 15),
    ];
    for (line, column) in lines {
        let text = format!("[targets.demo.scope]\n{line}");
        assert_error(demo(&text), 7, column, &["cannot answer", "a CSV file"]);
    }
    let directory = |scope: &str| {
        load_raw(&format!(
            "[sources.corp.ldap]\nurl = \"ldaps://dc1.example.com\"\nbind_dn = \"cn=x\"\n\
             bind_password = {{ env = \"X\" }}\nusers.base = \"dc=x\"\n\
             [targets.demo]\npreset = \"sandbox\"\nsource = \"corp\"\n\
             [targets.demo.scope]\n{scope}\n"
        ))
    };
    assert!(directory("ou = [\"OU=a,DC=x\", \"OU=b,DC=x\"]").is_ok());
    assert!(directory("filter = \"(title=*)\"").is_ok());
    let place = "ou = [\"OU=a,DC=x\", \"Sales\"]";
    assert_error(directory(place), 10, 20, &["distinguished name"]);
    let filter = "filter = \"title=*\"";
    assert_error(directory(filter), 10, 10, &["in parentheses"]);
}

#[test]
fn mistakes_in_a_directory_are_pointed_at() {
    let with = |lines: &str| {
        load_raw(&format!(
            "[sources.corp.ldap]\n{lines}\nusers.base = \"dc=x\"\n\
             [targets.demo]\npreset = \"sandbox\"\nsource = \"corp\"\n"
        ))
    };
    let signed = "bind_dn = \"cn=x\"\nbind_password = { env = \"X\" }";
    let url = "url = \"ldaps://dc1.example.com\"";
    let table: [(String, usize, usize, &[&str]); 6] = [
        (
            format!("url = \"https://x\"\n{signed}"),
            2,
            7,
            &["none of ldaps://", "ldaps://dc1.example.com"],
        ),
        (
            format!("url = [\"ldaps://x\", \"ldaps://x/dc=x\"]\n{signed}"),
            2,
            7,
            &["goes on after the server"],
        ),
        (
            format!("{url}\nbind_dn = \"cn=x\"\nbind_password = {{ env = \"A B\" }}"),
            4,
            25,
            &["environment variable's name"],
        ),
        (
            format!("{url}\n{signed}\ninactive_when = \"title=x\""),
            5,
            17,
            &["not an LDAP filter", "in parentheses"],
        ),
        (
            format!("{url}\n{signed}\nflavour = \"openldap\""),
            5,
            1,
            &["did you mean `flavor`?"],
        ),
        (
            format!("{url}\nbind_dn = \"cn=x\""),
            1,
            10,
            &["contradicts itself", "needs a `bind_password`"],
        ),
    ];
    for (lines, line, column, parts) in table {
        assert_error(with(&lines), line, column, parts);
    }
    let typed = with(&format!(
        "{url}\nbind_dn = \"cn=x\"\nbind_password = \"s3cret\""
    ));
    let error = typed.unwrap_err();
    assert!(error.message.contains("secrets are never literals"));
    assert!(!error.message.contains("s3cret"), "{}", error.message);
}

#[test]
fn spans_after_which_people_are_deleted_and_forgotten_are_checked() {
    let table: [(&str, usize, usize, &[&str]); 5] = [
        ("delete_after = \"0s\"", 6, 16, &["longer than nothing"]),
        ("forget_after = \"0d\"", 6, 16, &["longer than nothing"]),
        ("delete_after = 30", 6, 16, &["30 has no unit"]),
        (
            "delete_after = \"30d\"\nforget_after = \"30d\"",
            7,
            16,
            &["longer than `delete_after`", "never deleted"],
        ),
        (
            "forget_after = \"1d\"\ndelete_after = \"30d\"",
            6,
            16,
            &["longer than `delete_after`", "leave one of the two out"],
        ),
    ];
    for (lines, line, column, parts) in table {
        assert_error(demo(lines), line, column, parts);
    }
}

#[test]
fn settings_of_groups_that_cannot_be_meant_are_refused() {
    let table: [(&str, usize, &[&str]); 7] = [
        ("nested = \"deep\"", 10, &["flatten", "direct"]),
        ("fallback = \"x\"", 12, &["`group_by`", "remove `fallback`"]),
        ("group_by = \" \"", 12, &["names no attribute"]),
        ("group_by = \"ou\"\nfallback = \"\"", 0, &["empty name"]),
        ("rename = { a = \" \" }", 16, &["`a`", "empty name"]),
        (
            "members_per_request = 0",
            23,
            &["leave `members_per_request` out"],
        ),
        ("push = []\nrename = { a = 1 }", 0, &["string"]),
    ];
    for (lines, column, parts) in table {
        let (line, column) = match column {
            0 if lines.contains("rename") => (8, 16),
            0 => (8, 12),
            column => (7, column),
        };
        let lines = format!("[targets.demo.groups]\n{lines}");
        assert_error(demo(&lines), line, column, parts);
    }
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
