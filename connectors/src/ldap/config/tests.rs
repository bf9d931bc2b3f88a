use super::*;

const LEAST: &str = "bind_dn = 'cn=x'\nbind_password = { env = 'X' }";

fn config(url: &str, keys: &str) -> LdapConfig {
    let text = format!("url = '{url}'\n{keys}\n[users]\nbase = 'dc=x'");
    toml::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn problem(url: &str, keys: &str) -> String {
    config(url, keys).validate().unwrap_err().to_string()
}

#[test]
fn nothing_is_said_in_the_clear_to_another_machine() {
    for url in [
        "ldaps://dc1.example.com",
        "ldap://localhost",
        "ldap://127.0.0.1:3389",
        "ldap://[::1]:389",
        "ldapi://%2Frun%2Fslapd%2Fldapi",
    ] {
        assert!(config(url, LEAST).validate().is_ok(), "{url}");
    }
    let plain = "ldap://dc1.example.com";
    assert!(problem(plain, LEAST).contains("in the clear"));
    for key in ["start_tls = true", "allow_plaintext = true"] {
        assert!(config(plain, &format!("{LEAST}\n{key}")).validate().is_ok());
    }
    let both = format!("{LEAST}\nstart_tls = true");
    assert!(problem("ldaps://dc1.example.com", &both).contains("`start_tls`"));
}

#[test]
fn there_is_one_way_to_sign_in() {
    let url = "ldaps://dc1.example.com";
    let external = "sasl = 'external'\nclient_certificate = 'c.pem'";
    assert!(config(url, external).validate().is_ok());
    let table = [
        ("", "nothing says who signs in"),
        ("bind_dn = 'cn=x'", "needs a `bind_password`"),
        ("bind_password = { env = 'X' }", "needs a `bind_dn`"),
        (
            "bind_dn = ' '\nbind_password = { env = 'X' }",
            "`bind_dn` is empty",
        ),
        ("sasl = 'external'", "needs a `client_certificate`"),
        ("bind_dn = 'cn=x'\nsasl = 'external'", "keep one"),
    ];
    for (keys, words) in table {
        let problem = problem(url, keys);
        assert!(problem.contains(words), "{keys}: {problem}");
    }
    let socket = "ldapi://%2Frun%2Fslapd%2Fldapi";
    assert!(config(socket, "sasl = 'external'").validate().is_ok());
    let plain = "sasl = 'external'\nclient_certificate = 'c.pem'";
    assert!(problem("ldap://localhost", plain).contains("needs TLS"));
}

#[test]
fn no_entry_is_read_by_two_bases() {
    let with = |bases: &str| -> LdapConfig {
        let text = format!("url = 'ldaps://x'\n{LEAST}\n[users]\nbase = {bases}");
        toml::from_str(&text).unwrap()
    };
    assert!(with("['ou=a,dc=x', 'ou=b,dc=x']").validate().is_ok());
    for bases in ["['ou=a,dc=x', 'dc=x']", "['dc=x', 'DC=X']"] {
        let problem = with(bases).validate().unwrap_err().to_string();
        assert!(problem.contains("is part of the base"), "{problem}");
    }
}

#[test]
fn a_url_is_a_server_and_nothing_more() {
    for url in [
        "https://x",
        "ldaps://",
        "ldaps:x",
        "x",
        "ldaps://me@x",
        "ldaps://x/dc=x",
        "ldaps://x?a",
    ] {
        let url = ServerUrl::try_from(url.to_owned());
        assert!(url.is_err(), "{url:?}");
    }
}
