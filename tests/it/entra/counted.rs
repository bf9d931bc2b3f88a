//! Requests counted, beside the least that Graph's paging allows; and what is selected held
//! against Microsoft's own description.

use std::collections::BTreeSet;

use serde_json::json;

use super::metadata;
use super::simulator::{Asked, Simulator};
use super::stories::begin;
use super::tenant::Tenant;
use crate::support::run::run;
use crate::support::story::Story;

/// Reads as a sync does, without a target that takes part: a preview.
fn preview(story: &Story) {
    let arguments = ["sync", "--dry-run"].map(str::to_owned);
    let ran = run(story.folder(), &arguments);
    assert_eq!(ran.exit, 0, "{ran:#?}");
}

fn paths(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|it| it.path.as_str()).collect()
}

#[test]
fn an_unchanged_cycle_is_three_requests_and_one_for_each_app() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    tenant.add_group("crew", &[ana]);
    let app = tenant.add_app("GitGuardian", &[]);
    tenant.assign(app, ana, None);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "Nothing happened: one request for each list that could tell of something.",
        "[targets.demo.scope]\nassigned_to = \"GitGuardian\"\n",
    );
    story.tell("name = \"at first\"\nwrites = 1\n");
    simulator.take_asked();
    let logins = simulator.logins();
    preview(&story);
    let asked = simulator.take_asked();
    let list = format!("/v1.0/servicePrincipals/{app}/appRoleAssignedTo");
    let expected = [
        "/v1.0/directory/deletedItems/microsoft.graph.user",
        list.as_str(),
        "/v1.0/groups/delta",
        "/v1.0/users/delta",
    ];
    assert_eq!(paths(&asked), expected);
    assert_eq!(simulator.logins() - logins, 1);
}

#[test]
fn the_roles_of_an_app_are_one_request_more() {
    let mut tenant = Tenant::new();
    let ana = tenant.add_user("ana", json!({}));
    let app = tenant.add_app("GitGuardian", &["Admin"]);
    tenant.assign(app, ana, Some("Admin"));
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "What the ids of roles mean is asked of the app itself.",
        "[targets.demo.groups]\ngroup_by = \"roles:GitGuardian\"\n",
    );
    story.tell("name = \"at first\"\nwrites = 2\n");
    simulator.take_asked();
    preview(&story);
    let app = format!("/v1.0/servicePrincipals/{app}");
    let list = format!("{app}/appRoleAssignedTo");
    let asked = simulator.take_asked();
    assert_eq!(asked.len(), 5);
    assert_eq!(paths(&asked)[1..3], [app, list]);
}

/// With `PROVISOR_ENTRA_PEOPLE=100000` among so many, for which a run wants more time than usual:
/// `PROVISOR_RUN_SECONDS=1200`.
///
/// The least is Graph's to say: a page of a delta query is as large as it likes, and `$top` is not
/// taken there ("Use delta query").
#[test]
fn everything_is_as_many_requests_as_pages_and_ten_changes_are_three() {
    let asked_for = std::env::var("PROVISOR_ENTRA_PEOPLE").ok();
    let count: usize = asked_for
        .and_then(|text| text.parse().ok())
        .unwrap_or(3_000);
    let mut tenant = Tenant::new();
    let people: Vec<_> = (0..count)
        .map(|number| tenant.add_user(&format!("p{number}"), json!({})))
        .collect();
    let crew = tenant.add_group("crew", &people[..10]);
    for group in people.chunks(50) {
        tenant.add_group("g", group);
    }
    let groups = tenant.groups.len();
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "The first read is as many pages as there are; after that the changes are one.",
        "[targets.demo.scope]\ngroups = [\"crew\"]\n",
    );
    // Two previews and the run; 100 objects a page is what this tenant gives.
    story.tell("name = \"a few are in scope\"\nwrites = 10\n");
    let asked = simulator.take_asked();
    let of = |path: &str| asked.iter().filter(|it| it.path == path).count();
    let (users, groups) = (count.div_ceil(100), groups.div_ceil(100));
    assert_eq!(of("/v1.0/users/delta"), 3 * users);
    assert_eq!(of("/v1.0/groups/delta"), 3 * groups);
    assert_eq!(asked.len(), 3 * (users + groups + 1));

    preview(&story);
    assert_eq!(simulator.take_asked().len(), 3);
    let ten = |simulator: &Simulator| {
        simulator.tenant(|tenant| {
            for id in people.iter().step_by(count / 10) {
                tenant.set(*id, json!({"department": "Sales", "jobTitle": "Boss"}));
            }
            tenant.put_member(crew, people[count - 1], true);
        });
    };
    ten(&simulator);
    preview(&story);
    assert_eq!(simulator.take_asked().len(), 3);
    story.tell("name = \"one of the ten is in scope, and one comes into it\"\nwrites = 2\n");
}

#[test]
fn what_is_selected_exists() {
    let mut tenant = Tenant::new();
    tenant.add_user("ana", json!({"employeeOrgData": {"costCenter": "4711", "division": "North"},
        "businessPhones": ["+41 1"], "onPremisesExtensionAttributes": {"extensionAttribute3": "blue"}}));
    tenant.add_app("GitGuardian", &["Admin"]);
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "What is mapped is selected by its own name, or by that of what it is part of.",
        "",
    );
    let config = super::stories::config(&simulator.source(""), "").replace(
        "[targets.demo.mapping]",
        "[targets.demo.mapping]\ncostCenter = \"costCenter\"\ndivision = \"division\"\n\
         nickName = \"extensionAttribute3\"\n'phoneNumbers[type eq \"work\"].value' = \"{{ \
         businessPhones | first }}\"\nmanager = \"manager\"\nuserType = \"{{ \
         record['roles:GitGuardian'] | first }}\"",
    );
    story.set_config(&config);
    story.tell(
        r#"
name = "Ana with all of it"
requests = '''
POST /Users {"schemas":["{User}","{Enterprise}"],"externalId":"{any}","userName":"ana@example.com","active":true,
  "displayName":"ana","nickName":"blue","emails":[{"type":"work","value":"ana@example.com","primary":true}],
  "phoneNumbers":[{"type":"work","value":"+41 1","primary":true}],
  "{Enterprise}":{"costCenter":"4711","division":"North"}}
'''
"#,
    );
    let asked = simulator.take_asked();
    let mut seen = BTreeSet::new();
    for asked in &asked {
        let query = url::form_urlencoded::parse(asked.raw_query.as_bytes());
        for (_, names) in query.filter(|(name, _)| name == "$select") {
            let of_type = match asked.path.trim_start_matches("/v1.0/") {
                path if path.starts_with("groups/") => "group",
                path if path.starts_with("servicePrincipals") => "servicePrincipal",
                _ => "user",
            };
            let known = metadata::properties(of_type);
            for name in names.split(',') {
                assert!(known.contains_key(name), "{of_type} has no {name}");
                seen.insert(name.to_owned());
            }
        }
    }
    for name in [
        "employeeOrgData",
        "businessPhones",
        "manager",
        "members",
        "accountEnabled",
        "appRoles",
    ] {
        assert!(seen.contains(name), "{name} is not among {seen:?}");
    }
    assert!(!seen.contains("city"), "nobody asked for it: {seen:?}");
}
