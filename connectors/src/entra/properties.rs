//! Which properties of users and groups can be read, and what to select for them.
//!
//! A closed list, because Graph refuses a request that selects what it does not know. What is
//! kept outside the directory (such as `skills`) is not in it: its changes cannot be told.

use std::collections::{BTreeMap, BTreeSet};

use crate::question::Question;
use crate::source::Kind;

/// How a property's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `Edm.String`.
    Text,
    /// `Collection(Edm.String)`.
    Texts,
    /// `Edm.Boolean`.
    Boolean,
    /// `Edm.DateTimeOffset`, given as the text that it is.
    Moment,
}

pub(super) const UPN: &str = "userPrincipalName";
pub(super) const ENABLED: &str = "accountEnabled";
pub(super) const MANAGER: &str = "manager";
pub(super) const NAME: &str = "displayName";
pub(super) const VISIBILITY: &str = "visibility";

use Form::{Boolean, Moment, Text, Texts};

/// Properties of a user (Graph v1.0 metadata, entity type `user`).
pub(super) const OF_USERS: &[(&str, Form)] = &[
    (ENABLED, Boolean),
    ("ageGroup", Text),
    ("businessPhones", Texts),
    ("city", Text),
    ("companyName", Text),
    ("consentProvidedForMinor", Text),
    ("country", Text),
    ("createdDateTime", Moment),
    ("creationType", Text),
    ("department", Text),
    (NAME, Text),
    ("employeeHireDate", Moment),
    ("employeeId", Text),
    ("employeeLeaveDateTime", Moment),
    ("employeeType", Text),
    ("externalUserState", Text),
    ("externalUserStateChangeDateTime", Moment),
    ("faxNumber", Text),
    ("givenName", Text),
    ("imAddresses", Texts),
    ("isResourceAccount", Boolean),
    ("jobTitle", Text),
    ("lastPasswordChangeDateTime", Moment),
    ("legalAgeGroupClassification", Text),
    ("mail", Text),
    ("mailNickname", Text),
    ("mobilePhone", Text),
    ("officeLocation", Text),
    ("onPremisesDistinguishedName", Text),
    ("onPremisesDomainName", Text),
    ("onPremisesImmutableId", Text),
    ("onPremisesLastSyncDateTime", Moment),
    ("onPremisesSamAccountName", Text),
    ("onPremisesSecurityIdentifier", Text),
    ("onPremisesSyncEnabled", Boolean),
    ("onPremisesUserPrincipalName", Text),
    ("otherMails", Texts),
    ("passwordPolicies", Text),
    ("postalCode", Text),
    ("preferredDataLocation", Text),
    ("preferredLanguage", Text),
    ("proxyAddresses", Texts),
    ("securityIdentifier", Text),
    ("showInAddressList", Boolean),
    ("state", Text),
    ("streetAddress", Text),
    ("surname", Text),
    ("usageLocation", Text),
    (UPN, Text),
    ("userType", Text),
];

/// Properties of a group (entity type `group`).
pub(super) const OF_GROUPS: &[(&str, Form)] = &[
    ("classification", Text),
    ("createdDateTime", Moment),
    ("description", Text),
    (NAME, Text),
    ("expirationDateTime", Moment),
    ("groupTypes", Texts),
    ("isAssignableToRole", Boolean),
    ("mail", Text),
    ("mailEnabled", Boolean),
    ("mailNickname", Text),
    ("membershipRule", Text),
    ("onPremisesDomainName", Text),
    ("onPremisesLastSyncDateTime", Moment),
    ("onPremisesSamAccountName", Text),
    ("onPremisesSecurityIdentifier", Text),
    ("onPremisesSyncEnabled", Boolean),
    ("preferredLanguage", Text),
    ("proxyAddresses", Texts),
    ("renewedDateTime", Moment),
    ("securityEnabled", Boolean),
    ("securityIdentifier", Text),
    ("theme", Text),
    ("uniqueName", Text),
    (VISIBILITY, Text),
];

/// Properties within another one of a user: a name of their own, and the one to select.
pub(super) const WITHIN: &[(&str, &str)] = &[
    ("costCenter", "employeeOrgData"),
    ("division", "employeeOrgData"),
    ("extensionAttribute1", ON_PREMISES),
    ("extensionAttribute2", ON_PREMISES),
    ("extensionAttribute3", ON_PREMISES),
    ("extensionAttribute4", ON_PREMISES),
    ("extensionAttribute5", ON_PREMISES),
    ("extensionAttribute6", ON_PREMISES),
    ("extensionAttribute7", ON_PREMISES),
    ("extensionAttribute8", ON_PREMISES),
    ("extensionAttribute9", ON_PREMISES),
    ("extensionAttribute10", ON_PREMISES),
    ("extensionAttribute11", ON_PREMISES),
    ("extensionAttribute12", ON_PREMISES),
    ("extensionAttribute13", ON_PREMISES),
    ("extensionAttribute14", ON_PREMISES),
    ("extensionAttribute15", ON_PREMISES),
];

const ON_PREMISES: &str = "onPremisesExtensionAttributes";

/// The record's id, for who wants it as an attribute, too.
pub(super) const ID: &str = "id";

/// Whether this can be a property's name, and nothing but that in a query.
pub(super) fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    let starts = characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic());
    starts && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Every attribute that can be had, with what is configured besides.
pub(super) fn names(extensions: &[String]) -> BTreeMap<Kind, BTreeSet<String>> {
    let simple = OF_USERS.iter().map(|(name, _)| *name);
    let within = WITHIN.iter().map(|(name, _)| *name);
    let of_users = simple.chain(within).chain([ID, MANAGER]).map(str::to_owned);
    let of_groups = OF_GROUPS.iter().map(|(name, _)| *name).chain([ID]);
    BTreeMap::from([
        (
            Kind::User,
            of_users.chain(extensions.iter().cloned()).collect(),
        ),
        (
            Kind::Group,
            of_groups
                .map(str::to_owned)
                .chain(extensions.iter().cloned())
                .collect(),
        ),
    ])
}

/// What a read is to give, and what is asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Attributes of people, manager and id included.
    pub(super) of_people: BTreeSet<String>,
    /// Attributes of groups.
    pub(super) of_groups: BTreeSet<String>,
    /// Whose assignments are asked for, as configured.
    pub(super) assigned: BTreeSet<String>,
    /// Whose app roles are asked for, as configured.
    pub(super) roles: BTreeSet<String>,
}

impl Wanted {
    /// What of the requested names can be had here; `None`: everything. The others are names
    /// of other directories, which the default mapping looks for as well.
    pub(super) fn new(requested: Option<&BTreeSet<String>>, extensions: &[String]) -> Self {
        let mut names = names(extensions);
        let mut take = |kind| {
            let known: BTreeSet<String> = names.remove(&kind).unwrap_or_default();
            match requested {
                None => known,
                Some(requested) => known.intersection(requested).cloned().collect(),
            }
        };
        let (of_people, of_groups) = (take(Kind::User), take(Kind::Group));
        let asked = requested.into_iter().flatten();
        let mut assigned = BTreeSet::new();
        let mut roles = BTreeSet::new();
        for question in asked.filter_map(|name| Question::asked(name)) {
            match question {
                Question::AssignedTo(app) => assigned.insert(app),
                Question::RolesIn(app) => roles.insert(app),
                Question::Below(_) | Question::Matches(_) => false,
            };
        }
        Self {
            of_people,
            of_groups,
            assigned,
            roles,
        }
    }

    pub(super) fn wants_manager(&self) -> bool {
        self.of_people.contains(MANAGER)
    }

    /// `$select` for people, without what a plain GET has to expand.
    pub(super) fn select_of_people(&self) -> String {
        let mut selected: BTreeSet<&str> = BTreeSet::from([ID, UPN, ENABLED]);
        for name in &self.of_people {
            let within = WITHIN.iter().find(|(inner, _)| inner == name);
            match within {
                Some((_, outer)) => selected.insert(outer),
                None if name == MANAGER => false,
                None => selected.insert(name),
            };
        }
        Vec::from_iter(selected).join(",")
    }

    /// `$select` for `/users/delta`: there the manager is selected like a property.
    pub(super) fn select_of_changed_people(&self) -> String {
        let manager = match self.wants_manager() {
            true => ",manager",
            false => "",
        };
        format!("{}{manager}", self.select_of_people())
    }

    /// `$select` for `/groups/delta`.
    pub(super) fn select_of_groups(&self) -> String {
        let mut selected: BTreeSet<&str> = BTreeSet::from([ID, NAME, VISIBILITY]);
        selected.extend(self.of_groups.iter().map(String::as_str));
        format!("{},members", Vec::from_iter(selected).join(","))
    }

    /// What a delta token is for: another selection has another story, and Graph would go on
    /// with the former one in silence.
    pub(super) fn selection(&self) -> String {
        format!(
            "{} {}",
            self.select_of_changed_people(),
            self.select_of_groups()
        )
    }
}

#[cfg(test)]
mod tests;
