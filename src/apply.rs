//! Applying a plan. Makes no choices: everything sent is in the plan, apart from resolving
//! references to what the same plan created.

pub mod report;
