//! One of the directories with people and groups in it: what an administrator does there, in
//! that directory's own words. The stories speak of joiners and leavers, and this knows
//! which attribute switches somebody off where.

use std::path::PathBuf;

pub(super) use super::record::Record;
use super::record::escape;
use super::server::{Login, Server, first_missing};
use super::{ns_slapd, samba, slapd};
use crate::support::left_out::leave_out;
use crate::support::private;

/// Which directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavor {
    OpenLdap,
    ActiveDirectory,
    DirectoryServer,
    /// Its layout and schema, in a 389 Directory Server; not FreeIPA itself.
    FreeIpa,
}

impl Flavor {
    pub(super) const ALL: [Self; 4] = [
        Self::OpenLdap,
        Self::ActiveDirectory,
        Self::DirectoryServer,
        Self::FreeIpa,
    ];

    /// What the machine lacks for it.
    pub(super) fn lacks(self) -> Option<&'static str> {
        match self {
            Self::OpenLdap => first_missing(slapd::PROGRAMS),
            Self::ActiveDirectory => first_missing(samba::PROGRAMS).or_else(samba::lacks),
            Self::DirectoryServer | Self::FreeIpa => first_missing(ns_slapd::PROGRAMS),
        }
    }
}

/// Somebody, as personnel knows them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person<'a> {
    /// What their name in the directory (RDN) is made of.
    pub(super) key: &'a str,
    pub(super) given_name: &'a str,
    pub(super) surname: &'a str,
    pub(super) mail: &'a str,
    pub(super) title: &'a str,
}

/// The classes of FreeIPA's people.
const IPA_PERSON: [&str; 5] = [
    "inetOrgPerson",
    "posixAccount",
    "krbPrincipalAux",
    "ipaSshUser",
    "ipaObject",
];

/// A directory that is being looked after.
pub(super) struct Directory {
    pub(super) flavor: Flavor,
    pub(super) server: Server,
}

impl Directory {
    /// Starts one that holds nobody. `None`, and said, when the machine lacks what it needs.
    pub(super) fn start(flavor: Flavor) -> Option<Self> {
        if let Some(missing) = flavor.lacks() {
            leave_out(&format!("stories with {flavor:?}"), missing);
            return None;
        }
        let server = match flavor {
            Flavor::OpenLdap => slapd::Slapd::empty(slapd::Overlays::All),
            Flavor::ActiveDirectory => samba::start(),
            Flavor::DirectoryServer | Flavor::FreeIpa => ns_slapd::start(),
        };
        Some(Self { flavor, server })
    }

    /// Starts an OpenLDAP with these overlays. `None`, and said, when the machine lacks it.
    pub(super) fn start_openldap(overlays: slapd::Overlays) -> Option<Self> {
        let flavor = Flavor::OpenLdap;
        if let Some(missing) = flavor.lacks() {
            leave_out("an OpenLDAP with other overlays", missing);
            return None;
        }
        let server = slapd::Slapd::empty(overlays);
        Some(Self { flavor, server })
    }

    /// Where the people are.
    pub(super) fn users_base(&self) -> String {
        match self.flavor {
            Flavor::OpenLdap | Flavor::DirectoryServer => format!("ou=people,{}", slapd::SUFFIX),
            Flavor::ActiveDirectory => format!("OU=People,{}", samba::SUFFIX),
            Flavor::FreeIpa => format!("cn=users,cn=accounts,{}", ns_slapd::FREEIPA_SUFFIX),
        }
    }

    /// Where the groups are.
    pub(super) fn groups_base(&self) -> String {
        match self.flavor {
            Flavor::OpenLdap | Flavor::DirectoryServer => format!("ou=groups,{}", slapd::SUFFIX),
            Flavor::ActiveDirectory => format!("OU=Groups,{}", samba::SUFFIX),
            Flavor::FreeIpa => format!("cn=groups,cn=accounts,{}", ns_slapd::FREEIPA_SUFFIX),
        }
    }

    /// Where people are moved who have left. With FreeIPA these are the preserved users.
    pub(super) fn former_base(&self) -> String {
        match self.flavor {
            Flavor::OpenLdap | Flavor::DirectoryServer => format!("ou=former,{}", slapd::SUFFIX),
            Flavor::ActiveDirectory => format!("OU=Former,{}", samba::SUFFIX),
            Flavor::FreeIpa => format!(
                "cn=deleted users,cn=accounts,cn=provisioning,{}",
                ns_slapd::FREEIPA_SUFFIX
            ),
        }
    }

    /// Who reads.
    pub(super) fn agent(&self) -> Login {
        match self.flavor {
            Flavor::OpenLdap => slapd::agent(),
            Flavor::ActiveDirectory => samba::agent(),
            Flavor::DirectoryServer => ns_slapd::agent(),
            Flavor::FreeIpa => ns_slapd::freeipa_agent(),
        }
    }

    /// The source's tables in a configuration. `more` are further lines of the first.
    pub(super) fn source(&self, more: &str) -> String {
        let Login { dn, password } = self.agent();
        let secret: PathBuf = self.server.folder().join("bind-password");
        private::write(&secret, &format!("{password}\n")).expect("a file in the temporary folder");
        let ca_file = self.server.ca_file();
        // Every way to connect is used by some directory.
        let way = match (self.flavor, self.server.ldaps) {
            (Flavor::ActiveDirectory | Flavor::DirectoryServer, Some(port)) => format!(
                "url = \"ldaps://127.0.0.1:{port}\"\nca_file = \"{}\"",
                ca_file.display()
            ),
            (Flavor::OpenLdap, Some(_)) => format!(
                "url = \"ldap://localhost:{}\"\nstart_tls = true\nca_file = \"{}\"",
                self.server.ldap,
                ca_file.display()
            ),
            _ => format!("url = \"ldap://127.0.0.1:{}\"", self.server.ldap),
        };
        format!(
            "[sources.corp.ldap]\n{way}\nbind_dn = \"{dn}\"\n\
             bind_password = {{ file = \"{}\" }}\n{more}\n\
             [sources.corp.ldap.users]\nbase = \"{}\"\n\n\
             [sources.corp.ldap.groups]\nbase = \"{}\"\n",
            secret.display(),
            self.users_base(),
            self.groups_base()
        )
    }

    /// The same, for who may read and do everything.
    pub(super) fn source_as_admin(&self, more: &str) -> String {
        let admin = &self.server.admin;
        let secret = self.server.folder().join("admin-password");
        private::write(&secret, &admin.password).expect("a file in the temporary folder");
        self.source(more)
            .replace(&self.agent().dn, &admin.dn)
            .replace("bind-password\"", "admin-password\"")
    }

    /// The name of somebody in the people's place.
    pub(super) fn person_dn(&self, key: &str) -> String {
        format!("{},{}", self.person_rdn(key), self.users_base())
    }

    fn person_rdn(&self, key: &str) -> String {
        let attribute = match self.flavor {
            Flavor::ActiveDirectory => "CN",
            _ => "uid",
        };
        format!("{attribute}={}", escape(key))
    }

    /// The name of a group.
    pub(super) fn group_dn(&self, name: &str) -> String {
        format!("cn={},{}", escape(name), self.groups_base())
    }

    /// Somebody joins.
    pub(super) fn join(&self, person: &Person<'_>) {
        let Person {
            key,
            given_name,
            surname,
            mail,
            title,
        } = *person;
        let common_name = format!("{given_name} {surname}");
        let mut record = Record::add(&self.person_dn(key));
        match self.flavor {
            Flavor::ActiveDirectory => {
                // As a new user without a password is made: 512 and "none needed", 32.
                let login: String = mail.chars().take_while(|it| *it != '@').take(20).collect();
                record
                    .line("objectClass", "user")
                    .line("sAMAccountName", &login)
                    .line("userPrincipalName", &format!("{login}@ad.example.com"))
                    .line("userAccountControl", "544");
            }
            Flavor::OpenLdap | Flavor::DirectoryServer => {
                record
                    .line("objectClass", "inetOrgPerson")
                    .line("uid", key)
                    .line("cn", &common_name);
            }
            Flavor::FreeIpa => {
                for class in IPA_PERSON {
                    record.line("objectClass", class);
                }
                record
                    .line("uid", key)
                    .line("cn", &common_name)
                    .line("uidNumber", "5000")
                    .line("gidNumber", "5000")
                    .line("homeDirectory", "/home/somebody")
                    .line("ipaUniqueID", &made_up_id());
            }
        }
        record
            .line("givenName", given_name)
            .line("sn", surname)
            .line("displayName", &common_name)
            .line("mail", mail)
            .line("title", title);
        self.server.modify(&record.0);
    }

    /// People join who are nothing but their keys.
    pub(super) fn join_clerks<K: AsRef<str>>(&self, keys: impl IntoIterator<Item = K>) {
        for key in keys {
            let key = key.as_ref();
            self.join(&Person {
                key,
                given_name: "A",
                surname: "Person",
                mail: &format!("{key}@example.com"),
                title: "Clerk",
            });
        }
    }

    /// Gives an attribute of somebody, or of a group, just these values.
    pub(super) fn set(&self, dn: &str, attribute: &str, values: &[&str]) {
        let mut record = Record::change(dn, "modify");
        record.line("replace", attribute);
        for value in values {
            record.line(attribute, value);
        }
        self.server.modify(&record.0);
    }

    /// Adds (`add`) or takes away (`delete`) one value.
    pub(super) fn change_value(&self, dn: &str, how: &str, attribute: &str, value: &str) {
        let mut record = Record::change(dn, "modify");
        record.line(how, attribute).line(attribute, value);
        self.server.modify(&record.0);
    }

    /// Switches somebody's account off, or on again.
    pub(super) fn switch(&self, key: &str, on: bool) {
        let dn = self.person_dn(key);
        match self.flavor {
            Flavor::OpenLdap => {
                let locked: &[&str] = if on { &[] } else { &["000001010000Z"] };
                self.set(&dn, "pwdAccountLockedTime", locked);
            }
            Flavor::ActiveDirectory => {
                let control = if on { "544" } else { "546" };
                self.set(&dn, "userAccountControl", &[control]);
            }
            Flavor::DirectoryServer | Flavor::FreeIpa => {
                let locked: &[&str] = if on { &[] } else { &["TRUE"] };
                self.set(&dn, "nsAccountLock", locked);
            }
        }
    }

    /// Moves somebody out of the people's place.
    pub(super) fn move_away(&self, key: &str) {
        self.move_person(key, &self.users_base(), &self.former_base());
    }

    /// Moves them back.
    pub(super) fn move_back(&self, key: &str) {
        self.move_person(key, &self.former_base(), &self.users_base());
    }

    /// Somebody gets another name in the directory.
    pub(super) fn rename_person(&self, key: &str, new: &str) {
        self.rename(&self.person_dn(key), &self.person_rdn(new), None);
    }

    /// A group gets another name.
    pub(super) fn rename_group(&self, name: &str, new: &str) {
        self.rename(&self.group_dn(name), &format!("cn={}", escape(new)), None);
    }

    /// Makes a unit below the people's place, and says what it is called.
    pub(super) fn add_unit(&self, name: &str) -> String {
        let dn = format!("ou={},{}", escape(name), self.users_base());
        let mut record = Record::add(&dn);
        record
            .line("objectClass", "organizationalUnit")
            .line("ou", name);
        self.server.modify(&record.0);
        dn
    }

    /// A unit gets another name.
    pub(super) fn rename_unit(&self, dn: &str, new: &str) {
        self.rename(dn, &format!("ou={}", escape(new)), None);
    }

    /// Moves somebody from one place to another.
    pub(super) fn move_person(&self, key: &str, from: &str, to: &str) {
        let rdn = self.person_rdn(key);
        self.rename(&format!("{rdn},{from}"), &rdn, Some(to));
    }

    fn rename(&self, dn: &str, rdn: &str, to: Option<&str>) {
        let mut record = Record::change(dn, "modrdn");
        record.line("newrdn", rdn).line("deleteoldrdn", "1");
        if let Some(to) = to {
            record.line("newsuperior", to);
        }
        self.server.modify(&record.0);
    }

    /// Deletes somebody or something for good, as far as the directory does.
    pub(super) fn delete(&self, dn: &str) {
        self.server.modify(&Record::change(dn, "delete").0);
    }

    /// Makes a group whose members have these names.
    pub(super) fn add_group(&self, name: &str, members: &[String]) {
        let mut record = Record::add(&self.group_dn(name));
        record.line("cn", name);
        match self.flavor {
            Flavor::ActiveDirectory => {
                let login: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
                // A global security group.
                record
                    .line("objectClass", "group")
                    .line("sAMAccountName", &format!("g-{login}"))
                    .line("groupType", "-2147483646");
            }
            Flavor::OpenLdap | Flavor::DirectoryServer => {
                record.line("objectClass", "groupOfNames");
            }
            Flavor::FreeIpa => {
                for class in ["groupOfNames", "nestedGroup", "ipaUserGroup", "ipaObject"] {
                    record.line("objectClass", class);
                }
                record.line("ipaUniqueID", &made_up_id());
            }
        }
        for member in members {
            record.line("member", member);
        }
        self.server.modify(&record.0);
    }

    /// Adds a member, a person or a group, to a group.
    pub(super) fn add_member(&self, group: &str, member: &str) {
        self.change_value(&self.group_dn(group), "add", "member", member);
    }

    /// Takes a member out of a group.
    pub(super) fn remove_member(&self, group: &str, member: &str) {
        self.change_value(&self.group_dn(group), "delete", "member", member);
    }
}

/// An id such as the plugin of FreeIPA gives, which is not there.
fn made_up_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
