use wiremock::matchers::{body_string, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const EXECUTION: &str = "/ogc/processes/p-1/execution";

/// A server that gives tokens, describes the process by `description`, and answers executions without inputs by `execution`.
async fn server(description: (u16, &str), execution: u16) -> MockServer {
    let server = MockServer::start().await;
    let token = serde_json::json!({"results": {"accessToken": "h.e.s3cret"}});
    let answers = [
        ("POST", "/token", ResponseTemplate::new(200).set_body_json(token)),
        ("GET", "/ogc/processes/p-1", ResponseTemplate::new(description.0).set_body_string(description.1)),
        ("GET", "/ogc/jobs", ResponseTemplate::new(404)),
    ];
    for (verb, at, answer) in answers {
        Mock::given(method(verb)).and(path(at)).respond_with(answer).mount(&server).await;
    }
    let refusal = ResponseTemplate::new(execution).set_body_string(r#"{"detail":"no, h.e.s3cret"}"#);
    Mock::given(method("POST")).and(path(EXECUTION)).and(body_string("{}")).respond_with(refusal).mount(&server).await;
    server
}

async fn found(server: &MockServer, job_role: Option<&str>) -> Vec<Finding> {
    let url = |path: &str| format!("{}{path}", server.uri()).parse().unwrap();
    let settings = Settings::new(
        url(EXECUTION),
        url("/token"),
        ("client".to_owned(), "s3cret".into()),
        ("rs".to_owned(), "resource_server".to_owned()),
        "admin".to_owned(),
        job_role.map(str::to_owned),
    );
    let found = check(&settings, &Clock::system()).await.unwrap();
    assert!(!format!("{found:?}").contains("s3cret"), "{found:?}");
    found
}

fn troubles(found: &[Finding]) -> Vec<&str> {
    let words = found.iter().filter_map(|own| match own {
        Finding::Trouble(words) => Some(words.as_str()),
        Finding::Fine(_) | Finding::Note(_) => None,
    });
    words.collect()
}

const SYNC: &str = r#"{"title":"AuditLogsIngestion","jobControlOptions":["sync-execute"]}"#;
const BOTH: &str = r#"{"title":"AuditLogsIngestion","jobControlOptions":["sync-execute","async-execute"]}"#;

#[tokio::test]
async fn all_is_well_with_a_synchronous_process() {
    let found = found(&server((200, SYNC), 400).await, None).await;
    assert_eq!(troubles(&found), [""; 0]);
    assert_eq!(found.iter().filter(|own| matches!(own, Finding::Fine(_))).count(), 3, "{found:?}");
}

#[tokio::test]
async fn each_trouble_names_what_to_mend() {
    for (description, execution, expected) in [
        ((200, SYNC), 401, "AUTH_ROLE, AUTH_ITEM_ID"),
        ((200, SYNC), 200, "PROCESS_API_URL: an execution without inputs is answered 200"),
        ((200, SYNC), 500, "PROCESS_API_URL: an execution without inputs is answered 500"),
        ((200, SYNC), 302, "PROCESS_API_URL: redirects"),
        ((404, "{}"), 400, "PROCESS_API_URL: no such process"),
        ((200, r#"{"title":"Hello","jobControlOptions":["sync-execute"]}"#), 400, "titled `Hello`"),
        ((200, BOTH), 400, "JOB_AUTH_ROLE: the process is registered for async-execute"),
    ] {
        let found = found(&server(description, execution).await, None).await;
        let [words] = troubles(&found)[..] else { panic!("{expected}: {found:?}") };
        assert!(words.contains(expected), "{words}");
    }
}

#[tokio::test]
async fn an_asynchronous_process_whose_jobs_are_followed_is_a_note() {
    let found = found(&server((200, BOTH), 400).await, Some("provider")).await;
    assert_eq!(troubles(&found), [""; 0]);
    assert!(
        found.iter().any(|own| matches!(own, Finding::Note(words) if words.contains("sync-execute alone"))),
        "{found:?}"
    );
    assert!(found.iter().any(|own| matches!(own, Finding::Fine(words) if words.starts_with("jobs: "))), "{found:?}");
}

#[tokio::test]
async fn without_a_description_the_rest_is_still_asked() {
    let found = found(&server((503, ""), 400).await, None).await;
    assert_eq!(troubles(&found), [""; 0]);
    assert!(matches!(found.as_slice(), [_, Finding::Note(_), Finding::Fine(_)]), "{found:?}");
}
