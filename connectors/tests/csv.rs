//! The rules for CSV sources, each with a file that keeps it and one that breaks it.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers beside the tests may fail as the tests do"
)]

mod csv {
    mod configuration;
    mod folder;
    mod form;
    mod groups;
    mod people;
    mod properties;
    mod reading;
}
