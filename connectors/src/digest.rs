//! Keys in little room: 128 bits that stand for a text.
//!
//! Two different texts that share 128 bits are not to be expected in any number of reads.
//! Not for anything that is kept longer than a read: the bits may differ between builds.

use std::hash::{DefaultHasher, Hasher};

/// What stands for a text.
pub(crate) type Digest = [u64; 2];

/// 128 bits from one state: the second half is drawn after one more byte.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    let first = hasher.finish();
    hasher.write_u8(0xff);
    [first, hasher.finish()]
}
