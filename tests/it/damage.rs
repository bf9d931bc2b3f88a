//! Damage to the state directory, of every kind, at places drawn from seeds: what happens is
//! noticed or harmless, wrongs nobody, and ends where the source says once the words of the
//! error are followed.
//!
//! One organisation and its server are prepared once and copied for each damage. Then the
//! real program runs: until it succeeds, doing what its errors say; then `sync --full` and
//! `sync`, which must write nothing more. A panic or a hang is a failure.
//!
//! `cargo test` plays forty; `PROVISOR_TESTS=all` two hundred;
//! `PROVISOR_DAMAGES=1000 cargo test --test it damage` a thousand. What fails prints its
//! seed, and `PROVISOR_DAMAGE=17` plays that one alone, as far as bytes can be the same.
//! `PROVISOR_DAMAGE_CROWD=1500` makes the database larger than what opening it reads; that is
//! how errors without a remedy were found.
//!
//! Fails without the comparison of generations in `examine` of `src/snapshot/open.rs` (seed 7),
//! the audit log's word on it (23), the warning of a lost snapshot (15), `note_lost_snapshot`
//! (25: a leaver stays inside), and `check_audit` (19). Changed bytes are found by sums and a
//! chain that each have tests beside the code: in most places the database's own sums find them
//! before ours.
//!
//! That an error of the audit log ends the run is not missed here: with the error of
//! `append_all` swallowed in `src/apply/ledger.rs` the seeds 0 to 59 passed, and the test beside
//! the ledger failed.

mod disk;
mod kind;
mod organisation;
mod records;
mod server;
mod trial;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use kind::Kind;
use trial::{Bench, Outcome};

use crate::support::left_out::{everything, leave_out};

/// Two: the program waits for the disk about as long as it works.
const AT_ONCE: usize = 2;

#[test]
fn damage_is_noticed_or_harmless() {
    let chosen = number("PROVISOR_DAMAGE");
    let count = number("PROVISOR_DAMAGES").unwrap_or(if everything() { 200 } else { 40 });
    let seeds = chosen.map_or(0..count, |seed| seed..seed + 1);
    println!("damages {seeds:?}");
    let left_out = kinds_left_out();
    let next = AtomicU64::new(seeds.start);
    let outcomes: Mutex<BTreeMap<(Kind, Outcome), u32>> = Mutex::default();
    let failures: Mutex<Vec<String>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(usize::try_from(count).unwrap_or(AT_ONCE)) {
            scope.spawn(|| {
                let bench = Bench::prepare();
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    let kind = Kind::of(seed);
                    if left_out.contains(&kind) {
                        continue;
                    }
                    let played = panic::catch_unwind(AssertUnwindSafe(|| bench.play(seed)));
                    match played {
                        Ok((outcome, story)) => {
                            if chosen.is_some() {
                                println!("{kind:?}: {story}");
                            }
                            let mut outcomes = outcomes.lock().expect("nobody panics with it");
                            *outcomes.entry((kind, outcome)).or_default() += 1;
                        }
                        Err(panic) => {
                            let said = panic.downcast_ref::<String>().cloned();
                            let said = said.unwrap_or_else(|| "it says nothing".to_owned());
                            let text = format!("PROVISOR_DAMAGE={seed} ({kind:?}): {said}");
                            failures.lock().expect("nobody panics with it").push(text);
                        }
                    }
                }
            });
        }
    });
    println!(
        "{}",
        table(&outcomes.into_inner().expect("nobody panicked with it"))
    );
    let failures = failures.into_inner().expect("nobody panicked with it");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// What this machine cannot do: mount a disk for a single run.
fn kinds_left_out() -> Vec<Kind> {
    let mut left_out = Vec::new();
    if let Some(missing) = disk::missing() {
        leave_out("full and read-only disks", missing);
        left_out.extend([Kind::FullDisk, Kind::FillingDisk, Kind::ReadOnly]);
    }
    left_out
}

/// A line for each kind: what came of it, and how often.
fn table(outcomes: &BTreeMap<(Kind, Outcome), u32>) -> String {
    let mut text = String::new();
    for kind in Kind::ALL {
        let of_kind: Vec<String> = outcomes
            .iter()
            .filter(|((it, _), _)| *it == kind)
            .map(|((_, outcome), times)| format!("{times} {outcome:?}"))
            .collect();
        writeln!(text, "{kind:?}: {}", of_kind.join(", ")).expect("a string takes all");
    }
    text
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} must be a number")))
}
