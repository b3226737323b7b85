//! The stores that the cases run against.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
};
use jiff::Timestamp;

use super::cases;
use super::server::Server;
use crate::aws::AwsSettings;
use crate::clock::Clock;
use crate::ledger::{Ledger, LedgerUrl, MemoryLedger, Stores, Terms};

const TERMS: Terms = Terms { lease: Duration::from_mins(15), ttl: Duration::from_hours(90 * 24) };

pub(super) struct Store {
    pub(super) ledger: Ledger,
    pub(super) terms: Terms,
    time: Time,
}

/// How time passes in a store: as the test sets it, or as it does.
enum Time {
    Set(Arc<AtomicI64>),
    Real,
}

impl Store {
    fn with_clock(open: impl FnOnce(Clock) -> Ledger) -> Self {
        let now = Arc::new(AtomicI64::new(1_790_000_000_000));
        let clock = Clock::from_fn({
            let now = Arc::clone(&now);
            move || Timestamp::from_millisecond(now.load(Ordering::Relaxed)).unwrap()
        });
        Self { ledger: open(clock), terms: TERMS, time: Time::Set(now) }
    }

    pub(super) async fn pass(&self, term: Duration) {
        match &self.time {
            Time::Set(now) => _ = now.fetch_add(i64::try_from(term.as_millis()).unwrap(), Ordering::Relaxed),
            Time::Real => tokio::time::sleep(term).await,
        }
    }
}

#[tokio::test]
async fn memory() {
    cases::all(&Store::with_clock(|clock| Ledger::Memory(MemoryLedger::new(TERMS, clock)))).await;
}

#[cfg(feature = "spool")]
#[tokio::test]
async fn spool() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::with_clock(|clock| {
        let spool = crate::spool::Spool::open(dir.path(), clock.clone()).unwrap();
        let stores = Stores { spool: Some(spool), ..Stores::default() };
        Ledger::open(&LedgerUrl::Spool, TERMS, clock, stores).unwrap()
    });
    cases::all(&store).await;
    assert_eq!(store.ledger.check().await.unwrap(), [""; 0]);
}

fn redis(dir: &std::path::Path, settings: &[&str]) -> (Server, Store) {
    let server = Server::start("redis-server", |port| {
        let mut arguments = format!("--port {port} --bind 127.0.0.1 --dir {} --requirepass secret", dir.display());
        for setting in settings {
            arguments.extend([" ", *setting]);
        }
        arguments.split(' ').map(str::to_owned).collect()
    });
    let url: LedgerUrl = format!("redis://:secret@127.0.0.1:{}/1", server.port).parse().unwrap();
    let terms = Terms { lease: Duration::from_secs(3), ttl: Duration::from_secs(8) };
    let ledger = Ledger::open(&url, terms, Clock::system(), Stores::default()).unwrap();
    (server, Store { ledger, terms, time: Time::Real })
}

const SAFE: &[&str] = &["--maxmemory-policy noeviction", "--appendonly yes", "--appendfsync always"];

#[tokio::test]
async fn redis_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, store) = redis(dir.path(), SAFE);
    cases::all(&store).await;
}

#[tokio::test]
async fn redis_goes_away_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (server, store) = redis(dir.path(), SAFE);
    let server = RefCell::new(server);
    cases::the_store_goes_away(&store, || server.borrow_mut().stop(), async || server.borrow_mut().start_again()).await;
}

#[tokio::test]
async fn redis_takes_three_round_trips_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let (server, store) = redis(dir.path(), SAFE);
    cases::deliver(&store).await;
    let client = ::redis::Client::open(format!("redis://:secret@127.0.0.1:{}/1", server.port)).unwrap();
    let mut watch = client.get_multiplexed_async_connection().await.unwrap();
    let () = ::redis::cmd("CONFIG").arg("RESETSTAT").query_async(&mut watch).await.unwrap();
    cases::deliver(&store).await;
    let stats: String = ::redis::cmd("INFO").arg("commandstats").query_async(&mut watch).await.unwrap();
    let calls = |command: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.map_or(0, |line| line.split(',').next().unwrap().parse::<u32>().unwrap())
    };
    assert_eq!((calls("evalsha"), calls("eval"), calls("script|load")), (3, 0, 0), "{stats}");
    let () = ::redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut watch).await.unwrap();
    cases::deliver(&store).await;
}

#[tokio::test]
async fn redis_is_told_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let (_safe, store) = redis(dir.path(), SAFE);
    assert_eq!(store.ledger.check().await.unwrap(), [""; 0]);
    let (_unsafe, store) = redis(dir.path(), &["--maxmemory-policy allkeys-lru", "--appendonly no"]);
    insta::assert_debug_snapshot!(store.ledger.check().await.unwrap());
    let (_silent, store) = redis(dir.path(), &["--rename-command CONFIG HIDDEN"]);
    insta::assert_debug_snapshot!(store.ledger.check().await.unwrap());
}

#[tokio::test]
async fn redis_refusals_tell_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _store) = redis(dir.path(), SAFE);
    let says = async |url: String| {
        let ledger = Ledger::open(&url.parse().unwrap(), TERMS, Clock::system(), Stores::default()).unwrap();
        ledger.ping().await.unwrap_err()
    };
    let refused = says(format!("redis://:hunter2@127.0.0.1:{}", server.port)).await;
    assert!(!refused.away);
    insta::assert_snapshot!(refused.to_string());
    insta::assert_snapshot!(says(format!("rediss://:secret@127.0.0.1:{}", server.port)).await.to_string());
}

fn client(port: u16) -> Client {
    AwsSettings::of_server(format!("http://127.0.0.1:{port}")).dynamodb()
}

async fn create_table(client: &Client) {
    let text = ScalarAttributeType::S;
    client
        .create_table()
        .table_name("ledger")
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(
            AttributeDefinition::builder().attribute_name("id").attribute_type(text).build().unwrap(),
        )
        .key_schema(KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap())
        .send()
        .await
        .unwrap();
}

async fn dynamodb() -> (Server, Client, Store) {
    let server =
        Server::start("moto_server", |port| format!("-H 127.0.0.1 -p {port}").split(' ').map(str::to_owned).collect());
    let client = client(server.port);
    create_table(&client).await;
    let url: LedgerUrl = "dynamodb://ledger".parse().unwrap();
    let stores = Stores { dynamodb: Some(client.clone()), ..Stores::default() };
    let store = Store::with_clock(|clock| Ledger::open(&url, TERMS, clock, stores).unwrap());
    (server, client, store)
}

#[tokio::test]
async fn dynamodb_keeps_the_contract() {
    let (_server, client, store) = dynamodb().await;
    assert_eq!(store.ledger.check().await.unwrap().len(), 1, "no TTL yet");
    let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name("expires_at").build().unwrap();
    client.update_time_to_live().table_name("ledger").time_to_live_specification(ttl).send().await.unwrap();
    assert_eq!(store.ledger.check().await.unwrap(), [""; 0]);
    cases::all(&store).await;
}

#[tokio::test]
async fn dynamodb_goes_away_and_comes_back() {
    let (server, client, store) = dynamodb().await;
    let server = RefCell::new(server);
    let start_again = async || {
        server.borrow_mut().start_again();
        create_table(&client).await;
    };
    cases::the_store_goes_away(&store, || server.borrow_mut().stop(), start_again).await;
}
