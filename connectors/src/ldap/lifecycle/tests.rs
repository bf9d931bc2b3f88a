use proptest::prelude::*;

use super::*;
use crate::ldap::entry::tests::entry;

fn moment(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn judge_one(rule: Rule, value: &str, now: &str) -> Lifecycle {
    let entry = entry("cn=a,dc=x", &[(rule.attribute(), &[value.as_bytes()])]);
    judge(&[rule], &entry, moment(now))
}

use Lifecycle::{Active, Disabled, Unknown};

#[test]
fn each_attribute_says_who_is_switched_off() {
    let day = "2026-11-22T12:00:00Z";
    let table = [
        (Rule::UserAccountControl, "512", Active),
        (Rule::UserAccountControl, "514", Disabled),
        (Rule::UserAccountControl, "66050", Disabled),
        // Locked out, password expired, password never expires: not switched off.
        (Rule::UserAccountControl, "528", Active),
        (Rule::UserAccountControl, "8389120", Active),
        (Rule::UserAccountControl, "66048", Active),
        (Rule::UserAccountControl, "", Unknown),
        (Rule::UserAccountControl, "x", Unknown),
        (Rule::AccountExpires, "0", Active),
        (Rule::AccountExpires, "9223372036854775807", Active),
        (Rule::AccountExpires, "134398224010000000", Active),
        (Rule::AccountExpires, "134398224000000000", Disabled),
        (Rule::AccountExpires, "134081532000000000", Disabled),
        (Rule::AccountExpires, "-5", Unknown),
        (Rule::NsAccountLock, "TRUE", Disabled),
        (Rule::NsAccountLock, "true", Disabled),
        (Rule::NsAccountLock, "false", Active),
        (Rule::NsAccountLock, "maybe", Unknown),
        (Rule::PwdAccountLockedTime, "000001010000Z", Disabled),
        (Rule::PwdAccountLockedTime, "20261122110000Z", Active),
        (Rule::PwdEndTime, "20261122110000Z", Disabled),
        (Rule::PwdEndTime, "20261122130000Z", Active),
        (Rule::KrbPrincipalExpiration, "20261122120000Z", Disabled),
        (Rule::KrbPrincipalExpiration, "20261122120001Z", Active),
        (Rule::KrbPrincipalExpiration, "soon", Unknown),
        // 22 November 2026 is day 20,779.
        (Rule::ShadowExpire, "20779", Disabled),
        (Rule::ShadowExpire, "20780", Active),
        (Rule::ShadowExpire, "-1", Active),
        (Rule::ShadowExpire, "", Unknown),
        (Rule::LoginDisabled, "TRUE", Disabled),
        (Rule::InetUserStatus, "Inactive", Disabled),
        (Rule::InetUserStatus, "active", Active),
    ];
    for (rule, value, expected) in table {
        assert_eq!(judge_one(rule, value, day), expected, "{rule:?} {value}");
    }
}

#[test]
fn an_account_ends_by_the_clock_alone() {
    // 2025-11-22T12:00:00Z in ticks since 1601.
    let ticks = "134082864000000000";
    assert_eq!(
        judge_one(Rule::AccountExpires, ticks, "2025-11-22T11:59:59Z"),
        Active
    );
    assert_eq!(
        judge_one(Rule::AccountExpires, ticks, "2025-11-22T12:00:00Z"),
        Disabled
    );
}

#[test]
fn nothing_is_said_of_somebody_whose_control_bits_are_hidden() {
    let rules = [Rule::UserAccountControl, Rule::AccountExpires];
    let now = moment("2026-11-22T12:00:00Z");
    let hidden = entry("cn=a,dc=x", &[]);
    assert_eq!(judge(&rules, &hidden, now), Unknown);
    let expired = entry("cn=a,dc=x", &[("accountExpires", &[b"1"])]);
    assert_eq!(judge(&rules, &expired, now), Disabled);
    let enabled = entry("cn=a,dc=x", &[("USERACCOUNTCONTROL", &[b"512"])]);
    assert_eq!(judge(&rules, &enabled, now), Active);
    assert_eq!(judge(&[], &hidden, now), Active);
    let elsewhere = [Rule::NsAccountLock, Rule::ShadowExpire];
    assert_eq!(judge(&elsewhere, &hidden, now), Active);
}

#[test]
fn moments_are_read_in_every_form() {
    let table = [
        ("20261122120000Z", "2026-11-22T12:00:00Z"),
        ("20261122120000.5Z", "2026-11-22T12:00:00Z"),
        ("202611221200Z", "2026-11-22T12:00:00Z"),
        ("2026112212Z", "2026-11-22T12:00:00Z"),
        ("20261122120000+0100", "2026-11-22T11:00:00Z"),
        ("20261122120000-0530", "2026-11-22T17:30:00Z"),
        ("20261122120000+01", "2026-11-22T11:00:00Z"),
        ("20261231235960Z", "2026-12-31T23:59:59Z"),
    ];
    for (text, expected) in table {
        assert_eq!(generalized_time(text), Some(moment(expected)), "{text}");
    }
    for text in [
        "",
        "Z",
        "20261122120000",
        "2026112212000Z",
        "20261322120000Z",
        "20261122120000.Z",
        "20261122120000+1",
        "20261122120000+x1",
        "20261122120000é",
        "20261122250000Z",
    ] {
        assert_eq!(generalized_time(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_value_makes_it_panic(value in "\\PC{0,20}", seconds in any::<i32>()) {
        let rules = [
            Rule::UserAccountControl, Rule::AccountExpires, Rule::NsAccountLock,
            Rule::PwdAccountLockedTime, Rule::PwdEndTime, Rule::ShadowExpire,
            Rule::KrbPrincipalExpiration, Rule::LoginDisabled, Rule::InetUserStatus,
        ];
        let now = DateTime::from_timestamp(i64::from(seconds), 0).unwrap();
        for rule in rules {
            let entry = entry("cn=a,dc=x", &[(rule.attribute(), &[value.as_bytes()])]);
            let _ = judge(&[rule], &entry, now);
        }
    }

    #[test]
    fn who_has_ended_stays_ended(ticks in any::<i64>(), first in 0_u32.., later in 0_u32..) {
        let at = |seconds: u64| DateTime::from_timestamp(seconds.try_into().unwrap(), 0).unwrap();
        let value = ticks.to_string();
        let entry = entry("cn=a,dc=x", &[("accountExpires", &[value.as_bytes()])]);
        let rules = [Rule::AccountExpires];
        let before = judge(&rules, &entry, at(first.into()));
        let after = judge(&rules, &entry, at(u64::from(first) + u64::from(later)));
        prop_assert!(before != Disabled || after == Disabled);
    }
}

/// The filter of those whom the clock alone switches off.
fn due(rule: Rule, from: &str, to: &str) -> Option<String> {
    match rule.due(moment(from), moment(to)) {
        Due::Those(filter) => Some(filter.as_str().to_owned()),
        Due::Nobody => None,
        Due::Unclear => Some("unclear".to_owned()),
    }
}

#[test]
fn whoever_the_clock_alone_switches_off_is_asked_for() {
    let (from, to) = ("2026-11-22T23:59:00Z", "2026-11-23T00:01:00Z");
    assert_eq!(
        due(Rule::AccountExpires, from, to).unwrap(),
        "(&(accountExpires>=134398655400000000)(accountExpires<=134398656610000000))"
    );
    assert_eq!(
        due(Rule::PwdEndTime, from, to).unwrap(),
        "(&(pwdEndTime>=20261122235900Z)(pwdEndTime<=20261123000101Z))"
    );
    // No order, so each day that has begun: the 20,780th since 1970.
    assert_eq!(
        due(Rule::ShadowExpire, from, to).unwrap(),
        "(shadowExpire=20780)"
    );
    assert_eq!(due(Rule::ShadowExpire, from, from), None);
    let long_ago = "2026-01-01T00:00:00Z";
    assert_eq!(due(Rule::ShadowExpire, long_ago, to).unwrap(), "unclear");
    assert_eq!(due(Rule::NsAccountLock, from, to), None);
}
