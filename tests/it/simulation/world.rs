//! One world: what happens in it, step by step, all drawn from its seed.

mod others;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use provisor::apply::report::{Outcome, TargetReport};
use provisor::cycle::Release;
use provisor::plan::action::{Change, HeldReason};
use tempfile::TempDir;

use super::death::{Death, When};
use super::machine::{Ended, Machine, Order};
use super::oracle::Oracle;
use super::organisation::{Organisation, pick_key};
use super::server::{Server, Shared, Side, Weather};
use super::service::Service;
use super::settings::Settings;

const TARGETS: [&str; 2] = ["alpha", "beta"];
/// How much of the story is told of a failure.
const LAST_LINES: usize = 300;

pub(super) struct World {
    rng: Rng,
    organisation: Organisation,
    settings: BTreeMap<String, Settings>,
    /// What each target holds, as last shown: its id, and whom it is about.
    held: BTreeMap<String, (String, BTreeSet<String>)>,
    /// Whom others have taken out of a group: the target, the group, the member.
    taken: BTreeSet<(&'static str, String, String)>,
    /// Many leave every day, and few may.
    hard: bool,
    /// The export is cut short.
    broken: bool,
    /// The latest that the clock has ever shown.
    latest: DateTime<Utc>,
    machine: Machine,
    server: Server,
    _folder: TempDir,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        // Where there is one, a folder in memory: what a disk would lose is taken away by hand.
        let memory = Path::new("/dev/shm");
        let folder = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        let folder = folder.expect("a temporary folder");
        let token = folder.path().join("token");
        fs::write(&token, "a-token\n").expect("the token is written");
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).expect("it is private");

        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let hard = rng.u32(0..4) == 0;
        let mut organisation = Organisation::new(&mut rng);
        for _ in 0..if hard { 8 } else { 0 } {
            organisation.join(&mut rng);
        }
        let mut settings = BTreeMap::new();
        let mut sides = BTreeMap::new();
        for name in TARGETS {
            let mut chosen = Settings::new(&mut rng);
            if hard {
                chosen.tighten(&mut rng);
            }
            let oracle = Oracle::new(chosen.clone(), now);
            let mut side = Side {
                service: Service::default(),
                oracle,
            };
            others::plant(&mut side, &mut organisation, &mut rng);
            settings.insert(name.to_owned(), chosen);
            sides.insert(name.to_owned(), side);
        }
        let server = Server::start(Shared {
            sides,
            weather: Weather::Fair,
            rng: rng.fork(),
            death: Death::new(folder.path()),
            story: Vec::new(),
            requests: 0,
            writes: 0,
        });
        let machine = Machine::new(folder.path(), &server, now);
        Self {
            rng,
            organisation,
            settings,
            held: BTreeMap::new(),
            taken: BTreeSet::new(),
            hard,
            broken: false,
            latest: now,
            machine,
            server,
            _folder: folder,
        }
    }

    /// Plays to the end, or to the first thing that is wrong; then the story of it.
    pub(super) fn play(mut self) -> Result<(), String> {
        for (name, settings) in &self.settings {
            self.tell(format!("{name} is configured: {settings:?}"));
        }
        let steps = self.rng.u32(4..12);
        for step in 0..steps {
            self.tell(format!("step {step}"));
            self.step();
            self.judge()?;
        }
        self.finish()
    }

    fn step(&mut self) {
        for _ in 0..self.rng.u32(0..4) {
            let said = self.organisation.change(&mut self.rng);
            self.tell(format!("  {said}"));
        }
        for _ in 0..if self.hard { self.rng.u32(0..3) } else { 0 } {
            let said = self.organisation.lose(&mut self.rng);
            self.tell(format!("  {said}"));
        }
        if self.rng.u32(0..5) == 0 {
            let name = TARGETS[self.rng.usize(0..2)];
            let settings = self.settings.get_mut(name).expect("a target");
            let said = settings.change(&mut self.rng);
            self.tell(format!("  {name} is configured: {said}"));
        }
        if self.rng.u32(0..4) == 0 {
            self.meddle();
        }
        self.turn_clock();
        self.broken = self.rng.u32(0..12) == 0;
        if self.rng.u32(0..4) == 0 {
            self.machine.stop();
        }
        let weather = match self.rng.u32(0..8) {
            0..=3 => Weather::Fair,
            4 | 5 => Weather::OneIn(8),
            6 => Weather::OneIn(2),
            _ => Weather::Down,
        };
        let order = self.order();
        self.server.lock().weather = weather;
        self.run(&order, weather);
    }

    fn order(&mut self) -> Order {
        let rng = &mut self.rng;
        let death = match rng.u32(0..8) {
            0 => Some(When::Request(rng.u32(0..30), rng.bool())),
            1 => Some(When::Request(rng.u32(0..10), rng.bool())),
            2 => Some(When::Report(rng.u32(0..12))),
            3 => Some(When::Place(rng.u32(0..8))),
            _ => None,
        };
        let release = pick_key(&self.held, rng).filter(|_| rng.bool());
        let release = release.map(|name| (name.clone(), self.release(&name)));
        let rng = &mut self.rng;
        Order {
            full: rng.u32(0..3) == 0,
            preview: release.is_none() && rng.u32(0..8) == 0,
            release,
            turned: rng.bool(),
            death,
        }
    }

    /// Somebody approves what they were shown.
    fn release(&mut self, name: &str) -> Release {
        let (held_id, records) = self.held[name].clone();
        let now = self.machine.now();
        let mut shared = self.server.lock();
        let side = shared.sides.get_mut(name).expect("a target");
        // Whoever is approved may have another record meanwhile.
        let badges = &self.organisation.badges;
        let badge_of = |record: String| badges.get(&record).cloned().unwrap_or(record);
        let whose = records.into_iter().map(badge_of).collect();
        side.oracle.approved.push((now, whose));
        Release {
            held_id,
            only: None,
        }
    }

    fn turn_clock(&mut self) {
        let rng = &mut self.rng;
        let by = match rng.u32(0..12) {
            0 => TimeDelta::days(rng.i64(1..40)),
            1 => -TimeDelta::minutes(rng.i64(1..600)),
            2 => -TimeDelta::days(rng.i64(1..10)),
            3 | 4 => TimeDelta::hours(rng.i64(1..30)),
            _ => TimeDelta::seconds(rng.i64(1..900)),
        };
        self.machine.turn_clock(by);
        let now = self.machine.now();
        self.latest = self.latest.max(now);
        self.tell(format!("  it is {now}"));
    }

    fn run(&mut self, order: &Order, weather: Weather) -> Option<BTreeMap<String, TargetReport>> {
        self.write_files();
        let broken = self.broken;
        self.tell(format!(
            "  runs {order:?} in {weather:?}, source broken: {broken}"
        ));
        let before = self.server.lock().writes;
        let ended = self.machine.run(&self.organisation, &self.settings, order);
        if order.preview && self.server.lock().writes > before {
            self.violate("a preview writes".to_owned());
        }
        match ended {
            Ended::Died => {
                self.tell("  provisor died".to_owned());
                None
            }
            Ended::Over(Err(failure)) => {
                self.tell(format!("  failed: {:?}", failure.chain));
                None
            }
            Ended::Over(Ok(reports)) => {
                for report in reports.values() {
                    self.note(report);
                }
                Some(reports)
            }
        }
    }

    /// Remembers what is held, and tells what a target's cycle came to.
    fn note(&mut self, report: &TargetReport) {
        let name = report.target.clone();
        if let Some(failure) = &report.error {
            self.tell(format!("  {name}: {}", failure.chain.join(": ")));
        }
        let Some(plan) = &report.plan else { return };
        for (action, outcome) in plan.actions.iter().zip(&report.outcomes) {
            let record = action.subject.record.as_ref().map(|it| it.id.to_string());
            let (change, reason) = (action.change, action.reason);
            self.tell(format!(
                "  {name}: {record:?} {change:?} {reason:?} {outcome:?}"
            ));
        }
        let mut records = BTreeSet::new();
        for held in &plan.held {
            let record = held.subject.record.as_ref().map(|it| it.id.to_string());
            self.tell(format!(
                "  {name}: {record:?} held {:?} {:?} {}",
                held.reason, held.limit, held.detail
            ));
            records.extend(record);
        }
        match &plan.held_id {
            Some(id) => self.held.insert(name, (id.clone(), records)),
            None => self.held.remove(&name),
        };
    }

    /// Everything works again.
    fn finish(&mut self) -> Result<(), String> {
        self.tell("the faults stop".to_owned());
        self.broken = false;
        self.machine.turn_clock(TimeDelta::hours(25));
        for settings in self.settings.values_mut() {
            settings.lift_limits();
        }
        self.server.lock().weather = Weather::Fair;
        let full = Order {
            full: true,
            ..Order::default()
        };
        let mut reports = BTreeMap::new();
        if self.machine.now() < self.latest {
            // A clock that was ahead is noticed, and what it noted waits from then on.
            reports.extend(self.run(&full, Weather::Fair).unwrap_or_default());
            self.machine.turn_clock(TimeDelta::hours(25));
        }
        reports.extend(self.run(&full, Weather::Fair).unwrap_or_default());
        // Somebody found what this very cycle gave to its owner, or wanted what it took from who is
        // deleted; whoever came back, and might have been hidden for being inactive, turned out to
        // be deleted, or is put back into groups by the next full cycle (worlds 51667 and 58029).
        let excuses = [
            waits_for_a_match,
            missed_somebody,
            somebody_returned,
            freed_a_name,
        ];
        let excused = |report: &TargetReport| excuses.iter().any(|excuse| excuse(report));
        if reports.values().any(excused) {
            reports.extend(self.run(&full, Weather::Fair).unwrap_or_default());
        }
        // A limit that held something is in force until somebody approves it.
        for _ in 0..4 {
            let Some(name) = self.held.keys().next().cloned() else {
                break;
            };
            let release = Some((name.clone(), self.release(&name)));
            let order = Order {
                release,
                ..Order::default()
            };
            let released = self.run(&order, Weather::Fair).unwrap_or_default();
            let returned = released.values().any(somebody_returned);
            reports.extend(released);
            if returned {
                // The next full cycle puts them back into what the app had taken them out of.
                reports.extend(self.run(&full, Weather::Fair).unwrap_or_default());
            }
        }
        self.judge()?;
        for name in TARGETS {
            let Some(plan) = reports.get(name).and_then(|report| report.plan.as_ref()) else {
                self.violate(format!("{name} came to no plan"));
                continue;
            };
            let holds = plan.held.iter().filter_map(|held| {
                let record = held.subject.record.as_ref()?;
                Some((record.id.to_string(), format!("{:?}", held.reason)))
            });
            let holds = holds.collect();
            let mut shared = self.server.lock();
            let Side { service, oracle } = shared.sides.get_mut(name).expect("a target");
            oracle.check_outcome(&self.organisation, service, &holds);
        }
        self.judge()?;
        for order in [Order::default(), full] {
            let before = self.server.lock().writes;
            self.run(&order, Weather::Fair);
            if self.server.lock().writes > before {
                self.violate("the next cycle still writes".to_owned());
            }
        }
        self.judge()
    }

    fn write_files(&self) {
        let folder = &self.machine.folder;
        let mut people = self.organisation.people_csv();
        if self.broken {
            people.truncate(people.len() - 3);
        }
        let mut config = "state_dir = \"state\"\n[sources.staff.csv]\nusers = \"people.csv\"\n\
             groups = \"groups.csv\"\n"
            .to_owned();
        for (name, settings) in &self.settings {
            config.push_str(&settings.toml(name, &self.server.url));
        }
        let files = [
            ("people.csv", people),
            ("groups.csv", self.organisation.groups_csv()),
            ("config.toml", config),
        ];
        for (name, text) in files {
            fs::write(folder.join(name), text).expect("a file is written");
        }
    }

    fn tell(&self, line: String) {
        self.server.lock().tell(line);
    }

    fn violate(&self, what: String) {
        let mut shared = self.server.lock();
        let side = shared.sides.values_mut().next().expect("a target");
        side.oracle.violations.push(what);
    }

    /// The story, if anything is wrong.
    fn judge(&self) -> Result<(), String> {
        let shared = self.server.lock();
        let mut wrong = Vec::new();
        for (name, side) in &shared.sides {
            let all = side.oracle.violations.iter();
            wrong.extend(all.map(|it| format!("WRONG at {name}: {it}")));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let from = shared.story.len().saturating_sub(LAST_LINES);
        let last = shared.story[from..].join("\n");
        Err(format!("{last}\n{}", wrong.join("\n")))
    }
}

/// Whether somebody could not be switched on: where nobody inactive is listed, a 404 says nothing
/// of one who was switched off, so they are switched on by id, and only the 404 to that counts
/// (world 8181).
fn missed_somebody(report: &TargetReport) -> bool {
    let plan = report.plan.as_ref();
    plan.is_some_and(|plan| {
        let mut outcomes = plan.actions.iter().zip(&report.outcomes);
        outcomes.any(|(action, outcome)| {
            action.change == Change::Reactivate && matches!(outcome, Outcome::Failed(_))
        })
    })
}

/// Whether somebody was refused a name, and somebody else deleted who may have had it: deletions come
/// last.
fn freed_a_name(report: &TargetReport) -> bool {
    let plan = report.plan.as_ref();
    plan.is_some_and(|plan| {
        let refused =
            |outcome: &Outcome| matches!(outcome, Outcome::Failed(why) if why.contains("409"));
        let mut actions = plan.actions.iter();
        actions.any(|action| action.change == Change::Delete) && report.outcomes.iter().any(refused)
    })
}

/// Whether somebody was switched on.
fn somebody_returned(report: &TargetReport) -> bool {
    let plan = report.plan.as_ref();
    plan.is_some_and(|plan| {
        let mut actions = plan.actions.iter();
        actions.any(|action| action.change == Change::Reactivate)
    })
}

/// Whether somebody's match was not clear when the cycle began.
fn waits_for_a_match(report: &TargetReport) -> bool {
    let plan = report.plan.as_ref();
    plan.is_some_and(|plan| {
        let mut held = plan.held.iter();
        held.any(|held| held.reason == HeldReason::DuplicateKey)
    })
}
