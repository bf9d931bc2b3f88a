//! The simulation: a random organisation, two targets that misbehave, a machine that dies and a
//! clock that jumps. However it went, once the faults stop one more cycle makes both targets as
//! the source is, and the next sends nothing; and nobody was wronged on the way.
//!
//! A world is made from its seed alone and plays the same again. `cargo test` plays a few
//! hundred; more: `PROVISOR_SIMULATION_WORLDS=10000 cargo test --test it simulation`. A world
//! that fails prints its seed and the story of its last steps;
//! `PROVISOR_SIMULATION_SEED=N PROVISOR_SIMULATION_WORLDS=1` plays that one.
//!
//! The engine is the real one: sources, store, cycle and client over loopback. The servers, the
//! truth and what may be done to whom are the simulation's own, and import nothing of it.

mod death;
mod machine;
mod oracle;
mod organisation;
mod server;
mod service;
mod settings;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use world::World;

const WORLDS: u64 = 200;
/// Enough to see that something is wrong everywhere.
const MOST_FAILURES: usize = 3;

#[test]
fn whatever_happens_the_targets_converge_and_nobody_is_wronged() {
    let first = number("PROVISOR_SIMULATION_SEED").unwrap_or(1);
    let worlds = number("PROVISOR_SIMULATION_WORLDS").unwrap_or(WORLDS);
    println!("PROVISOR_SIMULATION_SEED={first} PROVISOR_SIMULATION_WORLDS={worlds}");
    let next = AtomicU64::new(first);
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    let enough = failures.lock().expect("no panic").len() >= MOST_FAILURES;
                    if seed >= first + worlds || enough {
                        return;
                    }
                    let played = catch_unwind(AssertUnwindSafe(|| World::new(seed).play()));
                    let story = match played {
                        Ok(Ok(())) => continue,
                        Ok(Err(story)) => story,
                        Err(_) => "it panicked; see above".to_owned(),
                    };
                    failures.lock().expect("no panic").push((seed, story));
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    for (seed, story) in &failures {
        println!("--- PROVISOR_SIMULATION_SEED={seed} PROVISOR_SIMULATION_WORLDS=1\n{story}");
    }
    assert!(failures.is_empty(), "{} worlds failed", failures.len());
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} must be a number")),
    )
}
