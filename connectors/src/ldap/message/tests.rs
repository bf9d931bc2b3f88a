use proptest::prelude::*;

use super::*;

/// A tag with its content.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            bytes.push(0x84);
            bytes.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend(content);
    bytes
}

fn message(id: u8, operation: &[u8]) -> Vec<u8> {
    tagged(SEQUENCE, &[&[INTEGER, 1, id], operation].concat())
}

/// Success, without words.
const SUCCESS: [u8; 7] = [ENUMERATED, 1, 0, OCTETS, 0, OCTETS, 0];

fn exchange(operation: u8) -> Exchange {
    let mut exchange = Exchange::default();
    exchange.sent(&message(1, &tagged(operation, &[]))).unwrap();
    exchange
}

#[test]
fn a_message_is_cut_out_when_it_is_whole() {
    let whole = message(1, &tagged(SEARCH_DONE, &SUCCESS));
    assert_eq!(length(&whole), Ok(Some(whole.len())));
    assert_eq!(
        length(&[whole.clone(), vec![1, 2]].concat()),
        Ok(Some(whole.len()))
    );
    for bytes in [&b""[..], b"\x30", b"\x30\x84\x00\x00"] {
        assert_eq!(length(bytes), Ok(None), "{bytes:?}");
    }
    let wrong: [&[u8]; 5] = [
        b"hello",
        b"\x15\x03",
        b"\x30\x80",
        b"\x30\x85\x00\x00\x00\x00\x00",
        b"\x30\x84\x7f\xff\xff\xff",
    ];
    for bytes in wrong {
        assert_eq!(length(bytes), Err(Malformed), "{bytes:?}");
    }
}

#[test]
fn only_answers_to_what_was_asked_are_taken() {
    let done = message(1, &tagged(SEARCH_DONE, &SUCCESS));
    let mut searching = exchange(SEARCH_REQUEST);
    let entry = message(1, &tagged(SEARCH_ENTRY, &[OCTETS, 0, SEQUENCE, 0]));
    let found = Found {
        request: 1,
        entry: &[OCTETS, 0, SEQUENCE, 0],
        controls: None,
    };
    assert_eq!(searching.received(&entry), Ok(Received::Entry(found)));
    assert_eq!(searching.received(&done), Ok(Received::Answer));
    assert_eq!(searching.received(&done), Err(Malformed), "it is over");
    assert_eq!(exchange(BIND_REQUEST).received(&done), Err(Malformed));
    assert_eq!(Exchange::default().received(&done), Err(Malformed));
    let notice = message(0, &tagged(EXTENDED_RESPONSE, &SUCCESS));
    assert_eq!(
        exchange(BIND_REQUEST).received(&notice),
        Ok(Received::Unasked)
    );
}

#[test]
fn what_the_library_relies_on_is_there() {
    let results: [&[u8]; 6] = [
        b"",
        &SUCCESS[..3],
        &SUCCESS[..5],
        &[INTEGER, 1, 0, OCTETS, 0, OCTETS, 0],
        &[ENUMERATED, 1, 0, OCTETS, 1, 0xff, OCTETS, 0],
        &[ENUMERATED, 1, 0, OCTETS, 0, OCTETS, 0, 0xa3, 2, INTEGER, 0],
    ];
    for result in results {
        let answer = message(1, &tagged(BIND_RESPONSE, result));
        assert_eq!(
            exchange(BIND_REQUEST).received(&answer),
            Err(Malformed),
            "{result:?}"
        );
    }
    let mut deep = Vec::new();
    for _ in 0..DEEPEST + 2 {
        deep = tagged(SEQUENCE, &deep);
    }
    let answer = message(1, &tagged(SEARCH_ENTRY, &deep));
    assert_eq!(exchange(SEARCH_REQUEST).received(&answer), Err(Malformed));
    let controls: [(&[u8], bool); 5] = [
        (&[SEQUENCE, 3, OCTETS, 1, b'1'], true),
        (
            &[SEQUENCE, 8, OCTETS, 1, b'1', BOOLEAN, 1, 0xff, OCTETS, 0],
            true,
        ),
        (&[SEQUENCE, 0], false),
        (&[SEQUENCE, 5, OCTETS, 1, b'1', BOOLEAN, 0], false),
        (&[OCTETS, 0], false),
    ];
    for (controls, fine) in controls {
        let operation = tagged(SEARCH_DONE, &SUCCESS);
        let answer = message(1, &[operation, tagged(CONTROLS, controls)].concat());
        let received = exchange(SEARCH_REQUEST).received(&answer);
        assert_eq!(received.is_ok(), fine, "{controls:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = length(&bytes);
        let _ = exchange(SEARCH_REQUEST).received(&bytes);
        let _ = exchange(BIND_REQUEST).received(&tagged(SEQUENCE, &bytes));
    }

    #[test]
    fn a_damaged_answer_is_refused_or_has_its_form(
        position in 0_usize..30,
        byte in any::<u8>(),
    ) {
        let mut answer = message(1, &tagged(BIND_RESPONSE, &SUCCESS));
        let position = position % answer.len();
        answer[position] = byte;
        if exchange(BIND_REQUEST).received(&answer) == Ok(Received::Answer) {
            let (_, parts) = parts(&answer).unwrap();
            prop_assert!(check_result(parts[1].content).is_ok());
        }
    }
}
