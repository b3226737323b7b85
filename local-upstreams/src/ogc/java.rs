//! The leniencies of the Java library that decide what the resource server accepts.

use uuid::Uuid;

/// Strips what Java's `String.trim` strips: every character up to U+0020 at both ends.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= '\u{20}')
}

/// Reads a UUID as `java.util.UUID.fromString` does: five hexadecimal groups of any length whose excess is cut off,
/// at most 36 characters in all. `1-1-1-1-1` is one.
pub(crate) fn uuid(text: &str) -> Option<Uuid> {
    if text.len() > 36 {
        return None;
    }
    let groups: Vec<u64> = text.split('-').map(hex_group).collect::<Option<_>>()?;
    let [time_low, time_mid, time_high, clock, node] = groups.try_into().ok()?;
    let high = (time_low & 0xffff_ffff) << 32 | (time_mid & 0xffff) << 16 | (time_high & 0xffff);
    let low = (clock & 0xffff) << 48 | (node & 0xffff_ffff_ffff);
    Some(Uuid::from_u64_pair(high, low))
}

fn hex_group(group: &str) -> Option<u64> {
    i64::from_str_radix(group, 16).ok()?.try_into().ok()
}

/// Reads a number as `Long.parseLong` does: decimal, with an optional sign and leading zeros.
pub(crate) fn long(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Reads a time as `DateTimeFormatter.ISO_OFFSET_DATE_TIME` does, then throws the offset away as `toLocalDateTime`
/// does. The answer is what PostgreSQL prints for the `timestamp`: `YYYY-MM-DD HH:MM:SS[.ffffff][ BC]`.
pub(crate) fn local_date_time(text: &str) -> Option<LocalDateTime> {
    let mut rest = Cursor(text.as_bytes());
    let year = year(&mut rest)?;
    rest.literal(b'-')?;
    let month = rest.two_digits()?;
    rest.literal(b'-')?;
    let day = rest.two_digits()?;
    rest.letter(b'T')?;
    let hour = rest.two_digits()?;
    rest.literal(b':')?;
    let minute = rest.two_digits()?;
    let (second, nanos) = if rest.literal(b':').is_some() { seconds(&mut rest)? } else { (0, 0) };
    offset(&mut rest)?;
    let exists = rest.0.is_empty()
        && (1..=12).contains(&month)
        && (1..=days(year, month)).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 59;
    exists.then_some(LocalDateTime { year, month, day, hour, minute, second, micros: nanos / 1000 })
}

/// A date and time of day without a zone, to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalDateTime {
    /// The proleptic year; 0 is 1 BC.
    pub(crate) year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
}

impl std::fmt::Display for LocalDateTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { year, month, day, hour, minute, second, micros } = *self;
        let (year, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")?;
        if micros > 0 {
            let digits = format!("{micros:06}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str(era)
    }
}

/// Four digits, or more than four after a `+`, or four and more after a `-`.
fn year(rest: &mut Cursor<'_>) -> Option<i64> {
    let plus = rest.literal(b'+').is_some();
    let minus = !plus && rest.literal(b'-').is_some();
    let (digits, value) = rest.digits(10)?;
    let width_fits = if plus { digits > 4 } else { digits == 4 || (minus && digits > 4) };
    let in_range = value <= 999_999_999 && !(minus && value == 0);
    (width_fits && in_range).then_some(if minus { -value } else { value })
}

/// The second and its nanoseconds; a point without digits is accepted, as Java accepts it.
fn seconds(rest: &mut Cursor<'_>) -> Option<(i64, i64)> {
    let second = rest.two_digits()?;
    if rest.literal(b'.').is_none() {
        return Some((second, 0));
    }
    let (digits, value) = rest.digits(9)?;
    Some((second, value * 10_i64.pow(9 - digits)))
}

/// `Z`, or a sign and `HH[:MM[:SS]]` up to 18 hours.
fn offset(rest: &mut Cursor<'_>) -> Option<()> {
    if rest.letter(b'Z').is_some() {
        return Some(());
    }
    rest.literal(b'+').or_else(|| rest.literal(b'-'))?;
    let mut total = rest.two_digits()? * 3600;
    for unit in [60, 1] {
        if rest.literal(b':').is_none() {
            break;
        }
        let part = rest.two_digits().filter(|part| *part <= 59)?;
        total += part * unit;
    }
    (total <= 18 * 3600).then_some(())
}

fn days(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// What is still to be read of a time.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn literal(&mut self, wanted: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[wanted])?;
        Some(())
    }

    /// A letter in either case.
    fn letter(&mut self, upper: u8) -> Option<()> {
        self.literal(upper).or_else(|| self.literal(upper.to_ascii_lowercase()))
    }

    /// Up to `most` digits, possibly none: how many, and their value.
    fn digits(&mut self, most: usize) -> Option<(u32, i64)> {
        let count = self.0.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        let value = digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        Some((u32::try_from(count).ok()?, value))
    }

    fn two_digits(&mut self) -> Option<i64> {
        self.digits(2).filter(|(count, _)| *count == 2).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_read_as_leniently_as_in_java() {
        let short = uuid("1-1-1-1-1").unwrap();
        assert_eq!(short.to_string(), "00000001-0001-0001-0001-000000000001");
        assert_eq!(uuid("123456789-+a-B-c-d").unwrap().to_string(), "23456789-000a-000b-000c-00000000000d");
        let usual = "0B0C5B6E-9E0D-4B5E-8B1A-2F3C4D5E6F70";
        assert_eq!(uuid(usual).unwrap().to_string(), usual.to_lowercase());
        for bad in ["", "1-1-1-1", "1-1-1-1-1-1", "-1-1-1-1-1", "1-1-1-1-", "g-1-1-1-1", "1 -1-1-1-1"] {
            assert_eq!(uuid(bad), None, "{bad}");
        }
        assert_eq!(uuid(&format!("{usual}0")), None);
        assert_eq!(uuid(&usual.replace('-', "")), None);
    }

    #[test]
    fn longs_are_decimal_with_sign_and_zeros() {
        for (text, value) in [("12", 12), ("+12", 12), ("-7", -7), ("-0", 0), ("0012", 12)] {
            assert_eq!(long(text), Some(value), "{text}");
        }
        assert_eq!(long("9223372036854775807"), Some(i64::MAX));
        for bad in ["9223372036854775808", "12345.0", "1.2e3", "", "+", "0x1", "1_000", "1 2"] {
            assert_eq!(long(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_need_an_offset_and_lose_it() {
        for (text, stored) in [
            ("2025-10-27T10:12:30Z", "2025-10-27 10:12:30"),
            ("2025-10-27T12:00:00+05:30", "2025-10-27 12:00:00"),
            ("2025-10-27t12:00z", "2025-10-27 12:00:00"),
            ("2025-10-27T12:00:01.5-08", "2025-10-27 12:00:01.5"),
            ("2025-10-27T12:00:01.123456789+01:02:03", "2025-10-27 12:00:01.123456"),
            ("2025-10-27T12:00:01.Z", "2025-10-27 12:00:01"),
            ("2024-02-29T00:00:00+18:00", "2024-02-29 00:00:00"),
            ("+12345-01-01T00:00:00Z", "12345-01-01 00:00:00"),
            ("0000-01-01T00:00:00Z", "0001-01-01 00:00:00 BC"),
        ] {
            assert_eq!(local_date_time(text).map(|time| time.to_string()).as_deref(), Some(stored), "{text}");
        }
    }

    #[test]
    fn times_that_do_not_exist_are_refused() {
        for bad in [
            "2025-10-27T10:12:30",
            "2025-10-27 10:12:30Z",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-10-27T24:00:00Z",
            "2025-10-27T10:12:60Z",
            "2025-10-27T10:12:30+0530",
            "2025-10-27T10:12:30+5:30",
            "2025-10-27T10:12:30+18:00:01",
            "2025-10-27T10:12:30.1234567890Z",
            "2025-10-27T10:12:30[UTC]",
            "2025-10-27T10:12:30Z ",
            "+2025-10-27T10:12:30Z",
            "12025-10-27T10:12:30Z",
            "-0000-01-01T00:00:00Z",
            "1761559950",
            "",
        ] {
            assert_eq!(local_date_time(bad), None, "{bad}");
        }
    }
}
