//! Who is switched off: what each attribute says, and what they say together.
//!
//! Pure; the time is handed in, because some accounts end by the clock and no change tells.
//! Must not read anything, nor decide what happens to somebody who is switched off.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::filter::Filter;
use crate::source::Lifecycle;

/// An attribute that can say that somebody is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Rule {
    /// Bit 2, ACCOUNTDISABLE. Every person of an Active Directory has the attribute: without
    /// it nothing can be told. Locked-out people and expired passwords are not switched off.
    UserAccountControl,
    /// Active Directory: ticks of 100 ns since 1601; 0 and the largest number mean never.
    AccountExpires,
    /// 389 Directory Server and FreeIPA: `TRUE`.
    NsAccountLock,
    /// OpenLDAP's password policy: the value that stands for "until an administrator unlocks".
    /// Any other is a lock-out that passes by itself.
    PwdAccountLockedTime,
    /// The moment from which the password cannot be used (draft-behera-ldap-password-policy).
    PwdEndTime,
    /// Days since 1970, -1 for never (RFC 2307, `shadow(5)`).
    ShadowExpire,
    /// FreeIPA: a moment.
    KrbPrincipalExpiration,
    /// eDirectory: `TRUE`.
    LoginDisabled,
    /// Sun and Oracle: `inactive` or `deleted`.
    InetUserStatus,
}

/// Whom the clock alone switches off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    Nobody,
    /// Whom this filter matches, and nobody else.
    Those(Filter),
    /// It cannot be asked for.
    Unclear,
}

/// As many days are asked for one by one.
const DAYS: usize = 31;

/// What one attribute says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Active,
    /// There is something that cannot be understood, or nothing where there must be something.
    Unclear,
    Inactive,
}

/// `pwdAccountLockedTime` of somebody whom only an administrator can unlock.
const LOCKED_FOR_GOOD: &str = "000001010000Z";

/// Seconds between 1601 and 1970.
const FROM_1601: i64 = 11_644_473_600;

impl Rule {
    /// The attribute's name.
    pub(super) fn attribute(self) -> &'static str {
        match self {
            Rule::UserAccountControl => "userAccountControl",
            Rule::AccountExpires => "accountExpires",
            Rule::NsAccountLock => "nsAccountLock",
            Rule::PwdAccountLockedTime => "pwdAccountLockedTime",
            Rule::PwdEndTime => "pwdEndTime",
            Rule::ShadowExpire => "shadowExpire",
            Rule::KrbPrincipalExpiration => "krbPrincipalExpiration",
            Rule::LoginDisabled => "loginDisabled",
            Rule::InetUserStatus => "inetUserStatus",
        }
    }

    /// Who is switched off by this attribute since `from`, by nothing but the clock.
    pub(super) fn due(self, from: DateTime<Utc>, to: DateTime<Utc>) -> Due {
        let name = self.attribute();
        match self {
            Rule::AccountExpires => {
                let ticks = |moment: DateTime<Utc>, more: i64| {
                    let seconds = moment.timestamp() + FROM_1601 + more;
                    seconds.saturating_mul(10_000_000).to_string()
                };
                Due::Those(Filter::between(name, &ticks(from, 0), &ticks(to, 1)))
            }
            Rule::PwdEndTime | Rule::KrbPrincipalExpiration => {
                let text = |moment: DateTime<Utc>| moment.format("%Y%m%d%H%M%SZ").to_string();
                let to = to + TimeDelta::seconds(1);
                Due::Those(Filter::between(name, &text(from), &text(to)))
            }
            Rule::ShadowExpire => {
                // It has no order that a server would compare by (RFC 2307 §3).
                let day = |moment: DateTime<Utc>| moment.timestamp().div_euclid(86_400);
                let days = day(from) + 1..=day(to);
                if days.clone().count() > DAYS {
                    return Due::Unclear;
                }
                let days: Vec<Filter> = days
                    .map(|day| Filter::equals(name, day.to_string().as_bytes()))
                    .collect();
                match days.is_empty() {
                    true => Due::Nobody,
                    false => Due::Those(Filter::any(&days)),
                }
            }
            Rule::UserAccountControl
            | Rule::NsAccountLock
            | Rule::PwdAccountLockedTime
            | Rule::LoginDisabled
            | Rule::InetUserStatus => Due::Nobody,
        }
    }

    /// Whether an entry without the attribute says nothing about anybody.
    fn is_required(self) -> bool {
        self == Rule::UserAccountControl
    }

    fn said(self, value: &str, now: DateTime<Utc>) -> Said {
        let inactive_if = |inactive: bool| match inactive {
            true => Said::Inactive,
            false => Said::Active,
        };
        let passed = |moment: Option<DateTime<Utc>>| match moment {
            Some(moment) => inactive_if(moment <= now),
            None => Said::Unclear,
        };
        match self {
            Rule::UserAccountControl => match value.parse::<i64>() {
                Ok(bits) => inactive_if(bits & 0x2 != 0),
                Err(_) => Said::Unclear,
            },
            Rule::AccountExpires => match value.parse::<i64>() {
                Ok(0 | i64::MAX) => Said::Active,
                Ok(ticks) => passed(ticks_since_1601(ticks)),
                Err(_) => Said::Unclear,
            },
            Rule::NsAccountLock | Rule::LoginDisabled => {
                if value.eq_ignore_ascii_case("true") {
                    Said::Inactive
                } else if value.eq_ignore_ascii_case("false") {
                    Said::Active
                } else {
                    Said::Unclear
                }
            }
            Rule::PwdAccountLockedTime => inactive_if(value == LOCKED_FOR_GOOD),
            Rule::PwdEndTime | Rule::KrbPrincipalExpiration => passed(generalized_time(value)),
            Rule::ShadowExpire => match value.parse::<i64>() {
                Ok(days) if days < 0 => Said::Active,
                Ok(days) => inactive_if(days <= now.timestamp().div_euclid(86_400)),
                Err(_) => Said::Unclear,
            },
            Rule::InetUserStatus => {
                let off = ["inactive", "deleted"];
                inactive_if(off.iter().any(|word| value.eq_ignore_ascii_case(word)))
            }
        }
    }
}

/// What an entry says about its person. Who is switched off by one attribute is switched off,
/// whatever the others say; otherwise what cannot be understood makes everything unknown.
pub(super) fn judge(rules: &[Rule], entry: &Entry, now: DateTime<Utc>) -> Lifecycle {
    let said = rules.iter().map(|rule| {
        let values = entry.values(rule.attribute());
        let said = values.iter().map(|value| match std::str::from_utf8(value) {
            Ok(text) => rule.said(text.trim(), now),
            Err(_) => Said::Unclear,
        });
        let silent = match rule.is_required() {
            true => Said::Unclear,
            false => Said::Active,
        };
        said.max().unwrap_or(silent)
    });
    match said.max().unwrap_or(Said::Active) {
        Said::Active => Lifecycle::Active,
        Said::Unclear => Lifecycle::Unknown,
        Said::Inactive => Lifecycle::Disabled,
    }
}

/// `None` beyond what can be a date.
fn ticks_since_1601(ticks: i64) -> Option<DateTime<Utc>> {
    if ticks < 0 {
        return None;
    }
    DateTime::from_timestamp(ticks / 10_000_000 - FROM_1601, 0)
}

/// `YYYYMMDDHH[MM[SS]][.f]` with `Z` or a distance from it (RFC 4517 §3.3.13).
pub(super) fn generalized_time(text: &str) -> Option<DateTime<Utc>> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (moment, rest) = text.split_at(digits);
    let field = |from: usize| moment.get(from..from + 2)?.parse::<u32>().ok();
    let (minute, second) = match digits {
        10 => (0, 0),
        12 => (field(10)?, 0),
        14 => (field(10)?, field(12)?),
        _ => return None,
    };
    let day = NaiveDate::from_ymd_opt(moment.get(..4)?.parse().ok()?, field(4)?, field(6)?)?;
    // A leap second is the next one here.
    let time = day.and_hms_opt(field(8)?, minute, second.min(59))?;
    let rest = match rest.strip_prefix(['.', ',']) {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            (zone.len() < fraction.len()).then_some(zone)?
        }
        None => rest,
    };
    at_zone(time, rest)
}

fn at_zone(time: NaiveDateTime, zone: &str) -> Option<DateTime<Utc>> {
    if zone == "Z" {
        return Some(time.and_utc());
    }
    let (sign, distance) = match zone.split_at_checked(1)? {
        ("+", distance) => (1, distance),
        ("-", distance) => (-1, distance),
        _ => return None,
    };
    if !matches!(distance.len(), 2 | 4) || !distance.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours: i64 = distance.get(..2)?.parse().ok()?;
    let minutes: i64 = match distance.get(2..) {
        Some("") | None => 0,
        Some(minutes) => minutes.parse().ok()?,
    };
    let ahead = TimeDelta::minutes(sign * (hours * 60 + minutes));
    time.checked_sub_signed(ahead).map(|time| time.and_utc())
}

#[cfg(test)]
mod tests;
