//! CloudTrail's folders and file names: which of them can hold logs of given days.
//!
//! `[PREFIX/]AWSLogs/[o-ORGANISATION/]ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/ACCOUNT_CloudTrail_REGION_YYYYMMDDTHHmmZ_….json.gz`

use jiff::civil::Date;

/// The first and the last day, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// The first.
    pub from: Date,
    /// The last.
    pub to: Date,
}

impl Days {
    /// Whether `day` is one of them.
    #[must_use]
    pub fn contains(&self, day: Date) -> bool {
        self.from <= day && day <= self.to
    }

    fn meet_year(self, year: i16) -> bool {
        self.from.year() <= year && year <= self.to.year()
    }

    fn meet_month(self, month: (i16, i8)) -> bool {
        let of = |day: Date| (day.year(), day.month());
        of(self.from) <= month && month <= of(self.to)
    }
}

/// What a folder's name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folder {
    /// On the way to days: its folders are looked at one by one.
    Above,
    /// One of the days: all in it is meant.
    Day,
    /// Of other days.
    OtherDays,
    /// Another service's logs.
    Foreign,
    /// No layout that is known: file names tell, or the time of writing.
    Unknown,
}

/// The folder that holds everything CloudTrail writes.
pub(super) const ROOT: &str = "AWSLogs";
const SERVICES: [&str; 3] = ["CloudTrail", "CloudTrail-Digest", "CloudTrail-Insight"];

/// Judges a folder by its whole prefix, with or without a slash at its end.
pub(super) fn folder(prefix: &str, days: Days) -> Folder {
    let names: Vec<&str> = prefix.split('/').filter(|name| !name.is_empty()).collect();
    let Some(root) = names.iter().rposition(|name| *name == ROOT) else { return Folder::Unknown };
    let mut below = names.into_iter().skip(root + 1).peekable();
    below.next_if(|name| name.starts_with("o-"));
    let (Some(_account), Some(service)) = (below.next(), below.next()) else { return Folder::Above };
    if !SERVICES.contains(&service) {
        return Folder::Foreign;
    }
    let (Some(_region), Some(year)) = (below.next(), below.next()) else { return Folder::Above };
    let Some(year) = number::<i16>(year, 4) else { return Folder::Unknown };
    let Some(month) = below.next() else { return above(days.meet_year(year)) };
    let Some(month) = number::<i8>(month, 2) else { return Folder::Unknown };
    let Some(day) = below.next() else { return above(days.meet_month((year, month))) };
    match number(day, 2).and_then(|day| Date::new(year, month, day).ok()) {
        Some(day) if days.contains(day) => Folder::Day,
        Some(_) => Folder::OtherDays,
        None => Folder::Unknown,
    }
}

fn above(meets: bool) -> Folder {
    if meets { Folder::Above } else { Folder::OtherDays }
}

fn number<T: std::str::FromStr>(text: &str, digits: usize) -> Option<T> {
    let sound = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if sound { text.parse().ok() } else { None }
}

/// The day in a file name: `…_YYYYMMDDTHHmmZ_…`.
pub(super) fn day_of(key: &str) -> Option<Date> {
    let name = key.rsplit('/').next()?;
    name.split('_').find_map(|part| {
        let digits = part.strip_suffix('Z')?;
        let (day, time) = digits.split_once('T')?;
        let sound =
            day.len() == 8 && time.len() == 4 && day.bytes().chain(time.bytes()).all(|byte| byte.is_ascii_digit());
        if !sound {
            return None;
        }
        Date::new(day.get(..4)?.parse().ok()?, day.get(4..6)?.parse().ok()?, day.get(6..)?.parse().ok()?).ok()
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const DAYS: Days = Days { from: date(2025, 12, 30), to: date(2026, 1, 2) };

    #[test]
    fn folders_are_told_by_their_names() {
        for (prefix, expected) in [
            ("", Folder::Unknown),
            ("logs/2026/01/01/", Folder::Unknown),
            ("AWSLogs/", Folder::Above),
            ("trail/AWSLogs/o-a1b2c3/", Folder::Above),
            ("trail/AWSLogs/o-a1b2c3/111122223333/", Folder::Above),
            ("AWSLogs/111122223333/CloudTrail/", Folder::Above),
            ("AWSLogs/111122223333/CloudTrail-Digest/eu-west-1", Folder::Above),
            ("AWSLogs/111122223333/vpcflowlogs/", Folder::Foreign),
            ("AWSLogs/111122223333/Config/eu-west-1/2026/1/1/", Folder::Foreign),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2024/", Folder::OtherDays),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2025/", Folder::Above),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2025/11/", Folder::OtherDays),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/", Folder::Above),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/02/", Folder::OtherDays),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2025/12/29/", Folder::OtherDays),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2025/12/30/", Folder::Day),
            ("AWSLogs/o-1/111122223333/CloudTrail/eu-west-1/2026/01/02/", Folder::Day),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/02/more/", Folder::Day),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/03/", Folder::OtherDays),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/99/", Folder::Unknown),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/late/", Folder::Unknown),
            ("old/AWSLogs/1/AWSLogs/1/CloudTrail/eu-west-1/2026/01/01/", Folder::Day),
        ] {
            assert_eq!(folder(prefix, DAYS), expected, "{prefix}");
        }
    }

    #[test]
    fn file_names_tell_their_day() {
        let name = "a_b/111122223333_CloudTrail_eu-west-1_20260110T0815Z_Ab3dEf6hIj9lMn2p.json.gz";
        assert_eq!(day_of(name), Some(date(2026, 1, 10)));
        for name in ["x.json.gz", "1_CloudTrail_r_20261340T0815Z_x.json", "20260110T0815Z/x", "1_2026011T08155Z_x", ""]
        {
            assert_eq!(day_of(name), None, "{name}");
        }
    }
}
