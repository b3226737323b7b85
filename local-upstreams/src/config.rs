//! Everything that can be set, with the defaults that tests and demos rely on.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Parser;
use tracing_subscriber::filter::{LevelFilter, Targets};
use uuid::Uuid;

/// The process that answers after the commit, by default.
pub const SYNC_PROCESS: Uuid = Uuid::from_u128(0x5a6b_1d0e_6c0f_4f8e_9b55_0d7c_1a2e_3f01);
/// The process that answers before anything is checked, by default.
pub const ASYNC_PROCESS: Uuid = Uuid::from_u128(0x5a6b_1d0e_6c0f_4f8e_9b55_0d7c_1a2e_3f02);
/// The user of the default client's tokens.
pub const USER: Uuid = Uuid::from_u128(0x0c1f_4a52_7d3b_4e69_8a10_5b6c_7d8e_9f01);
/// A second client with its own user, to try what another's token may not see: its `clientId`.
pub const OTHER_CLIENT_ID: &str = "other-client";
/// The second client's `clientSecret`.
pub const OTHER_CLIENT_SECRET: &str = "other-secret";
/// The second client's user.
pub const OTHER_USER: Uuid = Uuid::from_u128(0x0c1f_4a52_7d3b_4e69_8a10_5b6c_7d8e_9f02);

const EXAMPLES: &str = "\
Examples:
  local-upstreams                                    embedded database, port 8090
  local-upstreams --port 0                           any free port; the address is the first line printed
  DATABASE_URL=postgres://me@localhost/ogc local-upstreams
  local-upstreams --token-seconds 5                  tokens that expire quickly

Then, for the functions:
  AUTH_URL=http://127.0.0.1:8090/auth/v1/token CLIENT_ID=local-client CLIENT_SECRET=local-secret
  AUTH_ITEM_ID=localhost AUTH_ITEM_TYPE=resource_server AUTH_ROLE=admin JOB_AUTH_ROLE=provider
  PROCESS_API_URL=http://127.0.0.1:8090/processes/5a6b1d0e-6c0f-4f8e-9b55-0d7c1a2e3f01/execution
  PLAUSIBLE_API_URL=http://127.0.0.1:8090 PLAUSIBLE_DATA_DOMAIN=data.example.org

See what arrived:
  curl http://127.0.0.1:8090/_dev/rows
  curl http://127.0.0.1:8090/_dev/events

Development equipment: known credentials, no TLS. Never expose it.";

/// Stand-ins of the auth server, the OGC Resource Server's metering process and Plausible, on one port.
#[derive(Debug, Clone, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Config {
    /// Port to listen on; 0 takes any free one
    #[arg(long, default_value_t = 8090)]
    pub port: u16,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    pub bind: IpAddr,
    /// PostgreSQL to store in; without it an embedded database is used
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// File of the embedded database
    #[arg(long, default_value = "local-upstreams.sqlite", value_name = "FILE")]
    pub database: PathBuf,
    /// How long a token is valid
    #[arg(long, default_value_t = 12 * 3600)]
    pub token_seconds: u32,
    /// The client the auth server knows
    #[arg(long, default_value = "local-client")]
    pub client_id: String,
    /// Its secret
    #[arg(long, default_value = "local-secret")]
    pub client_secret: String,
    /// Id of the process that runs synchronously
    #[arg(long, default_value_t = SYNC_PROCESS)]
    pub sync_process: Uuid,
    /// Id of the process that runs asynchronously
    #[arg(long, default_value_t = ASYNC_PROCESS)]
    pub async_process: Uuid,
    /// How long an asynchronous job stays ACCEPTED, and then RUNNING, at least
    #[arg(long, default_value_t = 50)]
    pub job_step_ms: u64,
    /// Site that Plausible knows; may be repeated
    #[arg(long = "site", default_value = "data.example.org", value_name = "DOMAIN")]
    pub sites: Vec<String>,
    /// What is logged: a level such as info, or target=level
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    pub log: Targets,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log: Targets::new().with_default(LevelFilter::INFO),
            port: 0,
            bind: IpAddr::from([127, 0, 0, 1]),
            database_url: None,
            database: PathBuf::from("local-upstreams.sqlite"),
            token_seconds: 12 * 3600,
            client_id: "local-client".to_owned(),
            client_secret: "local-secret".to_owned(),
            sync_process: SYNC_PROCESS,
            async_process: ASYNC_PROCESS,
            job_step_ms: 50,
            sites: vec!["data.example.org".to_owned()],
        }
    }
}

impl Config {
    /// The user a client's tokens are for; `None` for unknown credentials.
    pub(crate) fn user_of(&self, client_id: &str, client_secret: &str) -> Option<Uuid> {
        match (client_id, client_secret) {
            (id, secret) if id == self.client_id && secret == self.client_secret => Some(USER),
            (OTHER_CLIENT_ID, OTHER_CLIENT_SECRET) => Some(OTHER_USER),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_command_line_s_but_for_the_port() {
        let parsed = Config::try_parse_from(["local-upstreams", "--port", "0"]).unwrap();
        let own = Config::default();
        let expected = Config { database_url: parsed.database_url.clone(), log: parsed.log.clone(), ..own };
        assert_eq!(format!("{parsed:?}"), format!("{expected:?}"));
    }
}
