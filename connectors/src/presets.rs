//! Presets: what is known of particular apps, as data.
/// Name and TOML text of every preset shipped.
pub const ALL: &[(&str, &str)] = &[];
