//! Counts rows against what went in.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;

use tokio_postgres::Client;

use crate::entry::Download;

/// The rows that there are, each as [`Download::row`] writes it.
const ROWS: &str = "SELECT user_id::text || '|' || collection_id::text || '|' || split_part(api_path, '/items/', 2) \
     || '|' || to_char(timestamp, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') || '|' || resp_size, count(*) \
     FROM metering GROUP BY 1";

/// What became of the downloads that were sent.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) sent: u64,
    /// Rows in the table.
    pub(crate) delivered: u64,
    /// In no row, and not held.
    pub(crate) lost: u64,
    /// Rows beyond one a download.
    pub(crate) doubled: u64,
    /// In a held batch: inserted or not.
    pub(crate) held: u64,
    /// What was found, for messages.
    pub(crate) details: String,
}

impl Account {
    /// Counts the rows of `client`'s database as a multiset; `held` are the lines of the held files.
    pub(crate) async fn of(client: &Client, sent: &[Download], held: &[String]) -> Self {
        let mut own = Self { sent: sent.len() as u64, held: held.len() as u64, ..Self::default() };
        let mut expected: HashMap<String, u64> = HashMap::new();
        for download in sent {
            *expected.entry(download.row()).or_default() += 1;
        }
        let mut unsure: HashMap<&str, u64> = HashMap::new();
        for line in held {
            let (row, _storage) = line.rsplit_once('|').expect("a held line has six fields");
            assert!(expected.contains_key(row), "held, but never sent: {row}");
            *unsure.entry(row).or_default() += 1;
        }
        let mut rows: HashMap<String, u64> = HashMap::new();
        for row in client.query(ROWS, &[]).await.unwrap() {
            rows.insert(row.get(0), u64::try_from(row.get::<_, i64>(1)).unwrap());
        }
        for (row, count) in &rows {
            assert!(expected.contains_key(row), "a row that nobody sent: {row}");
            own.delivered += count;
        }
        for (row, expected) in &expected {
            let found = rows.get(row).copied().unwrap_or(0);
            let unsure = unsure.get(row.as_str()).copied().unwrap_or(0);
            let (lost, doubled) = (expected.saturating_sub(unsure + found), found.saturating_sub(*expected));
            own.lost += lost;
            own.doubled += doubled;
            if lost + doubled > 0 && own.details.len() < 1000 {
                let _ = write!(own.details, "\n  {row}: sent {expected}, rows {found}, held {unsure}");
            }
        }
        own
    }

    /// Prints the line of the table, also where the test harness keeps what tests print.
    pub(crate) fn print(&self, fault: &str) {
        let Self { sent, delivered, lost, doubled, held, details: _ } = self;
        let line = format!("fault | {fault} | {sent} | {delivered} | {lost} | {doubled} | {held}\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }

    /// Prints it, and fails unless each download is billed once or held.
    pub(crate) fn exact(&self, fault: &str) {
        self.print(fault);
        assert_eq!((self.lost, self.doubled), (0, 0), "{fault}: lost and doubled{}", self.details);
    }
}

/// Says something outside of what the harness keeps.
pub(crate) fn say(text: &str) {
    std::io::stderr().write_all(format!("{text}\n").as_bytes()).unwrap();
}
