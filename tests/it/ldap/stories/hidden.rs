//! Somebody changes who may read what: what cannot be read any more has not gone.

use super::{PUSH_ALL, begin, with};
use crate::ldap::directory::{Directory, Flavor, Record};
use crate::ldap::ns_slapd;
use crate::ldap::samba;
use crate::ldap::slapd;

with! { an_attribute:
    a_hidden_attribute_with_openldap OpenLdap,
    a_hidden_attribute_with_active_directory ActiveDirectory,
    a_hidden_attribute_with_389ds DirectoryServer,
    a_hidden_attribute_with_freeipa FreeIpa,
}

with! { what_switches_off:
    hidden_switches_with_openldap OpenLdap,
    hidden_switches_with_active_directory ActiveDirectory,
    hidden_switches_with_389ds DirectoryServer,
}
with! { members:
    hidden_members_with_openldap OpenLdap,
    hidden_members_with_389ds DirectoryServer,
}

fn an_attribute(directory: &Directory) {
    let mut story = begin(
        directory,
        "Twenty people had a title, and the agent may no longer read one: the source is frozen, \
         exit 1, and nobody's title is cleared. When it may again, what really changed is 1 write.",
        "",
    );
    directory.join_clerks((0..20).map(|number| format!("p{number:02}")));
    story.tell(
        r#"
name = "twenty people with a title"
writes = 20
"#,
    );
    hide(directory, Some("title"));
    story.tell(
        r#"
name = "no title can be read"
exit = 1
stderr_contains = ["title"]
requests = ""
"#,
    );
    hide(directory, Some("mail"));
    story.tell(
        r#"
name = "no address can be read, which is everybody's userName"
exit = 1
stderr_contains = ["mail"]
requests = ""
"#,
    );
    hide(directory, None);
    directory.set(&directory.person_dn("p07"), "title", &["Boss"]);
    story.tell(
        r#"
name = "everything can be read again"
requests = '''
PATCH /Users/{id:p07@example.com} [{"op":"replace","path":"title","value":"Boss"}]
'''
"#,
    );
    story.check_settled();
}

/// Of whom it cannot be seen that they are switched off would be switched on.
fn what_switches_off(directory: &Directory) {
    let mut story = begin(
        directory,
        "Twenty are switched off, and the agent may no longer read by what: exit 1, and nobody \
         is created for that. When it may again, who is switched on is 1 write.",
        "",
    );
    let keys: Vec<String> = (0..20).map(|number| format!("p{number:02}")).collect();
    directory.join_clerks(["ana"]);
    directory.join_clerks(&keys);
    for key in &keys {
        directory.switch(key, false);
    }
    story.tell("name = \"only one is switched on\"\nwrites = 1\n");
    let attribute = match directory.flavor {
        Flavor::OpenLdap => "pwdAccountLockedTime",
        Flavor::ActiveDirectory => "userAccountControl",
        Flavor::DirectoryServer | Flavor::FreeIpa => "nsAccountLock",
    };
    hide(directory, Some(attribute));
    story.tell(&format!(
        "name = \"it cannot be read who is\"\nexit = 1\nrequests = \"\"\n\
         stderr_contains = [\"{attribute}\"]\n"
    ));
    hide(directory, None);
    directory.switch("p07", true);
    story.tell("name = \"it can be read again\"\nwrites = 1\n");
    story.check_settled();
}

/// Twenty groups that look as if nobody were in them.
fn members(directory: &Directory) {
    let mut story = begin(
        directory,
        "Twenty groups had a member, and the agent may no longer read one: exit 1, and nobody is \
         taken out of a group for that.",
        PUSH_ALL,
    );
    directory.join_clerks(["ana"]);
    for number in 0..20 {
        directory.add_group(&format!("G{number:02}"), &[directory.person_dn("ana")]);
    }
    story.tell("name = \"one person in twenty groups\"\nwrites = 21\n");
    hide(directory, Some("member"));
    story.tell(
        "name = \"no member can be read\"\nexit = 1\nrequests = \"\"\n\
         stderr_contains = [\"members\"]\n",
    );
    hide(directory, None);
    story.check_settled();
}

/// Hides one attribute from the agent, or none.
fn hide(directory: &Directory, attribute: Option<&str>) {
    if directory.flavor == Flavor::ActiveDirectory {
        for name in ["title", "mail", "userAccountControl"] {
            let (at, unit) = (directory.server.folder(), directory.users_base());
            samba::hide(at, &unit, name, attribute == Some(name));
        }
    } else if directory.flavor == Flavor::OpenLdap {
        let mut record = Record::change("olcDatabase={1}mdb,cn=config", "modify");
        record.line("replace", "olcAccess");
        let mut rules = vec!["to attrs=userPassword by anonymous auth by * none".to_owned()];
        rules.extend(attribute.map(|name| format!("to attrs={name} by * none")));
        rules.push(format!(
            "to * by dn.exact=\"{}\" read by * none",
            slapd::agent().dn
        ));
        for (at, rule) in rules.iter().enumerate() {
            record.line("olcAccess", &format!("{{{at}}}{rule}"));
        }
        directory
            .server
            .modify_as(&slapd::configurator(), &[], &record.0);
    } else {
        let hidden = attribute.unwrap_or("userPassword");
        let rule = ns_slapd::agent_may_read(hidden, &directory.agent());
        let suffix = match directory.flavor {
            Flavor::FreeIpa => ns_slapd::FREEIPA_SUFFIX,
            _ => ns_slapd::SUFFIX,
        };
        directory.set(suffix, "aci", &[rule.as_str()]);
    }
}
