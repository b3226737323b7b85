//! The cursor against `serde_json`, and what it must bear.

use std::borrow::Cow;

use proptest::prelude::*;

use super::string::plain_len;
use super::*;

fn skip_all(bytes: &[u8]) -> Result<(), SyntaxError> {
    let mut cursor = Cursor::new(bytes);
    cursor.skip()?;
    cursor.end()
}

fn string(json: &str) -> Result<String, NotText> {
    Cursor::new(json.as_bytes()).string().unwrap().text().map(Cow::into_owned)
}

#[test]
fn escapes_are_resolved() {
    assert_eq!(string(r#""a\u0041\n\"\\\/\ud83d\ude00z""#).unwrap(), "aA\n\"\\/\u{1F600}z");
}

#[test]
fn half_a_surrogate_pair_is_no_text() {
    for json in [r#""\ud83d""#, r#""\ud83dx""#, r#""\ud83d\u0041""#, r#""\ude00""#, r#""\ud83d\n""#] {
        assert_eq!(string(json), Err(NotText::LoneSurrogate), "{json}");
    }
}

#[test]
fn depth_is_bounded_by_the_input_alone() {
    let deep = [vec![b'['; 1_000_000], vec![b']'; 1_000_000]].concat();
    assert_eq!(skip_all(&deep), Ok(()));
}

#[test]
fn what_nobody_reads_may_be_odd() {
    skip_all(br#"{"a":1e999999,"b":-0.0,"c":"\ud800","d":123456789012345678901234567890}"#).unwrap();
    skip_all(b"\"\xff\"").unwrap();
}

proptest! {
    #[test]
    fn agrees_with_serde_json_on_what_is_json(text in r#"([\[\]{},:" \\]|"[a-z\\u0]*"|-?[0-9.eE+-]{1,5}|true|false|null|\t){0,24}"#) {
        // serde_json's own limit on depth is out of reach of 24 tokens.
        let valid = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        prop_assert_eq!(skip_all(text.as_bytes()).is_ok(), valid, "{}", text);
    }

    #[test]
    fn reads_back_what_serde_json_writes(text in any::<String>()) {
        let json = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(string(&json).unwrap(), text);
    }

    #[test]
    fn known_quotes_change_nothing(text in r#"[{\[]([\[\]{},:" ]|"[a-z]{0,70}"|[0-9]|\t){0,24}[}\]]?"#) {
        let mut quotes = vec![0_u64; text.len().div_ceil(64)];
        for (at, _) in text.bytes().enumerate().filter(|(_, byte)| *byte == b'"') {
            quotes[at / 64] |= 1 << (at % 64);
        }
        let mut cursor = Cursor::with_quotes(text.as_bytes(), &quotes);
        let found = cursor.skip().and_then(|_| cursor.end());
        prop_assert_eq!(found.is_ok(), skip_all(text.as_bytes()).is_ok(), "{}", text);
    }

    #[test]
    fn plain_len_is_that_of_the_plain_loop(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let slow = bytes.iter().take_while(|&&b| b >= 0x20 && b != b'"' && b != b'\\').count();
        prop_assert_eq!(plain_len(&bytes), slow);
    }
}
