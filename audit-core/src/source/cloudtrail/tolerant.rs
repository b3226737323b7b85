//! A look at a record whose brackets and strings balance but which is not valid JSON: was it meant as a presigned read?

use crate::json::Cursor;

/// Whether the members that can be made out say that `raw` is a presigned `GetObject`.
pub(super) fn looks_like_presigned_get(raw: &[u8]) -> bool {
    let (mut source, mut name, mut category, mut management) = (None, None, None, None);
    let (mut request, mut transfer) = (None, None);
    for (key, value) in members(raw) {
        match key.as_str() {
            "eventSource" => source = text(value),
            "eventName" => name = text(value),
            "eventCategory" => category = present(value).then(|| text(value)),
            "managementEvent" => management = Some(value),
            "requestParameters" => request = Some(value),
            "additionalEventData" => transfer = Some(value),
            _ => {}
        }
    }
    let mut authentication = None;
    for (key, value) in transfer.into_iter().flat_map(members) {
        if key == "AuthenticationMethod" {
            authentication = text(value);
        }
    }
    let (mut sigv4_expires, mut sigv2_expires) = (false, false);
    for (key, value) in request.into_iter().flat_map(members) {
        match key.as_str() {
            "X-Amz-Expires" => sigv4_expires = present(value),
            "Expires" => sigv2_expires = present(value),
            _ => {}
        }
    }
    source.as_deref() == Some("s3.amazonaws.com")
        && name.as_deref() == Some("GetObject")
        && category.is_none_or(|category| category.as_deref() == Some("Data"))
        && management != Some(b"true")
        && authentication.as_deref() == Some("QueryString")
        && (sigv4_expires || sigv2_expires)
}

fn text(value: &[u8]) -> Option<String> {
    Some(Cursor::new(value).string().ok()?.text().ok()?.into_owned())
}

/// Neither null nor blank.
fn present(value: &[u8]) -> bool {
    !value.is_empty() && value != b"null" && text(value).is_none_or(|text| text.bytes().any(|byte| byte > b' '))
}

/// Keys and values that stand directly in the object `raw`, as far as they can be told.
fn members(raw: &[u8]) -> impl Iterator<Item = (String, &[u8])> {
    let mut rest = raw.strip_prefix(b"{").unwrap_or_default();
    std::iter::from_fn(move || {
        loop {
            let (token, after) = token(rest)?;
            rest = after;
            if !token.starts_with(b"\"") {
                continue;
            }
            let Some(after) = trim(rest).strip_prefix(b":") else { continue };
            let (value, after) = self::token(after)?;
            // Where the value is missing, what follows is a key again.
            if value == b"," {
                continue;
            }
            rest = after;
            if let Some(key) = text(token) {
                return Some((key, value));
            }
        }
    })
}

/// The next string, bracketed value, run of other characters, or single separator, and what follows it.
fn token(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let bytes = trim(bytes);
    let len = match *bytes.first()? {
        b'"' => string_len(bytes),
        b'{' | b'[' => bracketed_len(bytes),
        b',' | b':' | b'}' | b']' => 1,
        _ => bytes.iter().position(|byte| b",:{}[]\" \t\r\n".contains(byte)).unwrap_or(bytes.len()),
    };
    bytes.split_at_checked(len)
}

fn trim(bytes: &[u8]) -> &[u8] {
    let blank = bytes.iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
    bytes.get(blank..).unwrap_or_default()
}

fn string_len(bytes: &[u8]) -> usize {
    let mut escaped = true;
    let end = bytes.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(bytes.len(), |at| at + 1)
}

fn bracketed_len(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += string_len(bytes.get(at..).unwrap_or_default());
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return at + 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}
