//! The support parts themselves: each starts, does its work and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, which fail by a panic")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use e2e::{Minio, Moto, Postgres, Process, Redis, aws, tools};

const SECOND: Duration = Duration::from_secs(1);

/// A shell script as a process.
fn shell(script: &str) -> Process {
    let mut command = tools::command(Path::new("/bin/sh"));
    command.args(["-c", script]);
    Process::spawn("script", command).unwrap()
}

fn is_running(pid: u32) -> bool {
    Command::new("sh").args(["-c", &format!("kill -0 {pid} 2>/dev/null")]).status().unwrap().success()
}

#[tokio::test]
async fn a_process_is_given_nothing_but_what_it_is_told() {
    let mut process = shell("env; echo warning >&2");
    assert!(process.exited(10 * SECOND).await.unwrap().success());
    assert!(!process.stdout().contains("CARGO"), "{}", process.stdout());
    assert_eq!(process.stderr(), "warning\n");
}

#[tokio::test]
async fn a_process_that_dies_before_it_is_ready_shows_its_log() {
    let error = shell("echo no such port >&2; exit 3").ready(10 * SECOND, async |_| false).await.unwrap_err();
    let message = error.to_string();
    assert!(message.contains("exit status: 3") && message.contains("no such port"), "{message}");
}

#[tokio::test]
async fn a_process_that_is_never_ready_fails_in_time() {
    let error = shell("echo thinking; sleep 60").ready(SECOND / 5, async |_| false).await.unwrap_err();
    assert!(error.to_string().contains("was not ready within 200ms"), "{error}");
}

#[tokio::test]
async fn a_process_is_asked_to_end_and_may_clean_up() {
    let mut process = shell("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done");
    process.ready(10 * SECOND, async |process| process.stdout() == "up\n").await.unwrap();
    assert_eq!(process.terminate(10 * SECOND).await.unwrap().code(), Some(7));
    assert_eq!(process.stdout(), "up\nbye\n");
}

#[tokio::test]
async fn a_process_does_not_outlive_a_panic() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let failed = tokio::spawn(async move {
        let process = shell("sleep 60");
        sender.send(process.pid()).unwrap();
        assert_eq!(process.stdout(), "never", "this panic is part of the test");
    });
    let pid = receiver.await.unwrap();
    assert!(failed.await.unwrap_err().is_panic());
    assert!(!is_running(pid));
}

/// Run in a process of its own by the test below, which kills it.
#[tokio::test]
#[ignore = "hangs until it is killed"]
async fn holds_a_process_and_a_directory() {
    let process = shell("sleep 60");
    let directory = e2e::process::Directory::new().unwrap();
    println!("held: {} {}", process.pid(), directory.path().display());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn nothing_outlives_a_killed_test() {
    let mut command = tools::command(&std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", "holds_a_process_and_a_directory"]);
    let mut test = Process::spawn("test", command).unwrap();
    test.ready(10 * SECOND, async |test| test.stdout().contains("held: ")).await.unwrap();
    let output = test.stdout();
    let (pid, directory) = output.split_once("held: ").unwrap().1.trim().split_once(' ').unwrap();
    let (pid, directory) = (pid.parse().unwrap(), Path::new(directory));
    assert!(is_running(pid) && directory.is_dir());

    test.kill().unwrap();
    shell("sleep 60").ready(10 * SECOND, async |_| !is_running(pid) && !directory.exists()).await.unwrap();
}

#[tokio::test]
async fn postgres_keeps_a_row_in_a_database_of_its_own() {
    let server = Postgres::shared().await.unwrap();
    let (mine, other) = (server.database().await.unwrap(), server.database().await.unwrap());
    let client = mine.connect().await.unwrap();
    client.batch_execute("CREATE TABLE metering (bytes bigint); INSERT INTO metering VALUES (12345)").await.unwrap();
    let row = client.query_one("SELECT bytes FROM metering", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 12345);
    assert!(other.connect().await.unwrap().query("SELECT bytes FROM metering", &[]).await.is_err());
}

#[tokio::test]
async fn redis_has_its_data_after_a_kill() {
    let mut server = Redis::start().await.unwrap();
    assert_eq!(server.command("SET download confirmed").await.unwrap(), "OK");
    server.restart().await.unwrap();
    assert_eq!(server.command("GET download").await.unwrap(), "confirmed");
    assert_eq!(server.command("GET nothing").await.unwrap(), "nil");
    assert!(server.command("NONSENSE").await.is_err());
    server.process().kill().unwrap();
    assert!(server.command("PING").await.is_err());
}

#[tokio::test]
async fn moto_keeps_objects_items_and_secrets_until_reset() {
    let moto = Moto::start().await.unwrap();
    let (s3, dynamodb, secrets) = (moto.s3(), moto.dynamodb(), moto.secrets());

    aws::create_bucket(&s3, "logs").await.unwrap();
    aws::put_object(&s3, "logs", "a b/c+d", "content").await.unwrap();
    assert_eq!(aws::get_object(&s3, "logs", "a b/c+d").await.unwrap(), "content");
    assert_eq!(aws::list_keys(&s3, "logs", "a").await.unwrap(), ["a b/c+d"]);

    let key = AttributeDefinition::builder().attribute_name("key").attribute_type(ScalarAttributeType::S);
    let schema = KeySchemaElement::builder().attribute_name("key").key_type(KeyType::Hash);
    let table = dynamodb.create_table().table_name("ledger").billing_mode(BillingMode::PayPerRequest);
    let table = table.attribute_definitions(key.build().unwrap()).key_schema(schema.build().unwrap());
    table.send().await.unwrap();
    let value = AttributeValue::S("download".to_owned());
    dynamodb.put_item().table_name("ledger").item("key", value.clone()).send().await.unwrap();
    let found = dynamodb.get_item().table_name("ledger").key("key", value.clone()).send().await.unwrap();
    assert_eq!(found.item.unwrap()["key"], value);

    secrets.create_secret().name("client").secret_string("hidden").send().await.unwrap();
    let secret = secrets.get_secret_value().secret_id("client").send().await.unwrap();
    assert_eq!(secret.secret_string(), Some("hidden"));

    moto.reset().await.unwrap();
    assert!(aws::get_object(&s3, "logs", "a b/c+d").await.is_err());
}

#[tokio::test]
async fn minio_keeps_an_object() {
    let Some(minio) = Minio::start(&[]).await.unwrap() else { return };
    let s3 = minio.s3();
    aws::create_bucket(&s3, "data").await.unwrap();
    aws::put_object(&s3, "data", "scene.tif", "pixels").await.unwrap();
    assert_eq!(aws::get_object(&s3, "data", "scene.tif").await.unwrap(), "pixels");
    if tools::tool("mc").is_some() {
        assert!(minio.mc(&["ls", "local/data"]).unwrap().contains("scene.tif"));
        assert!(minio.mc(&["ls", "local/nothing"]).is_err());
    }
}

#[tokio::test]
async fn a_server_behind_a_held_open_way_does_not_see_its_client_go() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let way = e2e::HeldOpen::before(server.local_addr().unwrap().port()).unwrap();
    let mut client = std::net::TcpStream::connect(way.authority()).unwrap();
    let (mut connection, _) = server.accept().unwrap();
    let mut heard = [0; 4];
    client.write_all(b"ping").unwrap();
    connection.read_exact(&mut heard).unwrap();
    connection.write_all(b"pong").unwrap();
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"pong");
    drop(client);
    connection.set_read_timeout(Some(SECOND / 2)).unwrap();
    let unread = connection.read(&mut heard).unwrap_err();
    assert!(matches!(unread.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{unread}");
    for _ in 0..3 {
        connection.write_all(&vec![0; 65_536]).unwrap();
    }
}
