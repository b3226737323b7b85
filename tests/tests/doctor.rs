//! `s3audit doctor`: all well, and each trouble in words, without inserting anything or showing a secret.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, which fail by a panic")]

use std::time::Duration;

use e2e::metering::{ASYNC_PROCESS, CLIENT_SECRET};
use e2e::{Get, Metering, Moto, Process, Redis, aws, binary, free_port, tools};

/// A metering sink, a ledger, and what is emulated of AWS.
struct Patient {
    metering: Metering,
    redis: Redis,
    moto: &'static Moto,
}

struct Told {
    status: i32,
    text: String,
}

impl Told {
    /// The lines that begin with `mark`.
    fn lines(&self, mark: &str) -> Vec<&str> {
        self.text.lines().filter(|line| line.starts_with(mark)).collect()
    }

    /// The one thing that is to be mended.
    fn trouble(&self) -> &str {
        let [line] = self.lines("!!")[..] else { panic!("{}", self.text) };
        line
    }
}

impl Patient {
    async fn new() -> Self {
        let (metering, redis) = (Metering::start().await.unwrap(), Redis::start().await.unwrap());
        Self { metering, redis, moto: Moto::shared().await.unwrap() }
    }

    /// Looks with these further variables, which win.
    async fn doctor(&self, args: &[&str], more: &[(&str, &str)]) -> Told {
        let mut command = tools::command(&binary("s3audit").unwrap());
        command.current_dir(self.metering.place()).envs(self.metering.environment());
        command.env("AWS_ENDPOINT_URL", self.moto.endpoint()).env("AWS_REGION", aws::REGION);
        command.env("AWS_ACCESS_KEY_ID", aws::ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", aws::SECRET_KEY);
        command.env("LEDGER_URL", self.redis.url());
        command.envs(more.iter().copied()).arg("doctor").args(args);
        let mut process = Process::spawn("s3audit", command).unwrap();
        let status = process.exited(Duration::from_mins(2)).await.unwrap().code().unwrap();
        let text = process.stdout() + &process.stderr();
        for secret in [CLIENT_SECRET, "hunter2", aws::SECRET_KEY, "eyJ"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        Told { status, text }
    }
}

#[tokio::test]
async fn a_sound_set_up_is_told_line_by_line_and_nothing_is_left_behind() {
    let own = Patient::new().await;
    let (s3, sqs, bucket) = (own.moto.s3(), own.moto.sqs(), format!("trail-{}", uuid::Uuid::new_v4()));
    aws::create_bucket(&s3, &bucket).await.unwrap();
    let key = "AWSLogs/1/CloudTrail/eu-central-1/2026/03/10/a.json.gz";
    aws::put_object(&s3, &bucket, key, e2e::fixture::log_of(&Get::many(1..=1)).unwrap()).await.unwrap();
    let dead = aws::create_queue(&sqs, &format!("dead-{}", uuid::Uuid::new_v4()), &[]).await.unwrap();
    let arn = aws::queue_arn(&sqs, &dead).await.unwrap();
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"5"}}"#);
    let attributes = [("VisibilityTimeout", "1801"), ("RedrivePolicy", policy.as_str())];
    let queue = aws::create_queue(&sqs, &format!("logs-{}", uuid::Uuid::new_v4()), &attributes).await.unwrap();
    let places = [format!("s3://{bucket}/own/quarantine"), format!("s3://{bucket}/own/held")];

    let more = [
        ("CLOUDTRAIL_BUCKET", bucket.as_str()),
        ("QUARANTINE", &places[0]),
        ("HELD", &places[1]),
        ("JOB_AUTH_ROLE", "provider"),
    ];
    let told = own.doctor(&["--program", "cloudtrail", "--queue", &queue], &more).await;
    assert_eq!((told.status, told.lines("!!").len()), (0, 0), "{}", told.text);
    for words in [
        "ok  configuration: the ",
        "ok  token: the auth server gives one for the role admin, good until 2",
        "ok  process: it is AuditLogsIngestion",
        "ok  process: registered for sync-execute",
        "ok  role: admin may execute the process",
        "ok  token: the auth server gives one for the role provider",
        "ok  jobs: provider may read them",
        "ok  ledger: takes a claim and frees it",
        "ok  QUARANTINE: s3://",
        "ok  HELD: nothing waits there",
        "ok  queue: there, with 0 messages waiting",
        "ok  queue: messages stay hidden for 1801 s",
        "which is empty",
        "can be listed, and a log file of it read",
        "--  analytics: off",
    ] {
        assert!(told.text.contains(words), "{words}: {}", told.text);
    }
    assert!(own.metering.rows().await.unwrap().is_empty());
    let database = own.metering.upstreams().get("/_dev/rows").await.unwrap();
    assert_eq!(database["count"], 0);
    assert_eq!(aws::list_keys(&s3, &bucket, "").await.unwrap(), [key]);
}

#[tokio::test]
async fn what_the_resource_server_and_the_auth_server_say_is_told_with_the_variable() {
    let own = Patient::new().await;
    let url = |path: &str| own.metering.upstreams().url(path);
    let unknown = url("/processes/00000000-0000-4000-8000-000000000001/execution");
    let (asynchronous, no_execution) = (url(ASYNC_PROCESS), url("/processes"));
    let nobody = format!("http://127.0.0.1:{}/processes/p/execution", free_port().unwrap());
    for (variable, value, words) in [
        ("CLIENT_SECRET", "hunter2", "CLIENT_ID, CLIENT_SECRET"),
        (
            "AUTH_ROLE",
            "consumer",
            "AUTH_ROLE, AUTH_ITEM_ID, AUTH_ITEM_TYPE: the resource server does not let a token of role consumer",
        ),
        ("AUTH_ITEM_TYPE", "resource_group", "AUTH_ROLE, AUTH_ITEM_ID, AUTH_ITEM_TYPE"),
        ("JOB_AUTH_ROLE", "admin", "JOB_AUTH_ROLE: a token of role admin may not read jobs"),
        ("PROCESS_API_URL", &asynchronous, "JOB_AUTH_ROLE: the process is registered for async-execute"),
        ("PROCESS_API_URL", &no_execution, "PROCESS_API_URL: expected the process's execution endpoint"),
        ("PROCESS_API_URL", &nobody, "PROCESS_API_URL: the resource server is out of reach"),
        ("AUTH_URL", &nobody, "AUTH_URL: no token for AUTH_ROLE"),
    ] {
        let told = own.doctor(&[], &[(variable, value)]).await;
        assert_eq!(told.status, 1, "{words}: {}", told.text);
        assert!(told.trouble().contains(words), "{words}: {}", told.text);
    }
    // An unknown process is met twice: by its description, and by an execution.
    let told = own.doctor(&[], &[("PROCESS_API_URL", &unknown)]).await;
    assert_eq!((told.status, told.lines("!!  PROCESS_API_URL: no such process").len()), (1, 2), "{}", told.text);
    assert!(own.metering.rows().await.unwrap().is_empty());
}

#[tokio::test]
async fn settings_that_are_missing_or_wrong_are_told_for_the_program_that_needs_them() {
    let own = Patient::new().await;
    let told = own.doctor(&[], &[("AUTH_ROLE", "")]).await;
    assert_eq!(told.status, 64, "{}", told.text);
    assert_eq!(told.trouble(), "!!  configuration: AUTH_ROLE: expected a value, because PROCESS_API_URL is set");

    let told = own.doctor(&[], &[("LEASE_SECONDS", "hunter2"), ("PORT", "x")]).await;
    assert_eq!((told.status, told.lines("!!").len()), (64, 2), "{}", told.text);

    let told = own.doctor(&["--program", "minio-http"], &[]).await;
    assert_eq!(told.status, 64);
    assert!(told.trouble().contains("WEBHOOK_AUTH_TOKEN: expected a token"), "{}", told.text);
    // The rest is looked at all the same.
    assert!(told.text.contains("ok  role: admin"), "{}", told.text);
    let told = own.doctor(&["--program", "minio-http"], &[("WEBHOOK_AUTH_TOKEN", "hunter2")]).await;
    assert_eq!(told.status, 0, "{}", told.text);
    // What only one of them needs is a note where neither was named.
    let told = own.doctor(&[], &[]).await;
    assert_eq!(told.status, 0, "{}", told.text);
    assert!(told.text.contains("--  configuration: for lambda-minio-http: WEBHOOK_AUTH_TOKEN"), "{}", told.text);
}

#[tokio::test]
async fn stores_that_are_away_or_weak_are_told() {
    let own = Patient::new().await;
    let redis = format!("redis://user:hunter2@127.0.0.1:{}", free_port().unwrap());
    let told = own.doctor(&[], &[("LEDGER_URL", &redis)]).await;
    assert!(told.status == 1 && told.trouble().contains("LEDGER_URL: ledger redis"), "{}", told.text);
    let told = own.doctor(&[], &[("LEDGER_URL", "dynamodb://no-such-table")]).await;
    assert!(told.status == 1 && told.trouble().contains("LEDGER_URL: ledger dynamodb"), "{}", told.text);
    let told = own.doctor(&[], &[("LEDGER_URL", "memory:")]).await;
    assert!(told.status == 0 && told.text.contains("--  ledger: the ledger is in memory"), "{}", told.text);

    let file = own.metering.place().join("file");
    std::fs::write(&file, "x").unwrap();
    let told = own.doctor(&[], &[("HELD", &file.join("held").display().to_string())]).await;
    assert!(told.status == 1 && told.trouble().contains("HELD: "), "{}", told.text);
    let told = own.doctor(&[], &[("QUARANTINE", "s3://no-such-bucket-of-ours/q")]).await;
    assert!(told.status == 1 && told.trouble().contains("QUARANTINE: s3://no-such-bucket-of-ours/q"), "{}", told.text);
    assert!(told.text.contains("no such bucket"), "{}", told.text);

    let told = own.doctor(&["--bucket", "s3://no-such-bucket-of-ours"], &[]).await;
    assert!(told.status == 1 && told.trouble().contains("no such bucket"), "{}", told.text);
    let queue = format!("{}/123456789012/no-such-queue", own.moto.endpoint());
    let told = own.doctor(&[], &[("QUEUE_URL", queue.as_str()), ("WEBHOOK_AUTH_TOKEN", "t")]).await;
    assert!(told.status == 1 && told.trouble().contains("QUEUE_URL: no such queue"), "{}", told.text);
    let weak = aws::create_queue(&own.moto.sqs(), &format!("weak-{}", uuid::Uuid::new_v4()), &[]).await.unwrap();
    let told = own.doctor(&["--queue", &weak], &[]).await;
    assert_eq!((told.status, told.lines("!!").len()), (1, 2), "{}", told.text);
    assert!(
        told.text.contains("expected 1800 s or more") && told.text.contains("no dead-letter queue"),
        "{}",
        told.text
    );
    let secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:none-of-ours";
    let told = own.doctor(&[], &[("CLIENT_SECRET", ""), ("CLIENT_SECRET_ARN", secret)]).await;
    assert!(told.status == 1 && told.trouble().contains("CLIENT_SECRET_ARN: no such secret"), "{}", told.text);
}
