//! The schema and the parser agree: on the example with everything switched on, on which
//! keys there are, and on mistakes.

use std::collections::BTreeSet;

use jsonschema::Validator;

use super::*;
use crate::config::{Config, ConfigError};
use crate::plan::action::Limit;

const EXAMPLE: &str = include_str!("../../../config.example.toml");

/// The least that is right; mistakes are made in it.
const PLAIN: &str = r#"
[sources.staff.csv]
users = "people.csv"

[sources.corp.ldap]
url = "ldaps://dc1.example.com"
bind_dn = "cn=provisor"
bind_password = { env = "CORP_PASSWORD" }

[sources.corp.ldap.users]
base = "ou=People,dc=example,dc=com"

[sources.cloud.entra]
tenant_id = "contoso.onmicrosoft.com"
client_id = "0f7c5d0e-3a53-4f0e-9a4b-5b0c8c3f1a77"
client_secret = { env = "ENTRA_SECRET" }

[targets.demo]
preset = "sandbox"
source = ["staff", "corp"]

[targets.app]
source = ["staff"]
base_url = "https://app.example.com/scim/v2"
auth = { bearer = { env = "APP_TOKEN" } }

[targets.suite]
source = "cloud"
base_url = "https://suite.example.com/scim/v2"
auth = { bearer = { env = "APP_TOKEN" } }
"#;

fn validator() -> Validator {
    jsonschema::draft7::new(&schema()).unwrap()
}

fn document(text: &str) -> Value {
    let table: toml::Table = text.parse().unwrap();
    serde_json::to_value(table).unwrap()
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(&path)
}

fn switch_everything_on(example: &str) -> String {
    let lines = example.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_schema_is_one() {
    assert!(jsonschema::draft7::meta::is_valid(&schema()));
}

#[test]
fn the_example_is_right_with_all_that_is_switched_off_in_it() {
    for text in [EXAMPLE, &switch_everything_on(EXAMPLE), PLAIN] {
        assert!(parse(text).is_ok());
        let problems: Vec<String> = validator()
            .iter_errors(&document(text))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(problems, Vec::<String>::new());
    }
}

#[test]
fn editors_show_the_description_that_stands_beside_a_reference() {
    let schema = schema();
    let timeout = &schema["definitions"]["target"]["properties"]["timeout"];
    let written = &written()["definitions"]["target"]["properties"]["timeout"];
    assert!(written["$ref"].is_string() && timeout["$ref"].is_null());
    assert_eq!(timeout["description"], written["description"]);
    assert_eq!(
        timeout["pattern"],
        schema["definitions"]["duration"]["pattern"]
    );
}

/// `PLAIN` with a line more in one of its tables (or a further table), and whether one of
/// its own lines is left out for it.
fn mistaken(table: &str, line: &str, without: &str) -> String {
    let mut text: String = PLAIN
        .lines()
        .filter(|kept| without.is_empty() || !kept.starts_with(without))
        .map(|kept| format!("{kept}\n"))
        .collect();
    let heading = format!("{table}\n");
    match text.find(&heading) {
        Some(at) if !table.is_empty() => text.insert_str(at + heading.len(), &format!("{line}\n")),
        _ if table.is_empty() => text.insert_str(0, &format!("{line}\n")),
        _ => text.push_str(&format!("{heading}{line}\n")),
    }
    text
}

#[test]
fn what_the_parser_refuses_the_schema_underlines() {
    let app = "[targets.app]";
    let demo = "[targets.demo]";
    let csv = "[sources.staff.csv]";
    let ldap = "[sources.corp.ldap]";
    let users = "[sources.corp.ldap.users]";
    let entra = "[sources.cloud.entra]";
    let suite = "[targets.suite.scope]";
    let table = [
        ("", "stat_dir = \"x\"", ""),
        ("", "state_dir = \"\"", ""),
        ("", "audit_values = \"yes\"", ""),
        ("", "state_dir = 7", ""),
        ("", "lookups = \"tables\"", ""),
        ("[lookups.teams]", "Sales = 7", ""),
        ("[lookups.\"my teams\"]", "Sales = \"7\"", ""),
        (csv, "gruops = \"groups.csv\"", ""),
        (csv, "separator = \";;\"", ""),
        (csv, "groups = \"g.csv\"\ngroup_column = \"team\"", ""),
        (csv, "final_newline = \"never\"", ""),
        (csv, "", "users"),
        (csv, "users = 7", "users"),
        (csv, "delimiter = \"\"", ""),
        (csv, "multi_valued = \"aliases\"", ""),
        ("[sources.staff.cvs]", "users = \"people.csv\"", ""),
        ("[sources.\"my staff\".csv]", "users = \"people.csv\"", ""),
        ("[sources.other.cvs]", "users = \"people.csv\"", ""),
        (ldap, "", "url"),
        (ldap, "url = \"https://dc1.example.com\"", "url"),
        (ldap, "url = []", "url"),
        (ldap, "url = \"ldaps://me:s3cret@dc1.example.com\"", "url"),
        (ldap, "url = \"ldaps://dc1.example.com/dc=example\"", "url"),
        (ldap, "", "bind_dn"),
        (ldap, "", "bind_password"),
        (ldap, "bind_password = \"s3cret\"", "bind_password"),
        (ldap, "sasl = \"external\"", ""),
        (ldap, "sasl = \"gssapi\"", "bind_"),
        (ldap, "start_tls = \"yes\"", ""),
        (ldap, "referrals = \"chase\"", ""),
        (ldap, "page_size = 0", ""),
        (ldap, "page_size = 70000", ""),
        (ldap, "flavor = \"ad\"", ""),
        (ldap, "id_attribute = \"entry UUID\"", ""),
        (ldap, "id_encoding = \"uuid\"", ""),
        (ldap, "inactive_by = [\"userAccountcontrol\"]", ""),
        (ldap, "inactive_when = \"title=x\"", ""),
        (ldap, "changes = \"some\"", ""),
        (ldap, "timeout = 30", ""),
        (users, "", "base"),
        (users, "base = []", "base"),
        (users, "scope = \"sub\"", ""),
        (users, "filter = \"mail=*\"", ""),
        (entra, "", "tenant_id"),
        (entra, "tenant_id = \"common\"", "tenant_id"),
        (entra, "", "client_id"),
        (entra, "client_id = \"provisor\"", "client_id"),
        (entra, "", "client_secret"),
        (entra, "client_secret = \"s3cret\"", "client_secret"),
        (entra, "certificate = { env = \"PEM\" }", ""),
        (entra, "federated_token_file = \"token\"", ""),
        (entra, "managed_identity = true", ""),
        (entra, "managed_identity = false", "client_secret"),
        (entra, "cloud = \"germany\"", ""),
        (entra, "graph_url = \"http://graph.example.com\"", ""),
        (entra, "graph_url = \"https://graph.example.com/beta\"", ""),
        (entra, "login_url = \"https://me@login.example.com\"", ""),
        (entra, "extension_properties = [\"a,b\"]", ""),
        (entra, "changes = \"delta\"", ""),
        (entra, "timeout = 30", ""),
        (entra, "token = { env = \"T\" }", ""),
        (suite, "assigned_to = \" \"", ""),
        (suite, "assigned_to = [\"App\"]", ""),
        (suite, "transitive = true", ""),
        (demo, "stale = \"delete\"", ""),
        (demo, "full_every = 24", ""),
        (demo, "settle = \"soon\"", ""),
        (demo, "drift = \"report\"", ""),
        (demo, "drift = { title = \"report\" }", ""),
        (demo, "drift = { active = \"leave\" }", ""),
        (demo, "timeout = \"30\"", ""),
        (demo, "adopt_inactive = \"list\"", ""),
        (demo, "take_over = \"yes\"", ""),
        (demo, "rehire_key = \"\"", ""),
        (demo, "keep_when_empty = true", ""),
        (demo, "match = [\"userName\", \"userName\"]", ""),
        (demo, "tenant = \"acme\"", ""),
        (demo, "", "source"),
        (demo, "base_url = \"https://app.example.com\"", ""),
        (demo, "protect = \"boss@example.com\"", ""),
        (demo, "protect = [\" \"]", ""),
        (demo, "match = []", ""),
        (demo, "enabled = 1", ""),
        (demo, "schedule = \"* * *\"", ""),
        (demo, "preset = \"sandpit\"", "preset"),
        (demo, "delete_affter = \"30d\"", ""),
        (app, "", "base_url"),
        (app, "", "auth"),
        (app, "source = []", "source"),
        (app, "base_url = \"ftp://app.example.com\"", "base_url"),
        (app, "auth = { bearer = \"s3cret\" }", "auth"),
        (
            app,
            "auth = { bearer = { env = \"A\", file = \"b\" } }",
            "auth",
        ),
        (app, "auth = { bearer = { env = \"A B\" } }", "auth"),
        (app, "auth = { basic = { username = \"x\" } }", "auth"),
        (app, "auth = {}", "auth"),
        (app, "auth = { token = { env = \"A\" } }", "auth"),
        (
            app,
            "auth = { bearer = { env = \"A\" }, header = { name = \"X\", value = { env = \"A\" } } }",
            "auth",
        ),
        (
            app,
            "auth = { basic = { username = \"x\", password = \"s3cret\" } }",
            "auth",
        ),
        (
            app,
            "auth = { header = { name = \"X-Key\", value = \"s3cret\" } }",
            "auth",
        ),
        (app, "source = [\"staff\", \"staff\"]", "source"),
        (
            app,
            "base_url = \"https://me:s3cret@app.example.com\"",
            "base_url",
        ),
        (app, "proxy = \"http://me:s3cret@proxy.example.com\"", ""),
        ("[targets.demo.scope]", "groups = []", ""),
        ("[targets.demo.scope]", "group = [\"x\"]", ""),
        ("[targets.demo.scope]", "when = true", ""),
        ("[targets.demo.scope]", "when = \"\"", ""),
        ("[targets.demo.mapping]", "title = true", ""),
        ("[targets.demo.mapping]", "title = \"\"", ""),
        (
            "[targets.demo.mapping]",
            "name.givenName = \"givenName\"",
            "",
        ),
        ("[targets.demo.groups]", "push = \"*\"", ""),
        ("[targets.demo.groups]", "when_gone = \"drop\"", ""),
        ("[targets.demo.groups]", "nested = true", ""),
        ("[targets.demo.groups]", "members_per_request = 0", ""),
        ("[targets.demo.groups.rename]", "Sales = 7", ""),
        ("[targets.demo.limits]", "deactivation = 5", ""),
        ("[targets.demo.limits]", "deactivations = \"10\"", ""),
        ("[targets.demo.limits]", "deactivations = \"ten %\"", ""),
        (
            "[targets.demo.limits]",
            "deactivations = { shares = \"1%\" }",
            "",
        ),
        ("[targets.demo.limits]", "deactivations = \"110%\"", ""),
        ("[targets.demo.limits]", "deactivations = 0.1", ""),
        ("[targets.demo.limits]", "deactivations = -1", ""),
        ("[targets.demo.limits]", "deactivations = {}", ""),
        ("[targets.demo.pace]", "requests_per_second = 0", ""),
        ("[targets.demo.pace]", "requests_per_second = \"10\"", ""),
        ("[targets.demo.pace]", "concurrency = 0", ""),
        ("[targets.demo.pace]", "concurrency = 65", ""),
    ];
    let validator = validator();
    for (table, line, without) in table {
        let text = mistaken(table, line, without);
        assert!(parse(&text).is_err(), "the parser takes {table} {line}");
        let document = document(&text);
        assert!(
            !validator.is_valid(&document),
            "the schema takes {table} {line}"
        );
    }
}

/// The keys that the parser has for a table: it lists them when it meets an unknown one.
fn keys_of(table: &str) -> BTreeSet<String> {
    let message = parse(&format!("{table}\nqqqqqq = 1\n"))
        .unwrap_err()
        .message;
    let (_, keys) = message.split_once("the keys here are: ").unwrap();
    let keys = keys.split('`').skip(1).step_by(2);
    keys.map(str::to_owned)
        .filter(|key| {
            let known = parse(&format!("{PLAIN}\n{table}\n{key} = 1\n"));
            let later = known.is_err_and(|error| error.message.contains("by this version"));
            !later
        })
        .collect()
}

#[test]
fn the_schema_has_every_key_that_there_is_and_no_other() {
    let schema = schema();
    let table = [
        ("", &schema),
        ("[sources.x.csv]", &schema["definitions"]["csv"]),
        ("[sources.x.ldap]", &schema["definitions"]["ldap"]),
        (
            "[sources.x.ldap.users]",
            &schema["definitions"]["ldap"]["properties"]["users"],
        ),
        (
            "[sources.x.ldap.groups]",
            &schema["definitions"]["ldap"]["properties"]["groups"],
        ),
        ("[sources.x.entra]", &schema["definitions"]["entra"]),
        ("[targets.x]", &schema["definitions"]["target"]),
        ("[targets.demo.scope]", &schema["definitions"]["scope"]),
        ("[targets.demo.groups]", &schema["definitions"]["groups"]),
        ("[targets.demo.pace]", &schema["definitions"]["pace"]),
    ];
    for (table, described) in table {
        let described: BTreeSet<String> = described["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        assert_eq!(described, keys_of(table), "{table}");
    }
}

#[test]
fn the_schema_has_every_limit() {
    let schema = schema();
    let limits = &schema["definitions"]["target"]["properties"]["limits"]["properties"];
    let described: BTreeSet<&str> = limits
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(described, Limit::ALL.map(Limit::name).into());
}
