//! Delivered from here.

use std::time::Duration;

use audit_core::clock::Clock;
use e2e::fixture::{gzip, log};
use e2e::{Get, Upstreams};
use serde_json::json;

use super::Past;

#[tokio::test]
async fn only_logs_of_the_days_are_taken_and_all_else_is_counted_or_left_alone() {
    let past = Past::new().await;
    let gets = Get::many(1..=10);
    past.log("2026/02/28", "before", &gets[..1]).await;
    past.log("2026/03/01", "first", &gets[1..3]).await;
    past.log("2026/03/31", "last", &gets[3..5]).await;
    past.log("2026/04/01", "after", &gets[5..6]).await;
    past.log("2025/03/10", "a-year-before", &gets[6..7]).await;
    let organisation = "AWSLogs/o-a1b2c3d4e5/444455556666/CloudTrail/us-east-1/2026/03/10/x.json.gz";
    past.put(organisation, e2e::fixture::log_of(&gets[7..9]).unwrap()).await;
    let prefixed = "team/AWSLogs/111122223333/CloudTrail/eu-central-1/2026/03/10/y.json.gz";
    past.put(prefixed, e2e::fixture::log_of(&gets[9..]).unwrap()).await;
    past.put("AWSLogs/111122223333/CloudTrail/", "").await;
    past.put("AWSLogs/111122223333/CloudTrail-Digest/eu-central-1/2026/03/10/d.json.gz", "digest").await;
    past.put("AWSLogs/111122223333/CloudTrail-Digest/eu-central-1/2026/04/10/d.json.gz", "digest").await;
    past.put("AWSLogs/111122223333/CloudTrail-Insight/eu-central-1/2026/03/10/i.json.gz", "insight").await;
    past.put("AWSLogs/111122223333/vpcflowlogs/eu-central-1/2026/03/10/f.log.gz", "flow").await;
    past.put("elsewhere/2026/03/10/x.json.gz", "no log").await;

    let told = past.backfill(&[], &[]).await;
    assert_eq!(told.status, 0, "{}", told.stderr);
    let tally = told.tally();
    assert_eq!(tally["objects"], json!({"read": 4, "skipped": 3, "failed": 0}), "{}", told.stderr);
    assert_eq!((&tally["delivered"], &tally["records"]), (&json!(7), &json!(7)));
    assert!(told.stderr.contains("2 folders without logs of CloudTrail"), "{}", told.stderr);
    let expected = gets[1..5].iter().chain(&gets[7..]);
    past.metering.has_exactly(expected).await.unwrap();

    // One day of one account, by its folder.
    let url = format!("{}/AWSLogs/111122223333/CloudTrail/eu-central-1/2026", past.url());
    let told = past.s3audit(&["backfill", &url, "--from", "2026-02-28", "--to", "2026-02-28"], &[]).await;
    assert_eq!((told.status, &told.tally()["delivered"]), (0, &json!(1)), "{}", told.stderr);
}

#[tokio::test]
async fn without_folders_of_days_file_names_tell_and_else_the_time_of_writing() {
    let past = Past::new().await;
    let gets = Get::many(1..=3);
    let file = |gets| e2e::fixture::log_of(gets).unwrap();
    past.put("copies/1_CloudTrail_eu-central-1_20260310T0815Z_Ab3dEf6hIj9lMn2p.json.gz", file(&gets[..1])).await;
    past.put("copies/1_CloudTrail_eu-central-1_20260410T0815Z_Ab3dEf6hIj9lMn2p.json.gz", file(&gets[1..2])).await;
    past.put("copies/deeper/unnamed.json.gz", file(&gets[2..])).await;
    let url = format!("{}/copies/", past.url());
    let told = past.s3audit(&super::march(&url, &[]), &[]).await;
    assert_eq!((told.status, &told.tally()["delivered"]), (0, &json!(1)), "{}", told.stderr);
    past.metering.has_exactly(&gets[..1]).await.unwrap();
    let told = past.s3audit(&["backfill", &url, "--from", "2026-05-01"], &[]).await;
    assert_eq!((told.status, &told.tally()["delivered"]), (0, &json!(1)), "{}", told.stderr);
    past.metering.has_exactly([&gets[0], &gets[2]]).await.unwrap();
}

#[tokio::test]
async fn twice_is_harmless_with_and_without_the_state() {
    let past = Past::new().await;
    let gets = Get::many(1..=40);
    for (number, part) in gets.chunks(4).enumerate() {
        past.log("2026/03/10", &format!("f{number}"), part).await;
    }
    assert_eq!(past.backfill(&["--jobs", "8"], &[]).await.tally()["delivered"], 40);
    let again = past.backfill(&[], &[]).await;
    assert_eq!((again.status, &again.tally()["records"]), (0, &json!(0)));
    assert!(again.stderr.contains("10 files were finished by an earlier run"), "{}", again.stderr);
    let afresh = past.backfill(&["--again"], &[]).await;
    assert_eq!((afresh.status, &afresh.tally()["duplicates"]), (0, &json!(40)), "{}", afresh.stderr);
    // A file that was written anew is another version, and is read again.
    let more = Get::new(41);
    past.log("2026/03/10", "f0", &[&gets[..4], std::slice::from_ref(&more)].concat()).await;
    let changed = past.backfill(&[], &[]).await.tally();
    assert_eq!((&changed["delivered"], &changed["duplicates"]), (&json!(1), &json!(4)));
    past.metering.has_exactly(gets.iter().chain([&more])).await.unwrap();
}

#[tokio::test]
async fn a_poison_file_is_named_and_the_others_are_done() {
    let past = Past::new().await;
    let gets = Get::many(1..=6);
    past.log("2026/03/10", "a", &gets[..3]).await;
    let mut broken = gzip(&log(&[Get::new(99).cloudtrail()])).unwrap();
    broken.truncate(broken.len() - 9);
    let poison = format!("{}/2026/03/11/poison.json.gz", super::FOLDER);
    past.put(&poison, broken).await;
    past.log("2026/03/12", "b", &gets[3..]).await;
    for _ in 0..2 {
        let told = past.backfill(&[], &[]).await;
        assert_eq!((told.status, &told.tally()["objects"]["failed"]), (1, &json!(1)), "{}", told.stderr);
        assert!(told.stderr.contains(&format!("s3://{}/{poison}: ", past.bucket)), "{}", told.stderr);
        assert!(told.stderr.contains("1 files are not finished"), "{}", told.stderr);
    }
    past.metering.has_exactly(&gets).await.unwrap();
    past.log("2026/03/11", "poison", &Get::many(7..=7)).await;
    assert_eq!(past.backfill(&[], &[]).await.status, 0);
    past.metering.has_exactly(&Get::many(1..=7)).await.unwrap();
}

#[tokio::test]
async fn days_that_the_ledger_has_forgotten_are_refused_unless_asked_for() {
    let past = Past::new().await;
    let gets = Get::many(1..=2);
    past.log("2026/03/10", "a", &gets).await;
    let told = past.backfill(&[], &[("LEDGER_TTL", "30d")]).await;
    assert_eq!(told.status, 64, "{}", told.stderr);
    for words in ["LEDGER_TTL (30 days)", "billed a second time", "--allow-expired"] {
        assert!(told.stderr.contains(words), "{}", told.stderr);
    }
    past.metering.has_exactly(&[]).await.unwrap();
    // Of its first day the ledger has forgotten the hours before this one.
    let first = (Clock::system().now() - Duration::from_hours(30 * 24)).strftime("%F").to_string();
    let told = past.s3audit(&["backfill", &past.url(), "--from", &first], &[("LEDGER_TTL", "30d")]).await;
    assert!(told.status == 64 && told.stderr.contains("billed a second time"), "{}", told.stderr);
    let told = past.backfill(&["--allow-expired"], &[("LEDGER_TTL", "30d")]).await;
    assert_eq!((told.status, &told.tally()["delivered"]), (0, &json!(2)), "{}", told.stderr);
}

#[tokio::test]
async fn what_cannot_be_right_is_told_before_anything_is_done() {
    let past = Past::new().await;
    past.log("2026/03/10", "a", &Get::many(1..=1)).await;
    for (more, words) in [
        (("LEDGER_URL", "memory:"), "LEDGER_URL: expected the ledger of lambda-cloudtrail; memory:"),
        (("LEDGER_URL", ""), "LEDGER_URL: expected the ledger of lambda-cloudtrail, such as dynamodb://TABLE"),
        (("PROCESS_API_URL", ""), "PROCESS_API_URL: expected a URL"),
        (("CLOUDTRAIL_BUCKET", "another"), "expected the bucket of CLOUDTRAIL_BUCKET, another"),
    ] {
        let told = past.backfill(&[], &[more]).await;
        assert_eq!(told.status, 64, "{words}: {}", told.stderr);
        assert!(told.stderr.contains(words), "{}", told.stderr);
    }
    let told = past.s3audit(&["backfill", &past.url(), "--from", "2026-03-02", "--to", "2026-03-01"], &[]).await;
    assert!(told.status == 64 && told.stderr.contains("--to: expected"), "{}", told.stderr);
    let told = past.s3audit(&["backfill", "s3://no-such-bucket-here", "--from", "2026-03-02"], &[]).await;
    assert!(told.status == 1 && told.stderr.contains("no such bucket"), "{}", told.stderr);
    past.metering.has_exactly(&[]).await.unwrap();
}

#[tokio::test]
async fn a_resource_server_that_is_away_ends_the_run_and_the_next_one_goes_on() {
    let past = Past::new().await;
    let gets = Get::many(1..=40);
    for (number, part) in gets.chunks(1).enumerate() {
        past.log("2026/03/10", &format!("f{number:02}"), part).await;
    }
    past.metering.upstreams().fault(&json!({"target": "execution", "status": 404})).await.unwrap();
    let told = past.backfill(&["--jobs", "2"], &[]).await;
    assert_eq!(told.status, 1);
    assert!(told.stderr.contains("10 files in a row stay pending"), "{}", told.stderr);
    assert!(told.stderr.contains("PROCESS_API_URL: no such process"), "{}", told.stderr);
    let pending = told.tally()["pending"].as_u64().unwrap();
    assert!((10..=12).contains(&pending), "{pending}");
    past.metering.upstreams().clear_faults().await.unwrap();
    assert_eq!(past.backfill(&[], &[]).await.status, 0);
    past.metering.has_exactly(&gets).await.unwrap();
}

#[tokio::test]
async fn past_reads_are_too_late_for_the_dashboard_and_none_is_sent() {
    let past = Past::new().await;
    let plausible = Upstreams::start(&[]).await.unwrap();
    let now = audit_core::clock::Clock::system().now();
    let mut recent = Get::new(1).cloudtrail();
    recent["eventTime"] = json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let key = format!("{}/2026/03/10/recent.json.gz", super::FOLDER);
    past.put(&key, gzip(&log(&[recent, Get::new(2).cloudtrail()])).unwrap()).await;
    let url = plausible.url("");
    let more = [
        ("PLAUSIBLE_API_URL", url.as_str()),
        ("PLAUSIBLE_DATA_DOMAIN", "data.example.org"),
        ("PLAUSIBLE_OTHER_PATHS", "send-without"),
        ("PLAUSIBLE_OTHER_ADDRESSES", "send-without"),
    ];
    let told = past.backfill(&[], &more).await;
    assert_eq!(told.status, 0, "{}", told.stderr);
    let tally = told.tally();
    let analytics = &tally["analytics"];
    assert_eq!((&analytics["events"], &analytics["too_late"]), (&json!(2), &json!(2)), "{tally}");
    assert_eq!(tally["delivered"], 2);
    let requests = plausible.get("/_dev/requests").await.unwrap();
    assert!(requests.get("event").is_none(), "{requests}");
}
