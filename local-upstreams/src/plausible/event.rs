//! Reads an event as Plausible does: short names before long ones, limits, and what vanishes without a word.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

const MAX_BODY_BYTES: usize = 1_000_000;
const MAX_NAME_CHARS: usize = 120;
const MAX_URL_BYTES: usize = 2_000;
const MAX_PROPS: usize = 30;
const MAX_PROP_KEY_BYTES: usize = 300;
const MAX_PROP_VALUE_BYTES: usize = 2_000;

/// Refusals by field.
pub(super) type Errors = BTreeMap<&'static str, Vec<String>>;

/// An event that is well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) url: String,
    /// One, or several of a comma list; without `www.`.
    pub(super) domains: Vec<String>,
    pub(super) props: BTreeMap<String, String>,
    pub(super) referrer: Option<String>,
    pub(super) interactive: bool,
}

/// Reads an event, or says by field what is wrong.
pub(super) fn parse(body: &[u8]) -> Result<Event, Errors> {
    let parsed = if body.len() > MAX_BODY_BYTES { None } else { serde_json::from_slice::<Map<_, _>>(body).ok() };
    let Some(fields) = parsed else {
        return Err(Errors::from([("request", vec!["Unable to parse request body as json".to_owned()])]));
    };
    let mut errors = Errors::default();
    let mut noted = |field, result: Result<_, &str>| match result {
        Ok(value) => Some(value),
        Err(message) => {
            errors.entry(field).or_default().push(message.to_owned());
            None
        }
    };
    let url = noted("url", url(&fields));
    let name = noted("event_name", name(&fields));
    let domain = noted("domain", domain(&fields, url.as_deref()));
    let props = props(&fields);
    if props.iter().any(|(key, value)| key.len() > MAX_PROP_KEY_BYTES || value.len() > MAX_PROP_VALUE_BYTES) {
        let message =
            format!("keys should have at most {MAX_PROP_KEY_BYTES} bytes and values {MAX_PROP_VALUE_BYTES} bytes");
        errors.entry("props").or_default().push(message);
    }
    match (name, url, domain) {
        (Some(name), Some(url), Some(domain)) if errors.is_empty() => Ok(Event {
            name,
            url,
            domains: domain.split(',').map(without_www).collect(),
            props,
            referrer: either(&fields, &["r", "referrer"]).and_then(Value::as_str).map(str::to_owned),
            interactive: either(&fields, &["i", "interactive"]).and_then(Value::as_bool).unwrap_or(true),
        }),
        _ => Err(errors),
    }
}

/// Elixir's `a || b`: the first of these fields that is neither absent, null nor `false`, or else the last one. So
/// `"i":false` counts for nothing, and `"interactive":false` counts.
fn either<'a>(fields: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    let mut value = None;
    for name in names {
        value = fields.get(*name);
        if !matches!(value, None | Some(Value::Null | Value::Bool(false))) {
            break;
        }
    }
    value.filter(|value| !value.is_null())
}

fn url(fields: &Map<String, Value>) -> Result<String, &'static str> {
    match either(fields, &["u", "url"]) {
        None => Err("is required"),
        Some(Value::String(url)) if url.len() <= MAX_URL_BYTES => {
            if url.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("data")) {
                return Err("scheme is not allowed");
            }
            Ok(url.clone())
        }
        Some(_) => Err("must be a valid url"),
    }
}

fn name(fields: &Map<String, Value>) -> Result<String, &'static str> {
    let name = match either(fields, &["n", "name"]) {
        None => return Err("can't be blank"),
        Some(Value::String(name)) => name.clone(),
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => number.to_string(),
        Some(_) => return Err("is invalid"),
    };
    if name.trim().is_empty() {
        return Err("can't be blank");
    }
    if name.chars().count() > MAX_NAME_CHARS {
        return Err("should be at most 120 character(s)");
    }
    Ok(name)
}

/// The domain as it was sent, or else the URL's host.
fn domain(fields: &Map<String, Value>, url: Option<&str>) -> Result<String, &'static str> {
    const BLANK: &str = "can't be blank";
    match either(fields, &["d", "domain"]).and_then(Value::as_str).map(str::trim) {
        Some("") => Err(BLANK),
        Some(domain) => Ok(domain.to_owned()),
        None => url.and_then(host).ok_or(BLANK),
    }
}

fn host(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = host.split(':').next()?;
    (!host.is_empty()).then(|| host.to_owned())
}

fn without_www(domain: &str) -> String {
    let domain = domain.trim();
    domain.strip_prefix("www.").unwrap_or(domain).to_owned()
}

/// At most thirty; null, blank, list and map values are gone. An object, or one as JSON text.
fn props(fields: &Map<String, Value>) -> BTreeMap<String, String> {
    let decoded = match either(fields, &["m", "meta", "p", "props"]) {
        Some(Value::Object(props)) => Some(props.clone()),
        Some(Value::String(text)) => serde_json::from_str(text).ok(),
        _ => None,
    };
    let kept = decoded.into_iter().flatten().filter_map(|(key, value)| {
        let text = match value {
            Value::String(text) => text,
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        (!key.trim().is_empty() && !text.trim().is_empty()).then_some((key, text))
    });
    kept.take(MAX_PROPS).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(event: &Value) -> Result<Event, Errors> {
        parse(event.to_string().as_bytes())
    }

    #[test]
    fn short_names_win_over_long_ones() {
        let event = parsed(&json!({
            "n": "short", "name": "long", "u": "https://a.org/x", "d": "www.a.org, b.org", "p": {"k": 1}, "r": "r"
        }))
        .unwrap();
        assert_eq!((event.name.as_str(), event.referrer.as_deref()), ("short", Some("r")));
        assert_eq!(event.domains, ["a.org", "b.org"]);
        assert_eq!(event.props, BTreeMap::from([("k".to_owned(), "1".to_owned())]));
    }

    #[test]
    fn only_the_long_name_switches_interactive_off() {
        let event = |extra: &str| {
            let text = format!(r#"{{"name":"n","url":"https://a.org/","domain":"a.org"{extra}}}"#);
            parse(text.as_bytes()).unwrap().interactive
        };
        assert!(event(""));
        assert!(!event(r#","interactive":false"#));
        assert!(event(r#","i":false"#));
        assert!(!event(r#","i":false,"interactive":false"#));
    }

    #[test]
    fn what_is_wrong_is_said_by_field() {
        let event = json!({"name": "n", "url": "https://a.org/", "domain": "a.org"});
        let with = |field: &str, value: Value| {
            let mut event = event.clone();
            event[field] = value;
            parsed(&event).unwrap_err()
        };
        for (field, value, error, message) in [
            ("name", json!(null), "event_name", "can't be blank"),
            ("name", json!("n".repeat(121)), "event_name", "should be at most 120 character(s)"),
            ("name", json!(["n"]), "event_name", "is invalid"),
            ("url", json!(null), "url", "is required"),
            ("url", json!(format!("https://a.org/{}", "x".repeat(1987))), "url", "must be a valid url"),
            ("url", json!("data:text/plain,x"), "url", "scheme is not allowed"),
            ("domain", json!(" "), "domain", "can't be blank"),
            (
                "props",
                json!({"k": "v".repeat(2001)}),
                "props",
                "keys should have at most 300 bytes and values 2000 bytes",
            ),
            (
                "props",
                json!({"k".repeat(301): "v"}),
                "props",
                "keys should have at most 300 bytes and values 2000 bytes",
            ),
        ] {
            assert_eq!(with(field, value), Errors::from([(error, vec![message.to_owned()])]), "{field}");
        }
        assert_eq!(parse(b"[]").unwrap_err()["request"], ["Unable to parse request body as json"]);
        let most =
            json!({"name": "n".repeat(120), "url": format!("https://a.org/{}", "x".repeat(1986)), "domain": "a.org"});
        assert!(parsed(&most).is_ok());
    }

    #[test]
    fn props_beyond_thirty_and_empty_ones_vanish() {
        let mut props: Map<String, Value> = (0..40).map(|n| (format!("k{n}"), json!("v"))).collect();
        let event = |props: &Value| json!({"name": "n", "url": "https://a.org/", "props": props});
        assert_eq!(parsed(&event(&json!(props))).unwrap().props.len(), 30);
        props = Map::from_iter([
            ("null".to_owned(), json!(null)),
            ("blank".to_owned(), json!("  ")),
            ("list".to_owned(), json!([1])),
            ("map".to_owned(), json!({})),
            ("no".to_owned(), json!(false)),
        ]);
        let kept = parsed(&event(&json!(json!(props).to_string()))).unwrap();
        assert_eq!(kept.props, BTreeMap::from([("no".to_owned(), "false".to_owned())]));
        assert_eq!(kept.domains, ["a.org"]);
    }
}
