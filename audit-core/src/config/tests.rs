use std::collections::HashMap;

use super::*;

fn complete() -> HashMap<&'static str, &'static str> {
    HashMap::from([
        ("AUTH_URL", "https://auth.example/token"),
        ("CLIENT_ID", "id"),
        ("CLIENT_SECRET", "hunter2"),
        ("AUTH_ITEM_ID", "rs.example"),
        ("AUTH_ITEM_TYPE", "resource_server"),
        ("AUTH_ROLE", "admin"),
        ("PROCESS_API_URL", "https://rs.example/processes/p/execution"),
        ("LEDGER_URL", "dynamodb://ledger"),
        ("QUARANTINE", "s3://bucket/quarantine"),
        ("HELD", "s3://bucket/held"),
        ("WEBHOOK_AUTH_TOKEN", "hunter3"),
    ])
}

fn problems(change: &[(&'static str, &'static str)], program: Program) -> Vec<&'static str> {
    let mut strings = complete();
    strings.extend(change.iter().copied());
    match Config::read(&strings, program) {
        Ok(_) => Vec::new(),
        Err(error) => {
            assert!(!error.to_string().contains("hunter"), "{error}");
            error.0.iter().map(|problem| problem.variable).collect()
        }
    }
}

#[test]
fn a_complete_configuration_is_accepted() {
    for program in [Program::CloudTrail, Program::ReceiverOnLambda, Program::Receiver, Program::Cli] {
        assert_eq!(problems(&[], program), [""; 0]);
    }
}

#[test]
fn a_bad_value_names_its_variable() {
    let bad = [
        ("LEASE_SECONDS", "0"),
        ("LEDGER_TTL", "3 fortnights"),
        ("MAX_DECOMPRESSED_BYTES", "many"),
        ("PORT", "hunter2"),
        ("BIND_ADDRESS", "localhost"),
        ("BATCH_MAX_RECORDS", "0"),
        ("AMBIGUOUS", "guess"),
        ("ALLOW_UNAUTHENTICATED", "yes"),
        ("ANONYMOUS_USER_ID", "nobody"),
        ("USER_ID_PARAM", "X-Amz-Expires"),
        ("AUTH_URL", "auth.example"),
        ("PROCESS_API_URL", "ftp://rs.example"),
        ("QUARANTINE", "s3://"),
        ("HELD", "gs://bucket"),
        ("CLIENT_SECRET_ARN", "arn:aws:secretsmanager:eu-west-2:1:secret:x"),
    ];
    for (variable, value) in bad {
        assert_eq!(problems(&[(variable, value)], Program::Receiver), [variable], "{value}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let found = problems(&[("CLIENT_ID", ""), ("AUTH_ROLE", " "), ("CLIENT_SECRET", "")], Program::CloudTrail);
    assert_eq!(found, ["CLIENT_ID", "CLIENT_SECRET", "AUTH_ROLE"]);
}

#[test]
fn lambda_needs_stores_that_outlive_it() {
    assert_eq!(
        problems(&[("LEDGER_URL", ""), ("QUARANTINE", ""), ("HELD", "")], Program::CloudTrail),
        ["LEDGER_URL", "QUARANTINE", "HELD"]
    );
    assert_eq!(problems(&[("LEDGER_URL", "spool:")], Program::ReceiverOnLambda), ["LEDGER_URL"]);
    assert_eq!(problems(&[("LEDGER_URL", ""), ("QUARANTINE", ""), ("HELD", "")], Program::Receiver), [""; 0]);
}

#[test]
fn only_a_receiver_needs_a_webhook_token() {
    assert_eq!(problems(&[("WEBHOOK_AUTH_TOKEN", "")], Program::Receiver), ["WEBHOOK_AUTH_TOKEN"]);
    assert_eq!(problems(&[("WEBHOOK_AUTH_TOKEN", ""), ("ALLOW_UNAUTHENTICATED", "true")], Program::Receiver), [""; 0]);
    assert_eq!(problems(&[("WEBHOOK_AUTH_TOKEN", "")], Program::CloudTrail), [""; 0]);
}

#[test]
fn a_secret_may_be_in_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "  hunter4 of the file\n").unwrap();
    let path = file.path().to_str().unwrap();
    let mut strings = complete();
    strings.extend([("CLIENT_SECRET", ""), ("CLIENT_SECRET_FILE", path)]);
    let config = Config::read(&strings, Program::Receiver).unwrap();
    match config.process.unwrap().client_secret {
        Secret::Value(secret) => assert_eq!(secrecy::ExposeSecret::expose_secret(&secret), "hunter4 of the file"),
        Secret::Arn(_) => panic!("the secret of the file"),
    }
}

#[test]
fn a_secret_comes_by_one_way_only_and_its_file_must_hold_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path: &'static str = file.path().to_str().unwrap().to_owned().leak();
    let found = problems(&[("WEBHOOK_AUTH_TOKEN_FILE", path)], Program::Receiver);
    assert_eq!(found, ["WEBHOOK_AUTH_TOKEN_FILE"], "the value is set too");
    let empty = [("WEBHOOK_AUTH_TOKEN", ""), ("WEBHOOK_AUTH_TOKEN_FILE", path)];
    assert_eq!(problems(&empty, Program::Receiver), ["WEBHOOK_AUTH_TOKEN_FILE"]);
    let missing = [("WEBHOOK_AUTH_TOKEN", ""), ("WEBHOOK_AUTH_TOKEN_FILE", "/nowhere/hunter5")];
    assert_eq!(problems(&missing, Program::Receiver), ["WEBHOOK_AUTH_TOKEN_FILE"]);
    let all = [("CLIENT_SECRET_FILE", path), ("CLIENT_SECRET_ARN", "arn")];
    assert_eq!(problems(&all, Program::CloudTrail), ["CLIENT_SECRET_FILE", "CLIENT_SECRET_ARN"]);
}

#[test]
fn units_are_understood() {
    let mut strings = complete();
    strings.extend([("LEDGER_TTL", "30 days"), ("MAX_DECOMPRESSED_BYTES", "1GiB"), ("MAX_BODY_BYTES", "1024")]);
    let config = Config::read(&strings, Program::Receiver).unwrap();
    assert_eq!(config.terms.ttl, Duration::from_hours(30 * 24));
    assert_eq!(config.max_decompressed_bytes, 1 << 30);
    assert_eq!(config.receiver.max_body_bytes, 1024);
}

#[test]
fn certificates_are_read_from_disk_where_a_start_may_cost_or_a_file_is_named() {
    let trust = |program, more: &[(&'static str, &'static str)]| {
        let mut strings = complete();
        strings.extend(more.iter().copied());
        Config::read(&strings, program).unwrap().trust
    };
    for program in [Program::CloudTrail, Program::ReceiverOnLambda] {
        assert_eq!(trust(program, &[]), Trust::Web);
        assert_eq!(trust(program, &[("SSL_CERT_FILE", "/opt/authority.pem")]), Trust::Named);
        assert_eq!(trust(program, &[("SSL_CERT_DIR", "/opt/authorities")]), Trust::Named);
    }
    for program in [Program::Receiver, Program::Cli] {
        assert_eq!(trust(program, &[]), Trust::Machine);
    }
}
