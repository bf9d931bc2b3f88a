//! What is said of somebody, and of nobody.
