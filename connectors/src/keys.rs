//! Values that configuration keys share: spans of time, and one value or a list.
//!
//! Also how an error carries its help to whoever prints it. Must not know any key by name.

use std::fmt;
use std::time::Duration;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StringDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

/// Joins a problem and its help into the one text that a serde error can carry: the help
/// stands on the second line.
pub fn with_help<E: Error>(problem: &str, help: &str) -> E {
    E::custom(format!("{problem}\n{help}"))
}

/// A span of time as people write it: `"24h"`, `"1h 30m"`, `"250ms"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HumanDuration(pub Duration);

const HELP: &str = "write a text with a unit, such as \"30s\", \"5m\" or \"24h\"";

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

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

/// One value, or a list of them that is not empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct OneOrMore<T>(Vec<T>);

impl<T> OneOrMore<T> {
    /// Exactly this one.
    pub fn one(value: T) -> Self {
        Self(vec![value])
    }

    /// All of them, in their order; at least one.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOrMore<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text or a list of texts")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMore<T>, E> {
                T::deserialize(StringDeserializer::new(text.to_owned())).map(OneOrMore::one)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneOrMore<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(OneOrMore::one)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<OneOrMore<T>, A::Error> {
                let values = Vec::deserialize(SeqAccessDeserializer::new(list))?;
                if values.is_empty() {
                    return Err(with_help(
                        "the list is empty",
                        "name one or more, or leave the key out if it is not required",
                    ));
                }
                Ok(OneOrMore(values))
            }
        }

        deserializer.deserialize_any(Either(std::marker::PhantomData))
    }
}
