//! Microsoft Entra as a source, against a simulator: no test can reach Graph.
//!
//! The simulator holds a tenant and answers as Microsoft's pages say, with the quirks and faults
//! that people reported. It imports nothing from the connector: it would only agree with itself.

mod counted;
mod documented;
mod metadata;
mod random;
mod round;
mod sign_in;
mod simulator;
mod stories;
mod tenant;
mod trouble;
mod wire;
