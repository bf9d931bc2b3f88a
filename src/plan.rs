//! Planning. Pure: no async, no I/O, no clock.

pub mod action;
pub mod rules;
