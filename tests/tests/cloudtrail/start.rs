//! A wrong configuration fails at start and names the variable, never its value.

use e2e::{Function, FunctionSpec};
use serde_json::json;

/// A start with good variables but for `changes`, where `None` unsets one.
async fn refused(changes: &[(&str, Option<&str>)]) -> String {
    let good = [
        ("AUTH_URL", "http://127.0.0.1:1/auth/v1/token"),
        ("CLIENT_ID", "client"),
        ("CLIENT_SECRET", "5ec2e7"),
        ("AUTH_ITEM_ID", "item"),
        ("AUTH_ITEM_TYPE", "resource_server"),
        ("AUTH_ROLE", "admin"),
        ("PROCESS_API_URL", "http://127.0.0.1:1/processes/x/execution"),
        ("LEDGER_URL", "memory:"),
        ("QUARANTINE", "s3://bucket/quarantine"),
        ("HELD", "s3://bucket/held"),
    ];
    let mut spec = FunctionSpec::new("lambda-cloudtrail").unwrap();
    for (name, value) in good {
        if !changes.iter().any(|(changed, _)| *changed == name) {
            spec = spec.env(name, value);
        }
    }
    for (name, value) in changes {
        if let Some(value) = value {
            spec = spec.env(name, *value);
        }
    }
    let function = Function::new(spec).unwrap();
    let error = function.invoke(&json!({"Event": "s3:TestEvent"})).await.unwrap_err();
    assert_eq!(error.error_type, "Runtime.ExitError", "{error:?}");
    let log = function.log();
    for (_, value) in changes {
        assert!(value.is_none_or(|value| !log.contains(value)), "{value:?} in {log}");
    }
    assert!(!log.contains("5ec2e7"), "{log}");
    log
}

#[tokio::test]
async fn each_wrong_variable_is_named() {
    for (name, value) in [
        ("AUTH_URL", None),
        ("CLIENT_ID", None),
        ("CLIENT_SECRET", None),
        ("AUTH_ITEM_ID", None),
        ("AUTH_ITEM_TYPE", None),
        ("AUTH_ROLE", None),
        ("LEDGER_URL", None),
        ("QUARANTINE", None),
        ("HELD", None),
        ("PROCESS_API_URL", Some("ftp://wr0ng")),
        ("BATCH_MAX_RECORDS", Some("-77")),
        ("ANONYMOUS_USER_ID", Some("wr0ng")),
        ("LEDGER_URL", Some("wr0ng://x")),
        ("LEASE_SECONDS", Some("wr0ng")),
        ("AMBIGUOUS", Some("wr0ng")),
        ("MAX_DECOMPRESSED_BYTES", Some("wr0ng")),
        ("QUARANTINE", Some("s3:///wr0ng")),
        ("LOG_FORMAT", Some("wr0ng")),
    ] {
        let log = refused(&[(name, value)]).await;
        assert!(log.contains(&format!("{name}: expected")), "{name}: {log}");
    }
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let log = refused(&[("CLIENT_ID", None), ("AMBIGUOUS", Some("wr0ng")), ("HELD", None)]).await;
    for name in ["CLIENT_ID", "AMBIGUOUS", "HELD"] {
        assert!(log.contains(&format!("{name}: expected")), "{name}: {log}");
    }
}
