//! The guards' limits: `N`, `"P%"` or `{ count, share }`.

use std::collections::BTreeMap;
use std::fmt;

use provisor_connectors::keys::with_help;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use super::explain::suggest;
use crate::plan::rules::{Allowance, Limits};

/// `[targets.NAME.limits]`.
pub(super) type RawLimits = BTreeMap<Spanned<String>, RawAllowance>;

/// The configured limits over the defaults. One that is named is replaced whole.
pub(super) fn check(raw: RawLimits, document: &Document) -> Result<Limits, ConfigError> {
    let mut limits = Limits::default();
    for (name, RawAllowance(allowance)) in raw {
        let known = limits
            .0
            .keys()
            .copied()
            .find(|limit| limit.name() == name.get_ref());
        let Some(limit) = known else {
            let names: Vec<&str> = limits.0.keys().map(|limit| limit.name()).collect();
            return Err(document.error(
                name.span(),
                &format!("unknown limit `{}`", name.get_ref()),
                &suggest(name.get_ref(), names, "the limits are"),
            ));
        };
        limits.0.insert(limit, allowance);
    }
    Ok(limits)
}

/// One limit as written.
#[derive(Debug)]
pub(super) struct RawAllowance(Allowance);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Both {
    count: Option<Count>,
    share: Option<Share>,
}

/// A number of resources, from 0.
struct Count(u64);

/// A percentage: "10%".
struct Share(f64);

const HELP: &str = "write a number, a share such as \"10%\", or { count = 500, share = \"10%\" }; \
                    0 means never";

impl<'de> Deserialize<'de> for RawAllowance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyForm;

        impl<'de> Visitor<'de> for AnyForm {
            type Value = RawAllowance;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number, a share such as \"10%\", or { count, share }")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<RawAllowance, E> {
                let Count(count) = read_count(number)?;
                Ok(RawAllowance(Allowance {
                    count: Some(count),
                    percent: None,
                }))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<RawAllowance, E> {
                Err(with_help("a limit is not a fraction", HELP))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<RawAllowance, E> {
                let Share(percent) = read_share(text)?;
                Ok(RawAllowance(Allowance {
                    count: None,
                    percent: Some(percent),
                }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawAllowance, A::Error> {
                let both = Both::deserialize(MapAccessDeserializer::new(map))?;
                if both.count.is_none() && both.share.is_none() {
                    return Err(with_help("the limit says neither count nor share", HELP));
                }
                Ok(RawAllowance(Allowance {
                    count: both.count.map(|Count(count)| count),
                    percent: both.share.map(|Share(percent)| percent),
                }))
            }
        }

        deserializer.deserialize_any(AnyForm)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_count(i64::deserialize(deserializer)?)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Share;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a share such as \"10%\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Share, E> {
                read_share(text)
            }
        }

        deserializer.deserialize_any(Text)
    }
}

fn read_count<E: Error>(number: i64) -> Result<Count, E> {
    u64::try_from(number)
        .map(Count)
        .map_err(|_| with_help(&format!("{number} cannot be a limit"), HELP))
}

fn read_share<E: Error>(text: &str) -> Result<Share, E> {
    let percent = text
        .trim()
        .strip_suffix('%')
        .and_then(|number| number.trim().parse::<f64>().ok())
        .filter(|percent| (0.0..=100.0).contains(percent));
    percent.map(Share).ok_or_else(|| {
        with_help(
            &format!("\"{text}\" is not a share"),
            "a share is a percentage from \"0%\" to \"100%\"",
        )
    })
}
