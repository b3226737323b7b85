//! Tokens, roles and the order of checks.

use crate::support::{Fixture, USER, entry};
use local_upstreams::{Config, SYNC_PROCESS};
use serde_json::{Value, json};

#[tokio::test]
async fn wrong_credentials_get_401_with_type_title_and_detail() {
    let fixture = Fixture::start().await;
    let body = json!({"itemId": "localhost", "itemType": "resource_server", "role": "admin"});
    for (id, secret) in [("local-client", "wrong"), ("nobody", "local-secret"), ("", "")] {
        let response = fixture.token_request(id, secret, &body).await.unwrap();
        assert_eq!(response.status(), 401);
        let answer: Value = response.json().await.unwrap();
        let mut keys: Vec<_> = answer.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        assert_eq!(keys, ["detail", "title", "type"]);
    }
    for body in [json!({"itemId": "x", "itemType": "y"}), json!({"itemId": "x", "itemType": "y", "role": "king"})] {
        assert_eq!(fixture.token_request("local-client", "local-secret", &body).await.unwrap().status(), 400);
    }
}

#[tokio::test]
async fn execution_checks_token_then_process_then_role_then_body() {
    let fixture = Fixture::start().await;
    let admin = format!("Bearer {}", fixture.token("admin").await);
    let provider = format!("Bearer {}", fixture.token("provider").await);
    let item = json!({"itemId": "localhost", "itemType": "resource_group", "role": "admin"});
    let answer: Value =
        fixture.token_request("local-client", "local-secret", &item).await.unwrap().json().await.unwrap();
    let not_rs = format!("Bearer {}", answer["results"]["accessToken"].as_str().unwrap());
    let lower = admin.replace("Bearer", "bearer");
    let bare = admin.replace("Bearer ", "");
    let forged = format!("{}A", &admin);
    let process = SYNC_PROCESS.to_string();
    let good = json!({"inputs": {"logs": [entry("a", 1)]}}).to_string();
    let not_admin = "Only RS admin is authorized to execute the AuditLogsIngestion process. Please contact DX AAA";
    let missing = "Following keys in process input were missing or empty [logs]";
    for (process, authorization, body, status, description) in [
        (process.as_str(), None, "", 401, "Token not found"),
        (&process, Some(lower.as_str()), &good, 401, "Invalid JWT token"),
        (&process, Some(&bare), &good, 401, "Invalid JWT token"),
        (&process, Some(&forged), &good, 401, "Invalid JWT token"),
        (USER, Some(&forged), "", 401, "Invalid JWT token"),
        ("not-a-uuid", Some(&admin), "", 400, "The provided process ID is not valid"),
        (USER, Some(&provider), "", 404, "The requested process does not exist"),
        (&process, Some(&provider), "", 401, not_admin),
        (&process, Some(&not_rs), "", 401, not_admin),
        (&process, Some(&admin), "{", 400, "inputs: expected a JSON object"),
        (&process, Some(&admin), "{}", 400, "inputs: expected a JSON object"),
        (&process, Some(&admin), r#"{"inputs":{}}"#, 400, missing),
        (&process, Some(&admin), r#"{"inputs":{"logs":"a"}}"#, 500, "logs is not a JSON array"),
    ] {
        let response = fixture.execute_raw(process, authorization, body.as_bytes().to_vec()).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{process} {body}");
        assert_eq!(response.json::<Value>().await.unwrap()["description"], description, "{process} {body}");
    }
    assert_eq!(fixture.count().await, 0);
    let requests = fixture.get("/_dev/requests").await;
    assert_eq!(requests["execution"], json!({"400": 4, "401": 7, "404": 1, "500": 1}));
    assert_eq!(requests["auth"], json!({"200": 3}));
}

#[tokio::test]
async fn a_body_over_ten_mebibytes_gets_413_before_its_token_is_looked_at() {
    let fixture = Fixture::start().await;
    let limit = 10 * 1024 * 1024;
    let process = SYNC_PROCESS.to_string();
    let too_large = fixture.execute_raw(&process, None, vec![b' '; limit + 1]).await.unwrap();
    assert_eq!(too_large.status(), 413);
    assert_eq!(fixture.execute_raw(&process, None, vec![b' '; limit]).await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_token_expires() {
    let fixture = Fixture::with(Config { token_seconds: 1, ..Config::default() }).await;
    let authorization = format!("Bearer {}", fixture.token("admin").await);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let process = SYNC_PROCESS.to_string();
    let response = fixture.execute_raw(&process, Some(&authorization), Vec::new()).await.unwrap();
    assert_eq!(response.status(), 401);
    let expected = json!({"code": "Invalid Token", "description": "Invalid JWT token: token expired."});
    assert_eq!(response.json::<Value>().await.unwrap(), expected);
}

#[tokio::test]
async fn a_process_is_described_to_anybody() {
    let fixture = Fixture::start().await;
    for (process, mode) in [(SYNC_PROCESS, "sync-execute"), (local_upstreams::ASYNC_PROCESS, "async-execute")] {
        let description = fixture.get(&format!("/processes/{process}")).await;
        assert_eq!(description["title"], "AuditLogsIngestion");
        assert_eq!((&description["id"], &description["jobControlOptions"]), (&json!(process), &json!([mode])));
    }
    let status = async |path: &str| {
        fixture.client.get(format!("{}{path}", fixture.base)).send().await.unwrap().status().as_u16()
    };
    assert_eq!((status(&format!("/processes/{USER}")).await, status("/processes/not-a-uuid").await), (404, 400));
}
