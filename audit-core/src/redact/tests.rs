use proptest::prelude::*;

use super::*;

const SECRET: &str = "5ecre7V4lue";

fn survives(raw: &str) -> bool {
    record(raw.as_bytes()).contains(SECRET)
}

#[test]
fn values_of_credentials_are_replaced_at_any_depth() {
    let raw = r#"{ "requestQuery": {"X-Amz-Signature":"5ecre7V4lue", "userId":"u"},
        "a":[{"authorization":["5ecre7V4lue"]}], "n": 1.50 }"#;
    assert_eq!(
        record(raw.as_bytes()),
        r#"{"requestQuery":{"X-Amz-Signature":"[removed]","userId":"u"},"a":[{"authorization":"[removed]"}],"n":1.50}"#
    );
}

#[test]
fn what_is_no_credential_stays_as_it_was() {
    let raw = r#"{"SignatureVersion":"SigV4","X-Amz-Signature-Age":"1042","k":"a\u0041\ud800","X-Amz-Signature":null,"n":-0.0,"Signature":" "}"#;
    assert_eq!(record(raw.as_bytes()), raw.replace("\" \"", "\"\""));
    assert_eq!(record(b"not json"), r#""not json""#);
}

#[test]
fn urls_headers_and_broken_json_are_cleaned_by_pattern() {
    for text in [
        "https://h/b/k?X-Amz-Signature=5ecre7V4lue&userId=u",
        "https://h/b/k?x-amz-signature%3D5ecre7V4lue",
        "https://h/?r=%3FX%2DAmz%252DSignature%253D5ecre7V4lue%26a",
        "GET /?Signature=5ecre7V4lue HTTP/1.1",
        "Authorization: AWS4-HMAC-SHA256 Credential=A, Signature=5ecre7V4lue",
        "Authorization=Basic 5ecre7V4lue",
        "Cookie: a=b; c=5ecre7V4lue",
        r#"{"X-Amz-Signature":"5ecre7V4lue"#,
        r#"{"X-Amz-Signature" : "a\"5ecre7V4lue","x":1"#,
        r#"{\"X-Amz-Signature\":\"a\\\"5ecre7V4lue\",\"x\":1"#,
        r#"{"\u0041uthorization":"Bearer 5ecre7V4lue""#,
        r#"{"X-Amz-Security\u002dToken":["5ecre7V4lue"]"#,
        r#"{"Authorization":["5ecre7V4lue"#,
        r#"{"X-Amz-Server-Side-Encryption-Customer-Key-MD5":"5ecre7V4lue",,"#,
        "X_AMZ_SECURITY_TOKEN='5ecre7V4lue'",
        "X-Amz-Credential=\n5ecre7V4lue",
    ] {
        assert!(!survives(text), "{text} → {}", record(text.as_bytes()));
        let inside = serde_json::json!({"requestPath": text}).to_string();
        assert!(!survives(&inside), "{inside} → {}", record(inside.as_bytes()));
    }
    assert_eq!(words("/b/k?X-Amz-Signature=abc&userId=u"), "/b/k?X-Amz-Signature=[removed]&userId=u");
}

#[test]
fn what_cannot_be_parsed_is_cut_at_a_character() {
    let text = format!("{{{}", "ä".repeat(LONGEST_TEXT));
    let record: String = serde_json::from_str(&record(text.as_bytes())).unwrap();
    assert!(record.len() <= LONGEST_TEXT && record.len() > LONGEST_TEXT - 4, "{}", record.len());
    assert!(!record.ends_with('ä') || record.is_char_boundary(record.len()));
    assert_eq!(super::record(b"{\xff"), "\"{\u{fffd}\"");
}

#[test]
fn depth_and_repetition_cost_no_more_than_length() {
    // Anything worse than linear would not end within the hour.
    let deep = [vec![b'['; 1_000_000], vec![b']'; 1_000_000]].concat();
    assert_eq!(record(&deep).len(), deep.len());
    for unit in
        ["\"Signature\":[", "\\", "%25", "Cookie", "Cookie:", "Cookie=\"", "a\\u0041uthorization", "Signature\\"]
    {
        assert!(!words(&unit.repeat(2_000_000 / unit.len())).is_empty());
    }
}

fn names() -> impl Strategy<Value = String> {
    (prop::sample::select(KEYS.to_vec()), any::<u64>()).prop_map(|(name, cases)| {
        let letter = |(at, letter): (usize, char)| {
            if cases >> (at % 64) & 1 == 1 { letter.to_ascii_uppercase() } else { letter }
        };
        name.chars().enumerate().map(letter).collect()
    })
}

fn values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![any::<String>().prop_map(Into::into), any::<i64>().prop_map(Into::into)];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_planted_value_never_survives_and_json_stays_json(
        name in names(), around in values(), depth in 0..5_usize, cut in any::<prop::sample::Index>(), junk in any::<String>(),
    ) {
        let mut json = serde_json::json!({ name.clone(): SECRET, "around": around });
        for _ in 0..depth {
            json = serde_json::json!([{ "in": json, "z": 1 }, junk]);
        }
        for text in [json.to_string(), serde_json::to_string_pretty(&json).unwrap()] {
            let clean = record(text.as_bytes());
            prop_assert!(!clean.contains(SECRET), "{}", clean);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&clean).is_ok());
            prop_assert!(!clean.contains('\n'));
            // The same, torn anywhere, or with something broken behind it.
            let torn: String = text.chars().take(cut.index(text.chars().count() + 1)).collect();
            prop_assert!(!survives(&torn), "{}", torn);
            let broken = format!("{text}{junk}}}");
            prop_assert!(!survives(&broken), "{}", broken);
            // The same, as text within JSON.
            let within = serde_json::json!({ "message": text }).to_string();
            prop_assert!(!survives(&within), "{}", within);
        }
    }

    #[test]
    fn a_planted_parameter_never_survives(name in names(), before in "[ -~]{0,20}", after in "(&[ -~]{0,20})?") {
        let url = format!("{before}{name}={SECRET}{after}");
        prop_assert!(!survives(&url));
        prop_assert!(!survives(&serde_json::json!({ "Referer": url }).to_string()), "{}", url);
    }

    #[test]
    fn any_bytes_become_json(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let clean = record(&bytes);
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&clean).is_ok(), "{}", clean);
    }
}
