//! The table of answers, row by row.

use super::*;

/// Status, headers, body. Two records were sent.
type Row = (u16, &'static [(&'static str, &'static str)], &'static str);

const ROWS: &[Row] = &[
    (
        200,
        &[],
        r#"{"status":"successful","message":"2 logs inserted into metering table","logsInserted":2,"jobID":"j","type":"application/json"}"#,
    ),
    (200, &[], r#"{"status":"successful","logsInserted":1}"#),
    (200, &[], r#"{"status":"successful","logsInserted":"2"}"#),
    (200, &[], r#"{"status":"successful","logsInserted":2.0}"#),
    (200, &[], r#"{"status":"accepted","logsInserted":2}"#),
    (200, &[], r#"{"logsInserted":2}"#),
    (200, &[], "<html>welcome</html>"),
    (200, &[], ""),
    (
        201,
        &[("location", "rs.example/jobs/j")],
        r#"{"jobId":"j","processId":"p","type":"PROCESS","status":"ACCEPTED"}"#,
    ),
    (201, &[], "{}"),
    (202, &[], "{}"),
    (204, &[], ""),
    (301, &[("location", "https://elsewhere.example/")], ""),
    (304, &[], ""),
    (307, &[("location", "/login")], ""),
    (400, &[], r#"{"code":"Bad Request","description":"Invalid log format in one of the log entries : a|b"}"#),
    (
        400,
        &[],
        r#"{"type":"Bad Request","title":"Bad Request","detail":"Invalid UUID format in one of the log entries."}"#,
    ),
    (
        400,
        &[],
        r#"{"type":"Bad Request","title":"Bad Request","detail":"Missing required fields in log entry.","status":400}"#,
    ),
    (400, &[], r#"{"code":"Bad Request","description":"Invalid timestamp format in one of the log entries."}"#),
    (400, &[], r#"{"code":"Bad Request","description":"Invalid respSize format in one of the log entries."}"#),
    (400, &[], r#"{"code":"Bad Request","description":"inputs is missing"}"#),
    (400, &[], "<html>400 The plain HTTP request was sent to HTTPS port</html>"),
    (
        401,
        &[],
        r#"{"type":"urn:dx:rs:invalidAuthorizationToken","title":"Not Authorized","detail":"Token is expired"}"#,
    ),
    (403, &[], r#"{"detail":"Forbidden"}"#),
    (404, &[], r#"{"code":"NotFound","description":"Process not found"}"#),
    (405, &[], ""),
    (408, &[], ""),
    (413, &[], "Request Entity Too Large"),
    (422, &[], ""),
    (429, &[("retry-after", "7")], ""),
    (429, &[], r#"{"message":"slow\ndown"}"#),
    (500, &[], r#"{"code":"Internal Server Error","description":"One of the logs entries is empty."}"#),
    (500, &[], r#"{"code":"Internal Server Error","description":"Unexpected error while processing log entry"}"#),
    (500, &[], r#"{"code":"Internal Server Error","description":"Audit logs Insertion process failed."}"#),
    (
        500,
        &[],
        r#"{"type":"Internal Server Error","title":"Internal Server Error","detail":"Error fetching the process"}"#,
    ),
    (500, &[], r#"{"type":"Internal Server Error","title":"Internal Server Error"}"#),
    (500, &[], r#"{"code":"Internal Server Error","description":"Internal Server Error"}"#),
    (500, &[], "<html>oops</html>"),
    (501, &[], ""),
    (502, &[], "Bad Gateway"),
    (503, &[("retry-after", "Fri, 02 Jan 2026 03:04:35 GMT")], ""),
    (503, &[], ""),
    (504, &[], ""),
    (599, &[], ""),
];

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

#[test]
fn every_answer_has_one_meaning() {
    let table: Vec<String> = ROWS
        .iter()
        .map(|(status, pairs, body)| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect::<HeaderMap>();
            let answer = judge(StatusCode::from_u16(*status).unwrap(), &headers, Some(body.as_bytes()), 2, now());
            format!("{status} {body}\n  {answer:?}\n")
        })
        .collect();
    insta::assert_snapshot!(table.concat());
}

/// What is known of an answer that broke off is what its status proves.
#[test]
fn of_an_answer_cut_short_the_status_counts() {
    let table: Vec<String> = [200, 201, 302, 400, 401, 404, 413, 429, 500, 502, 503]
        .iter()
        .map(|&status| {
            let answer = judge(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), None, 2, now());
            format!("{status} {answer:?}\n")
        })
        .collect();
    insta::assert_snapshot!(table.concat());
}

#[test]
fn words_are_short_and_on_one_line() {
    let long = serde_json::json!({"detail": format!("a\n{}", "ä".repeat(1000))});
    assert_eq!(words(&long).chars().count(), SHOWN_CHARS);
    assert!(words(&long).starts_with("a ä"));
}
