//! Refused batches: the bad ones end alone, all others are delivered, with few requests.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::model::{Act, World, downloads, unknown};
use crate::delivery::{Outcome, Report, Settings};
use crate::record::Download;

fn run(world: impl FnOnce(&[Download]) -> std::sync::Arc<World>, all: &[Download]) -> (std::sync::Arc<World>, Report) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = world(all);
        let delivery = world.delivery(&world.ledger(), Settings::default());
        let report = delivery.deliver(all, Instant::now() + Duration::from_hours(1)).await;
        (world, report)
    })
}

fn log2_ceil(count: usize) -> usize {
    count.next_power_of_two().trailing_zeros() as usize
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn bad_records_end_alone(count in 1..300_u64, bad in prop::collection::btree_set(0..300_usize, 0..8)) {
        let all = downloads(count);
        let bad: Vec<&Download> = bad.into_iter().filter_map(|at| all.get(at)).collect();
        let (world, report) = run(|_| World::new(&bad, |_| Act::Work), &all);
        for (download, outcome) in all.iter().zip(&report.outcomes) {
            let is_bad = bad.contains(&download);
            prop_assert_eq!(*outcome, if is_bad { Outcome::Rejected } else { Outcome::Delivered });
            prop_assert_eq!(world.rows_of(download), u32::from(!is_bad));
            prop_assert_eq!(world.quarantines(download), is_bad);
        }
        prop_assert_eq!(world.quarantined.lock().unwrap().len(), bad.len());
        let posts = world.posts.lock().unwrap().len();
        prop_assert!(posts <= 1 + 2 * bad.len() * log2_ceil(all.len()), "{posts} requests");
    }
}

#[test]
fn one_bad_record_among_a_thousand_costs_twenty_more_requests_at_most() {
    let all = downloads(1000);
    for bad in [0, 1, 499, 500, 999] {
        let (world, report) = run(|all| World::new(&[&all[bad]], |_| Act::Work), &all);
        let posts = world.posts.lock().unwrap().len();
        assert!(posts <= 21, "{posts} requests");
        assert_eq!(report.outcomes.iter().filter(|own| **own == Outcome::Delivered).count(), 999);
    }
}

#[test]
fn a_quarantined_record_says_what_the_server_said() {
    let all = downloads(2);
    let (world, _) = run(|all| World::new(&[&all[1]], |_| Act::Work), &all);
    let quarantined = world.quarantined.lock().unwrap();
    insta::assert_debug_snapshot!(
        quarantined
            .iter()
            .map(|entry| (&entry.reason, &entry.detail, &entry.source, &entry.id, entry.record.to_string()))
            .collect::<Vec<_>>()
    );
}

#[test]
fn an_unknown_outcome_inside_holds_that_part_alone() {
    let all = downloads(8);
    let mut first_half = true;
    let script = move |lines: &[String]| {
        if lines.len() == 4 && std::mem::take(&mut first_half) {
            Act::InsertAndSay(unknown(), Some(502))
        } else {
            Act::Work
        }
    };
    let (world, report) = run(|all| World::new(&[&all[7]], script), &all);
    let (delivered, held) = (Outcome::Delivered, Outcome::Held);
    assert_eq!(report.outcomes, [held, held, held, held, delivered, delivered, delivered, Outcome::Rejected]);
    assert_eq!(world.held.lock().unwrap().len(), 1);
    // After it, a single record until an answer comes.
    assert_eq!(world.posts.lock().unwrap()[..3], [8, 4, 1]);
}
