//! `s3audit minio`: has MinIO send its audit entries to the receiver, and proves that they arrive.

mod admin;
mod download;
mod events;
mod receiver;
mod report;
mod steps;
mod target;
mod wait;

use std::process::ExitCode;

use anyhow::Result;
use audit_core::config::{Environment, Strings, read_minio};
use audit_core::pipeline::secret;
use clap::Subcommand;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use self::download::Object;
use self::steps::{Mode, Steps};
use crate::work::{LEFT, Usage};

const EXAMPLES: &str = "\
Examples:
  export MINIO_ROOT_USER=… MINIO_ROOT_PASSWORD=… WEBHOOK_AUTH_TOKEN=…
  s3audit minio setup --minio http://minio:9000 --receiver http://receiver:8092 --queue-dir /var/lib/minio-audit
  s3audit minio setup --minio http://minio:9000 --receiver http://receiver:8092 --notify --bucket stac --bucket maps
  s3audit minio check --minio http://localhost:9000 --receiver http://receiver:8092 --receiver-here http://localhost:8092

Status: 0 = all is well, 1 = something is to be mended, 64 = wrong usage or settings.

Settings (environment, or a .env file): MINIO_ENDPOINT and RECEIVER_URL (or --minio, --receiver); MINIO_ROOT_USER and
MINIO_ROOT_PASSWORD: the keys of an administrator; WEBHOOK_AUTH_TOKEN: the receiver's. Each of these secrets may be in a file, named by
the same variable with _FILE. None is ever an argument, where other users of the machine would see it.";

const STEPS: &str = "\
Waits until both answer, sets audit_webhook:ID, and with --notify notify_webhook:ID and the buckets' events, starts MinIO again only
where a change needs that, reads everything back, and downloads one small object through a presigned URL, whose entry must arrive at the
receiver. That object is in a bucket of its own, made and removed at once, and its URL carries no ids, so nothing is billed.
Safe to run again: what is so already is left alone. Lines start with ++ (changed), ok, -- (worth knowing) or !! (to be mended).";

/// Arguments of `s3audit minio`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Sets MinIO up to send its entries to the receiver
    #[command(after_help = format!("{STEPS}\n\n{EXAMPLES}"))]
    Setup(Wanted),
    /// Only verifies, by the same settings
    #[command(after_help = EXAMPLES)]
    Check(Wanted),
}

/// How MinIO should be set up.
#[derive(Debug, clap::Args)]
struct Wanted {
    #[arg(long, value_name = "URL", help = "MinIO's S3 endpoint [variable: MINIO_ENDPOINT]")]
    minio: Option<String>,
    #[arg(long, value_name = "URL", help = "The receiver, as MinIO reaches it [variable: RECEIVER_URL]")]
    receiver: Option<String>,
    /// The same receiver, where this machine reaches it by another address
    #[arg(long, value_name = "URL")]
    receiver_here: Option<String>,
    /// Name of the webhook targets
    #[arg(long, default_value = "metering", value_parser = target_id)]
    id: String,
    /// Directory on MinIO's servers, absolute and writable, that keeps entries while the receiver is away; without it they are in
    /// memory, and lost with MinIO
    #[arg(long, value_name = "DIR", value_parser = queue_dir)]
    queue_dir: Option<String>,
    /// Entries in one request
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    batch_size: u32,
    /// How long MinIO waits for an answer, in seconds
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=300))]
    http_timeout: u64,
    /// Also sends bucket notifications (for the dashboard alone: they tell neither ids nor bytes)
    #[arg(long, requires = "buckets")]
    notify: bool,
    /// A bucket whose reads are notified of; may be repeated
    #[arg(long = "bucket", requires = "notify", value_name = "BUCKET")]
    buckets: Vec<String>,
    /// Downloads this object to verify, where no bucket may be made for that
    #[arg(long, value_name = "BUCKET/KEY")]
    object: Option<Object>,
    /// How long to wait for MinIO, for the receiver, and for the entry of the download, each, in seconds
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait: u64,
}

/// The environment, under what was given as arguments.
struct Given<'w>(&'w Wanted);

impl Strings for Given<'_> {
    fn get(&self, variable: &str) -> Option<String> {
        let given = match variable {
            "MINIO_ENDPOINT" => self.0.minio.clone(),
            "RECEIVER_URL" => self.0.receiver.clone(),
            _ => None,
        };
        given.or_else(|| Environment.get(variable))
    }
}

/// Runs `s3audit minio`.
pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (mode, wanted) = match args.action {
        Action::Setup(wanted) => (Mode::Setup, wanted),
        Action::Check(wanted) => (Mode::Check, wanted),
    };
    let config = read_minio(&Given(&wanted))?;
    let receiver_here = match &wanted.receiver_here {
        Some(address) => read_receiver(address)?,
        None => config.receiver.clone(),
    };
    let authorization = match &config.webhook_token {
        Some(token) => Some(authorization(&secret(token, &config.aws, "WEBHOOK_AUTH_TOKEN_ARN").await?)?),
        None => None,
    };
    let is_well = Steps::new(mode, &wanted, config, receiver_here, authorization)?.take().await?;
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(LEFT) })
}

/// Judges `--receiver-here` as `RECEIVER_URL` is judged.
fn read_receiver(address: &str) -> Result<Url> {
    audit_core::config::receiver_url(address)
        .map_err(|_| Usage("--receiver-here: expected the receiver's URL, such as http://localhost:8092").into())
}

/// `Authorization` as MinIO sends it: for its audit webhook verbatim what is configured, so the scheme is part of it.
fn authorization(token: &SecretString) -> Result<SecretString> {
    let text = token.expose_secret();
    let (scheme, own) = text.split_once(' ').unwrap_or(("Bearer", text));
    // MinIO's configuration is written as key="value" pairs, in one line.
    let plain =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'\\".contains(&byte));
    if plain(scheme) && plain(own) {
        Ok(format!("{scheme} {own}").into())
    } else {
        Err(Usage("WEBHOOK_AUTH_TOKEN: expected one word of visible ASCII without quotes and backslashes").into())
    }
}

fn target_id(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let sound = !text.is_empty() && text.len() <= 64 && text.bytes().all(plain) && text != "_";
    if sound { Ok(text.to_owned()) } else { Err("expected letters, digits, - and _") }
}

fn queue_dir(text: &str) -> Result<String, &'static str> {
    let sound = text.starts_with('/') && !text.contains(['"', '\'', '\\']) && !text.chars().any(char::is_control);
    if sound { Ok(text.to_owned()) } else { Err("expected an absolute path on MinIO's servers") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_with_its_scheme() {
        let of = |token: &str| authorization(&token.into()).ok().map(|value| value.expose_secret().to_owned());
        assert_eq!(of("t0ken").as_deref(), Some("Bearer t0ken"));
        assert_eq!(of("Basic dXNlcg==").as_deref(), Some("Basic dXNlcg=="));
        for wrong in ["", "two words more", "quo\"ted", "back\\slash", "umläut", "t0ken "] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_and_directories_fit_into_minio_s_configuration() {
        assert!(target_id("metering-2").is_ok());
        assert!(["", "_", "a b", "a:b", "a=\"b\""].iter().all(|id| target_id(id).is_err()));
        assert!(queue_dir("/var/lib/minio audit").is_ok());
        assert!(["queue", "", "/a\"b", "/a\nb"].iter().all(|directory| queue_dir(directory).is_err()));
    }
}
