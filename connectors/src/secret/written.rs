//! How a secret's place is written in the configuration: `{ env = "…" }`, `{ file = "…" }` or
//! `{ credential = "…" }`. A secret that is typed in instead is refused, and not shown.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::Secret;
use crate::keys::with_help;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    env: Option<Variable>,
    file: Option<File>,
    credential: Option<Credential>,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Variable(String);

#[derive(Deserialize)]
#[serde(try_from = "PathBuf")]
struct File(PathBuf);

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Credential(String);

impl TryFrom<String> for Variable {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let valid = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match valid {
            true => Ok(Self(name)),
            false => Err(
                "this cannot be an environment variable's name\n`env` takes the name of \
                          a variable that holds the secret, such as { env = \"APP_TOKEN\" }",
            ),
        }
    }
}

impl TryFrom<PathBuf> for File {
    type Error = &'static str;

    fn try_from(path: PathBuf) -> Result<Self, Self::Error> {
        match path.as_os_str().is_empty() {
            false => Ok(Self(path)),
            true => Err(
                "the secret's file has no name\nwrite the path of a file that only its \
                         owner can read",
            ),
        }
    }
}

impl TryFrom<String> for Credential {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        match name.is_empty() || name.contains('/') || name.starts_with('.') {
            false => Ok(Self(name)),
            true => Err(
                "this cannot be a credential's name\n`credential` takes the name given to \
                         LoadCredential= in the systemd unit, such as \"app-token\"; for a path \
                         use { file = … }",
            ),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;

        fn literal<E: Error>() -> E {
            with_help(
                "secrets are never literals: use { env = … }",
                "write { env = \"NAME\" }, { file = \"path\" } or { credential = \"name\" }; and \
                 if this was a real secret, replace it",
            )
        }

        impl<'de> Visitor<'de> for Table {
            type Value = Secret;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a table: { env = \"…\" }")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Secret, A::Error> {
                match Place::deserialize(MapAccessDeserializer::new(map))? {
                    Place {
                        env: Some(Variable(name)),
                        file: None,
                        credential: None,
                    } => Ok(Secret::Env(name)),
                    Place {
                        env: None,
                        file: Some(File(path)),
                        credential: None,
                    } => Ok(Secret::File(path)),
                    Place {
                        env: None,
                        file: None,
                        credential: Some(Credential(name)),
                    } => Ok(Secret::Credential(name)),
                    _ => Err(with_help(
                        "a secret takes exactly one of `env`, `file` and `credential`",
                        "write for example { env = \"APP_TOKEN\" }",
                    )),
                }
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Secret, E> {
                Err(literal())
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
                Err(literal())
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
                Err(literal())
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
                Err(literal())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Secret, A::Error> {
                Err(literal())
            }
        }

        deserializer.deserialize_any(Table)
    }
}
