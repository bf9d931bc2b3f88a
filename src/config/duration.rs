//! Spans of time: `"24h"`, `"1h 30m"`, `"250ms"`.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::explain::with_help;

/// A span of time as people write it.
#[derive(Debug, Clone, Copy)]
pub(super) struct HumanDuration(pub(super) Duration);

const HELP: &str = "write a text with a unit, such as \"30s\", \"5m\" or \"24h\"";

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = HumanDuration;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a span of time such as \"30s\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<HumanDuration, E> {
                match humantime::parse_duration(text) {
                    Ok(duration) => Ok(HumanDuration(duration)),
                    Err(_) => Err(with_help(
                        &format!("\"{text}\" is not a span of time"),
                        HELP,
                    )),
                }
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<HumanDuration, E> {
                Err(with_help(
                    &format!("{number} has no unit"),
                    &format!("write \"{number}s\" for seconds, \"{number}m\" for minutes"),
                ))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<HumanDuration, E> {
                Err(with_help(&format!("{number} has no unit"), HELP))
            }
        }

        deserializer.deserialize_any(Text)
    }
}
