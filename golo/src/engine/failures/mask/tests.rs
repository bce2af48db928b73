//! Tests of masking.

use proptest::prelude::*;

use super::*;

fn masked(mask: impl FnOnce(&mut Masker<'_>) -> Vec<u8>) -> String {
    let masks = Masks::from_iter(["E-Mail"]);
    String::from_utf8(mask(&mut Masker::new(&masks))).unwrap()
}

#[test]
fn values_of_secret_names_are_masked_and_others_are_kept() {
    for (body, expected) in [
        (r#"{"user": "ann", "password" : "a\"b", "n": 1}"#, r#"{"user": "ann", "password" : "***", "n": 1}"#),
        (r#"{"tokens": ["a", {"b": "}"}], "c": 2}"#, r#"{"tokens": "***", "c": 2}"#),
        (r#"{"pass\u0077ord":12345,"x":1}"#, r#"{"pass\u0077ord":"***","x":1}"#),
        (r#"{"code": 500, "error_code": "abc"}"#, r#"{"code": 500, "error_code": "***"}"#),
        (r#"{"secret": "cut o"#, r#"{"secret": "***""#),
        (r#"{"e-mail":"ann@example.org","author":"Ann"}"#, r#"{"e-mail":"***","author":"Ann"}"#),
        (r#"{"log": "{\"token\": \"abc\", \"x\": 1}"}"#, r#"{"log": "{\"token\": ***"}"#),
        ("user=ann&password=a%20b&x=1", "user=ann&password=***&x=1"),
        ("user%5Bpassword%5D=ab&x=1", "user%5Bpassword%5D=***&x=1"),
        ("next=%2Flogin%3Ftoken%3Dabc&x=1", "next=***&x=1"),
        ("<a><password>x<!--y--></password><b>c</b></a>", "<a><password>***</password><b>c</b></a>"),
        ("<s:Token type=\"x\">abc</s:Token> ok", "<s:Token type=\"x\">***</s:Token> ok"),
        (
            "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nab c\r\n--b--",
            "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n***\r\n--b--",
        ),
        ("error code: 17\nAuthorization: Bearer abc\nno", "error code: 17\nAuthorization: ***\nno"),
        ("see http://auth:8080/x?api_key=abc&y=1 now", "see http://auth:8080/x?api_key=***&y=1 now"),
        ("out of stock", "out of stock"),
        ("password=correct horse battery\nno", "password=***\nno"),
        ("user=ann&password=correct horse battery&x=1", "user=ann&password=***&x=1"),
        ("<p>password=it's mine</p>", "<p>password=***</p>"),
        (
            "<input type=\"hidden\" name=\"csrf_token\" value=\"abc\"><b id=\"a\">",
            "<input type=\"hidden\" name=\"csrf_token\" value=\"***\"><b id=\"a\">",
        ),
        ("<input value='a b' name='session'> ok", "<input value='***' name='session'> ok"),
        ("<meta content=abc name=csrf-token> ok", "<meta content=*** name=csrf-token> ok"),
        ("<input type=\"password\" value=\"abc\">", "<input type=\"password\" value=\"***\">"),
        ("<input name=\"city\" value=\"Ulm\"> ok", "<input name=\"city\" value=\"Ulm\"> ok"),
        (
            "{\"html\": \"<input name=\\\"csrf\\\" value=\\\"a b\\\">\"}",
            "{\"html\": \"<input name=\\\"csrf\\\" value=\\\"***\\\">\"}",
        ),
    ] {
        assert_eq!(masked(|masker| masker.body(body.as_bytes())), expected);
    }
}

#[test]
fn urls_and_headers_are_masked() {
    for (url, expected) in [
        ("http://u:p@h/x?a=1&Api-Key=s&b=2#access_token=t", "http://h/x?a=1&Api-Key=***&b=2#access_token=***"),
        ("http://auth:1/keys/a;jsessionid=5;x=1?code=7", "http://auth:1/keys/a;jsessionid=***;x=1?code=***"),
        ("http://h/?e-mail=a&pass%77ord=b&q=%20", "http://h/?e-mail=***&pass%77ord=***&q=%20"),
        ("http://h/plain", "http://h/plain"),
    ] {
        assert_eq!(masked(|masker| masker.url(url)), expected);
    }
    for (name, value, expected) in [
        ("authorization", "Basic abc", "***"),
        ("x-api-key", "abc", "***"),
        ("set-cookie", "a=b; Path=/", "***"),
        ("e-mail", "ann", "***"),
        ("location", "/cb?code=abc&x=1", "/cb?code=***&x=1"),
        ("x-otp-code", "123456", "***"),
        ("x-status-code", "123456", "123456"),
        ("x-amz-decoded-content-length", "123456", "123456"),
        ("content-type", "text/plain; charset=utf-8", "text/plain; charset=utf-8"),
    ] {
        assert_eq!(masked(|masker| masker.header(name, value.as_bytes(), false)), expected);
    }
}

#[test]
fn name_of_a_part_is_no_secret_even_if_the_word_name_is() {
    let masks = Masks::from_iter(["name", "filename"]);
    for (name, value, expected) in [("password", "ab c", "***"), ("name", "ann", "***"), ("city", "Ulm", "Ulm")] {
        let form =
            |value: &str| format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--b--");
        let masked = Masker::new(&masks).body(form(value).as_bytes());
        assert_eq!(String::from_utf8(masked).unwrap(), form(expected));
    }
}

#[test]
fn header_that_is_marked_as_sensitive_is_masked_and_remembered() {
    let masks = Masks::default();
    let mut masker = Masker::new(&masks);
    assert_eq!(masker.header("x-plain", b"s3cr3t-t0ken", true), MASK);
    let mut body = b"you sent s3cr3t-t0ken".to_vec();
    masker.hide_found(&mut body);
    assert_eq!(body, b"you sent ***");
}

#[test]
fn attributes_of_cookies_and_schemes_are_not_remembered() {
    let masks = Masks::default();
    let mut masker = Masker::new(&masks);
    masker.header("set-cookie", b"id=s3cr3t-t0ken; HttpOnly; Path=/shops; SameSite=Strict", false);
    masker.header("authorization", b"Bearer s3cr3t-k3y", false);
    masker.header("www-authenticate", b"Basic realm=\"example\"", false);
    let mut body = b"HttpOnly /shops Strict Bearer example, s3cr3t-t0ken s3cr3t-k3y".to_vec();
    masker.hide_found(&mut body);
    assert_eq!(String::from_utf8(body).unwrap(), "HttpOnly /shops Strict Bearer example, *** ***");
}

#[test]
fn plain_text_after_a_secret_is_not_remembered() {
    let masks = Masks::default();
    let mut masker = Masker::new(&masks);
    masker.text(b"token=s3cr3t-t0ken is invalid for r00m-7");
    let mut body = b"invalid: s3cr3t-t0ken".to_vec();
    masker.hide_found(&mut body);
    assert_eq!(body, b"invalid: ***");
}

#[test]
fn secret_is_masked_wherever_it_is_repeated() {
    let masks = Masks::default();
    let mut masker = Masker::new(&masks);
    masker.header("authorization", b"Bearer s3cr3t-t0ken", false);
    let mut body = b"you sent s3cr3t-t0ken, s3cr3t-t0ken!".to_vec();
    masker.hide_found(&mut body);
    assert_eq!(body, b"you sent ***, ***!");
}

proptest! {
    #[test]
    fn any_bytes_are_masked_without_a_panic(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            r#"([{}\[\]":,&=;<>/\\ %+']|token|key|name="|value|<input |\ncontent-disposition: |\r\n\r\n|\\"|%3D|--|\*\*\*){0,40}"#.prop_map(String::into_bytes),
        ],
    ) {
        let masks = Masks::from_iter([""]);
        let mut masker = Masker::new(&masks);
        masker.body(&bytes);
        masker.header("a", &bytes, true);
        masker.header("cookie", &bytes, false);
        let mut text = masker.text(&bytes);
        masker.url(&String::from_utf8_lossy(&bytes));
        masker.hide_found(&mut text);
    }
}
