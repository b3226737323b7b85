//! The resource server's contract: refusals, all or nothing, roles, jobs; on both databases.

use crate::support::postgres::Postgres;
use crate::support::{COLLECTION, Fixture, TIME, USER, entry, location};
use local_upstreams::{ASYNC_PROCESS, Config, OTHER_CLIENT_ID, OTHER_CLIENT_SECRET, SYNC_PROCESS};
use serde_json::{Value, json};

#[tokio::test]
async fn embedded_database_keeps_the_contract() {
    let fixture = Fixture::with(Config { job_step_ms: 5, ..Config::default() }).await;
    keeps_the_contract(&fixture).await;
}

#[tokio::test]
async fn postgresql_keeps_the_contract() {
    let server = Postgres::start();
    let config = Config { database_url: Some(server.url()), job_step_ms: 5, ..Config::default() };
    let fixture = Fixture::with(config.clone()).await;
    keeps_the_contract(&fixture).await;

    // A second program on the same database sees the same rows, and the tables by their documented names.
    let second = Fixture::with(config).await;
    assert_eq!(fixture.count().await, second.count().await);
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let row = client.query_one("SELECT count(*), sum(resp_size)::bigint FROM auditing", &[]).await.unwrap();
    let rows = fixture.get("/_dev/rows").await;
    assert_eq!(Some(row.get::<_, i64>(0)), rows["count"].as_i64());
    assert_eq!(Some(row.get::<_, i64>(1)), rows["bytes"].as_i64());
    let settled = "SELECT status, message FROM jobs_table WHERE input->>'title' = $1";
    let row = client.query_one(settled, &[&"s3audit b1"]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("SUCCESSFUL", "Completed Audit Logs Ingestion - 2 logs inserted"));
}

#[tokio::test]
async fn tables_made_by_somebody_else_are_never_emptied() {
    let server = Postgres::start();
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let theirs = "CREATE TABLE metering (user_id uuid, collection_id uuid, api_path text, timestamp timestamp, resp_size bigint)";
    client.batch_execute(theirs).await.unwrap();
    let fixture = Fixture::with(Config { database_url: Some(server.url()), ..Config::default() }).await;
    assert_eq!(fixture.send(&json!([entry("a", 1)])).await.0, 200);
    assert_eq!(fixture.post("/_dev/reset", &json!({})).await.status(), 500);
    assert_eq!(fixture.count().await, 1);
}

async fn keeps_the_contract(fixture: &Fixture) {
    refusals_insert_nothing(fixture).await;
    accepted_entries_are_stored_as_java_reads_them(fixture).await;
    equal_entries_are_stored_twice(fixture).await;
    what_the_database_refuses_rolls_everything_back(fixture).await;
    a_job_tells_its_outcome(fixture).await;
    an_asynchronous_job_is_accepted_before_any_check(fixture).await;
    an_empty_batch_inserts_nothing_but_makes_a_job(fixture).await;
    fixture.post("/_dev/reset", &json!({})).await;
    assert_eq!(fixture.count().await, 0);
    let inputs = json!({"title": "s3audit b1", "logs": [entry("a", 1), entry("b", i64::MAX as u64 - 1)]});
    assert_eq!(fixture.execute(SYNC_PROCESS, &inputs).await.unwrap().status(), 200);
}

async fn refusals_insert_nothing(fixture: &Fixture) {
    const FORMAT: &str = "Invalid log format in one of the log entries : Expected 6 fields (userId|collectionId|itemId|timestamp|respSize|storageBackend)";
    let bad = |user: &str, item: &str, time: &str, bytes: &str| {
        json!(format!("{user}|{COLLECTION}|{item}|{time}|{bytes}|minio"))
    };
    let table = [
        (json!(null), 500, "One of the logs entries is empty."),
        (json!("  "), 500, "One of the logs entries is empty."),
        (json!("a|b"), 400, FORMAT),
        (bad(USER, "a|b", TIME, "1"), 400, FORMAT),
        (bad(USER, " ", TIME, "1"), 400, "Missing required fields in log entry."),
        (bad("nobody", "i", TIME, "1"), 400, "Invalid UUID format in one of the log entries."),
        (bad(USER, "i", "2025-10-27T10:12:30", "1"), 400, "Invalid timestamp format in one of the log entries."),
        (bad(USER, "i", TIME, "12345.0"), 400, "Invalid respSize format in one of the log entries."),
        (bad(USER, "i", TIME, "1.2e3"), 400, "Invalid respSize format in one of the log entries."),
        (bad(USER, "i", TIME, "9223372036854775808"), 400, "Invalid respSize format in one of the log entries."),
    ];
    for (entry_refused, status, description) in table {
        let code = if status == 400 { "Bad Request" } else { "Internal Server Error" };
        let answer = fixture.send(&json!([entry("good", 1), entry_refused, entry("good", 2)])).await;
        assert_eq!(answer, (status, json!({"code": code, "description": description})), "{entry_refused}");
    }
    assert_eq!(fixture.count().await, 0);
}

async fn accepted_entries_are_stored_as_java_reads_them(fixture: &Fixture) {
    let odd = " 1-1-1-1-1 |A-1-1-1-1| a b |2025-10-27T12:00:00.1234567+05:30|+007| ";
    let (status, answer) = fixture.send(&json!([odd, entry("a.tif", 12)])).await;
    assert_eq!(status, 200);
    assert_eq!(answer["status"], "successful");
    assert_eq!(answer["message"], "2 logs inserted into metering table");
    assert_eq!((&answer["logsInserted"], &answer["type"]), (&json!(2), &json!("application/json")));
    let rows = fixture.get("/_dev/rows").await;
    assert_eq!(
        rows["rows"][0],
        json!({
            "user_id": "00000001-0001-0001-0001-000000000001",
            "collection_id": "0000000a-0001-0001-0001-000000000001",
            "api_path": "stac/collections/A-1-1-1-1/items/a b",
            "timestamp": "2025-10-27 12:00:00.123456",
            "resp_size": 7,
            "count": 1,
        })
    );
    let path = format!("stac/collections/{COLLECTION}/items/a.tif");
    assert_eq!(
        (&rows["rows"][1]["api_path"], &rows["rows"][1]["timestamp"]),
        (&json!(path), &json!("2025-10-27 10:12:30"))
    );
}

async fn equal_entries_are_stored_twice(fixture: &Fixture) {
    let before = fixture.count().await;
    let (_, answer) = fixture.send(&json!([entry("twice", 5)])).await;
    assert_eq!(answer["message"], "1 log inserted into metering table");
    fixture.send(&json!([entry("twice", 5)])).await;
    let rows = fixture.get("/_dev/rows").await;
    assert_eq!(rows["count"], before + 2);
    let twice = rows["rows"].as_array().unwrap().iter().find(|row| row["count"] == 2).unwrap();
    assert!(twice["api_path"].as_str().unwrap().ends_with("/items/twice"));
}

async fn what_the_database_refuses_rolls_everything_back(fixture: &Fixture) {
    let before = fixture.count().await;
    let beyond = format!("{USER}|{COLLECTION}|i|+999999-01-01T00:00:00Z|1|minio");
    let answer = fixture.send(&json!([entry("good", 1), beyond])).await;
    let refusal = json!({"code": "Internal Server Error", "description": "Audit logs Insertion process failed."});
    assert_eq!(answer, (500, refusal));
    assert_eq!(fixture.count().await, before);
    let generic = json!({"code": "Internal Server Error", "description": "Internal Server Error"});
    assert_eq!(fixture.send(&json!([entry("nul\0", 1)])).await, (500, generic));
    assert_eq!(fixture.count().await, before);
}

async fn a_job_tells_its_outcome(fixture: &Fixture) {
    let inputs = json!({"title": "s3audit batch", "logs": [entry("job", 1)]});
    let response = fixture.execute(SYNC_PROCESS, &inputs).await.unwrap();
    let location = location(&response);
    let answer: Value = response.json().await.unwrap();
    let id = answer["jobID"].as_str().unwrap();
    assert_eq!(location, format!("{}/jobs/{id}", fixture.base));
    let job = fixture.job(&location).await;
    assert_eq!((&job["id"], &job["process_id"]), (&json!(id), &json!(SYNC_PROCESS)));
    assert_eq!(
        (&job["status"], &job["progress"], &job["type"]),
        (&json!("SUCCESSFUL"), &json!(100.0), &json!("PROCESS"))
    );
    assert_eq!(job["message"], "Completed Audit Logs Ingestion - 1 log inserted");
    assert_eq!(job["links"], json!({"href": location, "rel": "self", "title": "s3audit batch"}));
    assert!(job["started_at"].as_str() <= job["finished_at"].as_str() && job["started_at"].is_string());
    assert_eq!((job.get("input"), job.get("output")), (None, None));

    let admin = fixture.token("admin").await;
    let other = fixture.token_for(OTHER_CLIENT_ID, OTHER_CLIENT_SECRET, "provider").await;
    let delegate = fixture.token("delegate").await;
    assert_eq!(fixture.job_as(&location, &admin).await.status(), 401);
    assert_eq!(fixture.job_as(&location, &other).await.status(), 404);
    assert_eq!(fixture.job_as(&location, &delegate).await.status(), 200);
    let unknown = format!("{}/jobs/{USER}", fixture.base);
    assert_eq!(fixture.job_as(&unknown, &delegate).await.status(), 404);
}

async fn an_asynchronous_job_is_accepted_before_any_check(fixture: &Fixture) {
    let before = fixture.count().await;
    for (logs, status, message) in [
        (json!([entry("async", 1)]), "SUCCESSFUL", "Completed Audit Logs Ingestion - 1 log inserted"),
        (
            json!([entry("async", 1), "bad"]),
            "FAILED",
            "Invalid log format in one of the log entries : Expected 6 fields (userId|collectionId|itemId|timestamp|respSize|storageBackend)",
        ),
    ] {
        let response = fixture.execute(ASYNC_PROCESS, &json!({"logs": logs})).await.unwrap();
        assert_eq!(response.status(), 201);
        let location = location(&response);
        let answer: Value = response.json().await.unwrap();
        let id = location.rsplit('/').next().unwrap();
        let expected = json!({"jobId": id, "processId": ASYNC_PROCESS, "type": "PROCESS", "status": "ACCEPTED"});
        assert_eq!(answer, expected);
        let job = fixture.ended_job(&location).await;
        assert_eq!((&job["status"], &job["message"]), (&json!(status), &json!(message)));
        assert_eq!(job["links"]["title"], Value::Null);
    }
    assert_eq!(fixture.count().await, before + 1);
}

async fn an_empty_batch_inserts_nothing_but_makes_a_job(fixture: &Fixture) {
    let before = fixture.count().await;
    let response = fixture.execute(SYNC_PROCESS, &json!({"logs": []})).await.unwrap();
    let location = location(&response);
    assert_eq!(response.status(), 200);
    assert_eq!(response.json::<Value>().await.unwrap()["logsInserted"], 0);
    assert_eq!(fixture.job(&location).await["status"], "SUCCESSFUL");
    assert_eq!(fixture.count().await, before);
}
