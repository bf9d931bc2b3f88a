//! The lock that keeps a second process out.
