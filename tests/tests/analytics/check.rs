//! The check at start and `s3audit doctor`: a wrong domain and an unreachable Plausible, in words.

use std::process::Output;
use std::time::Duration;

use e2e::{binary, free_port, tools};

use super::Site;

fn doctor(api_url: &str, domain: &str) -> Output {
    let mut command = tools::command(&binary("s3audit").unwrap());
    command.arg("doctor").env("PLAUSIBLE_API_URL", api_url).env("PLAUSIBLE_DATA_DOMAIN", domain);
    command.current_dir(std::env::temp_dir()).output().unwrap()
}

#[tokio::test]
async fn doctor_tells_what_is_wrong_and_what_to_do() {
    let site = Site::new().await;
    let url = site.metering.upstreams().url("");
    let fine = doctor(&url, "data.example.org");
    let told = String::from_utf8(fine.stdout).unwrap();
    assert!(fine.status.success() && told.contains("`S3 Download`") && told.contains("s3audit check"), "{told}");
    assert!(site.events().await.is_empty());

    let wrong = doctor(&url, "other.example.org");
    let told = String::from_utf8(wrong.stdout).unwrap();
    assert_eq!(wrong.status.code(), Some(1), "{told}");
    assert!(told.contains("PLAUSIBLE_DATA_DOMAIN") && told.contains("24 s"), "{told}");

    let away = doctor(&format!("http://127.0.0.1:{}", free_port().unwrap()), "data.example.org");
    let told = String::from_utf8(away.stdout).unwrap();
    assert_eq!(away.status.code(), Some(1), "{told}");
    assert!(told.contains("PLAUSIBLE_API_URL") && told.contains("out of reach"), "{told}");
}

#[tokio::test]
async fn a_wrong_domain_is_told_at_start_and_stops_nothing() {
    let site = Site::new().await;
    let mut receiver = site.receiver(&[("PLAUSIBLE_DATA_DOMAIN", "other.example.org")]).await;
    let told =
        async |process: &e2e::Process| process.stdout().contains("PLAUSIBLE_DATA_DOMAIN: Plausible drops events");
    receiver.process().ready(Duration::from_secs(30), told).await.unwrap();
}
