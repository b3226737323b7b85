//! Takes out of a recording what opens anything, and what names the machine; the shape stays.

use anyhow::{Context, Result};
use e2e::recording::Message;
use serde_json::Value;

/// What stands for the machine: its names as they came, and what to write.
pub(crate) type Names<'a> = &'a [(String, &'static str)];

/// Cleans one message.
pub(crate) fn clean(message: &mut Message, names: Names<'_>) -> Result<()> {
    for (name, value) in &mut message.headers {
        if name == "authorization" {
            *value = format!("Bearer {}", zeros(value.trim_start_matches("Bearer ")));
        }
        // MinIO tells every receiver what processor it runs on.
        if let Some((front, _)) = value.split_once(" CPU (").filter(|_| name == "user-agent") {
            *value = format!(
                "{front} CPU (total_cpus:1, total_cores:1; vendor:x; family:0; model:0; stepping:0; model_name:x))"
            );
        }
    }
    let mut text = String::from_utf8(std::mem::take(&mut message.body)).context("expected UTF-8")?;
    let mut secrets = Vec::new();
    for entry in text.lines().filter(|line| !line.is_empty()) {
        find(&serde_json::from_str(entry).context("expected an entry in each line")?, "", &mut secrets);
    }
    for (secret, clean) in &secrets {
        text = text.replace(secret, clean);
    }
    for (name, neutral) in names {
        text = text.replace(name, neutral);
    }
    message.body = text.into_bytes();
    Ok(())
}

/// What to replace, and by what.
fn find(value: &Value, key: &str, secrets: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| find(value, key, secrets)),
        Value::Array(values) => values.iter().for_each(|value| find(value, key, secrets)),
        Value::String(text) => match key.to_ascii_lowercase().as_str() {
            "x-amz-signature" | "signature" => secrets.push((text.clone(), zeros(text))),
            "awsaccesskeyid" => secrets.push((format!("{key}\":\"{text}"), format!("{key}\":\"{}", zeros(text)))),
            "x-amz-credential" => secrets.push((text.clone(), access_key_zeroed(text))),
            "authorization" => secrets.extend(authorization(text)),
            "x-minio-origin-endpoint" => secrets.push((text.clone(), "http://minio.example:9000".to_owned())),
            _ => {}
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The parts of `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
fn authorization(text: &str) -> Vec<(String, String)> {
    let parts = text.split([' ', ',']).filter_map(|part| part.split_once('='));
    let secret = |(name, value): (&str, &str)| match name {
        "Credential" => Some((value.to_owned(), access_key_zeroed(value))),
        "Signature" => Some((value.to_owned(), zeros(value))),
        _ => None,
    };
    parts.filter_map(secret).collect()
}

fn access_key_zeroed(credential: &str) -> String {
    match credential.split_once('/') {
        Some((access_key, scope)) => format!("{}/{scope}", zeros(access_key)),
        None => zeros(credential),
    }
}

fn zeros(text: &str) -> String {
    "0".repeat(text.len())
}
