//! Encoding of stored values: a version byte, a checksum, JSON.
