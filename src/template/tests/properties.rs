//! Random templates over random records: no panic, no chance, no value outside the limits.

use proptest::prelude::*;

use super::super::filters::FILTERS;
use super::*;

fn name() -> impl Strategy<Value = String> {
    let names = [
        "sn",
        "mails",
        "level",
        "manages",
        "nobody",
        "record['msDS-x']",
    ];
    prop::sample::select(names.to_vec()).prop_map(str::to_owned)
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        name(),
        "'[a-cäß ,=+.@]{0,6}'",
        any::<i32>().prop_map(|number| number.to_string()),
        Just("none".to_owned()),
        Just("[]".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let filter = prop::sample::select(FILTERS.to_vec());
        let operator = prop::sample::select(vec![
            "+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", ">=", "and", "or", "in",
        ]);
        prop_oneof![
            (inner.clone(), filter.clone()).prop_map(|(value, filter)| match filter {
                "lookup" => format!("({value} | lookup('cost_centers', ''))"),
                filter => format!("({value} | {filter})"),
            }),
            (inner.clone(), filter, inner.clone()).prop_map(|(value, filter, other)| {
                match filter {
                    "lookup" => format!("({value} | lookup('cost_centers', {other}))"),
                    filter => format!("({value} | {filter}({other}))"),
                }
            }),
            (inner.clone(), operator, inner.clone())
                .prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(value, test, other)| format!("({value} if {test} else {other})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}:]")),
            inner.prop_map(|value| format!("(not {value})")),
        ]
    })
}

fn template() -> impl Strategy<Value = String> {
    prop_oneof![
        expression().prop_map(|value| format!("{{{{ {value} }}}}")),
        (expression(), expression()).prop_map(|(a, b)| format!("{{{{ {a} }}}} {{{{ {b} }}}}")),
        (expression(), expression())
            .prop_map(|(a, b)| format!("{{% if {a} %}}{{{{ {b} }}}}{{% endif %}}")),
        (expression(), expression())
            .prop_map(|(a, b)| format!("{{% for x in {a} %}}{{{{ x ~ {b} }}}}{{% endfor %}}")),
    ]
}

fn record() -> impl Strategy<Value = Attributes> {
    let value = prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Integer),
        "\\PC{0,8}".prop_map(Value::Text),
    ];
    let name = prop::sample::select(vec!["sn", "mails", "level", "manages", "msDS-x", "unused"]);
    prop::collection::btree_map(
        name.prop_map(str::to_owned),
        prop::collection::vec(value, 0..4),
        0..6,
    )
    .prop_map(Attributes)
}

proptest! {
    #[test]
    fn rendering_ends_is_deterministic_and_looks_at_nothing_unused(
        source in template(),
        attributes in record(),
    ) {
        let Ok(template) = language().template(&source) else {
            return Ok(());
        };
        let rendered = template.render(&attributes);
        prop_assert_eq!(&rendered, &template.render(&attributes));
        let again = language().template(&source).unwrap();
        prop_assert_eq!(&rendered, &again.render(&attributes));

        let mut used = attributes.clone();
        used.0.retain(|name, _| template.uses().iter().any(|used| used.name == *name));
        prop_assert_eq!(&rendered, &template.render(&used));

        match rendered {
            Ok(Some(Value::Text(text))) => {
                prop_assert!(!text.is_empty() && text.trim() == text);
                prop_assert!(text.len() <= LONGEST_OUTPUT);
            }
            Ok(_) => {}
            Err(error) => {
                let place = error.place.expect("an error while rendering has a place");
                prop_assert!(source.get(place).is_some());
            }
        }
    }

    #[test]
    fn compiling_any_text_ends(source in "(\\{\\{|\\}\\}|\\{%|%\\}|\\{#|'|\"|[a-c|.(\\[\\])ä\\\\ -]){0,30}") {
        if let Err(error) = language().template(&source)
            && let Some(place) = error.place
        {
            prop_assert!(source.get(place).is_some(), "{source}");
        }
        let _ = language().expression(&source);
    }
}
