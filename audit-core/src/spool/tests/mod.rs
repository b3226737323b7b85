//! What the spool promises.

mod crash;
mod full;
mod queue;

use std::path::Path;

use super::{Item, Options, Sink, Spool};
use crate::clock::Clock;

/// A spool with a small reserve, as writing it takes time.
fn open(dir: &Path) -> Spool {
    Spool::open_with(dir, Clock::system(), Options { reserve_bytes: 8 << 20 }).unwrap()
}

fn item(number: u64) -> Item {
    Item { sink: Sink::Metering, key: None, body: number.to_be_bytes().to_vec() }
}

async fn numbers(spool: &Spool) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut after = 0;
    loop {
        let entries = spool.read(Sink::Metering, after, 1000).await.unwrap();
        let Some((last, _)) = entries.last() else { return numbers };
        after = *last;
        let number = |(_, body): &(i64, Vec<u8>)| u64::from_be_bytes(body[..8].try_into().unwrap());
        numbers.extend(entries.iter().map(number));
    }
}
