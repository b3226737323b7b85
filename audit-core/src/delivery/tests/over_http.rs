//! The engine and the resource server's client together.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::model::{Act, Hands, World, downloads};
use crate::delivery::{Delivery, Outcome, Report, Settings};
use crate::sink::ogc::{self, Ogc};

async fn deliver(server: &MockServer, request_timeout: Duration, count: u64) -> (Arc<World>, Report) {
    let url = |path: &str| format!("{}{path}", server.uri()).parse().unwrap();
    let (client, item) = (("c".to_owned(), "s".into()), ("i".to_owned(), "t".to_owned()));
    let settings = ogc::Settings::new(url("/execution"), url("/token"), client, item, "admin".to_owned(), None);
    let world = World::new(&[], |_| Act::Work);
    let ogc = Ogc::new(ogc::Settings { request_timeout, ..settings }, world.clock()).unwrap();
    let delivery = Delivery::new(ogc, world.ledger(), Hands(Arc::clone(&world)), Settings::default(), world.clock());
    // In a task, as the binaries do it.
    let delivering =
        tokio::spawn(async move { delivery.deliver(&downloads(count), Instant::now() + Duration::from_mins(1)).await });
    (world, delivering.await.unwrap())
}

async fn server() -> MockServer {
    let server = MockServer::start().await;
    let token = ResponseTemplate::new(200).set_body_json(json!({"results": {"accessToken": "t"}}));
    Mock::given(path("/token")).respond_with(token).expect(1).mount(&server).await;
    server
}

fn done(count: u64) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"status": "successful", "logsInserted": count}))
}

#[tokio::test]
async fn trouble_that_passes_is_waited_out() {
    let server = server().await;
    let busy = ResponseTemplate::new(503).insert_header("retry-after", "1");
    Mock::given(path("/execution")).respond_with(busy).up_to_n_times(1).expect(1).mount(&server).await;
    Mock::given(path("/execution")).respond_with(done(3)).expect(1).with_priority(9).mount(&server).await;
    let started = Instant::now();
    let (_, report) = deliver(&server, Duration::from_secs(5), 3).await;
    assert_eq!((report.outcomes, report.last_status), (vec![Outcome::Delivered; 3], Some(200)));
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn an_answer_that_comes_too_late_holds_the_batch() {
    let server = server().await;
    let late = done(3).set_delay(Duration::from_secs(5));
    Mock::given(path("/execution")).respond_with(late).expect(1).mount(&server).await;
    let (world, report) = deliver(&server, Duration::from_millis(300), 3).await;
    assert_eq!((report.outcomes, report.last_status), (vec![Outcome::Held; 3], None));
    let held = world.held.lock().unwrap();
    assert_eq!(held.iter().map(|batch| batch.downloads.len()).collect::<Vec<_>>(), [3]);
    assert!(held[0].happened.starts_with("no answer"), "{}", held[0].happened);
}
