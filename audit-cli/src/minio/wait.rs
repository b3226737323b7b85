//! Waiting for something that takes its time to come up, with a limit, and with words.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

use super::report::progress;

const POLL: Duration = Duration::from_millis(250);
/// How long nothing is said at first, and then between two words.
const SILENCE: Duration = Duration::from_secs(3);

/// Asks `probe` until it answers a value; it answers why there is none yet. `what` is waited for, as the messages call it.
pub(super) async fn until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T> {
    let start = Instant::now();
    let mut said = start;
    loop {
        let why = match probe().await {
            Ok(value) => return Ok(value),
            Err(why) => why,
        };
        if start.elapsed() >= limit {
            bail!("{what}: {why} (waited for {} s)", limit.as_secs());
        }
        if said.elapsed() >= SILENCE {
            said = Instant::now();
            progress(&format!("waiting for {what}: {why}"));
        }
        sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_value_is_answered_once_it_is_there() {
        let mut asked = 0;
        let probe = async || {
            asked += 1;
            if asked < 5 { Err("not yet".to_owned()) } else { Ok(asked) }
        };
        assert_eq!(until("it", Duration::from_mins(1), probe).await.unwrap(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_ends_it_with_the_last_reason() {
        let never = async || Err::<(), _>("refused".to_owned());
        let error = until("MinIO", Duration::from_mins(1), never).await.unwrap_err();
        assert_eq!(error.to_string(), "MinIO: refused (waited for 60 s)");
    }
}
