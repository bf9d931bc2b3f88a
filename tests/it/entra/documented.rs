//! `docs/entra.md`: what it shows is run, as it stands there but for the addresses and secrets.

use std::collections::BTreeSet;

use serde_json::json;

use super::sign_in::SECRET;
use super::simulator::Simulator;
use super::stories::write_secret;
use super::tenant::Tenant;
use crate::support::run::run;
use crate::support::scenario::Scenario;
use crate::support::story::Story;

const PAGE: &str = include_str!("../../../docs/entra.md");

/// The block of TOML that has this line.
fn block(line: &str) -> &'static str {
    let mut blocks = PAGE.split("```toml\n").skip(1);
    let block = blocks.find(|block| block.lines().any(|it| it == line));
    let block = block.unwrap_or_else(|| panic!("docs/entra.md shows no {line}"));
    block.split("```").next().expect("the block ends")
}

/// The page's source and one of its apps, at the addresses of this test.
fn configuration(simulator: &Simulator, app: &str, address: &str) -> String {
    let origin = simulator.origin();
    let source = block("[sources.cloud.entra]").replace(
        "client_secret = { credential = \"entra\" }",
        &format!(
            "client_secret = {{ file = \"client-secret\" }}\nlogin_url = \"{origin}\"\n\
             graph_url = \"{origin}\""
        ),
    );
    assert!(source.contains(&origin), "{source}");
    let target = block(&format!("[targets.{app}]"));
    let target = target.replace(address, "{base_url}").replace(
        &format!("auth = {{ bearer = {{ credential = \"{app}\" }} }}"),
        "auth = { bearer = { file = \"{token_file}\" } }",
    );
    assert!(
        target.contains("{base_url}") && target.contains("{token_file}"),
        "{target}"
    );
    format!(
        "state_dir = \"state\"\n{source}\n{target}\n[targets.{app}.pace]\n\
         requests_per_second = 100\nconcurrency = 1\n"
    )
}

/// Ana is assigned to the app, and in the group.
fn tenant(app: &str, group: &str) -> Simulator {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user(
        "ana",
        json!({"givenName": "Ana", "surname": "Alba", "jobTitle": "Engineer", "department": "R&D",
            "employeeId": "4711", "userType": "Member", "preferredLanguage": "en"}),
    );
    tenant.add_user("bo", json!({}));
    let app = tenant.add_app(app, &[]);
    tenant.assign(app, ana, None);
    tenant.add_group(group, &[ana]);
    tenant.add_group("others", &[ana]);
    Simulator::start(tenant)
}

fn begin(text: &str) -> Story {
    let story = Story::begin(Scenario::told("The page is followed to the letter.", text));
    write_secret(&story, SECRET);
    story
}

/// The permissions of the page's table.
fn permissions() -> BTreeSet<&'static str> {
    let rows = PAGE
        .lines()
        .filter_map(|line| line.trim().strip_prefix("| `"));
    let names = rows.filter_map(|row| Some(row.split_once("` |")?.0));
    names.filter(|name| name.contains(".Read.")).collect()
}

#[test]
fn the_permissions_of_the_page_suffice_and_each_is_needed() {
    let simulator = tenant("GitGuardian", "gitguardian-team");
    let address = "https://api.gitguardian.com/v1/scim/v2";
    let mut story = begin("");
    story.set_config(&configuration(&simulator, "gitguardian", address));
    let check = |granted: &BTreeSet<&'static str>| {
        simulator.login(|login| login.permissions.clone_from(granted));
        run(story.folder(), &["check".to_owned()])
    };
    let mut granted = permissions();
    assert_eq!(granted.len(), 4, "{granted:?}");
    let ran = check(&granted);
    assert_eq!(ran.exit, 0, "{ran:#?}");
    // No group here hides its members.
    granted.remove("Member.Read.Hidden");
    for name in &granted {
        let mut fewer = granted.clone();
        fewer.remove(name);
        let ran = check(&fewer);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(ran.exit == 1 && said.contains(name), "{name}: {ran:#?}");
    }
}

#[test]
fn gitguardian() {
    let simulator = tenant("GitGuardian", "gitguardian-team");
    let address = "https://api.gitguardian.com/v1/scim/v2";
    let mut story = begin(&configuration(&simulator, "gitguardian", address));
    story.tell(
        r#"
name = "what GitGuardian's guide maps, and nothing else"
requests = '''
POST /Users {"schemas":["{User}"],"externalId":"ana@example.com","userName":"ana@example.com",
  "active":true,"name":{"givenName":"Ana","familyName":"Alba"}}
POST /Groups {"schemas":["{Group}"],"externalId":"{any}","displayName":"gitguardian-team",
  "members":[{"value":"{id:ana@example.com}"}]}
'''
"#,
    );
    story.check_settled();
}

#[test]
fn an_external_id_that_is_a_name_comes_up_again_with_the_name() {
    let simulator = tenant("GitGuardian", "gitguardian-team");
    let address = "https://api.gitguardian.com/v1/scim/v2";
    let mut story = begin(&configuration(&simulator, "gitguardian", address));
    story.tell("name = \"at first\"\nwrites = 2\n");
    let (ana, app) = simulator.tenant(|tenant| {
        let mut users = tenant.users.values();
        let ana = users.find(|user| user.properties["displayName"] == "ana");
        let ana = ana.expect("Ana is there").id;
        tenant.set(ana, json!({"userPrincipalName": "ana.berg@example.com"}));
        (ana, *tenant.apps.keys().next().expect("the app is there"))
    });
    story.tell(
        r#"
name = "Ana marries: another externalId"
requests = '''
PATCH /Users/{id:ana@example.com} [{"op":"replace","path":"externalId","value":"ana.berg@example.com"},
  {"op":"replace","path":"userName","value":"ana.berg@example.com"}]
'''
"#,
    );
    simulator.tenant(|tenant| tenant.delete(ana));
    story.tell(
        r#"
name = "Ana is deleted"
requests = '''
PATCH /Users/{id:ana.berg@example.com} [{"op":"replace","path":"active","value":false}]
'''
"#,
    );
    simulator.tenant(|tenant| {
        tenant.purge(ana);
        let next = tenant.add_user("ana.berg", json!({"givenName": "Ana", "surname": "Berg"}));
        tenant.assign(app, next, None);
    });
    story.tell(
        r#"
name = "the next one of that name is not given what was Ana's, before somebody has looked"
exit = 4
requests = '''
PATCH /Groups/{id:gitguardian-team} [{"op":"remove","path":"members[value eq \"{id:ana.berg@example.com}\"]"}]
'''
users = { "ana.berg@example.com" = false }
"#,
    );
    let ran = run(story.folder(), &["sync", "--dry-run"].map(str::to_owned));
    assert!(ran.stdout.contains("held: PossibleRehire"), "{ran:#?}");
}

#[test]
fn mergeguide() {
    let simulator = tenant("MergeGuide", "mergeguide-admins");
    let address = "https://portal.mergeguide.ai/scim/v2";
    let mut story = begin(&configuration(&simulator, "mergeguide", address));
    story.tell(
        r#"
name = "what MergeGuide's guide takes, and the group that gives a role"
requests = '''
POST /Users {"schemas":["{User}","{Enterprise}"],"externalId":"{any}","userName":"ana@example.com",
  "active":true,"name":{"givenName":"Ana","familyName":"Alba"},"displayName":"ana","title":"Engineer",
  "emails":[{"type":"work","value":"ana@example.com","primary":true}],"userType":"Member","preferredLanguage":"en",
  "{Enterprise}":{"department":"R&D","employeeNumber":"4711"}}
POST /Groups {"schemas":["{Group}"],"externalId":"{any}","displayName":"mergeguide-admins",
  "members":[{"value":"{id:ana@example.com}"}]}
'''
"#,
    );
    story.check_settled();
}

#[test]
fn the_scope_of_the_page_is_one() {
    let simulator = tenant("GitGuardian", "crew");
    let scope = block("[targets.app.scope]");
    let source = simulator.source("");
    let text = format!(
        "state_dir = \"state\"\n{source}\n[targets.app]\nsource = \"cloud\"\nbase_url = \
         \"{{base_url}}\"\nauth = {{ bearer = {{ file = \"{{token_file}}\" }} }}\n\
         [targets.app.mapping]\nuserName = \"userPrincipalName\"\n{scope}"
    );
    let mut story = begin(&text);
    story.tell("name = \"Ana\"\nwrites = 1\nusers = { \"ana@example.com\" = true }\n");
}
