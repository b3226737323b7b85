//! Plausible's contract: what is recorded, dropped and refused.

use crate::support::Fixture;
use reqwest::Response;
use serde_json::{Value, json};

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64) Firefox/120.0";

#[tokio::test]
async fn a_recorded_event_is_listed_and_counted() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.get("/api/health").await["postgres"], "ok");
    let response = send(&fixture, &event("data.example.org"), BROWSER, "203.0.113.7, 10.0.0.1").await;
    assert_eq!((response.status().as_u16(), dropped(&response)), (202, None));
    assert_eq!(response.text().await.unwrap(), "ok");
    let events = fixture.get("/_dev/events").await;
    assert_eq!(events["counts"], json!({"recorded": 1, "dropped": 0}));
    assert_eq!(events["by_name"], json!({"S3 Download": 1}));
    assert_eq!((&events["by_method"], &events["by_region"]), (&json!({"CLI": 1}), &json!({"italy": 1})));
    let recorded = &events["recorded"][0];
    assert_eq!((&recorded["ip"], &recorded["country"]), (&json!("203.0.113.7"), &json!("DE")));
    assert_eq!((&recorded["user_agent"], &recorded["interactive"]), (&json!(BROWSER), &json!(false)));
}

#[tokio::test]
async fn drops_answer_202_and_never_say_why() {
    let fixture = Fixture::start().await;
    for (domain, user_agent, count) in [
        ("other.example.org", BROWSER, "1"),
        ("data.example.org", "Boto3/1.34 app/my-research", "1"),
        ("data.example.org,other.example.org,third.example.org", BROWSER, "2"),
    ] {
        let response = send(&fixture, &event(domain), user_agent, "203.0.113.7").await;
        assert_eq!((response.status().as_u16(), dropped(&response).as_deref()), (202, Some(count)), "{domain}");
    }
    let events = fixture.get("/_dev/events").await;
    assert_eq!(events["counts"], json!({"recorded": 1, "dropped": 4}));
    let reasons: Vec<_> = events["dropped"].as_array().unwrap().iter().map(|event| event["reason"].clone()).collect();
    assert_eq!(reasons, ["unknown site", "bot", "unknown site", "unknown site"]);
}

#[tokio::test]
async fn a_refused_event_gets_400_with_errors_by_field() {
    let fixture = Fixture::start().await;
    let response = send(&fixture, &json!({"domain": "data.example.org"}), BROWSER, "203.0.113.7").await;
    assert_eq!(response.status(), 400);
    let expected = json!({"errors": {"event_name": ["can't be blank"], "url": ["is required"]}});
    assert_eq!(response.json::<Value>().await.unwrap(), expected);
    assert_eq!(fixture.get("/_dev/events").await["counts"], json!({"recorded": 0, "dropped": 0}));
}

#[tokio::test]
async fn a_burst_of_one_visitor_hits_the_session_lock() {
    let fixture = Fixture::start().await;
    let settings = json!({"sites": ["data.example.org"], "session_lock_ms": 300});
    assert_eq!(fixture.post("/_dev/plausible", &settings).await.status(), 204);
    let event = event("data.example.org");
    let one = |ip| send(&fixture, &event, BROWSER, ip);
    let (first, second, other) = tokio::join!(one("203.0.113.7"), one("203.0.113.7"), one("203.0.113.8"));
    let mut burst = [dropped(&first), dropped(&second)];
    burst.sort();
    assert_eq!((burst, dropped(&other)), ([None, Some("1".to_owned())], None));
    assert_eq!(dropped(&one("203.0.113.7").await), None);
}

#[tokio::test]
async fn a_new_site_is_unknown_for_a_while_and_addresses_can_be_blocked() {
    let fixture = Fixture::start().await;
    let settings = json!({"sites": ["new.example.org"], "known_after_ms": 300, "blocked_ips": ["203.0.113.9"]});
    fixture.post("/_dev/plausible", &settings).await;
    let event = event("new.example.org");
    assert!(dropped(&send(&fixture, &event, BROWSER, "203.0.113.7").await).is_some());
    tokio::time::sleep(std::time::Duration::from_millis(350)).await;
    assert!(dropped(&send(&fixture, &event, BROWSER, "203.0.113.7").await).is_none());
    assert!(dropped(&send(&fixture, &event, BROWSER, "203.0.113.9").await).is_some());
    fixture.post("/_dev/reset", &json!({})).await;
    assert_eq!(fixture.get("/_dev/events").await["counts"], json!({"recorded": 0, "dropped": 0}));
    assert!(dropped(&send(&fixture, &event, BROWSER, "203.0.113.7").await).is_some());
}

fn event(domain: &str) -> Value {
    json!({
        "name": "S3 Download",
        "url": "https://data.example.org/downloads/v0.1/spatial/parquet/italy.parquet",
        "domain": domain,
        "props": {"method": "CLI", "region": "italy"},
        "interactive": false,
    })
}

async fn send(fixture: &Fixture, event: &Value, user_agent: &str, forwarded_for: &str) -> Response {
    let request = fixture.client.post(format!("{}/api/event", fixture.base)).body(event.to_string());
    request.header("User-Agent", user_agent).header("X-Forwarded-For", forwarded_for).send().await.unwrap()
}

fn dropped(response: &Response) -> Option<String> {
    response.headers().get("x-plausible-dropped").map(|value| value.to_str().unwrap().to_owned())
}
