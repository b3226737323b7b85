//! Faults as a client sees them, and what is in the table afterwards.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use crate::support::{Fixture, entry, location};
use local_upstreams::{ASYNC_PROCESS, Config, SYNC_PROCESS};
use reqwest::Response;
use serde_json::{Value, json};

#[tokio::test]
async fn a_reset_is_a_tcp_reset_and_only_the_last_kind_inserts() {
    let fixture = Fixture::start().await;
    for (reset, rows) in [("before", 0), ("after_request", 0), ("after_commit", 1)] {
        fixture.fault(json!({"target": "execution", "times": 1, "reset": reset})).await;
        let error = send_one(&fixture).await.unwrap_err();
        assert_eq!(io_kind(&error), Some(io::ErrorKind::ConnectionReset), "{reset}: {error:?}");
        assert_eq!(fixture.count().await, rows, "{reset}");
    }
    assert_eq!(send_one(&fixture).await.unwrap().status(), 200);
    assert_eq!(fixture.get("/_dev/requests").await["execution"], json!({"200": 1, "reset": 3}));
}

#[tokio::test]
async fn an_asynchronous_job_has_ended_when_its_answer_is_lost_after_the_commit() {
    let fixture = Fixture::start().await;
    fixture.fault(json!({"target": "execution", "times": 1, "reset": "after_commit"})).await;
    fixture.execute(ASYNC_PROCESS, &json!({"logs": [entry("a", 1)]})).await.unwrap_err();
    assert_eq!(fixture.count().await, 1);
}

#[tokio::test]
async fn a_status_comes_with_its_headers_as_often_as_asked() {
    let fixture = Fixture::start().await;
    let fault = json!({
        "target": "execution", "after": 1, "times": 2, "status": 503, "headers": {"Retry-After": "7"}, "body": "busy"
    });
    fixture.fault(fault).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let response = send_one(&fixture).await.unwrap();
        let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        statuses.push((response.status().as_u16(), retry_after));
    }
    let busy = (503, Some("7".to_owned()));
    assert_eq!(statuses, [(200, None), busy.clone(), busy, (200, None)]);
    assert_eq!(fixture.count().await, 2);
    assert_eq!(fixture.get("/_dev/faults").await[0]["fired"], 2);
}

#[tokio::test]
async fn a_proxy_s_answer_can_hide_a_commit() {
    let fixture = Fixture::start().await;
    fixture.fault(json!({"target": "execution", "status": 502, "html": true, "after_commit": true})).await;
    let response = send_one(&fixture).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (502, &"text/html".parse().unwrap()));
    assert!(response.text().await.unwrap().starts_with("<html>"));
    assert_eq!(fixture.count().await, 1);
}

#[tokio::test]
async fn what_was_read_is_done_though_the_sender_has_gone() {
    let fixture = Fixture::start().await;
    fixture.fault(json!({"target": "execution", "delay_ms": 200})).await;
    tokio::time::timeout(Duration::from_millis(50), send_one_prepared(&fixture).await).await.unwrap_err();
    assert_eq!(fixture.count().await, 0);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(fixture.count().await, 1);
}

#[tokio::test]
async fn a_hanging_request_is_never_answered_nor_acted_upon() {
    let fixture = Fixture::start().await;
    fixture.fault(json!({"target": "execution", "times": 1, "hang": true})).await;
    tokio::time::timeout(Duration::from_millis(200), send_one_prepared(&fixture).await).await.unwrap_err();
    assert_eq!(fixture.count().await, 0);
    fixture.fault(json!({"target": "execution", "times": 1, "hang": true, "after_commit": true})).await;
    tokio::time::timeout(Duration::from_millis(500), send_one_prepared(&fixture).await).await.unwrap_err();
    assert_eq!(fixture.count().await, 1);
}

#[tokio::test]
async fn a_dripping_answer_is_whole_but_slow() {
    let fixture = Fixture::start().await;
    fixture.fault(json!({"target": "execution", "slow_drip_ms": 2})).await;
    let response = send_one(&fixture).await.unwrap();
    let begun = Instant::now();
    let text = response.text().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["logsInserted"], 1);
    assert!(begun.elapsed() >= Duration::from_millis(text.len() as u64), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn trouble_in_the_process_is_worded_as_the_server_words_it() {
    let fixture = Fixture::with(Config { job_step_ms: 1, ..Config::default() }).await;
    for (trouble, description, inserted, message) in [
        ("database_down", "Audit logs Insertion process failed.", 0, Some("Audit logs Insertion process failed.")),
        (
            "entry_unreadable",
            "Unexpected error while processing log entry",
            0,
            Some("Unexpected error while processing log entry"),
        ),
        ("job_failed_after_commit", "Internal Server Error", 1, Some("Failed to update job progress: connection lost")),
        ("job_not_made", "Internal Server Error", 0, None),
    ] {
        fixture.post("/_dev/reset", &json!({})).await;
        fixture.fault(json!({"target": "execution", trouble: true})).await;
        let response = send_one(&fixture).await.unwrap();
        assert_eq!(response.status(), 500);
        let expected = json!({"code": "Internal Server Error", "description": description});
        assert_eq!(response.json::<Value>().await.unwrap(), expected, "{trouble}");
        assert_eq!(fixture.count().await, inserted, "{trouble}");
        let Some(message) = message else { continue };
        let accepted = fixture.execute(ASYNC_PROCESS, &json!({"logs": [entry("a", 1)]})).await.unwrap();
        let job = fixture.ended_job(&location(&accepted)).await;
        assert_eq!((&job["status"], &job["message"]), (&json!("FAILED"), &json!(message)), "{trouble}");
    }
    fixture.post("/_dev/reset", &json!({})).await;
    fixture.fault(json!({"target": "execution", "lookup_failed": true})).await;
    let answer: Value = send_one(&fixture).await.unwrap().json().await.unwrap();
    assert_eq!((&answer["type"], answer.get("code")), (&json!("Internal Server Error"), None));
    assert!(answer["title"].is_string() && answer["detail"].is_string());
}

#[tokio::test]
async fn a_stuck_job_stays_running() {
    let fixture = Fixture::with(Config { job_step_ms: 1, ..Config::default() }).await;
    fixture.fault(json!({"target": "execution", "job_stuck": true})).await;
    let accepted = fixture.execute(ASYNC_PROCESS, &json!({"logs": [entry("a", 1)]})).await.unwrap();
    let location = location(&accepted);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let job = fixture.job(&location).await;
    assert_eq!((&job["status"], &job["finished_at"]), (&json!("RUNNING"), &Value::Null));
    assert_eq!(fixture.count().await, 0);
}

#[tokio::test]
async fn each_target_has_its_own_faults_until_they_are_switched_off() {
    let fixture = Fixture::start().await;
    fixture.fault(json!([{"target": "auth", "status": 503}, {"target": "jobs", "status": 504}, {"target": "event", "status": 500}])).await;
    let body = json!({"itemId": "x", "itemType": "y", "role": "admin"});
    let status = async || fixture.token_request("local-client", "local-secret", &body).await.unwrap().status().as_u16();
    assert_eq!(status().await, 503);
    assert_eq!(fixture.job_as(&format!("{}/jobs/x", fixture.base), "t").await.status(), 504);
    assert_eq!(fixture.post("/api/event", &json!({})).await.status(), 500);
    fixture.client.delete(format!("{}/_dev/faults", fixture.base)).send().await.unwrap();
    assert_eq!(status().await, 200);
    for bad in [
        json!({"target": "moon", "hang": true}),
        json!({"target": "auth", "hangs": true}),
        json!({"target": "auth", "status": 7}),
    ] {
        assert_eq!(fixture.post("/_dev/faults", &bad).await.status(), 400, "{bad}");
    }
}

#[tokio::test]
async fn stopped_stand_ins_answer_on_no_connection() {
    let fixture = Fixture::start().await;
    let url = format!("{}/api/health", fixture.base);
    assert_eq!(fixture.client.get(&url).send().await.unwrap().status(), 200);
    fixture.upstreams.stop().await.unwrap();
    // The client still holds the connection of its first request.
    fixture.client.get(&url).send().await.unwrap_err();
}

async fn send_one(fixture: &Fixture) -> Result<Response, reqwest::Error> {
    fixture.execute(SYNC_PROCESS, &json!({"logs": [entry("a", 1)]})).await
}

/// Sending one entry, its token fetched already.
async fn send_one_prepared(fixture: &Fixture) -> impl Future<Output = Result<Response, reqwest::Error>> {
    let authorization = format!("Bearer {}", fixture.token("admin").await);
    let body = json!({"inputs": {"logs": [entry("a", 1)]}}).to_string().into_bytes();
    let process = SYNC_PROCESS.to_string();
    async move { fixture.execute_raw(&process, Some(&authorization), body).await }
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        source = error.source();
    }
    None
}
