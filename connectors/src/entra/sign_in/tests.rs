use super::*;

#[test]
fn a_refusal_is_explained_by_its_number_and_its_words_are_not_repeated() {
    let body = br#"{"error":"invalid_client","error_description":"AADSTS7000215: s3cret",
        "error_codes":[7000215]}"#;
    let words = denied(401, body);
    assert!(
        words.starts_with("401 invalid_client (AADSTS7000215): the client secret is not right")
    );
    assert!(!words.contains("s3cret"), "{words}");
    assert!(denied(500, b"<html>").starts_with("500 "));
}

#[test]
fn numbers_are_read_as_such_and_as_text() {
    let read = |text: &str| serde_json::from_str::<Granted>(text).map(|it| it.expires_in);
    let number = r#"{"access_token":"x","expires_in":3599}"#;
    let text = r#"{"access_token":"x","expires_in":"3599","expires_on":"1766400000"}"#;
    assert_eq!(read(number).unwrap(), Some(3599));
    assert_eq!(read(text).unwrap(), Some(3599));
    assert_eq!(read(r#"{"access_token":"x"}"#).unwrap(), None);
    assert!(read("{}").is_err());
}
