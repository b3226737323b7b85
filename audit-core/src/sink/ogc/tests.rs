//! The client of the resource server against servers that answer as told.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wiremock::matchers::{body_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const SECRET: &str = "s3cr3t-of-the-client";
const NOW: i64 = 1_800_000_000;

fn jwt(payload: &Value) -> String {
    format!("e30.{}.signature", URL_SAFE_NO_PAD.encode(payload.to_string()))
}

fn token_answer(token: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"type": "x", "results": {"accessToken": token, "expiry": 1}}))
}

fn post_to(place: &str) -> wiremock::MockBuilder {
    Mock::given(method("POST")).and(path(place))
}

fn settings(server: &MockServer, job_auth_role: Option<&str>) -> Settings {
    let url = |path: &str| format!("{}{path}", server.uri()).parse().unwrap();
    let settings = Settings::new(
        url("/processes/p/execution"),
        url("/token"),
        ("the-client".to_owned(), SECRET.into()),
        ("rs.example".to_owned(), "resource_server".to_owned()),
        "admin".to_owned(),
        job_auth_role.map(str::to_owned),
    );
    Settings { request_timeout: Duration::from_secs(20), job_timeout: Duration::from_secs(3), ..settings }
}

/// A clock that stands where it is put.
fn standing_clock() -> (Arc<Mutex<Timestamp>>, Clock) {
    let now = Arc::new(Mutex::new(Timestamp::from_second(NOW).unwrap()));
    let own = Arc::clone(&now);
    (now, Clock::from_fn(move || *own.lock().unwrap()))
}

fn tokens(server: &MockServer, clock: Clock) -> Arc<Tokens> {
    let Settings { credentials, auth_role, request_timeout, .. } = settings(server, None);
    let client = Client::new(Connections::Reused, Trust::Web).unwrap();
    Arc::new(Tokens::new(client, credentials, auth_role, request_timeout, clock))
}

/// Asks side by side, and returns what each got.
async fn ask(tokens: &Arc<Tokens>, times: usize) -> Vec<Result<Token, TokenError>> {
    let asking: Vec<_> = (0..times)
        .map(|_| {
            let tokens = Arc::clone(tokens);
            tokio::spawn(async move { tokens.get().await })
        })
        .collect();
    let mut got = Vec::new();
    for one in asking {
        got.push(one.await.unwrap());
    }
    got
}

fn shown(token: &Token) -> String {
    token.header().unwrap().to_str().unwrap().to_owned()
}

#[tokio::test]
async fn one_token_is_fetched_for_all_who_wait() {
    let server = MockServer::start().await;
    post_to("/token")
        .and(header("clientId", "the-client"))
        .and(header("clientSecret", SECRET))
        .and(header("content-type", "application/json"))
        .and(body_json(json!({"itemId": "rs.example", "itemType": "resource_server", "role": "admin"})))
        .respond_with(token_answer("t1").set_delay(Duration::from_millis(100)))
        .expect(1)
        .mount(&server)
        .await;
    let tokens = tokens(&server, standing_clock().1);
    let got = ask(&tokens, 50).await;
    assert!(got.iter().all(|token| shown(token.as_ref().unwrap()) == "Bearer t1"));
}

#[tokio::test]
async fn a_failure_is_shared_by_all_who_wait_and_then_forgotten() {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(503).insert_header("retry-after", "7").set_delay(Duration::from_millis(100));
    post_to("/token").respond_with(busy).up_to_n_times(1).expect(1).mount(&server).await;
    post_to("/token").respond_with(token_answer("t1")).expect(1).with_priority(9).mount(&server).await;
    let tokens = tokens(&server, standing_clock().1);
    for result in ask(&tokens, 20).await {
        let Err(TokenError::Transient { retry_after, .. }) = result else { panic!("{result:?}") };
        assert_eq!(retry_after, Some(Duration::from_secs(7)));
    }
    tokens.get().await.unwrap();
}

#[tokio::test]
async fn a_token_is_kept_until_shortly_before_its_end() {
    for (payload, good_for_seconds) in [
        (json!({"exp": NOW + 3600}), 3600 - 60),
        (json!({"exp": "soon"}), 300),
        (json!({}), 300),
        // By this machine's clock it is over: then that clock is wrong.
        (json!({"exp": NOW - 3600}), 30),
    ] {
        let server = MockServer::start().await;
        post_to("/token").respond_with(token_answer(&jwt(&payload))).expect(2).mount(&server).await;
        let (now, clock) = standing_clock();
        let tokens = tokens(&server, clock);
        for seconds in [0, good_for_seconds - 1, good_for_seconds] {
            *now.lock().unwrap() = Timestamp::from_second(NOW).unwrap() + SignedDuration::from_secs(seconds);
            tokens.get().await.unwrap();
            let fetched = server.received_requests().await.unwrap().len();
            assert_eq!(fetched, 1 + usize::from(seconds == good_for_seconds), "{payload} after {seconds} s");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_replaced_once() {
    let server = MockServer::start().await;
    post_to("/token").respond_with(token_answer("t1")).up_to_n_times(1).expect(1).mount(&server).await;
    post_to("/token").respond_with(token_answer("t2")).expect(1).with_priority(9).mount(&server).await;
    let tokens = tokens(&server, standing_clock().1);
    let first = tokens.get().await.unwrap();
    for _ in 0..10 {
        // Ten who were under way with the first.
        tokens.invalidate(&first).await;
        assert_eq!(shown(&tokens.get().await.unwrap()), "Bearer t2");
    }
}

#[tokio::test]
async fn token_errors_say_what_to_mend_and_no_secret() {
    let told = |status| {
        ResponseTemplate::new(status).set_body_json(
            json!({"type": "x", "title": "Unauthorized", "detail": format!("no client the-client with {SECRET}")}),
        )
    };
    let mut table = String::new();
    for answer in [
        told(401),
        told(400),
        told(500),
        ResponseTemplate::new(302).insert_header("location", "/login"),
        ResponseTemplate::new(404).set_body_string("<html>"),
        ResponseTemplate::new(200).set_body_json(json!({"results": {}})),
        ResponseTemplate::new(200).set_body_string("welcome"),
    ] {
        let server = MockServer::start().await;
        post_to("/token").respond_with(answer).expect(1).mount(&server).await;
        let error = tokens(&server, standing_clock().1).get().await.unwrap_err();
        assert!(!format!("{error:?} {error}").contains(SECRET));
        writeln!(table, "{error:?}").unwrap();
    }
    insta::assert_snapshot!(table);
    let server = MockServer::start().await;
    let tokens = tokens(&server, standing_clock().1);
    assert!(!format!("{tokens:?}").contains(SECRET));
}

async fn post(server: &MockServer, job_auth_role: Option<&str>) -> Posted {
    let ogc = Ogc::new(settings(server, job_auth_role), standing_clock().1).unwrap();
    let record = format!("{0}|{0}|item|2025-10-27T10:12:30Z|1|aws_s3", uuid::Uuid::nil()).parse().unwrap();
    let pass = ogc.pass().await.unwrap();
    ogc.post(&pass, BatchId(uuid::Uuid::nil()), &[&record], Instant::now() + Duration::from_secs(10)).await
}

async fn gives_tokens(server: &MockServer) {
    for role in ["admin", "provider"] {
        let body = json!({"itemId": "rs.example", "itemType": "resource_server", "role": role});
        post_to("/token").and(body_json(body)).respond_with(token_answer(&format!("{role}-token"))).mount(server).await;
    }
}

#[tokio::test]
async fn a_batch_is_posted_and_confirmed() {
    let server = MockServer::start().await;
    gives_tokens(&server).await;
    let line =
        "00000000-0000-0000-0000-000000000000|00000000-0000-0000-0000-000000000000|item|2025-10-27T10:12:30Z|1|aws_s3";
    post_to("/processes/p/execution")
        .and(header("authorization", "Bearer admin-token"))
        .and(header("content-type", "application/json"))
        .and(body_json(json!({"inputs": {"title": "s3audit 00000000-0000-0000-0000-000000000000", "logs": [line]}})))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"status": "successful", "logsInserted": 1})))
        .expect(1)
        .mount(&server)
        .await;
    assert_eq!(post(&server, None).await, Posted { answer: Answer::Done, status: Some(200) });
}

#[tokio::test]
async fn words_of_the_server_never_show_the_token() {
    let server = MockServer::start().await;
    gives_tokens(&server).await;
    let told = json!({"title": "Bad", "detail": "what is admin-token"});
    post_to("/processes/p/execution").respond_with(ResponseTemplate::new(400).set_body_json(told)).mount(&server).await;
    let Answer::Doubtful(message) = post(&server, None).await.answer else { panic!() };
    assert!(message.contains("what is …"), "{message}");
}

async fn accepts(server: &MockServer, location: &str) {
    gives_tokens(server).await;
    let answer =
        ResponseTemplate::new(201).insert_header("location", location).set_body_json(json!({"status": "ACCEPTED"}));
    post_to("/processes/p/execution").respond_with(answer).mount(server).await;
}

fn job(answer: Value) -> Mock {
    Mock::given(method("GET"))
        .and(path("/jobs/1"))
        .and(header("authorization", "Bearer provider-token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
}

#[tokio::test]
async fn a_job_is_followed_to_its_end_with_the_token_of_its_role() {
    for (last, expected) in [
        (json!({"status": "SUCCESSFUL"}), Answer::Done),
        (
            json!({"status": "FAILED", "message": "Invalid UUID format in one of the log entries."}),
            Answer::Refused("Invalid UUID format in one of the log entries.".to_owned()),
        ),
    ] {
        let server = MockServer::start().await;
        let host = server.uri().replace("http://", "");
        accepts(&server, &format!("{host}/jobs/1")).await;
        job(json!({"status": "RUNNING"})).up_to_n_times(1).expect(1).mount(&server).await;
        job(last).expect(1).with_priority(9).mount(&server).await;
        assert_eq!(post(&server, Some("provider")).await, Posted { answer: expected, status: Some(201) });
    }
}

#[tokio::test]
async fn a_job_that_never_ends_is_unknown() {
    let server = MockServer::start().await;
    accepts(&server, "/jobs/1").await;
    job(json!({"status": "RUNNING"})).mount(&server).await;
    let Answer::Unknown(message) = post(&server, Some("provider")).await.answer else { panic!() };
    assert!(message.contains("RUNNING"), "{message}");
}

#[tokio::test]
async fn a_job_that_cannot_be_read_names_what_to_set() {
    let server = MockServer::start().await;
    accepts(&server, "/jobs/1").await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(401)).expect(2).mount(&server).await;
    for role in [None, Some("provider")] {
        let Answer::Unfollowable(message) = post(&server, role).await.answer else { panic!("{role:?}") };
        assert!(message.contains("JOB_AUTH_ROLE"), "{message}");
    }
}

#[tokio::test]
async fn no_token_goes_to_another_origin() {
    let (server, other) = (MockServer::start().await, MockServer::start().await);
    accepts(&server, &format!("{}/jobs/1", other.uri())).await;
    Mock::given(wiremock::matchers::any()).respond_with(ResponseTemplate::new(200)).expect(0).mount(&other).await;
    assert!(matches!(post(&server, Some("provider")).await.answer, Answer::Unfollowable(_)));
}

#[tokio::test]
async fn a_job_told_of_under_another_name_is_asked_for_beside_the_process() {
    let id = Uuid::new_v4();
    for (location, body) in [
        (Some(format!("https://rs.example/jobs/{id}")), json!({})),
        (Some(format!("rs.example:8443/jobs/{id}")), json!({"jobId": id})),
        (None, json!({"jobId": id})),
    ] {
        let server = MockServer::start().await;
        post_to("/token").respond_with(token_answer("t1")).mount(&server).await;
        let mut answer = ResponseTemplate::new(201).set_body_json(body);
        if let Some(location) = &location {
            answer = answer.insert_header("location", location.as_str());
        }
        post_to("/processes/p/execution").respond_with(answer).mount(&server).await;
        let done = ResponseTemplate::new(200).set_body_json(json!({"status": "SUCCESSFUL"}));
        Mock::given(method("GET")).and(path(format!("/jobs/{id}"))).respond_with(done).expect(1).mount(&server).await;
        assert_eq!(post(&server, Some("provider")).await.answer, Answer::Done, "{location:?}");
    }
}

#[tokio::test]
async fn whether_jobs_can_be_read_is_asked_without_sending() {
    let unknown = ResponseTemplate::new(404).set_body_json(json!({"code": "NotFound", "description": "Job not found"}));
    for (role, answer, expected) in [
        (None, unknown.clone(), false),
        (Some("provider"), unknown, true),
        (Some("provider"), ResponseTemplate::new(404), false),
        (Some("provider"), ResponseTemplate::new(401), false),
    ] {
        let server = MockServer::start().await;
        post_to("/token").respond_with(token_answer("t1")).mount(&server).await;
        post_to("/processes/p/execution").respond_with(ResponseTemplate::new(500)).expect(0).mount(&server).await;
        Mock::given(method("GET")).respond_with(answer).mount(&server).await;
        let told = Ogc::new(settings(&server, role), Clock::system()).unwrap().can_follow().await;
        assert_eq!(told.is_ok(), expected, "{role:?} {told:?}");
    }
}
