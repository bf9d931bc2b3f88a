//! The integration tests: one binary, because linking the program's crates once is quicker
//! than linking them for every file. Each module says what it needs.

mod architecture;
mod crash;
mod damage;
mod disk_gone;
mod documentation;
mod entra;
mod ldap;
mod scenarios;
mod side_by_side;
mod simulation;
mod support;
mod third_party;
mod tls;
