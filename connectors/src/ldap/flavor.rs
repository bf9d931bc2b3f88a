//! What kind of server it is, and what follows from that where the configuration says nothing.
//!
//! Pure: the server's root entry (RFC 4512 §5.1) is read by others. Must not connect.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::config::LdapConfig;
use super::dn::Dn;
use super::entry::Entry;
use super::filter::Filter;
use super::id::IdEncoding;
use super::lifecycle::Rule;
use crate::source::SourceId;

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flavor {
    /// Active Directory, and Samba as its domain controller.
    #[serde(rename = "active-directory")]
    ActiveDirectory,
    /// OpenLDAP.
    #[serde(rename = "openldap")]
    OpenLdap,
    /// 389 Directory Server, and those of its family.
    #[serde(rename = "389ds")]
    Ds389,
    /// 389 Directory Server with FreeIPA's layout.
    #[serde(rename = "freeipa")]
    FreeIpa,
    /// Any other.
    #[serde(rename = "generic")]
    Generic,
}

impl fmt::Display for Flavor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Flavor::ActiveDirectory => "Active Directory",
            Flavor::OpenLdap => "OpenLDAP",
            Flavor::Ds389 => "389 Directory Server",
            Flavor::FreeIpa => "FreeIPA",
            Flavor::Generic => "a directory of no kind known here",
        })
    }
}

/// What a server says of itself in its root entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RootDse {
    /// Object identifiers of request controls.
    pub(super) controls: Vec<String>,
    /// Object identifiers of an Active Directory's capabilities.
    pub(super) capabilities: Vec<String>,
    /// Who made it, and which version, where it says so.
    pub(super) vendor: Option<String>,
    /// The partitions it has.
    pub(super) naming_contexts: Vec<String>,
    /// An Active Directory's domain.
    pub(super) default_naming_context: Option<String>,
    /// The name of this one server: update sequence numbers are its own.
    pub(super) dns_host_name: Option<String>,
    /// The entry of this domain controller's service, which has its `invocationId`.
    pub(super) ds_service_name: Option<String>,
    /// The last update sequence number given out.
    pub(super) highest_committed_usn: Option<u64>,
    /// Whether it is OpenLDAP's root entry.
    pub(super) open_ldap: bool,
}

/// The attributes of the root entry; operational ones have to be named (RFC 4512 §5.1).
pub(super) const ROOT_ATTRIBUTES: [&str; 12] = [
    "objectClass",
    "structuralObjectClass",
    "supportedControl",
    "supportedCapabilities",
    "vendorName",
    "vendorVersion",
    "namingContexts",
    "defaultNamingContext",
    "dnsHostName",
    "dsServiceName",
    "highestCommittedUSN",
    "configContext",
];

const AD_CAPABILITY: &str = "1.2.840.113556.1.4.800";

impl RootDse {
    /// Takes the root entry apart.
    pub(super) fn of(entry: &Entry) -> Self {
        let first = |name: &str| entry.texts(name).into_iter().next();
        let is_class = |name: &str| {
            ["objectClass", "structuralObjectClass"]
                .iter()
                .flat_map(|attribute| entry.texts(attribute))
                .any(|class| class.eq_ignore_ascii_case(name))
        };
        let maker = [first("vendorName"), first("vendorVersion")];
        let vendor: Vec<String> = maker.into_iter().flatten().collect();
        Self {
            controls: entry.texts("supportedControl"),
            capabilities: entry.texts("supportedCapabilities"),
            vendor: (!vendor.is_empty()).then(|| vendor.join(" ")),
            naming_contexts: entry.texts("namingContexts"),
            default_naming_context: first("defaultNamingContext"),
            dns_host_name: first("dnsHostName"),
            ds_service_name: first("dsServiceName"),
            highest_committed_usn: first("highestCommittedUSN").and_then(|text| text.parse().ok()),
            open_ldap: is_class("OpenLDAProotDSE") || first("configContext").is_some(),
        }
    }

    /// Whether a request may carry this control.
    pub(super) fn has_control(&self, oid: &str) -> bool {
        self.controls.iter().any(|control| control == oid)
    }

    /// The kind of server that says this. FreeIPA is told by its layout: people are below
    /// `cn=accounts`.
    pub(super) fn flavor(&self, bases: &[Dn]) -> Flavor {
        if self.capabilities.iter().any(|oid| oid == AD_CAPABILITY) {
            return Flavor::ActiveDirectory;
        }
        let vendor = self.vendor.as_deref().unwrap_or_default().to_lowercase();
        if ["389", "red hat", "fedora"]
            .iter()
            .any(|maker| vendor.contains(maker))
        {
            let accounts = Dn::parse("cn=accounts").ok();
            let ipa = accounts.is_some_and(|part| bases.iter().any(|base| base.has_part(&part)));
            return if ipa { Flavor::FreeIpa } else { Flavor::Ds389 };
        }
        if self.open_ldap {
            return Flavor::OpenLdap;
        }
        Flavor::Generic
    }
}

/// Everything a read goes by: what is configured, and the flavor's way for the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) flavor: Flavor,
    pub(super) id_attribute: String,
    pub(super) id_encoding: IdEncoding,
    pub(super) users: Part,
    pub(super) groups: Option<Part>,
    pub(super) member_attributes: Vec<String>,
    /// Whether groups also have the members that name them as their primary group.
    pub(super) primary_groups: bool,
    pub(super) rules: Vec<Rule>,
    pub(super) inactive_when: Option<Filter>,
    pub(super) references: Vec<String>,
}

/// Where one kind of record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) bases: Vec<Dn>,
    pub(super) filter: Filter,
}

impl Settings {
    /// What is configured, completed for this flavor.
    pub(super) fn new(config: &LdapConfig, flavor: Flavor) -> Self {
        let usual = Usual::of(flavor);
        let id_attribute = match &config.id_attribute {
            Some(name) => name.as_str().to_owned(),
            None => usual.id_attribute.to_owned(),
        };
        let id_encoding = config
            .id_encoding
            .unwrap_or_else(|| IdEncoding::of_attribute(&id_attribute));
        let groups = config.groups.as_ref();
        let members = groups.and_then(|groups| groups.member_attribute.as_ref());
        Self {
            flavor,
            id_attribute,
            id_encoding,
            users: Part {
                bases: config.users.base.as_slice().to_vec(),
                filter: filter(config.users.filter.as_ref(), usual.people),
            },
            groups: groups.map(|groups| Part {
                bases: groups.base.as_slice().to_vec(),
                filter: filter(groups.filter.as_ref(), usual.groups),
            }),
            member_attributes: match members {
                Some(names) => names.as_slice().iter().map(ToString::to_string).collect(),
                None => usual.members.iter().map(ToString::to_string).collect(),
            },
            primary_groups: flavor == Flavor::ActiveDirectory && groups.is_some(),
            rules: config
                .inactive_by
                .clone()
                .unwrap_or_else(|| usual.rules.to_vec()),
            inactive_when: config.inactive_when.clone(),
            references: config
                .reference_attributes
                .iter()
                .map(ToString::to_string)
                .collect(),
        }
    }
}

impl Settings {
    /// What makes one read comparable with another, as text: where, who, and by which id.
    pub(super) fn selection(&self) -> String {
        let part = |part: &Part| {
            let bases: Vec<&str> = part.bases.iter().map(Dn::as_str).collect();
            format!("{bases:?} {}", part.filter.as_str())
        };
        format!(
            "{} {} {:?} {} {} {:?} {:?}",
            self.flavor,
            self.id_attribute,
            self.id_encoding,
            part(&self.users),
            self.groups.as_ref().map(part).unwrap_or_default(),
            self.member_attributes,
            self.rules,
        )
    }

    /// Where people are, and where groups are, if they are read.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        [Some(&self.users), self.groups.as_ref()]
            .into_iter()
            .flatten()
    }

    /// All bases.
    pub(super) fn bases(&self) -> impl Iterator<Item = &Dn> {
        self.parts().flat_map(|part| &part.bases)
    }

    /// The bases that are not part of another.
    pub(super) fn outer_bases(&self) -> Vec<&Dn> {
        let mut outer: Vec<&Dn> = Vec::new();
        for base in self.bases() {
            if outer.iter().any(|known| base.is_within(known)) {
                continue;
            }
            outer.retain(|known| !known.is_within(base));
            outer.push(base);
        }
        outer
    }

    /// What matches the entries with these ids, and no others; `None` where an id is not of
    /// the form that this attribute has.
    pub(super) fn any_of<'a>(&self, ids: impl IntoIterator<Item = &'a SourceId>) -> Option<Filter> {
        let filters = ids.into_iter().map(|id| {
            let bytes = self.id_encoding.bytes(id.as_str())?;
            Some(Filter::equals(&self.id_attribute, &bytes))
        });
        let filters: Option<Vec<Filter>> = filters.collect();
        Some(Filter::any(&filters?))
    }

    /// Whether an entry with this name could be a record of this source.
    pub(super) fn is_ours(&self, dn: &Dn) -> bool {
        self.bases().any(|base| dn.is_within(base))
    }
}

fn filter(configured: Option<&Filter>, usual: &'static str) -> Filter {
    configured
        .cloned()
        .unwrap_or_else(|| Filter::constant(usual))
}

/// A flavor's way.
struct Usual {
    id_attribute: &'static str,
    people: &'static str,
    groups: &'static str,
    members: &'static [&'static str],
    rules: &'static [Rule],
}

/// Members of all three styles of group: DNs (`groupOfNames`), DNs with an optional bit string
/// (`groupOfUniqueNames`, RFC 4517 §3.3.21), and user names (`posixGroup`, RFC 2307).
const MEMBERS: &[&str] = &["member", "uniqueMember", "memberUid"];

const PEOPLE: &str = "(|(objectClass=person)(objectClass=posixAccount))";

const GROUPS: &str =
    "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))";

impl Usual {
    fn of(flavor: Flavor) -> Self {
        match flavor {
            Flavor::ActiveDirectory => Self {
                id_attribute: "objectGUID",
                // Computers are of the class `user` too, but in no category of persons.
                people: "(&(objectCategory=person)(objectClass=user))",
                groups: "(objectClass=group)",
                members: &["member"],
                rules: &[Rule::UserAccountControl, Rule::AccountExpires],
            },
            Flavor::OpenLdap => Self {
                id_attribute: "entryUUID",
                people: PEOPLE,
                groups: GROUPS,
                members: MEMBERS,
                rules: &[
                    Rule::PwdAccountLockedTime,
                    Rule::PwdEndTime,
                    Rule::ShadowExpire,
                ],
            },
            Flavor::Ds389 => Self {
                // Entries that were imported have no entryUUID.
                id_attribute: "nsUniqueId",
                people: PEOPLE,
                groups: GROUPS,
                members: MEMBERS,
                rules: &[Rule::NsAccountLock, Rule::ShadowExpire],
            },
            Flavor::FreeIpa => Self {
                id_attribute: "ipaUniqueID",
                people: "(objectClass=posixAccount)",
                groups: "(objectClass=ipaUserGroup)",
                members: &["member"],
                rules: &[Rule::NsAccountLock, Rule::KrbPrincipalExpiration],
            },
            Flavor::Generic => Self {
                id_attribute: "entryUUID",
                people: PEOPLE,
                groups: GROUPS,
                members: MEMBERS,
                rules: &[
                    Rule::NsAccountLock,
                    Rule::PwdAccountLockedTime,
                    Rule::PwdEndTime,
                    Rule::ShadowExpire,
                    Rule::LoginDisabled,
                ],
            },
        }
    }
}

#[cfg(test)]
mod tests;
