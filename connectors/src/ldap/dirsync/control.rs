//! The DirSync control itself: one request, and one answer to it.
//!
//! Must not know what is done with it.

use ldap3::controls::{Control, RawControl};

use crate::ldap::entry::Entry;
use crate::ldap::error::{GARBAGE, Request, result_words};
use crate::ldap::message::{INTEGER, Malformed, OCTETS, SEQUENCE, elements, push_length};
use crate::ldap::read::Place;
use crate::ldap::search::{Search, run_unpaged, take_entries};
use crate::source::SourceError;

/// The control that asks, and answers; and the sign that a server can do it.
pub(in crate::ldap) const DIRSYNC: &str = "1.2.840.113556.1.4.841";

/// LDAP_DIRSYNC_OBJECT_SECURITY: what this account may see, without any right to replicate.
const OBJECT_SECURITY: i32 = 0x1;

/// LDAP_DIRSYNC_INCREMENTAL_VALUES, the highest bit: of a group with many members only those
/// that changed, which keeps the answer in proportion.
const INCREMENTAL_VALUES: i32 = i32::MIN;

/// About as long may one answer be; the server goes on in the next.
const BYTES: i32 = 1 << 20;

/// insufficientAccessRights: the right to replicate is not granted.
const NOT_ALLOWED: u32 = 50;

/// One answer.
pub(super) enum Answer {
    Told {
        entries: Vec<Entry>,
        /// Where to go on.
        cookie: Vec<u8>,
        /// Whether there is more to tell right now.
        more: bool,
    },
    NotAllowed,
    Refused(String),
}

/// Asks once.
pub(super) async fn ask(
    place: &Place<'_>,
    search: &Search,
    only_visible: bool,
    cookie: &[u8],
) -> Result<Answer, SourceError> {
    let control = RawControl {
        ctype: DIRSYNC.to_owned(),
        crit: true,
        val: Some(request_value(only_visible, cookie)),
    };
    let connection = &place.connection;
    let mut entries = Vec::new();
    let result = run_unpaged(connection, search, control, |message| {
        if !message.is_ref() && !message.is_intermediate() {
            take_entries(&message, &mut entries)?;
        }
        Ok(())
    });
    let result = result.await?;
    match result.rc {
        0 => {}
        NOT_ALLOWED => return Ok(Answer::NotAllowed),
        _ => return Ok(Answer::Refused(result_words(&result))),
    }
    let request = Request::search(&search.base, &search.filter);
    match response(&result.ctrls) {
        Ok(Some((more, cookie))) => Ok(Answer::Told {
            entries,
            cookie,
            more,
        }),
        Ok(None) => Ok(Answer::Refused("it does not answer the control".to_owned())),
        Err(Malformed) => Err(request.failed(&connection.server, GARBAGE, None)),
    }
}

/// `SEQUENCE { flags INTEGER, maxBytes INTEGER, cookie OCTET STRING }`.
fn request_value(only_visible: bool, cookie: &[u8]) -> Vec<u8> {
    let flags = match only_visible {
        true => INCREMENTAL_VALUES | OBJECT_SECURITY,
        false => INCREMENTAL_VALUES,
    };
    let mut content = Vec::new();
    for number in [flags, BYTES] {
        content.extend([INTEGER, 4]);
        content.extend(number.to_be_bytes());
    }
    content.push(OCTETS);
    push_length(&mut content, cookie.len());
    content.extend_from_slice(cookie);
    let mut value = vec![SEQUENCE];
    push_length(&mut value, content.len());
    value.extend(content);
    value
}

/// `SEQUENCE { moreResults INTEGER, unused INTEGER, cookie OCTET STRING }`: whether there is
/// more, and the cookie.
fn response(controls: &[Control]) -> Result<Option<(bool, Vec<u8>)>, Malformed> {
    let mut controls = controls.iter();
    let found = controls.find(|Control(_, raw)| raw.ctype == DIRSYNC);
    let Some(value) = found.and_then(|found| found.1.val.as_deref()) else {
        return Ok(None);
    };
    let outer = elements(value)?;
    let [sequence] = outer.as_slice() else {
        return Err(Malformed);
    };
    let parts = elements(sequence.content)?;
    match parts.as_slice() {
        [more, unused, cookie]
            if [sequence.tag, more.tag, unused.tag, cookie.tag]
                == [SEQUENCE, INTEGER, INTEGER, OCTETS] =>
        {
            let more = more.content.iter().any(|byte| *byte != 0);
            Ok(Some((more, cookie.content.to_vec())))
        }
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn control(value: &[u8]) -> [Control; 1] {
        let raw = RawControl {
            ctype: DIRSYNC.to_owned(),
            crit: false,
            val: Some(value.to_vec()),
        };
        [Control(None, raw)]
    }

    #[test]
    fn the_request_asks_for_changed_values_and_holds_the_cookie() {
        for (only_visible, last) in [(false, 0), (true, 1)] {
            let head = [
                0x30, 0x11, 0x02, 0x04, 0x80, 0, 0, last, 0x02, 0x04, 0, 0x10, 0, 0, 0x04, 0x03,
            ];
            let value = request_value(only_visible, b"abc");
            assert_eq!(value, [&head[..], b"abc"].concat());
        }
        let long = request_value(false, &[7; 300]);
        let parts = elements(elements(&long).unwrap()[0].content).unwrap();
        assert_eq!(parts[2].content, [7; 300]);
    }

    #[test]
    fn the_answer_says_whether_there_is_more() {
        let value = |more: u8| [0x30, 9, 2, 1, more, 2, 1, 0, 4, 1, b'c'];
        let read = |value: &[u8]| response(&control(value)).unwrap();
        assert_eq!(read(&value(1)), Some((true, b"c".to_vec())));
        assert_eq!(read(&value(0)), Some((false, b"c".to_vec())));
        assert_eq!(response(&[]).unwrap(), None);
        assert!(response(&control(&[0x30, 3, 2, 1, 0])).is_err());
    }

    proptest! {
        #[test]
        fn whatever_a_server_answers_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = response(&control(&bytes));
        }
    }
}
