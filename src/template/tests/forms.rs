//! Accents that are characters of their own mean what composed letters mean.

use super::*;

#[test]
fn what_a_template_sees_is_composed() {
    let city = |city: &str| Attributes(BTreeMap::from([("city".to_owned(), vec![text(city)])]));
    let tables = BTreeMap::from([("Ma\u{301}laga".to_owned(), "ES".to_owned())]);
    let language = Language::new(Lookups::from([("places".to_owned(), tables)]));
    let found = language.template("{{ city | lookup('places') }}").unwrap();
    let same = language.expression("city == 'Málaga'").unwrap();
    for written in ["M\u{e1}laga", "Ma\u{301}laga"] {
        let city = city(written);
        assert_eq!(same.render(&city), Ok(Some(Value::Boolean(true))));
        assert_eq!(found.render(&city), Ok(Some(text("ES"))));
    }
}

#[test]
fn a_source_must_be_composed() {
    let error = refusal("{{ 'x' if city == 'Ma\u{301}laga' else 'y' }}");
    assert!(error.problem.contains("one character each"), "{error}");
    assert!(language().expression("city == 'Ma\u{301}laga'").is_err());
}
