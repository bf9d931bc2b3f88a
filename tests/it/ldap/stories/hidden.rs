//! Somebody changes who may read what: what cannot be read any more has not gone.

use super::{begin, with};
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

/// Hides one attribute from the agent, or none.
fn hide(directory: &Directory, attribute: Option<&str>) {
    if directory.flavor == Flavor::ActiveDirectory {
        for name in ["title", "mail"] {
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
