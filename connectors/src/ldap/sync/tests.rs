use proptest::prelude::*;

use super::*;

fn id(number: u8) -> Uuid {
    Uuid::from_bytes([number; 16])
}

fn set(numbers: &[u8]) -> BTreeSet<Uuid> {
    numbers.iter().map(|number| id(*number)).collect()
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    push_length(&mut bytes, content.len());
    bytes.extend_from_slice(content);
    bytes
}

fn control(name: &str, value: Vec<u8>) -> Control {
    let raw = RawControl {
        ctype: name.to_owned(),
        crit: false,
        val: Some(value),
    };
    Control(None, raw)
}

fn state(state: u8, entry: u8) -> Control {
    let parts = [
        tagged(ENUMERATED, &[state]),
        tagged(OCTETS, id(entry).as_bytes()),
    ];
    control(SYNC_STATE, tagged(SEQUENCE, &parts.concat()))
}

fn id_set(deletes: Option<bool>, entries: &[u8]) -> Vec<u8> {
    let ids = entries
        .iter()
        .flat_map(|entry| tagged(OCTETS, id(*entry).as_bytes()));
    let mut content = tagged(OCTETS, b"a cookie that is not the last");
    content.extend(
        deletes
            .iter()
            .flat_map(|it| tagged(BOOLEAN, &[u8::from(*it) * 0xff])),
    );
    content.extend(tagged(SET, &ids.collect::<Vec<u8>>()));
    tagged(0xa3, &content)
}

fn ended(deletes: bool, cookie: Option<&str>) -> Option<Done> {
    let cookie = cookie.map(|cookie| cookie.as_bytes().to_vec());
    Some(Done { cookie, deletes })
}

fn said(entries: &[(u8, u8)], infos: &[Vec<u8>]) -> Said {
    let mut said = Said::default();
    for (how, entry) in entries {
        said.note_entry(&[state(*how, *entry)]).unwrap();
    }
    for info in infos {
        said.note_info_value(info).unwrap();
    }
    said
}

#[test]
fn what_the_server_names_is_changed_or_gone() {
    let said = said(&[(1, 1), (2, 2), (3, 3)], &[id_set(Some(true), &[4, 5])]);
    let Answer::Changed(changed) = conclude(said, ended(true, Some("new")), b"old") else {
        panic!("the answer is clear");
    };
    assert_eq!(changed.there, set(&[1, 2]));
    assert_eq!(changed.gone, set(&[3, 4, 5]));
    assert_eq!(changed.cookie, b"new");
}

#[test]
fn without_a_new_cookie_the_old_one_goes_on() {
    for deletes in [true, false] {
        let answer = conclude(Said::default(), ended(deletes, None), b"old");
        let cookie = b"old".to_vec();
        let nothing = Changed {
            cookie,
            ..Changed::default()
        };
        assert_eq!(answer, Answer::Changed(nothing), "{deletes}");
    }
}

#[test]
fn nobody_is_gone_because_nothing_was_said_of_them() {
    let unclear = [
        // A present phase: by entries, by a set of ids, by its end.
        conclude(said(&[(0, 1)], &[]), ended(false, Some("new")), b"old"),
        conclude(
            said(&[], &[id_set(None, &[1])]),
            ended(false, Some("new")),
            b"old",
        ),
        conclude(
            said(&[], &[id_set(Some(false), &[1])]),
            ended(true, Some("new")),
            b"old",
        ),
        conclude(
            said(&[], &[tagged(0xa2, &[])]),
            ended(true, Some("new")),
            b"old",
        ),
        // Neither phase, and something is new.
        conclude(Said::default(), ended(false, Some("new")), b"old"),
        conclude(said(&[(1, 1)], &[]), ended(false, None), b"old"),
        // Not this protocol at all.
        conclude(Said::default(), None, b"old"),
    ];
    for answer in unclear {
        assert_eq!(answer, Answer::Unclear);
    }
    let mut plain = Said::default();
    plain.note_entry(&[]).unwrap();
    assert_eq!(
        conclude(plain, ended(true, Some("new")), b"old"),
        Answer::Unclear
    );
}

#[test]
fn the_request_holds_the_cookie_whatever_its_length() {
    for length in [0, 1, 127, 128, 255, 256, 70_000] {
        let cookie = vec![b'c'; length];
        let value = request_value(Some(&cookie));
        let parts = sequence(&value).unwrap();
        assert_eq!(parts[0].content, [REFRESH_ONLY]);
        assert_eq!(parts[1].content, cookie);
    }
    assert_eq!(
        request_value(None),
        [SEQUENCE, 3, ENUMERATED, 1, REFRESH_ONLY]
    );
}

#[test]
fn a_cookie_is_told_from_one_of_before() {
    let cookie = |csn: &str| format!("rid=000,csn={csn}").into_bytes();
    let one = cookie("20260101120000.000001Z#000000#000#000000");
    let later = cookie("20260101120000.000001Z#000001#000#000000");
    assert!(is_earlier(&one, &later));
    assert!(!is_earlier(&later, &one) && !is_earlier(&one, &one));
    let two =
        cookie("20260101120000.000001Z#000000#001#000000;20250101120000.000001Z#000000#002#000000");
    let behind =
        cookie("20260101130000.000001Z#000000#001#000000;20240101120000.000001Z#000000#002#000000");
    assert!(is_earlier(&behind, &two));
    assert!(
        is_earlier(&one, &two),
        "nothing is known of what those servers wrote"
    );
    for other in [&b"made up"[..], b"", b"\xff", b"rid=000,csn=x#0#0#0"] {
        assert!(!is_earlier(other, &one) && !is_earlier(&one, other));
        assert_eq!(before_everything(other), None);
    }
    let epoch = cookie("19700101000000.000000Z#000001#000#000000");
    assert_eq!(before_everything(&later), Some(epoch));
}

proptest! {
    #[test]
    fn whatever_a_server_sends_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut said = Said::default();
        let _ = said.note_info_value(&bytes);
        let _ = said.note_entry(&[control(SYNC_STATE, bytes.clone())]);
        let _ = done(&[control(SYNC_DONE, bytes)]);
    }
}
