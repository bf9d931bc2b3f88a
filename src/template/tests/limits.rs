//! Length, steps, output and depth.

use super::*;

#[test]
fn a_source_may_have_two_thousand_characters() {
    let source = |length: usize| format!("{{{{ '{}' }}}}", "ä".repeat(length - 8));
    assert!(language().template(&source(2_000)).is_ok());
    let error = refusal(&source(2_001));
    assert!(
        error.problem.contains("2001 characters and may have 2000"),
        "{error}"
    );
    assert!(language().expression(&"x".repeat(2_001)).is_err());
}

#[test]
fn endless_work_is_an_error() {
    let loops = "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}";
    fails(loops, "more than 20000 steps");
    gives("{% for a in range(1000) %}{% endfor %}x", r#""x""#);
}

#[test]
fn output_ends_at_64_kib() {
    gives("{{ ('x' * 65536) | length }}", "65536");
    let long = |count| format!("{{% for a in range({count}) %}}0123456789abcdef{{% endfor %}}");
    let full = render_for(&long(4_096), &ana()).unwrap();
    assert_eq!(full, Some(text(&"0123456789abcdef".repeat(4_096))));
    fails(&long(4_097), "longer than 64 KiB");
    fails("{{ 'x' * 65537 }}", "longer than 64 KiB");
    fails(
        "{{ ('x' * 9000) | replace('x', '12345678') }}",
        "longer than 64 KiB",
    );
    fails("{{ (['x' * 40000] * 2) | join }}", "longer than 64 KiB");
    fails("{{ ('ß' * 40000) | ascii }}", "longer than 64 KiB");
}

#[test]
fn deep_and_long_sources_are_refused_before_they_overflow_a_stack() {
    for source in [
        format!("{{{{ {}x }}}}", "-".repeat(1_990)),
        format!("{{{{ x{} }}}}", "|d".repeat(990)),
        format!("{{{{ x{} }}}}", ".y".repeat(990)),
        format!("{{{{ {}x }}}}", "not ".repeat(490)),
        format!("{{{{ x{} }}}}", "~x".repeat(990)),
    ] {
        let error = refusal(&source);
        assert!(error.problem.contains("more than 400 operators"), "{error}");
        let inner = &source[3..source.len() - 3];
        assert!(language().expression(inner).is_err());
    }
    for source in [
        format!("{{{{ {}{} }}}}", "(".repeat(990), ")".repeat(990)),
        format!("{{{{ {}{} }}}}", "[".repeat(990), "]".repeat(990)),
        format!("{{{{ {}{} }}}}", "{1:".repeat(480), "}".repeat(480)),
        format!("{{{{ x{} }}}}", "[0]".repeat(600)),
        // Fails without `MOST_BRACKETS`.
        format!("{{{{ {}x }}}}", "x[".repeat(150)),
        "{% if x %}".repeat(190),
    ] {
        // An error or not: it must come back.
        let _ = language().template(&source);
    }
    gives(&format!("{{{{ 1{} }}}}", " + 1".repeat(390)), "391");
    let nested = |depth: usize| format!("{{{{ {}1{} }}}}", "(".repeat(depth), ")".repeat(depth));
    gives(&nested(32), "1");
    let error = refusal(&nested(33));
    assert!(error.problem.contains("more than 32 brackets"), "{error}");
}
