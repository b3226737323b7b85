//! Runs that end half-way: killed, or interrupted.

use std::time::Duration;

use e2e::Get;
use serde_json::json;

use super::{LIMIT, Past, march, told};

/// Short, so that what a killed run had claimed is soon free; a request takes three quarters of it at most.
const LEASE: (&str, &str) = ("LEASE_SECONDS", "4");

async fn half_done(files: u64) -> (Past, Vec<Get>) {
    let past = Past::new().await;
    let gets = Get::many(1..=files * 3);
    for (number, part) in gets.chunks(3).enumerate() {
        past.log("2026/03/10", &format!("f{number:03}"), part).await;
    }
    // Slow enough to be caught half-way.
    past.metering.upstreams().fault(&json!({"target": "execution", "delay_ms": 150})).await.unwrap();
    (past, gets)
}

#[tokio::test]
async fn a_killed_run_goes_on_where_it_was_and_every_row_is_there_once() {
    let (past, gets) = half_done(80).await;
    let url = past.url();
    for _ in 0..3 {
        let rows = past.metering.rows().await.unwrap().len();
        let mut run = past.start(&march(&url, &["--jobs", "4"]), &[LEASE]);
        let further = async |_: &e2e::Process| past.metering.rows().await.unwrap().len() >= rows + 30;
        run.ready(LIMIT, further).await.unwrap();
        run.kill().unwrap();
    }
    past.metering.upstreams().clear_faults().await.unwrap();
    // What the last kill left claimed is another's until its lease ends.
    let mut runs = 0;
    let last = loop {
        let told = past.backfill(&[], &[LEASE]).await;
        runs += 1;
        if told.status == 0 || runs == 20 {
            break told;
        }
    };
    assert_eq!(last.status, 0, "{}", last.stderr);
    assert!(last.stderr.contains("finished by an earlier run"), "{}", last.stderr);

    // What was being sent when it was killed is held: the database tells what of it was inserted.
    let settled =
        past.s3audit(&["held", "settle", "--older-than", "0"], &[("DATABASE_URL", past.metering.database_url())]).await;
    assert_eq!(settled.status, 0, "{}{}", settled.stdout, settled.stderr);
    past.metering.has_exactly(&gets).await.unwrap();
}

#[tokio::test]
async fn an_interrupted_run_finishes_what_is_under_way_and_says_so() {
    let (past, gets) = half_done(80).await;
    let url = past.url();
    let mut run = past.start(&march(&url, &["--jobs", "2"]), &[]);
    run.ready(LIMIT, async |_| past.metering.rows().await.unwrap().len() >= 9).await.unwrap();
    run.signal("INT").unwrap();
    let ended = told(run).await;
    assert_eq!(ended.status, 1);
    assert!(ended.stderr.contains("stopped: interrupted"), "{}", ended.stderr);
    let delivered = ended.tally()["delivered"].as_u64().unwrap();
    assert!((9..240).contains(&delivered), "{delivered}");
    // All that was sent is told: nothing is claimed, held or in doubt.
    assert_eq!(past.metering.rows().await.unwrap().len() as u64, delivered);
    assert!(past.metering.held().unwrap().is_empty());
    past.metering.upstreams().clear_faults().await.unwrap();
    let rest = past.backfill(&["--jobs", "8"], &[]).await;
    assert_eq!((rest.status, &rest.tally()["delivered"]), (0, &json!(240 - delivered)), "{}", rest.stderr);
    past.metering.has_exactly(&gets).await.unwrap();
}

#[tokio::test]
async fn a_second_interrupt_ends_it_at_once() {
    let (past, _) = half_done(8).await;
    let url = past.url();
    past.metering.upstreams().clear_faults().await.unwrap();
    past.metering.upstreams().fault(&json!({"target": "execution", "hang": true})).await.unwrap();
    let mut run = past.start(&march(&url, &[]), &[]);
    run.ready(LIMIT, async |_| past.metering.posts().await.unwrap() > 0).await.unwrap();
    run.signal("INT").unwrap();
    run.ready(LIMIT, async |run| run.stderr().contains("once more ends at once")).await.unwrap();
    run.signal("INT").unwrap();
    assert_eq!(run.exited(Duration::from_secs(20)).await.unwrap().code(), Some(130));
}
