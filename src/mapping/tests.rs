//! Tables for keys, defaults and values, and properties of applying.

use proptest::prelude::*;
use provisor_connectors::Value as SourceValue;

use super::*;
use crate::scim::ENTERPRISE_SCHEMA;

fn attributes(pairs: &[(&str, &str)]) -> Attributes {
    Attributes(
        pairs
            .iter()
            .map(|(name, text)| {
                (
                    (*name).to_owned(),
                    vec![SourceValue::Text((*text).to_owned())],
                )
            })
            .collect(),
    )
}

fn compile(entries: &[(&str, &str)]) -> Mapping {
    let entries: Vec<_> = entries
        .iter()
        .map(|(key, value)| {
            let entry = match *value {
                "false" => Entry::Drop,
                value => Entry::Value(value.to_owned()),
            };
            ((*key).to_owned(), entry)
        })
        .collect();
    Mapping::compile(&entries, &[]).unwrap()
}

fn refusal(key: &str, value: Entry) -> String {
    let error = Mapping::compile(&[(key.to_owned(), value)], &[]).unwrap_err();
    assert_eq!(error.key, key);
    error.problem
}

/// One line a value, `path = value`, as a table to compare with.
fn render(mapped: &AttributeMap) -> String {
    mapped
        .iter()
        .map(|(path, value)| format!("{path} = {value}\n"))
        .collect()
}

fn apply(mapping: &Mapping, kind: Kind, pairs: &[(&str, &str)]) -> String {
    let mapped = mapping
        .apply(kind, &SourceId::new("7"), &attributes(pairs))
        .unwrap();
    render(&mapped)
}

#[test]
fn keys_expand_to_the_paths_they_mean() {
    let enterprise = |name: &str| format!("{ENTERPRISE_SCHEMA}:{name}");
    let table = [
        ("userName", "userName".to_owned()),
        ("USERNAME", "userName".to_owned()),
        ("externalId", "externalId".to_owned()),
        ("name.givenName", "name.givenName".to_owned()),
        ("emails", r#"emails[type eq "work"].value"#.to_owned()),
        (
            r#"emails[type eq "home"].value"#,
            r#"emails[type eq "home"].value"#.to_owned(),
        ),
        (
            "phoneNumbers",
            r#"phoneNumbers[type eq "work"].value"#.to_owned(),
        ),
        ("department", enterprise("department")),
        ("employeeNumber", enterprise("employeeNumber")),
        ("costCenter", enterprise("costCenter")),
        ("organization", enterprise("organization")),
        ("division", enterprise("division")),
        (
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:user:Department",
            enterprise("department"),
        ),
        // Some servers have attributes of their own beside the core ones.
        ("manager", AttributePath::manager().to_string()),
        ("Manager.value", AttributePath::manager().to_string()),
        (
            "URN:ietf:params:scim:schemas:extension:enterprise:2.0:User:Manager.value",
            AttributePath::manager().to_string(),
        ),
        ("shoeSize", "shoeSize".to_owned()),
        (
            "urn:example:2.0:User:badge",
            "urn:example:2.0:User:badge".to_owned(),
        ),
    ];
    for (key, path) in table {
        assert_eq!(expand_key(key).unwrap().to_string(), path, "{key}");
    }
}

#[test]
fn keys_that_cannot_be_mapped_are_refused_with_what_would_be_right() {
    let table = [
        ("manager.displayName", "only the reference can be mapped"),
        (
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.$ref",
            "only the reference can be mapped",
        ),
        ("active", "follows the source's lifecycle"),
        (
            "urn:ietf:params:scim:schemas:core:2.0:User:active",
            "follows the source's lifecycle",
        ),
        ("id", "the target gives it"),
        ("members", "memberships follow the source's groups"),
        (r#"groups[type eq "direct"].value"#, "read-only"),
        ("meta.created", "the target keeps it"),
        ("schemas", "follows from what is mapped"),
        ("password", "never handles people's passwords"),
        ("addresses", r#"`addresses[type eq "work"].formatted`"#),
        ("roles", r#"`roles[type eq "work"].value`"#),
        ("emails.value", r#"emails[type eq "work"].value"#),
        ("name", "`name.givenName`"),
        ("name.givenname2", "did you mean `name.givenName`?"),
        ("displaName", "did you mean `displayName`?"),
        ("titel", "did you mean `title`?"),
        ("userName.first", "one plain value"),
        (
            r#"emails[type eq "work"].valu"#,
            r#"did you mean `emails[type eq "work"].value`?"#,
        ),
        ("", "empty"),
    ];
    for (key, part) in table {
        let problem = refusal(key, Entry::Value("mail".to_owned()));
        assert!(problem.contains(part), "{key}: {problem}");
    }
}

#[test]
fn empty_values_and_broken_templates_are_refused() {
    assert!(refusal("title", Entry::Value("  ".to_owned())).contains("`false`"));
    let broken = ("title".to_owned(), Entry::Value("{{ a b }}".to_owned()));
    let error = Mapping::compile(&[broken], &[]).unwrap_err();
    assert!(error.problem.starts_with("syntax error"), "{error}");
    assert_eq!(error.place, Some(5..6));
}

#[test]
fn templates_map_like_attributes() {
    let mapping = compile(&[
        ("displayName", "{{ givenName }} {{ sn | upper }}"),
        ("title", "{{ level }}"),
        ("urn:example:2.0:User:level", "{{ level }}"),
        ("urn:example:2.0:User:chief", "{{ level > 2 }}"),
        ("nickName", "{{ nobody }}"),
        ("userName", "{{ record['x-id'] }}@example.com"),
    ]);
    let typed = Attributes(BTreeMap::from([
        ("level".to_owned(), vec![SourceValue::Integer(3)]),
        ("sn".to_owned(), vec![SourceValue::Text("Li".to_owned())]),
        ("x-id".to_owned(), vec![SourceValue::Text("ana".to_owned())]),
    ]));
    let mapped = mapping.apply(Kind::User, &SourceId::new("7"), &typed);
    insta::assert_snapshot!(render(&mapped.unwrap()), @r#"
    displayName = "LI"
    externalId = "7"
    name.familyName = "Li"
    title = "3"
    userName = "ana@example.com"
    urn:example:2.0:User:chief = true
    urn:example:2.0:User:level = 3
    "#);
    let used = ["givenName", "level", "nobody", "sn", "x-id"];
    assert_eq!(mapping.attributes().into_iter().collect::<Vec<_>>(), used);
    let in_use = mapping.in_use(Kind::User);
    assert!(used.iter().all(|&name| in_use.contains(name)));
}

#[test]
fn a_template_that_fails_names_path_place_and_no_value() {
    let several = vec![
        SourceValue::Text("a@example.com".to_owned()),
        SourceValue::Text("b@example.com".to_owned()),
    ];
    let record = Attributes(BTreeMap::from([
        ("mail".to_owned(), several),
        (
            "note".to_owned(),
            vec![SourceValue::Text("L\u{7}i".to_owned())],
        ),
    ]));
    for (template, message) in [
        (
            "{{ mail }}",
            "`title`: it gives several values and this takes one; pick with `first` or `last`, or \
             put them together with `join` (character 4 of `{{ mail }}`)",
        ),
        (
            "{{ note }}",
            "`title`: the result of `{{ note }}` contains a control character; correct it in the \
             source",
        ),
    ] {
        let mapping = compile(&[("title", template), ("emails", "false")]);
        let error = mapping.apply(Kind::User, &SourceId::new("7"), &record);
        assert_eq!(error.unwrap_err().to_string(), message);
    }
}

#[test]
fn dropping_is_for_what_can_be_missing() {
    assert!(refusal("userName", Entry::Drop).contains("every SCIM user has one"));
    assert!(refusal("active", Entry::Drop).contains("lifecycle"));
    let mapping = compile(&[("title", "false"), ("externalId", "false")]);
    assert_eq!(
        apply(
            &mapping,
            Kind::User,
            &[("title", "Boss"), ("userName", "ana")]
        ),
        "userName = \"ana\"\n"
    );
}

#[test]
fn a_later_entry_replaces_an_earlier_one_for_the_same_path() {
    let mapping = compile(&[
        ("emails", "mail"),
        (r#"emails[type eq "work"].value"#, "proxy"),
    ]);
    assert_eq!(
        mapping.attributes().into_iter().collect::<Vec<_>>(),
        ["proxy"]
    );
}

#[test]
fn kept_paths_are_expanded_and_checked_like_mapped_ones() {
    let mapping = Mapping::compile(&[], &["department".to_owned()]).unwrap();
    assert_eq!(
        mapping.keep_when_empty.iter().next().unwrap().to_string(),
        format!("{ENTERPRISE_SCHEMA}:department")
    );
    let error = Mapping::compile(&[], &["active".to_owned()]).unwrap_err();
    assert_eq!(error.key, "active");
}

#[test]
fn users_map_by_default_from_scim_names_and_from_what_directories_say() {
    let people = [
        ("id", "not mapped"),
        ("shoeSize", "not mapped"),
        ("userName", "ana"),
        ("displayName", "Ana Li"),
        ("name.givenName", "Ana"),
        ("familyName", "Li"),
        ("sn", "second choice"),
        ("mail", " ana@example.com "),
        ("email", "second@example.com"),
        ("title", ""),
        ("department", "R&D"),
        ("employeeNumber", "007"),
        (r#"phoneNumbers[type eq "mobile"].value"#, "+1 555"),
    ];
    insta::assert_snapshot!(apply(&compile(&[]), Kind::User, &people), @r#"
    displayName = "Ana Li"
    emails[type eq "work"].value = "ana@example.com"
    externalId = "7"
    name.familyName = "Li"
    name.givenName = "Ana"
    phoneNumbers[type eq "mobile"].value = "+1 555"
    userName = "ana"
    urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department = "R&D"
    urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber = "007"
    "#);
}

#[test]
fn an_empty_first_choice_gives_way_to_the_next() {
    let mapped = apply(
        &compile(&[("externalId", "false")]),
        Kind::User,
        &[("familyName", "  "), ("sn", "Li")],
    );
    assert_eq!(mapped, "name.familyName = \"Li\"\n");
}

#[test]
fn explicit_entries_replace_defaults_even_when_they_map_to_nothing() {
    let mapping = compile(&[("userName", "mail"), ("externalId", "employeeNumber")]);
    let mapped = apply(&mapping, Kind::User, &[("userName", "ana")]);
    assert_eq!(mapped, "");
}

#[test]
fn groups_take_their_name_and_ignore_explicit_entries() {
    let mapping = compile(&[("displayName", "nothing"), ("externalId", "false")]);
    let table: [(&[(&str, &str)], &str); 4] = [
        (&[("displayName", "A"), ("name", "B"), ("cn", "C")], "A"),
        (&[("name", "B"), ("cn", "C")], "B"),
        (&[("displayName", " "), ("cn", "C")], "C"),
        (&[("title", "not for groups"), ("cn", "C")], "C"),
    ];
    for (pairs, name) in table {
        assert_eq!(
            apply(&mapping, Kind::Group, pairs),
            format!("displayName = \"{name}\"\nexternalId = \"7\"\n")
        );
    }
}

#[test]
fn types_are_kept_only_where_the_schema_does_not_ask_for_text() {
    let mapping = compile(&[
        ("title", "level"),
        ("department", "manages"),
        ("shoeSize", "level"),
        ("urn:example:2.0:User:level", "level"),
        ("urn:example:2.0:User:manages", "manages"),
    ]);
    let typed = Attributes(BTreeMap::from([
        ("level".to_owned(), vec![SourceValue::Integer(3)]),
        ("manages".to_owned(), vec![SourceValue::Boolean(true)]),
    ]));
    let mapped = mapping
        .apply(Kind::User, &SourceId::new("7"), &typed)
        .unwrap();
    insta::assert_snapshot!(render(&mapped), @r#"
    externalId = "7"
    shoeSize = 3
    title = "3"
    urn:example:2.0:User:level = 3
    urn:example:2.0:User:manages = true
    urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department = "true"
    "#);
}

#[test]
fn values_a_target_could_not_take_are_errors_that_do_not_show_them() {
    let long = "x".repeat(value::LONGEST_TEXT + 1);
    let table = [
        ("userName", "a\u{7}na", "contains a control character"),
        ("displayName", "A\nB", "contains a control character"),
        ("mail", "a\n@example.com", "contains a control character"),
        ("title", long.as_str(), "longer than 64 KiB"),
    ];
    for (name, text, part) in table {
        let error = compile(&[])
            .apply(
                Kind::User,
                &SourceId::new("7"),
                &attributes(&[(name, text)]),
            )
            .unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains(part), "{shown}");
        assert!(shown.contains(&format!("`{name}`")), "{shown}");
        assert!(!shown.contains(text), "{shown}");
    }
    let address = r#"addresses[type eq "work"].formatted"#;
    let mapped = apply(&compile(&[]), Kind::User, &[(address, "1 Road\nTown")]);
    assert!(mapped.contains(r#""1 Road\nTown""#));
}

#[test]
fn several_values_for_one_path_are_an_error_that_names_both_ends() {
    let several = Attributes(BTreeMap::from([(
        "mail".to_owned(),
        vec![
            SourceValue::Text("a@example.com".to_owned()),
            SourceValue::Text(" ".to_owned()),
            SourceValue::Text("b@example.com".to_owned()),
        ],
    )]));
    let error = compile(&[])
        .apply(Kind::User, &SourceId::new("7"), &several)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`emails[type eq \"work\"].value`: the source's attribute `mail` has 2 values and this \
         path takes one; pick one, as in {{ mail | first }}"
    );
}

#[test]
fn attributes_in_use_follow_what_is_dropped_and_overridden() {
    let plain = compile(&[]).in_use(Kind::User);
    assert_eq!(plain, default_attributes(Kind::User));
    assert!(plain.contains("mail") && !plain.contains("id"));

    let used = compile(&[("emails", "work_address"), ("title", "false")]).in_use(Kind::User);
    assert!(used.contains("work_address"));
    for gone in ["mail", "email", "title"] {
        assert!(!used.contains(gone), "{gone}");
    }
    assert_eq!(
        compile(&[("title", "x")])
            .in_use(Kind::Group)
            .into_iter()
            .collect::<Vec<_>>(),
        ["cn", "displayName", "name"]
    );
}

#[test]
fn default_paths_are_spelled_as_parsing_spells_them() {
    for (path, names) in default::user() {
        assert_eq!(&expand_key(&path.to_string()).unwrap(), path);
        let parsed = expand_key(names[0]).unwrap();
        assert_eq!(&parsed, path, "the first source name is the path itself");
    }
}

fn any_value() -> impl Strategy<Value = SourceValue> {
    prop_oneof![
        any::<bool>().prop_map(SourceValue::Boolean),
        any::<i64>().prop_map(SourceValue::Integer),
        "[ a-c]{0,3}".prop_map(SourceValue::Text),
    ]
}

fn any_attributes() -> impl Strategy<Value = Attributes> {
    let name = prop::sample::select(vec![
        "userName",
        "displayName",
        "name",
        "cn",
        "mail",
        "email",
        "sn",
        "title",
        "badge",
    ]);
    prop::collection::btree_map(
        name.prop_map(str::to_owned),
        prop::collection::vec(any_value(), 0..3),
        0..8,
    )
    .prop_map(Attributes)
}

proptest! {
    #[test]
    fn applying_is_deterministic_looks_at_nothing_unused_and_yields_nothing_empty(
        attributes in any_attributes(),
        group in any::<bool>(),
    ) {
        let mapping = compile(&[("title", "badge"), ("urn:example:2.0:User:badge", "badge")]);
        let kind = if group { Kind::Group } else { Kind::User };
        let id = SourceId::new("7");
        let mapped = mapping.apply(kind, &id, &attributes);
        prop_assert_eq!(&mapped, &mapping.apply(kind, &id, &attributes));

        let in_use = mapping.in_use(kind);
        let mut trimmed = attributes.clone();
        trimmed.0.retain(|name, _| in_use.contains(name));
        prop_assert_eq!(&mapped, &mapping.apply(kind, &id, &trimmed));

        if let Ok(mapped) = mapped {
            for value in mapped.values() {
                let empty = match value {
                    Value::String(text) => text.trim() != text || text.is_empty(),
                    other => !(other.is_boolean() || other.is_i64()),
                };
                prop_assert!(!empty, "{value:?}");
            }
        }
    }
}

#[test]
fn text_is_composed_and_ids_are_left_alone() {
    let record = attributes(&[
        ("userName", "zoe\u{308}@example.com"),
        ("boss", "Jose\u{301}"),
        ("shop", "Cafe\u{301}"),
    ]);
    let mapping = compile(&[("manager", "boss"), ("title", "{{ shop }} 1")]);
    let id = SourceId::new("Zoe\u{308}");
    let mapped = mapping.apply(Kind::User, &id, &record).unwrap();
    let at = |path: &AttributePath| mapped[path].as_str().unwrap().to_owned();
    assert_eq!(at(&AttributePath::user_name()), "zo\u{eb}@example.com");
    assert_eq!(at(&AttributePath::core("title")), "Caf\u{e9} 1");
    assert_eq!(at(&AttributePath::external_id()), "Zoe\u{308}");
    assert_eq!(at(&AttributePath::manager()), "Jose\u{301}");
}
