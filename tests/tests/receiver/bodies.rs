//! What a POST may hold.

use e2e::Get;
use e2e::fixture::{CLIENT_ADDRESS, COOKIE, SIGNATURE, lines, post_of};
use e2e::metering::CLIENT_SECRET;
use e2e::receiver::TOKEN;
use serde_json::{Value, json};

use super::{accounts, receiver};

#[tokio::test]
async fn entries_are_taken_one_many_concatenated_and_in_arrays() {
    let (receiver, metering) = receiver().await;
    let gets = Get::many(1..=9);
    let entry = |index: usize| gets[index].minio();
    let bodies = [
        lines(&[entry(0)]),
        post_of(&gets[1..3]),
        format!("{}{}", entry(3), entry(4)).into_bytes(),
        json!([entry(5), entry(6)]).to_string().into_bytes(),
        serde_json::to_vec_pretty(&entry(7)).unwrap(),
        format!("\u{feff}\r\n {} \r\n", entry(8)).into_bytes(),
    ];
    for body in bodies {
        assert_eq!(receiver.post(body).await.unwrap(), 200);
    }
    assert_eq!(accounts(&receiver, ["records_total", "downloads_total", "delivered_total"]).await, [9, 9, 9]);
    metering.has_exactly(&gets).await.unwrap();
}

#[tokio::test]
async fn any_content_type_or_none_is_read_alike() {
    let (receiver, metering) = receiver().await;
    let types = [
        "application/json",
        "text/plain; charset=utf-8",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "",
    ];
    let gets = Get::many(0..6);
    for (get, content_type) in gets.iter().zip(types.iter().map(Some).chain([None])) {
        let mut request = receiver.client().post(receiver.url("/auditlogs/processor")).header("authorization", TOKEN);
        if let Some(content_type) = content_type {
            request = request.header("content-type", *content_type);
        }
        assert_eq!(request.body(lines(&[get.minio()])).send().await.unwrap().status(), 200, "{content_type:?}");
    }
    receiver.settled().await.unwrap();
    metering.has_exactly(&gets).await.unwrap();
}

#[tokio::test]
async fn probes_are_no_records() {
    let (receiver, metering) = receiver().await;
    for probe in ["", "{}", " {} \n", " \r\n\t", "[]"] {
        assert_eq!(receiver.post(probe).await.unwrap(), 200, "{probe:?}");
    }
    assert_eq!(accounts(&receiver, ["records_total"]).await, [0]);
    assert_eq!(metering.posts().await.unwrap(), 0);
}

#[tokio::test]
async fn every_line_of_much_rubbish_is_accounted_for() {
    let (receiver, metering) = receiver().await;
    let good = Get::new(1);
    let body = [b"x\n".repeat(20_000), lines(&[good.minio()]), b"[1,\n".repeat(5000)].concat();
    assert_eq!(receiver.post(body).await.unwrap(), 200);
    let names = ["records_total", "delivered_total", "quarantined_total{reason=\"malformed\"}"];
    let [records, delivered, quarantined] = accounts(&receiver, names).await;
    assert_eq!((records, delivered), (quarantined + 1, 1));
    assert_eq!(metering.quarantined().unwrap().len() as u64, quarantined);
    assert!(quarantined >= 25_000, "{quarantined}");
    metering.has_exactly(&[good]).await.unwrap();
}

#[tokio::test]
async fn reading_goes_on_at_the_line_after_a_malformed_entry() {
    let (receiver, metering) = receiver().await;
    let gets = Get::many(1..=3);
    let cut = Get::new(8).minio().to_string();
    let (cut, _) = cut.split_at(cut.len() / 2);
    let body = format!("{}\n{cut}\n{}\nnot json at all\n17\n{}\n", gets[0].minio(), gets[1].minio(), gets[2].minio());
    assert_eq!(receiver.post(body).await.unwrap(), 200);
    let names = ["records_total", "delivered_total", "quarantined_total{reason=\"malformed\"}"];
    assert_eq!(accounts(&receiver, names).await, [6, 3, 3]);
    metering.has_exactly(&gets).await.unwrap();
    let kept = metering.quarantined().unwrap();
    assert_eq!(kept.len(), 3);
    for (line, number) in kept.iter().zip([2, 4, 5]) {
        assert_eq!(line["reason"], "malformed");
        let source = line["source"].as_str().unwrap();
        assert!(source.starts_with("request:") && source.ends_with(&format!("#{number}")), "{source}");
    }
    // What cannot be parsed is kept as text.
    assert!(kept[0]["record"].as_str().is_some_and(|text| text.starts_with('{')), "{}", kept[0]);
    assert_eq!((&kept[1]["record"], &kept[2]["record"]), (&json!("not json at all"), &json!(17)));
}

#[tokio::test]
async fn what_is_not_billed_is_counted_by_its_reason() {
    let (receiver, metering) = receiver().await;
    let changed = |number: u64, pointer: &str, value: Value| {
        let mut entry = Get::new(number).minio();
        *entry.pointer_mut(pointer).unwrap() = value;
        entry
    };
    let notification = json!({
        "EventName": "s3:ObjectAccessed:Get", "Key": "scenes/a.tif",
        "Records": [{"eventVersion": "2.0", "eventSource": "minio:s3", "eventName": "s3:ObjectAccessed:Get",
            "s3": {"bucket": {"name": "scenes"}, "object": {"key": "a.tif"}}, "source": {"userAgent": "curl/8"}}],
    });
    let rustfs = json!({
        "EventName": "s3:ObjectAccessed:Get", "Key": "scenes/a.tif",
        "Records": [{"version": "1", "time": 1_760_000_000_000_u64, "api": {"name": "s3:GetObject", "status_code": 200}}],
    });
    let skipped = [
        ("notification", notification),
        ("notification", rustfs),
        ("not_incoming", changed(10, "/trigger", json!("internal"))),
        ("not_presigned_get", changed(11, "/api/name", json!("HeadObject"))),
        ("not_presigned_get", changed(12, "/requestQuery/X-Amz-Signature", json!(""))),
        ("failed_request", changed(13, "/api/statusCode", json!(403))),
        ("failed_request", changed(14, "/api/statusCode", json!("200"))),
        ("no_user", changed(15, "/requestQuery/userId", json!(" "))),
    ];
    let quarantined = [
        ("incomplete_ids", changed(20, "/requestQuery/itemId", json!(null))),
        ("invalid_user_id", changed(21, "/requestQuery/userId", json!(5))),
        ("invalid_bytes", changed(22, "/api/tx", json!(-1))),
        ("invalid_time", changed(23, "/time", json!("2026-03-10T08:00:00"))),
        ("no_identity", changed(24, "/requestID", json!(null))),
    ];
    let all: Vec<Value> = skipped.iter().chain(&quarantined).map(|(_, entry)| entry.clone()).collect();
    assert_eq!(receiver.post(lines(&all)).await.unwrap(), 200);
    let metrics = receiver.settled().await.unwrap();
    for (kind, entries) in [("skipped", skipped.as_slice()), ("quarantined", &quarantined)] {
        for (reason, _) in entries {
            let expected = entries.iter().filter(|(own, _)| own == reason).count();
            let name = format!("{kind}_total{{reason=\"{reason}\"}}");
            assert_eq!(super::counts(&metrics, [&name]), [expected as u64], "{name}");
        }
    }
    assert_eq!(super::counts(&metrics, ["records_total", "downloads_total"]), [13, 0]);
    metering.has_exactly(&[]).await.unwrap();
}

#[tokio::test]
async fn entries_sent_again_are_duplicates() {
    let (receiver, metering) = receiver().await;
    let gets = Get::many(1..=4);
    for _ in 0..5 {
        assert_eq!(receiver.post(post_of(&gets)).await.unwrap(), 200);
    }
    receiver.settled().await.unwrap();
    assert_eq!(receiver.post(post_of(&gets)).await.unwrap(), 200);
    let names = ["records_total", "downloads_total", "duplicates_total", "delivered_total"];
    assert_eq!(accounts(&receiver, names).await, [24, 4, 20, 4]);
    metering.has_exactly(&gets).await.unwrap();
}

#[tokio::test]
async fn no_credential_reaches_the_log_the_spool_or_the_quarantine() {
    let (mut receiver, metering) = receiver().await;
    let mut broken = Get::new(2).minio();
    broken["api"]["tx"] = json!("12");
    broken["requestHeader"]["Authorization"] = json!("AWS4-HMAC-SHA256 Credential=5ec2e7credential");
    let cut = Get::new(3).minio().to_string();
    metering.upstreams().fault(&json!({"target": "execution", "times": 1, "status": 503})).await.unwrap();
    let body = [lines(&[Get::new(1).minio(), broken]), cut.as_bytes()[..cut.len() - 4].to_vec()].concat();
    assert_eq!(receiver.post(body).await.unwrap(), 200);
    receiver.settled().await.unwrap();
    assert_eq!(metering.quarantined().unwrap().len(), 2);
    receiver.process().kill().unwrap();
    let mut files = Vec::new();
    for folder in ["spool", "quarantine"] {
        for file in std::fs::read_dir(metering.place().join(folder)).unwrap() {
            files.push(String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()).into_owned());
        }
    }
    assert!(files.len() >= 2);
    for secret in [SIGNATURE, COOKIE, "5ec2e7credential", TOKEN, CLIENT_SECRET, "eyJ"] {
        assert!(!receiver.log().contains(secret), "{secret} in {}", receiver.log());
        assert!(!files.iter().any(|file| file.contains(secret)), "{secret} in a file");
    }
    for secret in [CLIENT_ADDRESS, &Get::new(1).user, &Get::new(2).user] {
        assert!(!receiver.log().contains(secret), "{secret} in {}", receiver.log());
    }
}

#[tokio::test]
async fn a_body_of_many_megabytes_is_delivered_in_full() {
    let (receiver, metering) = receiver().await;
    let gets = Get::many(0..6000);
    let body = post_of(&gets);
    assert!(body.len() > 6 << 20, "{}", body.len());
    assert_eq!(receiver.post(body).await.unwrap(), 200);
    assert_eq!(accounts(&receiver, ["records_total", "delivered_total"]).await, [6000, 6000]);
    assert_eq!(metering.posts().await.unwrap(), 6);
    metering.has_exactly(&gets).await.unwrap();
}
