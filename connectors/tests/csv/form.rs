//! The form of a file: encoding, quotes, header, cells, and the line that an error names.

use std::collections::BTreeSet;
use std::fs;

use provisor_connectors::{Kind, ReadRequest};

use super::folder::{Folder, PEOPLE, values};

#[test]
fn quoted_cells_may_hold_anything_and_lines_are_still_counted_right() {
    let text = "id,active,note\n1,yes,\"a, \"\"b\"\"\n\nc\"\n\n2,yes,5\" disk\n3,maybe,\n";
    for text in [text.to_owned(), text.replace('\n', "\r\n")] {
        let folder = Folder::with_users(&text);
        assert!(
            folder.failure().starts_with("people.csv:7: "),
            "{}",
            folder.failure()
        );

        let folder = Folder::with_users(text.replace("maybe", "yes"));
        let read = folder.read().unwrap();
        let note = values(&read.records[0], "note").concat().replace('\r', "");
        assert_eq!(note, "a, \"b\"\n\nc");
        assert_eq!(values(&read.records[1], "note"), ["5\" disk"]);
    }
}

#[test]
fn what_is_wrong_with_a_table_is_named_with_file_and_line() {
    for (text, expected) in [
        ("", "people.csv:1: the file is empty"),
        ("\u{feff}", "people.csv:1: the file is empty"),
        ("\n\n", "people.csv:1: the file is empty"),
        (
            "id,mail,mail\n",
            "people.csv:1: the header names the column `mail` twice",
        ),
        (
            "id,mail, mail\n",
            "people.csv:1: the header names the column `mail` twice",
        ),
        (
            "id,,mail\n",
            "people.csv:1: column 2 of the header has no name",
        ),
        (
            "\nid,\n",
            "people.csv:2: column 2 of the header has no name",
        ),
        (
            "id,mail\n1,x\n ,y\n",
            "people.csv:3: the column `id` is empty",
        ),
        ("id\n1\n2\n\"\"\n", "people.csv:4: the column `id` is empty"),
        (
            "id,mail\n1,x\n2\n",
            "people.csv:3: 1 cell where the header has 2 columns",
        ),
        (
            "id,mail\n1,x\n\n2,y,z\n",
            "people.csv:4: 3 cells where the header has 2 columns",
        ),
        (
            "id,mail\n1,x\n2,y\n1,z\n",
            "people.csv:4: the `id` of this row is already on line 2",
        ),
        (
            "id,mail\n1,\"x\n\ny\",z\n",
            "people.csv:2: 3 cells where the header has 2 columns",
        ),
        (
            "id,mail\n0,\n1,\"x\ny\"\n2,\n1,\n",
            "people.csv:6: the `id` of this row is already on line 3",
        ),
        (
            "id,mail\n1,x\n2,\"y\n3,z\n",
            "people.csv:3: a quote that opens on this line is never",
        ),
        (
            "id,mail\n1,x\n2,\"y\n3,\"z\"\n",
            "people.csv:4: text after a closing quote",
        ),
        (
            "id,mail\n1,\"x\" y\n",
            "people.csv:2: text after a closing quote",
        ),
        (
            "id,mail\n1,x\n2,y",
            "people.csv:3: the last line does not end in a newline",
        ),
        (
            "id,mail\r\n1,x\r\n2,y\r",
            "people.csv:3: the last line does not end in a newline",
        ),
        (
            "id,mail",
            "people.csv:1: the last line does not end in a newline",
        ),
    ] {
        let failure = Folder::with_users(text).failure();
        assert!(failure.starts_with(expected), "{text:?} gave: {failure}");
    }
}

#[test]
fn text_that_is_not_utf8_is_an_error_wherever_it_stands() {
    for (bytes, expected) in [
        (
            &b"id,mail\n1,x\n2,\xff\n"[..],
            "people.csv:3: cell 2 is not UTF-8",
        ),
        (b"id,m\xe9l\n1,x\n", "people.csv:1: cell 2 is not UTF-8"),
        (
            b"id,mail,n\n1,\xc3,\xa9\n",
            "people.csv:2: cell 2 is not UTF-8",
        ),
    ] {
        let folder = Folder::with_users(bytes);
        assert!(
            folder.failure().starts_with(expected),
            "{}",
            folder.failure()
        );
        let unused = ReadRequest {
            attributes: Some(BTreeSet::new()),
            ..ReadRequest::default()
        };
        assert!(folder.read_only(unused).is_err());
    }
    let read = Folder::with_users(b"id,mail\n1,a\0b\x07\n").read().unwrap();
    assert_eq!(values(&read.records[0], "mail"), ["a\0b\u{7}"]);
}

#[test]
fn a_missing_final_newline_can_be_allowed_but_not_an_open_quote() {
    let folder = Folder::with_users("id,mail\n1,x\n2,\"y\"");
    assert!(folder.failure().contains("`final_newline = \"optional\"`"));
    let folder = folder.set("final_newline = \"optional\"");
    assert_eq!(folder.read().unwrap().ids(Kind::User), ["1", "2"]);

    fs::write(folder.path("people.csv"), "id,mail\n1,x\n2,\"y").unwrap();
    assert!(
        folder
            .failure()
            .starts_with("people.csv:3: a quote that opens")
    );
    fs::write(folder.path("people.csv"), "id,mail\n1,x\n2").unwrap();
    assert!(folder.failure().starts_with("people.csv:3: 1 cell"));
}

#[test]
fn byte_order_mark_crlf_blank_lines_and_other_delimiters_are_read() {
    for text in [
        "id,active,mail\n1,true,ana@example.com\n2,false,bo@example.com\n",
        "\u{feff}id,active,mail\n1,true,ana@example.com\n2,false,bo@example.com\n",
        "\u{feff}\"id\",active,mail\n1,true,ana@example.com\n2,false,bo@example.com\n",
        "id,active,mail\r\n1,true,ana@example.com\r\n2,false,\"bo@example.com\"\r\n",
        "\nid,active,mail\n\n1,true,ana@example.com\n\n\n2,false,bo@example.com\n\n",
        "id,active,mail\r\n\r\n1,true,ana@example.com\r\n2,false,bo@example.com\r\n\r\n",
    ] {
        let read = Folder::with_users(text).read().unwrap();
        let expected = Folder::with_users(PEOPLE).read().unwrap();
        assert_eq!(read.records, expected.records, "{text:?}");
    }
    for (delimiter, key) in [(";", ";"), ("\t", "\\t"), ("|", "|")] {
        let read = Folder::with_users(PEOPLE.replace(',', delimiter))
            .set(&format!("delimiter = \"{key}\""))
            .read()
            .unwrap();
        assert_eq!(values(&read.records[1], "mail"), ["bo@example.com"]);
    }
}
