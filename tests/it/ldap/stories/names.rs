//! Names as people have them: every character that means something in a DN, in a filter or
//! in a template, and every alphabet.

use super::{PUSH_ALL, begin, with};
use crate::ldap::directory::{Directory, Flavor, Person};

with! { every_letter:
    every_letter_with_openldap OpenLdap,
    every_letter_with_active_directory ActiveDirectory,
    every_letter_with_389ds DirectoryServer,
    every_letter_with_freeipa FreeIpa,
}

/// What RFC 4514 §2.4 escapes, and what RFC 4515 does.
const ESCAPED: &str = r##"# a,b+c"d\e<f>g;h=i(j)k*l"##;

fn every_letter(directory: &Directory) {
    let mut story = begin(
        directory,
        "Names are data: whatever they hold, each person is one POST, each group is one POST, \
         and members are found by their names in the directory.",
        PUSH_ALL,
    );
    // A 389 Directory Server wants user names in ASCII, and gives them without a blank at the
    // end; elsewhere they may have either.
    let (key, new) = match directory.flavor {
        Flavor::OpenLdap | Flavor::ActiveDirectory => (format!("{ESCAPED}é "), "zoë"),
        Flavor::DirectoryServer | Flavor::FreeIpa => (ESCAPED.to_owned(), "zoe"),
    };
    directory.join(&Person {
        key: &key,
        given_name: "Zoë",
        surname: "Øster-Müller 山田",
        mail: "zoe@example.com",
        title: "{{ Chef }} & \"Löwe\" \\ 100 %",
    });
    directory.add_group("Größe, +1", &[directory.person_dn(&key)]);
    story.tell(
        r#"
name = "one person and one group"
requests = '''
POST /Users {"schemas":["{User}"],"externalId":"{any}","userName":"zoe@example.com","active":true,
  "name":{"givenName":"Zoë","familyName":"Øster-Müller 山田"},"displayName":"Zoë Øster-Müller 山田",
  "emails":[{"type":"work","value":"zoe@example.com","primary":true}],
  "title":"{{ Chef }} & \"Löwe\" \\ 100 %"}
POST /Groups {"schemas":["{Group}"],"externalId":"{any}","displayName":"Größe, +1","members":[{"value":"{id:zoe@example.com}"}]}
'''
[members]
"Größe, +1" = ["zoe@example.com"]
"#,
    );
    story.tell(
        r#"
name = "nothing happened"
requests = ""
reads = 0
"#,
    );
    directory.rename_person(&key, new);
    directory.rename_group("Größe, +1", "\"Größe\" = 2;");
    story.tell(
        r#"
name = "both get another name; the person's is no attribute in use"
requests = '''
PATCH /Groups/{id:Größe, +1} [{"op":"replace","path":"displayName","value":"\"Größe\" = 2;"}]
'''
"#,
    );
    story.check_settled();
}
