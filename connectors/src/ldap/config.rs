//! `[sources.NAME.ldap]`: where the directory is, who asks, and what is read.
//!
//! What can be judged from the keys alone is judged here, so that a wrong configuration is
//! refused before anything is opened. Must not touch the network or the file system.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dn::Dn;
use super::filter::Filter;
use super::flavor::Flavor;
use super::id::IdEncoding;
use super::lifecycle::Rule;
use super::name::AttributeName;
use super::url::ServerUrl;
use crate::keys::{HumanDuration, OneOrMore};
use crate::secret::Secret;
use crate::source::SourceError;

/// The keys of `[sources.NAME.ldap]`. `url`, `users` and a way to sign in are required.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LdapConfig {
    /// The servers, tried in order.
    pub url: OneOrMore<ServerUrl>,
    /// Who signs in with a password.
    #[serde(default)]
    pub bind_dn: Option<String>,
    /// That password. An empty one is refused: servers take it for no sign-in at all
    /// (RFC 4513 §5.1.2).
    #[serde(default)]
    pub bind_password: Option<Secret>,
    /// Another way to sign in. Excludes `bind_dn`.
    #[serde(default)]
    pub sasl: Option<Sasl>,
    /// Encrypt a connection to an `ldap://` server before anything is said.
    #[serde(default)]
    pub start_tls: bool,
    /// PEM certificates that are trusted besides the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// A PEM certificate and its private key, readable by their owner only.
    #[serde(default)]
    pub client_certificate: Option<PathBuf>,
    /// Speak `ldap://` without encryption to another machine.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// How long a connection, and each answer, may take. Default: 30 s.
    #[serde(default = "default_timeout")]
    pub timeout: HumanDuration,
    /// What to do when a server says that a part is kept elsewhere.
    #[serde(default)]
    pub referrals: Referrals,
    /// Entries a page. Default: 1,000, which Active Directory allows.
    #[serde(default = "default_page_size")]
    pub page_size: NonZeroU16,
    /// What kind of server it is; asked of the server when absent.
    #[serde(default)]
    pub flavor: Option<Flavor>,
    /// The attribute that never changes; by flavor when absent.
    #[serde(default)]
    pub id_attribute: Option<AttributeName>,
    /// How that attribute is written as text; by its name when absent.
    #[serde(default)]
    pub id_encoding: Option<IdEncoding>,
    /// Which attributes say that somebody is switched off; by flavor when absent. An empty
    /// list: none does.
    #[serde(default)]
    pub inactive_by: Option<Vec<Rule>>,
    /// People whom this filter matches are switched off, whatever else says so.
    #[serde(default)]
    pub inactive_when: Option<Filter>,
    /// Attributes whose values are DNs of people: they are given as those people's ids.
    /// Default: `manager`.
    #[serde(default = "default_references")]
    pub reference_attributes: Vec<AttributeName>,
    /// How changes are found.
    #[serde(default)]
    pub changes: Changes,
    /// Where the people are.
    pub users: UsersConfig,
    /// Where the groups are. Absent: no groups.
    #[serde(default)]
    pub groups: Option<GroupsConfig>,
}

/// `[sources.NAME.ldap.users]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersConfig {
    /// Under which entries.
    pub base: OneOrMore<Dn>,
    /// Which entries there are people; by flavor when absent.
    #[serde(default)]
    pub filter: Option<Filter>,
}

/// `[sources.NAME.ldap.groups]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupsConfig {
    /// Under which entries.
    pub base: OneOrMore<Dn>,
    /// Which entries there are groups; by flavor when absent.
    #[serde(default)]
    pub filter: Option<Filter>,
    /// The attributes that name a group's members; by flavor when absent.
    #[serde(default)]
    pub member_attribute: Option<OneOrMore<AttributeName>>,
}

/// A way to sign in without a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sasl {
    /// By the client certificate, or on `ldapi://` by the user of this process (RFC 4422,
    /// appendix A).
    External,
}

/// What to do with a referral.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Referrals {
    /// What is kept elsewhere is not part of this source. A base that is kept elsewhere is an
    /// error.
    #[default]
    Ignore,
    /// It is read there too, with the same credentials and under the same rules of encryption.
    Follow,
}

/// How changes are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Changes {
    /// The best way that the server has.
    #[default]
    Auto,
    /// Everything is read and compared.
    Full,
    /// Active Directory's update sequence numbers.
    Usn,
    /// Active Directory's DirSync control.
    DirSync,
    /// RFC 4533.
    SyncRepl,
}

impl LdapConfig {
    /// One request's time-out.
    pub fn timeout(&self) -> Duration {
        self.timeout.0
    }

    /// Refuses keys that contradict each other. Opens nothing.
    ///
    /// # Errors
    ///
    /// [`SourceError::Configuration`], naming the keys.
    pub fn validate(&self) -> Result<(), SourceError> {
        let refuse = |problem: &str| {
            Err(SourceError::Configuration {
                problem: problem.to_owned(),
            })
        };
        match (&self.bind_dn, &self.bind_password, self.sasl) {
            (Some(name), Some(_), None) if !name.trim().is_empty() => {}
            (None, None, Some(Sasl::External)) => {}
            (Some(_), Some(_), None) => {
                return refuse("`bind_dn` is empty: name the entry that signs in");
            }
            (_, _, Some(_)) => {
                return refuse("`sasl` and `bind_dn` are two ways to sign in; keep one of them");
            }
            (Some(_), None, None) => return refuse("`bind_dn` needs a `bind_password`"),
            (None, Some(_), None) => return refuse("`bind_password` needs a `bind_dn`"),
            (None, None, None) => {
                return refuse(
                    "nothing says who signs in: set `bind_dn` and `bind_password`, or \
                     `sasl = \"external\"` with a `client_certificate`",
                );
            }
        }
        for url in self.url.as_slice() {
            if self.start_tls && !url.is_plain() {
                return refuse(&format!(
                    "`start_tls` is for ldap:// servers; {url} does without it"
                ));
            }
            if url.is_plain() && !self.start_tls && !url.is_loopback() && !self.allow_plaintext {
                return refuse(&format!(
                    "{url} would send the password and people's data in the clear: use ldaps://, \
                     or set `start_tls = true`, or `allow_plaintext = true` if the network is \
                     otherwise protected"
                ));
            }
            let by_certificate = self.sasl == Some(Sasl::External) && !url.is_local_socket();
            if by_certificate && self.client_certificate.is_none() {
                return refuse(&format!(
                    "`sasl = \"external\"` at {url} needs a `client_certificate`"
                ));
            }
            if by_certificate && url.is_plain() && !self.start_tls {
                return refuse(&format!(
                    "`sasl = \"external\"` needs TLS, which {url} does not have"
                ));
            }
        }
        if self.timeout().is_zero() {
            return refuse("`timeout` must be longer than nothing; leave it out for 30s");
        }
        check_bases("users", self.users.base.as_slice())?;
        if let Some(groups) = &self.groups {
            check_bases("groups", groups.base.as_slice())?;
        }
        Ok(())
    }
}

/// A base below another one would give the same entry twice.
fn check_bases(table: &str, bases: &[Dn]) -> Result<(), SourceError> {
    for (position, base) in bases.iter().enumerate() {
        let others = bases.iter().enumerate();
        for (other_position, other) in others {
            if position != other_position && base.is_within(other) {
                return Err(SourceError::Configuration {
                    problem: format!(
                        "in `{table}`, the base `{base}` is part of the base `{other}`; keep the \
                         larger one"
                    ),
                });
            }
        }
    }
    Ok(())
}

fn default_timeout() -> HumanDuration {
    HumanDuration(Duration::from_secs(30))
}

fn default_page_size() -> NonZeroU16 {
    const { NonZeroU16::new(1_000).expect("it is not 0") }
}

fn default_references() -> Vec<AttributeName> {
    vec![AttributeName::constant("manager")]
}

#[cfg(test)]
mod tests;
