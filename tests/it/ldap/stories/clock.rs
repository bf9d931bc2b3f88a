//! Accounts that end by the clock: nothing changes in the directory, and somebody has left.

use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

use super::{begin, with};
use crate::ldap::directory::{Directory, Flavor};

with! { expires:
    expires_with_openldap OpenLdap,
    expires_with_active_directory ActiveDirectory,
    expires_with_freeipa FreeIpa,
}

fn expires(directory: &Directory) {
    let mut story = begin(
        directory,
        "The last day comes without a change in the directory: 1 PATCH when it has come, none \
         before, and 1 when it is put off.",
        "",
    );
    directory.join_clerks(["ana", "bo"]);
    let started = Instant::now();
    story.tell(
        r#"
name = "two people"
writes = 2
users = { "ana@example.com" = true, "bo@example.com" = true }
"#,
    );
    // Far enough for another step at the pace of this machine, in whole seconds: neither
    // directory has finer ones.
    let ahead = started.elapsed().as_secs() * 4 + 3;
    let ahead = TimeDelta::seconds(i64::try_from(ahead).expect("a short time"));
    let end = Utc::now().trunc_subsecs(0) + ahead;
    set_end(directory, end);
    story.tell(
        r#"
name = "Bo's last day is set, and is not over"
requests = ""
"#,
    );
    assert!(Utc::now() < end, "this machine is too slow for this story");
    let left = (end - Utc::now()).to_std().unwrap_or_default();
    std::thread::sleep(left + Duration::from_millis(500));
    story.tell(
        r#"
name = "now it is"
plan = '''
demo: 0 to create, 0 to adopt, 0 to patch, 1 to deactivate, 0 to reactivate, 0 to delete, 0 held (1 unchanged)

  - user   bo@example.com  DisabledAtSource

  1 request, about 1 s at 100 requests a second

demo: would be 0 created, 0 adopted, 0 patched, 1 deactivated, 0 reactivated, 0 deleted, 0 failed, 0 held (1 unchanged)
'''
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":false}]
'''
"#,
    );
    set_end(directory, end + TimeDelta::days(1));
    story.tell(
        r#"
name = "one day more"
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":true}]
'''
"#,
    );
    story.check_settled();
}

fn set_end(directory: &Directory, end: DateTime<Utc>) {
    let bo = directory.person_dn("bo");
    if directory.flavor == Flavor::ActiveDirectory {
        // Ticks of 100 ns since 1601.
        let ticks = (end.timestamp() + 11_644_473_600) * 10_000_000;
        directory.set(&bo, "accountExpires", &[ticks.to_string().as_str()]);
    } else {
        let attribute = match directory.flavor {
            Flavor::OpenLdap => "pwdEndTime",
            _ => "krbPrincipalExpiration",
        };
        let text = end.format("%Y%m%d%H%M%SZ").to_string();
        directory.set(&bo, attribute, &[text.as_str()]);
    }
}
