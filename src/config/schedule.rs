//! Schedules: the five fields of crontab, or six with seconds.
//!
//! The `cron` crate counts weekdays from Sunday = 1 and wants seconds; people expect crontab's
//! numbers. So weekdays become names before the crate sees them.

use std::collections::BTreeSet;
use std::str::FromStr;

use chrono::DateTime;

/// A schedule, and what should be said about it although it is good.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) schedule: cron::Schedule,
    pub(super) warning: Option<&'static str>,
}

/// What a schedule looks like, for messages.
pub(super) const HELP: &str = "write five fields, `minute hour day month weekday`, or six with \
                               seconds first; \"*/5 * * * *\" is every five minutes";

/// Reads a schedule. The error says what is wrong.
pub(super) fn parse(text: &str) -> Result<Checked, String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let (seconds, rest) = match fields.len() {
        5 => ("0", fields.as_slice()),
        6 => (fields[0], &fields[1..]),
        count => {
            return Err(format!(
                "a schedule has five or six fields, this has {count}"
            ));
        }
    };
    let [minute, hour, day, month, weekday] = rest else {
        return Err("a schedule has five or six fields".to_owned());
    };
    let weekdays = name_weekdays(weekday)?;
    let schedule = cron::Schedule::from_str(&format!(
        "{seconds} {minute} {hour} {day} {month} {weekdays}"
    ))
    .map_err(|_| format!("\"{text}\" is not a schedule"))?;
    if schedule.after(&DateTime::UNIX_EPOCH).next().is_none() {
        return Err(format!("\"{text}\" never comes: no such day exists"));
    }
    let both = !matches!(*day, "*" | "?") && weekdays != "*";
    Ok(Checked {
        schedule,
        warning: both.then_some(
            "the schedule names days of the month and weekdays: it runs only on days that are \
             both (crontab would run on either)",
        ),
    })
}

const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Crontab's weekday field, 0 and 7 being Sunday, as a list of names; `*` for all of them.
fn name_weekdays(field: &str) -> Result<String, String> {
    let mut days = BTreeSet::new();
    for item in field.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => {
                let step = step.parse::<usize>().ok().filter(|step| *step > 0);
                let step = step.ok_or_else(|| format!("`{item}` has no usable step"))?;
                (range, Some(step))
            }
            None => (item, None),
        };
        let (start, end) = match (range, range.split_once('-')) {
            ("*" | "?", _) => (0, 6),
            (_, Some((start, end))) => {
                let start = weekday(start)?;
                // A week that ends on Sunday: MON-SUN, 1-7.
                let end = match weekday(end)? {
                    0 if start > 0 => 7,
                    end => end,
                };
                (start, end)
            }
            (day, None) => {
                let day = weekday(day)?;
                (day, if step.is_some() { 6 } else { day })
            }
        };
        if start > end {
            return Err(format!(
                "the weekdays `{range}` run backwards; list them instead"
            ));
        }
        days.extend((start..=end).step_by(step.unwrap_or(1)).map(|day| day % 7));
    }
    if days.len() == 7 {
        return Ok("*".to_owned());
    }
    let names: Vec<&str> = days.into_iter().map(|day| WEEKDAYS[day]).collect();
    Ok(names.join(","))
}

/// A weekday's number from Sunday = 0; 7 is Sunday too.
fn weekday(text: &str) -> Result<usize, String> {
    if let Ok(number @ 0..=7) = text.parse::<usize>() {
        return Ok(number);
    }
    const FULL: [&str; 7] = [
        "SUNDAY",
        "MONDAY",
        "TUESDAY",
        "WEDNESDAY",
        "THURSDAY",
        "FRIDAY",
        "SATURDAY",
    ];
    let upper = text.to_uppercase();
    (0..7)
        .find(|&day| upper == WEEKDAYS[day] || upper == FULL[day])
        .ok_or_else(|| format!("`{text}` is not a weekday; use 0 to 7 or SUN to SAT"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Datelike, Timelike, Utc};

    /// Weekday and time of the first runs from Monday 2024-01-01 00:00 on.
    fn runs(text: &str, count: usize) -> Vec<String> {
        let monday: DateTime<Utc> = "2023-12-31T23:59:59Z".parse().unwrap();
        parse(text)
            .unwrap()
            .schedule
            .after(&monday)
            .take(count)
            .map(|time| {
                format!(
                    "{} {:02}:{:02}:{:02}",
                    time.weekday(),
                    time.hour(),
                    time.minute(),
                    time.second()
                )
            })
            .collect()
    }

    #[test]
    fn weekday_numbers_are_those_of_crontab() {
        let table = [
            ("0 6 * * 1", vec!["Mon 06:00:00"; 2]),
            ("0 6 * * 0", vec!["Sun 06:00:00"; 2]),
            ("0 6 * * 7", vec!["Sun 06:00:00"; 2]),
            ("0 6 * * sunday", vec!["Sun 06:00:00"; 2]),
            (
                "0 6 * * 5-7",
                vec!["Fri 06:00:00", "Sat 06:00:00", "Sun 06:00:00"],
            ),
            ("0 6 * * SAT-SUN", vec!["Sat 06:00:00", "Sun 06:00:00"]),
            (
                "0 6 * * 1-5/2",
                vec!["Mon 06:00:00", "Wed 06:00:00", "Fri 06:00:00"],
            ),
            (
                "0 6 * * */3",
                vec!["Wed 06:00:00", "Sat 06:00:00", "Sun 06:00:00"],
            ),
            ("0 6 * * 2,4", vec!["Tue 06:00:00", "Thu 06:00:00"]),
        ];
        for (text, expected) in table {
            assert_eq!(runs(text, expected.len()), expected, "{text}");
        }
    }

    #[test]
    fn five_fields_start_at_second_zero_and_six_say_the_second() {
        assert_eq!(runs("*/5 * * * *", 2), ["Mon 00:00:00", "Mon 00:05:00"]);
        assert_eq!(
            runs("*/20 * * * * *", 3),
            ["Mon 00:00:00", "Mon 00:00:20", "Mon 00:00:40"]
        );
    }

    #[test]
    fn what_is_no_schedule_or_never_comes_is_refused() {
        let table = [
            ("", "five or six fields, this has 0"),
            ("* * * *", "this has 4"),
            ("0 0 0 * * * 2030", "this has 7"),
            ("61 * * * *", "is not a schedule"),
            ("0 0 31 2 *", "never comes"),
            ("0 0 * * 8", "is not a weekday"),
            ("0 0 * * 5-2", "run backwards"),
            ("0 0 * * 1/0", "no usable step"),
        ];
        for (text, part) in table {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }

    #[test]
    fn two_day_fields_are_worth_a_warning() {
        assert!(parse("0 0 1 * 1").unwrap().warning.is_some());
        for text in ["0 0 1 * *", "0 0 * * 1", "0 0 1 * 0-6"] {
            assert!(parse(text).unwrap().warning.is_none(), "{text}");
        }
    }
}
