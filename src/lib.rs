//! provisor: reads directories, compares them with what it last pushed, and sends each
//! target app the fewest SCIM 2.0 calls that make the app agree.
//!
//! The map of this crate is in `ARCHITECTURE.md`. In one line: `cycle` joins the steps
//! read, look again, scope and map, match, plan, guard, apply, report.

pub mod apply;
pub mod audit;
pub mod cli;
pub mod config;
pub mod cycle;
pub mod mapping;
pub mod plan;
pub mod sandbox;
pub mod scim;
pub mod scope;
pub mod snapshot;
mod spelling;
pub mod target;
pub mod telemetry;
pub mod template;
mod text;
