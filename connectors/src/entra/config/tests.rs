use super::*;

fn config(text: &str) -> EntraConfig {
    toml::from_str(text).unwrap()
}

const REGISTERED: &str = "tenant_id = \"contoso.onmicrosoft.com\"\n\
                          client_id = \"0f7c5d0e-3a53-4f0e-9a4b-5b0c8c3f1a77\"\n";

fn refusal(text: &str) -> String {
    config(text).validate().unwrap_err().to_string()
}

#[test]
fn one_way_to_sign_in_is_taken_and_no_more() {
    for way in [
        "client_secret = { env = \"S\" }",
        "certificate = { credential = \"pem\" }",
        "federated_token_file = \"token\"",
        "managed_identity = true",
    ] {
        config(&format!("{REGISTERED}{way}")).validate().unwrap();
    }
    config("managed_identity = true").validate().unwrap();
    assert!(refusal(REGISTERED).contains("nothing says how to sign in"));
    let two = format!("{REGISTERED}managed_identity = true\nclient_secret = {{ env = \"S\" }}");
    assert!(refusal(&two).contains("`client_secret` and `managed_identity`"));
    let alone = "client_secret = { env = \"S\" }";
    assert!(refusal(alone).contains("`tenant_id`"));
}

#[test]
fn a_tenant_is_one_tenant() {
    for tenant in ["common", "organizations", "", "a/b.c"] {
        let text = REGISTERED.replace("contoso.onmicrosoft.com", tenant);
        let text = format!("{text}client_secret = {{ env = \"S\" }}");
        assert!(refusal(&text).contains("`tenant_id"), "{tenant}");
    }
}

#[test]
fn each_cloud_has_addresses_of_its_own() {
    let addresses = |cloud: &str| {
        let config = config(&format!("managed_identity = true\ncloud = \"{cloud}\""));
        format!("{} {}", config.login(), config.graph())
    };
    let table = [
        (
            "global",
            "https://login.microsoftonline.com/ https://graph.microsoft.com/",
        ),
        (
            "us-gov-l4",
            "https://login.microsoftonline.us/ https://graph.microsoft.us/",
        ),
        (
            "us-gov-l5",
            "https://login.microsoftonline.us/ https://dod-graph.microsoft.us/",
        ),
        (
            "china",
            "https://login.chinacloudapi.cn/ https://microsoftgraph.chinacloudapi.cn/",
        ),
    ];
    for (cloud, expected) in table {
        assert_eq!(addresses(cloud), expected);
    }
}

#[test]
fn an_address_is_an_origin_and_is_encrypted_unless_it_is_this_machine() {
    let taken = |url: &str| {
        let text = format!("managed_identity = true\ngraph_url = \"{url}\"");
        config(&text).validate().is_ok()
    };
    for url in [
        "https://graph.example.com",
        "http://127.0.0.1:8080",
        "http://[::1]:8080/",
    ] {
        assert!(taken(url), "{url}");
    }
    for url in [
        "http://graph.example.com",
        "https://graph.example.com/beta",
        "https://graph.example.com?x=y",
        "https://me@graph.example.com",
        "ftp://graph.example.com",
    ] {
        assert!(!taken(url), "{url}");
    }
}
