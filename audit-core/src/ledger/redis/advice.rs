//! What the ledger needs of a Redis server, looked up at start. A server that does not let itself be asked is no error.

use super::connection::Connection;
use crate::ledger::LedgerError;

/// What is set so that deliveries could be forgotten, each with what to set instead.
pub(super) async fn advise(connection: &Connection) -> Result<Vec<String>, LedgerError> {
    connection.command::<()>(redis::cmd("PING")).await?;
    let mut advice = Vec::new();
    match setting(connection, "maxmemory-policy").await {
        Some(policy) if policy == "noeviction" => {}
        Some(policy) => advice.push(format!(
            "redis evicts keys when its memory is full (maxmemory-policy {policy}): evicted deliveries are billed twice; \
             set maxmemory-policy noeviction"
        )),
        None => advice.push("redis does not tell its maxmemory-policy: make sure it is noeviction".to_owned()),
    }
    advice.extend(persistence(connection).await);
    Ok(advice)
}

async fn persistence(connection: &Connection) -> Option<String> {
    let Some(append_only) = setting(connection, "appendonly").await else {
        return Some("redis does not tell how it persists: make sure appendonly is yes".to_owned());
    };
    if append_only != "yes" {
        return Some(
            "redis forgets deliveries when it restarts (appendonly no): they are billed twice; set appendonly yes and \
             appendfsync always"
                .to_owned(),
        );
    }
    let flush = setting(connection, "appendfsync").await?;
    (flush != "always").then(|| {
        format!(
            "redis may forget its last writes when its machine fails (appendfsync {flush}): what was being sent then may be \
             billed twice; set appendfsync always"
        )
    })
}

async fn setting(connection: &Connection, name: &str) -> Option<String> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg(name);
    let (_, value): (String, String) = connection.command(command).await.ok()?;
    Some(value)
}
