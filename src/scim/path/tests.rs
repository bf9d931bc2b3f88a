use proptest::prelude::*;

use super::*;

fn canonical(text: &str) -> String {
    text.parse::<AttributePath>()
        .expect("the path should parse")
        .to_string()
}

fn problem(text: &str) -> String {
    text.parse::<AttributePath>()
        .expect_err("the path should be refused")
        .to_string()
}

#[test]
fn spellings_of_one_path_are_equal() {
    for (given, settled) in [
        ("USERNAME", "userName"),
        ("Name.GIVENNAME", "name.givenName"),
        (
            "emails[TYPE EQ \"work\"].Value",
            "emails[type eq \"work\"].value",
        ),
        (
            " emails[ type  eq  \"work\" ].value",
            "emails[type eq \"work\"].value",
        ),
        (
            "URN:IETF:params:scim:schemas:extension:enterprise:2.0:user:COSTCENTER",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter",
        ),
        (
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.VALUE",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
        ),
        (
            "urn:ietf:params:scim:schemas:core:2.0:User:username",
            "userName",
        ),
        (
            "urn:example:Custom:1.0:Shoe_Size",
            "urn:example:Custom:1.0:Shoe_Size",
        ),
        ("favouriteColour.Shade", "favouriteColour.Shade"),
    ] {
        assert_eq!(canonical(given), settled, "{given}");
    }
}

#[test]
fn the_last_colon_before_the_selector_ends_the_schema() {
    let path: AttributePath = "roles[value eq \"urn:a:b.c\"].display".parse().unwrap();
    assert_eq!(path.schema, None);
    assert_eq!(path.selector.as_ref().unwrap().value, "urn:a:b.c");
}

#[test]
fn selector_values_carry_escapes() {
    let path: AttributePath = r#"emails[type eq "a\"b\\c]é"].value"#.parse().unwrap();
    assert_eq!(path.selector.as_ref().unwrap().value, "a\"b\\c]é");
    assert_eq!(path.to_string(), r#"emails[type eq "a\"b\\c]é"].value"#);
}

#[test]
fn errors_say_what_would_be_right() {
    insta::assert_snapshot!(
        [
            "",
            "user name",
            "name.givenName.first",
            "userName.value",
            "name[type eq \"x\"].givenName",
            "emails[type = \"work\"].value",
            "emails[type eq work].value",
            "emails[type eq \"work\".value",
            "emails[type eq \"work\"]value",
            "emails.value[type eq \"work\"]",
            "emails.",
            "enterprise:department",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.department",
        ]
        .map(problem)
        .join("\n")
    );
}

#[test]
fn what_ends_a_name_in_a_filter_is_in_no_schema() {
    for character in ['(', ')', '"', ' ', '\n'] {
        let error = problem(&format!("urn:example:a{character}b:C:d"));
        assert!(error.contains("cannot be in a schema URN"), "{error}");
    }
}

#[test]
fn a_path_is_a_string_in_json() {
    let path: AttributePath = serde_json::from_str("\"NAME.familyname\"").unwrap();
    assert_eq!(serde_json::to_string(&path).unwrap(), "\"name.familyName\"");
    assert!(serde_json::from_str::<AttributePath>("\"a..b\"").is_err());
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z][a-zA-Z0-9_-]{0,8}",
        Just("value".to_owned()),
        Just("TYPE".to_owned()),
    ]
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        schema in proptest::option::of("urn:[a-z]{1,5}:[A-Za-z0-9.]{1,6}:[A-Z][a-z]{1,4}"),
        attribute in names(),
        selector in proptest::option::of((names(), any::<String>())),
        sub in proptest::option::of(names()),
    ) {
        let path = AttributePath::from(Parts {
            schema,
            attribute,
            selector: selector.map(|(attribute, value)| Selector { attribute, value }),
            sub,
        });
        // Known attributes may be respelled or refused; from then on the text is stable.
        if let Ok(read) = path.to_string().parse::<AttributePath>() {
            let again: AttributePath = read.to_string().parse().unwrap();
            prop_assert_eq!(&again, &read);
            let value = |path: &AttributePath| path.selector.as_ref().map(|it| it.value.clone());
            prop_assert_eq!(value(&read), value(&path));
        }
    }
}
