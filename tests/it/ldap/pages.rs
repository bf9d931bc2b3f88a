//! The pages for administrators, followed step by step: what they tell to type is typed, and
//! what they show is what is printed.
//!
//! Of a page these blocks count, in their order: `sh`, `ldif` (by the directory's administrator;
//! `ldif config` by that of its configuration), `toml`, and `console`, where a line of output
//! that ends in `…` goes on, and `…` alone stands for any lines.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::directory::{Directory, Flavor, Person};
use super::slapd;
use crate::support::run::run;
use crate::support::scenario::Scenario;
use crate::support::story::Story;

/// One block of a page: what it is, and its text.
type Block<'a> = (&'a str, &'a str);

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut parts = page.split("\n```");
    parts.next();
    let mut blocks = Vec::new();
    // A fence opens and the next one closes.
    while let (Some(block), Some(_)) = (parts.next(), parts.next()) {
        let (kind, text) = block.split_once('\n').expect("a block has a first line");
        blocks.push((kind.trim(), text));
    }
    blocks
}

/// A page in the hands of somebody with this directory.
struct Walk<'a> {
    directory: &'a Directory,
    story: Story,
    /// What the page calls the server, and what it is called here.
    url: (&'a str, String),
}

impl Walk<'_> {
    fn follow(&mut self, page: &str) {
        for (kind, text) in blocks(page) {
            match kind {
                "sh" => self.type_in(text),
                "ldif" => self.directory.server.modify(text),
                "ldif config" => {
                    let configurator = slapd::configurator();
                    self.directory.server.modify_as(&configurator, &[], text);
                }
                "toml" => self.configure(text),
                "console" => self.converse(text),
                "powershell" => {}
                other => panic!("a block of another kind: {other}\n{text}"),
            }
        }
    }

    fn type_in(&self, text: &str) {
        let tools = self.directory.server.folder().join("tools");
        let path = std::env::var("PATH").expect("a path");
        let ran = Command::new("sh")
            .args(["-e", "-c", text])
            .env("PATH", format!("{}:{path}", tools.display()))
            .current_dir(self.story.folder())
            .output()
            .expect("sh runs");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "{text}\n{said}");
    }

    fn configure(&mut self, text: &str) {
        let ca_file = self.directory.server.ca_file().display().to_string();
        let text = text
            .replace(self.url.0, &self.url.1)
            .replace("\"ca.crt\"", &format!("{ca_file:?}"))
            .replace("https://app.example.com/scim/v2", "{base_url}")
            .replace("env = \"APP_TOKEN\"", "file = \"{token_file}\"");
        self.story
            .set_config(&format!("state_dir = \"state\"\n{text}"));
    }

    fn converse(&self, text: &str) {
        for exchange in text.split("$ provisor ").skip(1) {
            let (command, expected) = exchange.split_once('\n').expect("a command's line");
            let arguments: Vec<String> = command.split(' ').map(str::to_owned).collect();
            let ran = run(self.story.folder(), &arguments);
            let printed = ran.stdout.replace(&self.url.1, self.url.0);
            assert!(
                matches(expected.trim_end(), printed.trim_end()),
                "`{command}` should print\n{expected}\nand prints\n{printed}\n{}",
                ran.stderr
            );
            assert_eq!(ran.exit, 0, "{command}: {}", ran.stderr);
        }
    }
}

/// Whether this was printed, line by line.
fn matches(expected: &str, printed: &str) -> bool {
    let expected: Vec<&str> = expected.lines().collect();
    let printed: Vec<&str> = printed.lines().collect();
    lines_match(&expected, &printed)
}

fn lines_match(expected: &[&str], printed: &[&str]) -> bool {
    let Some((first, rest)) = expected.split_first() else {
        return printed.is_empty();
    };
    if *first == "…" {
        return (0..=printed.len()).any(|from| lines_match(rest, &printed[from..]));
    }
    let Some((line, later)) = printed.split_first() else {
        return false;
    };
    let same = match first.strip_suffix('…') {
        Some(beginning) => line.starts_with(beginning),
        None => first.trim_end() == line.trim_end(),
    };
    same && lines_match(rest, later)
}

#[test]
fn what_was_printed_is_held_against_the_page() {
    assert!(matches("a\n…\nd", "a\nb\nc\nd"));
    assert!(matches("a…\n…", "abc"));
    assert!(!matches("a", "a\nb"));
    assert!(!matches("a\nb", "a"));
    assert!(!matches("…\nx", "a\nb"));
    let page = "t\n```sh\none\n```\nmore\n```ldif config\ntwo\n```\n";
    assert_eq!(blocks(page), [("sh", "one"), ("ldif config", "two")]);
}

/// Ana and Bo, and the group that the app is for. The account that usually reads is none of
/// the page's.
fn prepare(directory: &Directory, keys: [&str; 2]) -> Story {
    directory.delete(&directory.agent().dn);
    for (key, given_name, surname, mail) in [
        (keys[0], "Ana", "Alba", "ana@example.com"),
        (keys[1], "Bo", "Berg", "bo@example.com"),
    ] {
        directory.join(&Person {
            key,
            given_name,
            surname,
            mail,
            title: "Clerk",
        });
    }
    directory.add_group("app-users", &keys.map(|key| directory.person_dn(key)));
    // The page brings the configuration; the sandbox needs one to begin with.
    let source = directory.source("");
    let config = super::stories::config(&source, "");
    Story::begin(Scenario::told("A page is right.", &config))
}

#[test]
fn the_page_about_active_directory_is_right() {
    let Some(directory) = Directory::start(Flavor::ActiveDirectory) else {
        return;
    };
    let story = prepare(&directory, ["Ana Alba", "Bo Berg"]);
    samba_tool(directory.server.folder());
    let port = directory.server.ldaps.expect("it speaks TLS");
    let mut walk = Walk {
        directory: &directory,
        story,
        url: (
            "ldaps://dc1.ad.example.com",
            format!("ldaps://127.0.0.1:{port}"),
        ),
    };
    walk.follow(include_str!("../../../docs/active-directory.md"));
}

/// `samba-tool` as on the domain controller itself.
fn samba_tool(at: &Path) {
    let tools = at.join("tools");
    std::fs::create_dir(&tools).expect("a folder in the temporary folder");
    let tool = super::server::program("samba-tool").expect("samba-tool");
    let at = at.display();
    let script = format!(
        "#!/bin/sh\nexport PYTHONDONTWRITEBYTECODE=1\nexec {} \"$@\" \\\n  \
         -s {at}/smb.conf -H {at}/domain/private/sam.ldb\n",
        tool.display()
    );
    let path = tools.join("samba-tool");
    std::fs::write(&path, script).expect("a file in the temporary folder");
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(&path, mode).expect("its mode can be set");
}

#[test]
fn the_page_about_openldap_is_right() {
    let Some(directory) = Directory::start_openldap(slapd::Overlays::None) else {
        return;
    };
    let story = prepare(&directory, ["ana", "bo"]);
    let port = directory.server.ldap;
    let mut walk = Walk {
        directory: &directory,
        story,
        url: (
            "ldap://ldap.example.com",
            format!("ldap://localhost:{port}"),
        ),
    };
    walk.follow(include_str!("../../../docs/openldap.md"));
}
