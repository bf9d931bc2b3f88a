//! Random tenants: whatever happens there, and however Graph tells it, the target comes to be
//! what the tenant says; a read of changes finds what a read of everything finds; and nobody
//! beyond a limit is switched off before somebody has approved it.
//!
//! Plays a few worlds of a few days each; `PROVISOR_ENTRA_WORLDS=100` plays more, and
//! `PROVISOR_ENTRA_SEED=7` one again.

mod truth;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chrono::TimeDelta;
use fastrand::Rng;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::sign_in::SECRET;
use super::simulator::{Simulator, error};
use super::tenant::{Life, Silences, Tenant};
use crate::support::run::{Ran, run};
use crate::support::sandbox::{Logged, Sandbox};

const DAYS: usize = 12;

#[test]
fn changes_come_to_what_everything_comes_to() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seeds = match number("PROVISOR_ENTRA_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("PROVISOR_ENTRA_WORLDS").unwrap_or(2),
    };
    for seed in seeds {
        World::begin(seed).play();
    }
}

struct World {
    seed: u64,
    rng: Rng,
    simulator: Simulator,
    sandbox: Sandbox,
    folder: TempDir,
    app: Uuid,
    /// Scope by assignment, and whether groups count at any depth; `None`: everybody.
    assigned: Option<bool>,
    /// How many may be switched off in a day for being gone, and how many for being disabled:
    /// no world lasts a day.
    limit: usize,
    /// How many were, without being approved.
    switched_off: usize,
    names: usize,
    /// Those who were deleted on an earlier day.
    deleted: BTreeSet<Uuid>,
    story: Vec<String>,
}

impl World {
    fn begin(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut tenant = Tenant::new();
        let app = tenant.add_app("The App", &["Admin"]);
        let simulator = Simulator::start(tenant);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sandbox = Sandbox::start(&folder.path().join("at"), &[]);
        let assigned = [None, Some(false), Some(true)][rng.usize(..3)];
        let limit = [1000, 1, 0][rng.usize(..3)];
        let mut world = Self {
            seed,
            rng,
            simulator,
            sandbox,
            folder,
            app,
            assigned,
            limit,
            switched_off: 0,
            names: 0,
            deleted: BTreeSet::new(),
            story: Vec::new(),
        };
        world.write_config();
        for _ in 0..8 {
            world.join();
        }
        for _ in 0..3 {
            world.found();
        }
        for _ in 0..12 {
            world.mingle();
        }
        world
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write_config(&self) {
        let scope = match self.assigned {
            None => String::new(),
            Some(transitive) => format!(
                "[targets.demo.scope]\nassigned_to = \"The App\"\ntransitive = {transitive}\n"
            ),
        };
        let limits: String = [
            "group_deletions",
            "identifiers",
            "cleared",
            "reactivations",
            "recreations",
            "overwrites",
            "members_removed",
        ]
        .iter()
        .map(|name| format!("{name} = 1000\n"))
        .collect();
        let limits = format!(
            "{limits}deactivations = {0}\nexplicit_deactivations = {0}\n",
            self.limit
        );
        let text = format!(
            "state_dir = \"state\"\n{}\n[targets.demo]\nsource = \"cloud\"\nbase_url = \"{}\"\n\
             auth = {{ bearer = {{ file = \"{}\" }} }}\n[targets.demo.mapping]\nuserName = \
             \"userPrincipalName\"\ntitle = \"jobTitle\"\nemails = false\n{scope}\
             [targets.demo.groups]\npush = [\"*\"]\n[targets.demo.limits]\n{limits}\
             [targets.demo.pace]\nrequests_per_second = 500\nconcurrency = 4\n",
            self.simulator.source(""),
            self.sandbox.http.base_url,
            self.sandbox.token_file.display(),
        );
        std::fs::write(self.path().join("provisor.toml"), text).expect("a file");
        let secret = self.path().join("client-secret");
        std::fs::write(&secret, SECRET).expect("a file");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(secret, private).expect("its mode can be set");
    }

    fn play(mut self) {
        for day in 0..DAYS {
            self.story.push(format!("day {day}"));
            self.behave_somehow();
            for _ in 0..self.rng.usize(1..6) {
                self.change();
            }
            self.trouble();
            // Whatever could not be read on a bad day is read on the next good one.
            self.simulator.behave();
            self.sync();
            self.agrees();
            let ran = self.run(&["sync", "--full", "--check"]);
            if ran.exit != 0 {
                self.fail(&format!("there is something left to do: {ran:#?}"));
            }
            let tenant = self.simulator.tenant(|tenant| tenant.clone());
            let users = tenant.users.values();
            let gone = users.filter(|user| matches!(user.life, Life::Deleted(_)));
            self.deleted = gone.map(|user| user.id).collect();
        }
    }

    /// How Graph tells things today.
    fn behave_somehow(&mut self) {
        let rng = &mut self.rng;
        let silences = Silences {
            restore: rng.bool(),
            deletion: rng.bool(),
            purge: rng.bool(),
        };
        let (page, slice) = (rng.usize(1..9), rng.usize(1..5));
        let (empty, again, replays) = (rng.usize(0..3), rng.usize(0..4), rng.bool());
        self.simulator.tenant(|tenant| tenant.silences = silences);
        self.simulator.manners(|manners| {
            manners.page = page;
            manners.slice = slice;
            manners.empty_every = empty;
            manners.again_every = again;
            manners.replays = replays;
        });
    }

    /// A run that goes wrong somewhere, or nearly: it writes what is right, or nothing.
    fn trouble(&mut self) {
        let at = self.rng.usize(0..6);
        let kind = self.rng.usize(0..8);
        if kind < 3 {
            return;
        }
        self.story.push(format!("trouble {kind} at request {at}"));
        self.simulator.instead(move |asked, _| {
            let later = asked.before >= at;
            let now = asked.before == at;
            match kind {
                3 => now.then(|| error(429, "TooManyRequests", "x").with("Retry-After", "0.05")),
                4 => now.then(|| error(401, "InvalidAuthenticationToken", "x")),
                5 => (later && asked.raw_query.contains("deltatoken"))
                    .then(|| error(410, "resyncRequired", "x")),
                6 => later.then(|| error(403, "Authorization_RequestDenied", "x")),
                _ => (later && asked.path.ends_with("appRoleAssignedTo"))
                    .then(|| error(404, "Request_ResourceNotFound", "x")),
            }
        });
        self.simulator.take_asked();
        let ran = self.run_within_limits();
        if ![0, 1, 4].contains(&ran.exit) || ran.stderr.contains("panicked") {
            self.fail(&format!("a bad day: {ran:#?}"));
        }
        if ran.exit == 0 {
            self.agrees();
        }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        run(self.path(), &arguments)
    }

    /// What is held is approved, as often as something is.
    fn sync(&mut self) {
        for _ in 0..5 {
            let ran = self.run_within_limits();
            if ran.exit == 0 {
                return;
            }
            let command = ran
                .stdout
                .lines()
                .find_map(|line| line.split_once(" approve demo "));
            let Some((_, held)) = command.filter(|_| ran.exit == 4) else {
                self.fail(&format!("{ran:#?}"));
            };
            let held = held.trim().to_owned();
            self.note(format!("approved: {held}"));
            let approved = self.run(&["approve", "demo", &held]);
            if ![0, 4].contains(&approved.exit) {
                self.fail(&format!("{ran:#?} and then {approved:#?}"));
            }
        }
        self.fail("there is always something held");
    }

    fn run_within_limits(&mut self) -> Ran {
        let count = |sandbox: &Sandbox| {
            let log = sandbox.log();
            log.iter().filter(|it| switches_off(it)).count()
        };
        let before = count(&self.sandbox);
        let ran = self.run(&["sync"]);
        self.switched_off += count(&self.sandbox) - before;
        if self.switched_off > 2 * self.limit {
            self.fail(&format!(
                "{} were switched off: {ran:#?}",
                self.switched_off
            ));
        }
        ran
    }

    fn change(&mut self) {
        match self.rng.usize(0..12) {
            0 => self.join(),
            1 => self.found(),
            2..=4 => self.mingle(),
            5 | 6 => self.assign(),
            7 => self.delete_or_restore(),
            8 => self.purge(),
            9 => self.rest(),
            _ => self.edit(),
        }
    }

    fn note(&mut self, what: String) {
        self.story.push(what);
    }

    /// Some user or group who is there.
    fn some(&mut self, of_users: bool) -> Option<Uuid> {
        let all = self.simulator.tenant(|tenant| {
            let objects = if of_users {
                &tenant.users
            } else {
                &tenant.groups
            };
            let living = objects.values().filter(|it| it.life == Life::Living);
            living.map(|it| it.id).collect::<Vec<_>>()
        });
        self.rng.choice(all)
    }

    fn join(&mut self) {
        self.names += 1;
        let name = format!("p{}", self.names);
        let on = self.rng.u8(0..5) > 0;
        let manager = self.some(true).filter(|_| self.rng.bool());
        let id = self.simulator.tenant(|tenant| {
            let id = tenant.add_user(&name, json!({"accountEnabled": on, "jobTitle": "New"}));
            tenant.set_manager(id, manager);
            id
        });
        if self.rng.bool() {
            let app = self.app;
            self.simulator.tenant(|tenant| tenant.assign(app, id, None));
        }
        self.note(format!("{name} is {id}, {on}, manager {manager:?}"));
    }

    fn found(&mut self) {
        self.names += 1;
        let name = format!("g{}", self.names);
        let id = self.simulator.tenant(|tenant| tenant.add_group(&name, &[]));
        self.note(format!("{name} is {id}"));
    }

    /// Somebody, or a group, comes into a group or leaves it.
    fn mingle(&mut self) {
        let of_users = self.rng.u8(0..4) > 0;
        let (Some(group), Some(member)) = (self.some(false), self.some(of_users)) else {
            return;
        };
        let there = self.rng.u8(0..3) > 0;
        if group == member {
            return;
        }
        self.simulator
            .tenant(|tenant| tenant.put_member(group, member, there));
        self.note(format!("{member} in {group}: {there}"));
    }

    fn assign(&mut self) {
        let of_users = self.rng.bool();
        let Some(principal) = self.some(of_users) else {
            return;
        };
        let (app, on) = (self.app, self.rng.u8(0..3) > 0);
        self.simulator.tenant(|tenant| match on {
            true => tenant.assign(app, principal, None),
            false => tenant.unassign(app, principal),
        });
        self.note(format!("{principal} is assigned: {on}"));
    }

    fn delete_or_restore(&mut self) {
        let deleted: Vec<Uuid> = self.deleted.iter().copied().collect();
        let restored = self.rng.choice(deleted).filter(|_| self.rng.bool());
        if let Some(id) = restored {
            self.deleted.remove(&id);
            self.simulator.tenant(|tenant| tenant.restore(id));
            return self.note(format!("{id} is restored"));
        }
        if let Some(id) = self.some(true) {
            self.simulator.tenant(|tenant| tenant.delete(id));
            self.note(format!("{id} is deleted"));
        }
    }

    fn purge(&mut self) {
        let deleted: Vec<Uuid> = self.deleted.iter().copied().collect();
        let group = self.rng.u8(0..4) == 0;
        let id = match group {
            true => self.some(false),
            false => self.rng.choice(deleted),
        };
        if let Some(id) = id {
            self.deleted.remove(&id);
            self.simulator.tenant(|tenant| {
                // Of groups it is told.
                let told = tenant.silences.purge;
                tenant.silences.purge = told && !group;
                tenant.purge(id);
                tenant.silences.purge = told;
            });
            self.note(format!("{id} is gone for good"));
        }
    }

    /// Days pass: tokens expire, and perhaps the deleted items, too.
    fn rest(&mut self) {
        let days = i64::from(self.rng.u8(1..12));
        self.simulator
            .tenant(|tenant| tenant.wait(TimeDelta::days(days)));
        self.note(format!("{days} days pass"));
    }

    fn edit(&mut self) {
        let Some(id) = self.some(true) else {
            return;
        };
        let number = self.rng.u16(..);
        let title = match self.rng.bool() {
            true => json!(format!("Title {number}")),
            false => Value::Null,
        };
        let change = match self.rng.usize(0..4) {
            0 => json!({"jobTitle": title}),
            1 => json!({"accountEnabled": number.is_multiple_of(2)}),
            2 => json!({"userPrincipalName": format!("n{number}-{}@example.com", self.names)}),
            _ => json!({"city": "nobody selects it", "displayName": format!("N {number}")}),
        };
        let manager = self.some(true).filter(|it| *it != id && self.rng.bool());
        let sets_manager = self.rng.u8(0..3) == 0;
        self.simulator.tenant(|tenant| {
            tenant.set(id, change.clone());
            if sets_manager {
                tenant.set_manager(id, manager);
            }
        });
        self.names += 1;
        self.note(format!(
            "{id}: {change}, manager {sets_manager} {manager:?}"
        ));
    }

    fn fail(&self, why: &str) -> ! {
        let full = self.run(&["sync", "--full", "--dry-run"]);
        panic!(
            "world {} ({:?}, limit {}): {why}\n{}\na full cycle would do:\n{}{}\nplay it again with PROVISOR_ENTRA_SEED={}",
            self.seed,
            self.assigned,
            self.limit,
            self.story.join("\n"),
            full.stdout,
            full.stderr,
            self.seed
        );
    }
}

/// Whether somebody was switched off by this.
fn switches_off(logged: &Logged) -> bool {
    let operations = logged.body["Operations"].as_array().into_iter().flatten();
    let mut operations = operations.filter(|it| it["path"] == "active" && it["value"] == false);
    logged.was_taken() && operations.next().is_some()
}
