//! The planning core, tested as a whole.

mod references;
