//! The planning core, against values that a cycle would give it.

mod group_options;
