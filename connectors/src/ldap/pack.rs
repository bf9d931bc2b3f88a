//! Entries on their way past the library: many in one message, which it hands on unread.
//!
//! The library makes a tree of each message, with memory of its own for each part, and most
//! entries are only looked at. A tag that says that its content has no parts is not taken apart,
//! so everything else about a search stays the library's. Pure.

use ldap3::asn1::{PL, StructureTag};

use super::message::{CONTROLS, Found, INTEGER, Malformed, OCTETS, Reader, SEQUENCE, push_element};

/// SearchResultEntry as the library knows it, but without parts (RFC 4511 §4.5.2 has 0x64).
const PACK: u8 = 0x44;

/// No more entries are put into one message than fill this: a hundred or so wake nobody more often
/// than they must, and buffers stay small.
const FULL: usize = 32 * 1024;

/// Messages for the library.
#[derive(Debug, Default)]
pub(super) struct Packer {
    messages: Vec<u8>,
    /// The last message, to which entries are added.
    open: Option<Open>,
}

/// A message whose lengths are still to be written.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// The search whose entries it has.
    request: u32,
    /// Where its content begins, and where that of the entries.
    content: usize,
    entries: usize,
}

impl Packer {
    /// Adds an entry. One that has controls is a message of its own, with them.
    pub(super) fn add(&mut self, found: &Found<'_>) {
        let open = self.open.filter(|open| {
            let has_room = self.messages.len() - open.entries < FULL;
            open.request == found.request && found.controls.is_none() && has_room
        });
        if open.is_none() {
            self.close();
            self.start(found.request);
        }
        push_element(&mut self.messages, OCTETS, found.entry);
        if let Some(controls) = found.controls {
            self.end_entries();
            push_element(&mut self.messages, CONTROLS, controls);
            self.end_message();
        }
    }

    /// Adds a message that the library is to read, behind the entries so far.
    pub(super) fn pass(&mut self, message: &[u8]) {
        self.close();
        self.messages.extend_from_slice(message);
    }

    /// Whether there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether there is more to send than entries to which others may be added.
    pub(super) fn is_due(&self) -> bool {
        match self.open {
            None => !self.is_empty(),
            Some(open) => open.content > HEAD || self.messages.len() >= FULL,
        }
    }

    /// The messages so far, to be sent.
    pub(super) fn messages(&mut self) -> &[u8] {
        self.close();
        &self.messages
    }

    /// They are sent.
    pub(super) fn clear(&mut self) {
        self.open = None;
        self.messages.clear();
        self.messages.shrink_to(4 * FULL);
    }

    fn start(&mut self, request: u32) {
        let content = start_element(&mut self.messages, SEQUENCE);
        push_element(&mut self.messages, INTEGER, &request.to_be_bytes());
        let entries = start_element(&mut self.messages, PACK);
        self.open = Some(Open {
            request,
            content,
            entries,
        });
    }

    fn end_entries(&mut self) {
        if let Some(open) = self.open {
            end_element(&mut self.messages, open.entries);
        }
    }

    fn end_message(&mut self) {
        if let Some(open) = self.open.take() {
            end_element(&mut self.messages, open.content);
        }
    }

    fn close(&mut self) {
        self.end_entries();
        self.end_message();
    }
}

/// What stands before the content of an element that gets its length at its end.
const HEAD: usize = 6;

/// Begins such an element, and says where its content begins.
fn start_element(bytes: &mut Vec<u8>, tag: u8) -> usize {
    bytes.extend([tag, 0x84, 0, 0, 0, 0]);
    bytes.len()
}

fn end_element(bytes: &mut [u8], content: usize) {
    // No message that was taken is longer.
    let length = u32::try_from(bytes.len() - content).unwrap_or(u32::MAX);
    bytes[content - 4..content].copy_from_slice(&length.to_be_bytes());
}

/// The contents of the entries in a message that the library has handed on.
pub(super) fn unpack(pack: &StructureTag) -> Result<Vec<&[u8]>, Malformed> {
    let PL::P(bytes) = &pack.payload else {
        return Err(Malformed);
    };
    let mut reader = Reader::new(bytes, 0..bytes.len());
    let mut entries = Vec::new();
    while let Some((_, content)) = reader.next()? {
        entries.push(&bytes[content]);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use ldap3::asn1::parse_tag;
    use proptest::prelude::*;

    use super::*;
    use crate::ldap::message::length;

    /// What the library sees of a message: its number, the packed entries, and how many more
    /// parts there are.
    fn seen(bytes: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>, usize) {
        let (rest, message) = parse_tag(bytes).unwrap();
        assert!(rest.is_empty());
        let parts = message.expect_constructed().unwrap();
        let PL::P(number) = &parts[0].payload else {
            panic!("no number");
        };
        assert_eq!(parts[1].id, 4);
        let entries = unpack(&parts[1]).unwrap();
        let entries = entries.into_iter().map(<[u8]>::to_vec).collect();
        (number.clone(), entries, parts.len() - 2)
    }

    fn found<'a>(request: u32, entry: &'a [u8], controls: Option<&'a [u8]>) -> Found<'a> {
        Found {
            request,
            entry,
            controls,
        }
    }

    fn messages(packer: &mut Packer) -> Vec<Vec<u8>> {
        let mut bytes = packer.messages().to_vec();
        packer.clear();
        let mut messages = Vec::new();
        while let Some(size) = length(&bytes).unwrap() {
            let rest = bytes.split_off(size);
            messages.push(std::mem::replace(&mut bytes, rest));
        }
        messages
    }

    #[test]
    fn order_searches_and_controls_are_kept() {
        let mut packer = Packer::default();
        packer.add(&found(7, b"a", None));
        packer.add(&found(7, b"b", None));
        packer.add(&found(8, b"c", None));
        packer.pass(b"\x30\x00");
        packer.add(&found(8, b"d", None));
        packer.add(&found(8, b"e", Some(b"\x30\x00")));
        packer.add(&found(8, b"f", None));
        let messages = messages(&mut packer);
        let number = |last: u8| vec![0, 0, 0, last];
        let entries = |entries: &[&str]| -> Vec<Vec<u8>> {
            entries.iter().map(|it| it.as_bytes().to_vec()).collect()
        };
        assert_eq!(messages.len(), 6);
        assert_eq!(seen(&messages[0]), (number(7), entries(&["a", "b"]), 0));
        assert_eq!(seen(&messages[1]), (number(8), entries(&["c"]), 0));
        assert_eq!(messages[2], b"\x30\x00");
        assert_eq!(seen(&messages[3]), (number(8), entries(&["d"]), 0));
        assert_eq!(seen(&messages[4]), (number(8), entries(&["e"]), 1));
        assert_eq!(seen(&messages[5]), (number(8), entries(&["f"]), 0));
        assert!(packer.messages().is_empty());
    }

    #[test]
    fn entries_wait_for_others_and_nothing_else_does() {
        let mut packer = Packer::default();
        assert!(packer.is_empty() && !packer.is_due());
        packer.add(&found(7, b"a", None));
        packer.add(&found(7, b"b", None));
        assert!(!packer.is_empty() && !packer.is_due());
        packer.pass(b"\x30\x00");
        assert!(packer.is_due(), "the end of the search");
        packer.clear();
        assert!(packer.is_empty() && !packer.is_due());
        packer.add(&found(8, b"c", None));
        packer.add(&found(9, b"d", None));
        assert!(packer.is_due(), "another search");
        packer.clear();
        packer.add(&found(9, b"e", Some(b"\x30\x00")));
        assert!(packer.is_due(), "one with controls");
        packer.clear();
        packer.add(&found(9, &vec![b'f'; FULL], None));
        assert!(packer.is_due(), "as many as there may be");
    }

    #[test]
    fn no_message_grows_without_end() {
        let mut packer = Packer::default();
        let entry = vec![b'a'; FULL / 4];
        for _ in 0..9 {
            packer.add(&found(1, &entry, None));
        }
        let messages = messages(&mut packer);
        let counts: Vec<usize> = messages.iter().map(|it| seen(it).1.len()).collect();
        assert_eq!(counts, [4, 4, 1]);
    }

    #[test]
    fn what_was_not_packed_is_refused() {
        let (_, tree) = parse_tag(b"\x64\x02\x04\x00").unwrap();
        assert_eq!(unpack(&tree), Err(Malformed));
    }

    proptest! {
        #[test]
        fn entries_arrive_as_they_were_sent(
            entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..20),
        ) {
            let mut packer = Packer::default();
            for entry in &entries {
                packer.add(&found(1, entry, None));
            }
            let messages = messages(&mut packer);
            prop_assert_eq!(messages.len(), 1);
            prop_assert_eq!(seen(&messages[0]).1, entries);
        }
    }
}
