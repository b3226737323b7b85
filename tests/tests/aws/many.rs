//! Many files at once, and as many sandboxes as the event source may have.

use std::sync::Arc;

use e2e::{Function, Get};
use tokio::task::JoinSet;

use super::{LIMIT, Queue, Stack, sum, tallies};

const FILES: u64 = 200;
/// What the template's event source is limited to.
const CONCURRENCY: usize = 10;

#[tokio::test]
async fn two_hundred_files_at_once_with_ten_sandboxes_make_each_row_once() {
    let stack = Stack::new().await;
    let queue = Arc::new(Queue::new().await);
    stack.notify(&queue).await;
    // Three downloads a file, of which the last is the first of the next file, too.
    let gets = Get::many(0..=FILES * 2);
    for number in 0..FILES {
        let start = usize::try_from(number * 2).unwrap();
        stack.log(number, &gets[start..start + 3]).await;
    }
    let started = std::time::Instant::now();
    let functions: Vec<_> =
        (0..CONCURRENCY).map(|_| Arc::new(Function::new(stack.spec("lambda-cloudtrail")).unwrap())).collect();
    let mut pollers = JoinSet::new();
    for function in &functions {
        let (function, queue) = (Arc::clone(function), Arc::clone(&queue));
        pollers.spawn(async move { queue.source.drain_all(&function, LIMIT).await.unwrap() });
    }
    let outcomes = pollers.join_all().await.into_iter().flatten().collect::<Vec<_>>();
    let took = started.elapsed();
    assert!(outcomes.iter().all(|outcome| outcome.error.is_none()), "{outcomes:?}");
    assert_eq!(queue.dead.remaining().await.unwrap(), 0);
    stack.metering.has_exactly(&gets).await.unwrap();

    let tallies: Vec<_> = functions.iter().flat_map(|function| tallies(function)).collect();
    assert_eq!(sum(&tallies, "/delivered"), FILES * 2 + 1);
    assert_eq!(sum(&tallies, "/held"), 0);
    // The test event, as often as the queue hands it out: at least once.
    assert!(sum(&tallies, "/objects/skipped") >= 1, "{tallies:?}");
    let busy = functions.iter().filter(|function| !function.log().is_empty()).count();
    println!(
        "{FILES} files, {} downloads, {} invocations in {busy} sandboxes: {:.1} s (unoptimised build)",
        FILES * 2 + 1,
        outcomes.len(),
        took.as_secs_f64()
    );
}
