//! What the integration tests share: running the real program, running its embedded service
//! provider as a server of its own, and the scenarios' file format.
//!
//! Imports nothing from the engine. What is expected comes from the design and from the
//! server's log, never from the code under test.

pub(crate) mod certificates;
pub(crate) mod compare;
pub(crate) mod document;
pub(crate) mod http;
pub(crate) mod left_out;
pub(crate) mod namespace;
pub(crate) mod private;
pub(crate) mod run;
pub(crate) mod sandbox;
pub(crate) mod scenario;
pub(crate) mod story;
pub(crate) mod tls;
