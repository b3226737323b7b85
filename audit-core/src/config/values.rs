//! How single values are written. Each function answers the value, or what it expects instead.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use reqwest::Url;
use uuid::Uuid;

use crate::delivery::Ambiguous;
use crate::record::parse_uuid;

type Parsed<T> = Result<T, &'static str>;

pub(super) const THOUSAND: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

pub(super) fn seconds(text: &str) -> Parsed<Duration> {
    let expected = "a whole number of seconds above 0";
    text.parse().ok().filter(|&seconds| seconds > 0).map(Duration::from_secs).ok_or(expected)
}

/// `90d`, `12h`, `15m`, `30s`, or seconds without a unit.
pub(super) fn duration(text: &str) -> Parsed<Duration> {
    let expected = "a time above 0 such as 90d, 12h, 15m or 30s (seconds without a unit)";
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic() || char == ' ');
    let unit = text.get(digits.len()..).unwrap_or_default().trim();
    let scale: u64 = match unit {
        "" | "s" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 60 * 60,
        "d" | "day" | "days" => 24 * 60 * 60,
        _ => return Err(expected),
    };
    let count = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(scale));
    count.filter(|&seconds| seconds > 0).map(Duration::from_secs).ok_or(expected)
}

/// `4294967296`, `4GiB`, `64 MiB`.
pub(super) fn size(text: &str) -> Parsed<u64> {
    let expected = "a number of bytes above 0, such as 67108864 or 64MiB";
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic() || char == ' ');
    let shift = match text.get(digits.len()..).unwrap_or_default().trim() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(expected),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(1 << shift));
    bytes.filter(|&bytes| bytes > 0).ok_or(expected)
}

pub(super) fn memory_size(text: &str) -> Parsed<usize> {
    size(text).and_then(|bytes| usize::try_from(bytes).map_err(|_| "fewer bytes than this machine can address"))
}

pub(super) fn count(text: &str) -> Parsed<NonZeroUsize> {
    text.parse().map_err(|_| "a whole number above 0")
}

pub(super) fn parameter(text: &str) -> Parsed<String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"&=#?%+".contains(&byte));
    let aws = text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"));
    if plain && !aws { Ok(text.to_owned()) } else { Err("the name of a query parameter, not one of AWS's own") }
}

pub(super) fn uuid(text: &str) -> Parsed<Uuid> {
    parse_uuid(text, "").map_err(|_| "a UUID of 36 characters with hyphens")
}

pub(super) fn http_url(text: &str) -> Parsed<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or("an http:// or https:// URL")
}

pub(super) fn ambiguous(text: &str) -> Parsed<Ambiguous> {
    match text {
        "hold" => Ok(Ambiguous::Hold),
        "resend" => Ok(Ambiguous::Resend),
        _ => Err("hold or resend"),
    }
}

pub(super) fn flag(text: &str) -> Parsed<bool> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("true or false"),
    }
}

pub(super) fn address(text: &str) -> Parsed<IpAddr> {
    text.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| "an IP address, such as 0.0.0.0 or ::")
}

pub(super) fn port(text: &str) -> Parsed<u16> {
    text.parse().map_err(|_| "a port from 0 to 65535 (0: any free one)")
}
