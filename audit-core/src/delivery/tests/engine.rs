//! What each answer leads to.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::model::{Act, Hands, LEASE, World, downloads, transient, unknown};
use crate::delivery::{Ambiguous, Delivery, Outcome, Report, Settings};
use crate::ledger::{BatchId, Claim, Ledger, Owner};
use crate::record::Download;
use crate::sink::ogc::answer::Answer;
use crate::sink::ogc::token::TokenError;

use Outcome::{Delivered, Duplicate, Held, Pending, Rejected};

struct Scene {
    world: Arc<World>,
    ledger: Arc<Ledger>,
    delivery: Delivery<Hands, Hands>,
}

impl Scene {
    fn new(settings: Settings, script: impl FnMut(&[String]) -> Act + Send + 'static) -> Self {
        let world = World::new(&[], script);
        let ledger = world.ledger();
        let delivery = world.delivery(&ledger, settings);
        Self { world, ledger, delivery }
    }

    async fn deliver(&self, given: &[Download], seconds: u64) -> Report {
        self.delivery.deliver(given, Instant::now() + Duration::from_secs(seconds)).await
    }

    async fn claims(&self, given: &[Download]) -> Vec<Claim> {
        let keys: Vec<_> = given.iter().map(Download::key).collect();
        self.ledger.claim(&keys, Owner(uuid::Uuid::new_v4())).await.unwrap()
    }

    fn posts(&self) -> Vec<usize> {
        self.world.posts.lock().unwrap().clone()
    }
}

/// These acts first, then work.
fn first(acts: Vec<Act>) -> impl FnMut(&[String]) -> Act + Send {
    let mut acts = acts.into_iter();
    move |_| acts.next().unwrap_or(Act::Work)
}

fn batches_of(batch_max_records: usize) -> Settings {
    Settings { batch_max_records, ..Settings::default() }
}

#[tokio::test(start_paused = true)]
async fn all_are_delivered_in_order_and_once() {
    let scene = Scene::new(batches_of(2), |_| Act::Work);
    let mut given = downloads(5);
    given.push(given[0].clone());
    let report = scene.deliver(&given, 60).await;
    assert_eq!(report.outcomes, [Delivered, Delivered, Delivered, Delivered, Delivered, Duplicate]);
    assert_eq!((report.last_status, report.trouble), (Some(200), None));
    assert_eq!(scene.posts(), [2, 2, 1]);
    assert_eq!(scene.deliver(&given, 60).await.outcomes, [Duplicate; 6]);
    assert_eq!(scene.posts().len(), 3);
    assert_eq!(scene.delivery.latency().seen().count, 3);
}

#[tokio::test(start_paused = true)]
async fn nothing_to_deliver_makes_no_request() {
    let scene = Scene::new(Settings::default(), |_| Act::Work);
    assert_eq!(scene.deliver(&[], 60).await.outcomes, []);
    assert!(scene.posts().is_empty());
}

/// Not even the ledger is asked: at the end of an invocation that may take longer than there is.
#[tokio::test(start_paused = true)]
async fn what_there_is_no_time_for_stays_pending_unasked() {
    let scene = Scene::new(Settings::default(), |_| Act::Work);
    let given = downloads(3);
    assert_eq!(scene.deliver(&given, 60).await.outcomes, [Delivered; 3]);
    let report = scene.deliver(&given, 9).await;
    assert_eq!(report.outcomes, [Pending; 3]);
    assert_eq!(report.trouble.as_deref(), Some("no time left for another request"));
    assert_eq!(scene.deliver(&given, 11).await.outcomes, [Duplicate; 3]);
}

#[tokio::test(start_paused = true)]
async fn transient_trouble_is_waited_out() {
    let acts = vec![Act::Say(transient(), None), Act::Say(transient(), Some(503)), Act::Say(transient(), Some(500))];
    let scene = Scene::new(Settings::default(), first(acts));
    assert_eq!(scene.deliver(&downloads(3), 60).await.outcomes, [Delivered; 3]);
    assert_eq!(scene.posts(), [3; 4]);
}

#[tokio::test(start_paused = true)]
async fn trouble_that_lasts_leaves_everything_pending_and_free() {
    let scene = Scene::new(batches_of(2), |_| Act::Say(transient(), Some(503)));
    let given = downloads(6);
    let report = scene.deliver(&given, 600).await;
    assert_eq!(report.outcomes, [Pending; 6]);
    assert_eq!((report.last_status, report.trouble.as_deref()), (Some(503), Some("out of order")));
    assert_eq!(scene.posts(), [2; 5]);
    assert_eq!(scene.claims(&given).await, [Claim::Claimed; 6]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_the_server_fails_on_does_not_block_the_others() {
    let script = |lines: &[String]| {
        if lines.iter().any(|line| line.contains("item-1|")) { Act::Say(transient(), Some(500)) } else { Act::Work }
    };
    let scene = Scene::new(batches_of(2), script);
    let report = scene.deliver(&downloads(4), 600).await;
    assert_eq!(report.outcomes, [Pending, Pending, Delivered, Delivered]);
    assert!(report.trouble.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_new_token_is_fetched_once() {
    let refused = || Act::Say(Answer::Unauthorized("expired".into()), Some(401));
    let scene = Scene::new(Settings::default(), first(vec![refused()]));
    assert_eq!(scene.deliver(&downloads(3), 60).await.outcomes, [Delivered; 3]);
    assert_eq!(*scene.world.tokens.lock().unwrap(), 1);

    let scene = Scene::new(batches_of(1), move |_| refused());
    let given = downloads(3);
    let report = scene.deliver(&given, 60).await;
    assert_eq!(report.outcomes, [Pending; 3]);
    assert!(report.trouble.unwrap().contains("AUTH_ROLE"));
    assert_eq!(scene.posts(), [1, 1]);
    assert_eq!(scene.claims(&given).await, [Claim::Claimed; 3]);
}

#[tokio::test(start_paused = true)]
async fn wrong_set_up_is_told_and_nothing_is_quarantined() {
    let scene =
        Scene::new(batches_of(1), |_| Act::Say(Answer::Misconfigured("PROCESS_API_URL: moved".into()), Some(301)));
    let given = downloads(3);
    let report = scene.deliver(&given, 60).await;
    assert_eq!(report.outcomes, [Pending; 3]);
    assert_eq!(report.trouble.as_deref(), Some("PROCESS_API_URL: moved"));
    assert_eq!(scene.posts(), [1]);
    assert!(scene.world.quarantined.lock().unwrap().is_empty());
    assert_eq!(scene.claims(&given).await, [Claim::Claimed; 3]);
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_sent_nor_marked() {
    let scene = Scene::new(Settings::default(), |_| Act::Work);
    for error in [
        TokenError::Misconfigured("CLIENT_SECRET: refused".into()),
        TokenError::Transient { retry_after: None, message: "busy".into() },
    ] {
        *scene.world.token_error.lock().unwrap() = Some(error);
        let report = scene.deliver(&downloads(2), 600).await;
        assert_eq!(report.outcomes, [Pending; 2]);
        assert!(report.trouble.is_some());
    }
    assert!(scene.posts().is_empty());
    assert_eq!(scene.claims(&downloads(2)).await, [Claim::Claimed; 2]);
}

#[tokio::test(start_paused = true)]
async fn too_large_is_split_by_size_and_a_lone_one_is_rejected() {
    let script = |lines: &[String]| {
        let too_large = lines.len() > 2 || lines.iter().any(|line| line.contains("item-3|"));
        if too_large { Act::Say(Answer::TooLarge, Some(413)) } else { Act::Work }
    };
    let scene = Scene::new(Settings::default(), script);
    let report = scene.deliver(&downloads(5), 60).await;
    assert_eq!(report.outcomes, [Delivered, Delivered, Rejected, Delivered, Delivered]);
    assert_eq!(scene.world.quarantined.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_server_makes_one_held_batch_and_few_held_probes() {
    let scene = Scene::new(batches_of(10), |_| Act::Silent { insert_after: None });
    let given = downloads(100);
    for _ in 0..50 {
        scene.deliver(&given, 60).await;
    }
    let posts = scene.posts();
    assert_eq!(posts[0], 10);
    assert!(posts[1..].iter().all(|&size| size == 1), "{posts:?}");
    assert!(posts.len() < 20, "{posts:?}");
    let before = posts.len();
    *scene.world.script.lock().unwrap() = Box::new(|_| Act::Work);
    let report = scene.deliver(&given, 1200).await;
    assert_eq!(report.outcomes.iter().filter(|own| **own == Delivered).count(), 100 - 10 - (before - 1));
    // One probe, then batches again.
    assert_eq!(scene.posts()[before..before + 2], [1, 9]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_followed_stops_all_sending() {
    let answer = Answer::Unfollowable("JOB_AUTH_ROLE: set it".into());
    let scene = Scene::new(batches_of(2), move |_| Act::InsertAndSay(answer.clone(), Some(201)));
    let given = downloads(6);
    let report = scene.deliver(&given, 60).await;
    assert_eq!(report.outcomes, [Held, Held, Pending, Pending, Pending, Pending]);
    assert!(report.trouble.unwrap().contains("JOB_AUTH_ROLE"));
    *scene.world.cannot_follow.lock().unwrap() = Some("JOB_AUTH_ROLE: set it".into());
    for _ in 0..10 {
        let report = scene.deliver(&given, 6000).await;
        assert_eq!(
            (&report.outcomes[2..], report.trouble.as_deref()),
            (&[Pending; 4][..], Some("JOB_AUTH_ROLE: set it"))
        );
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    assert_eq!(scene.posts(), [2]);
}

#[tokio::test(start_paused = true)]
async fn sending_goes_on_within_a_minute_once_jobs_can_be_followed() {
    let answer = Answer::Unfollowable("JOB_AUTH_ROLE: set it".into());
    let scene = Scene::new(batches_of(2), first(vec![Act::InsertAndSay(answer, Some(201))]));
    let given = downloads(6);
    assert_eq!(scene.deliver(&given, 60).await.outcomes[2..], [Pending; 4]);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(scene.deliver(&given, 60).await.outcomes[2..], [Delivered; 4]);
    assert_eq!(scene.posts(), [2, 1, 1, 2]);
}

/// Refuses what has these items, in words of its own.
fn doubting(bad: &'static [&'static str]) -> impl FnMut(&[String]) -> Act + Send {
    let is_bad = |line: &String| bad.iter().any(|item| line.contains(&format!("|{item}|")));
    move |lines| {
        let doubtful = || Act::Say(Answer::Doubtful("400 Bad Request: not today".into()), Some(400));
        if lines.iter().any(is_bad) { doubtful() } else { Act::Work }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_other_words_is_a_record_s_where_others_are_taken() {
    let scene = Scene::new(batches_of(8), doubting(&["item-1", "item-2", "item-7"]));
    let outcomes = scene.deliver(&downloads(8), 60).await.outcomes;
    assert_eq!(outcomes, [Rejected, Rejected, Delivered, Delivered, Delivered, Delivered, Rejected, Delivered]);
    assert_eq!(scene.world.quarantined.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_other_words_of_all_is_the_set_up_s() {
    let scene =
        Scene::new(Settings::default(), |_| Act::Say(Answer::Doubtful("400 Bad Request: not today".into()), Some(400)));
    let given = downloads(1000);
    let report = scene.deliver(&given, 60).await;
    assert_eq!(report.outcomes, vec![Pending; 1000]);
    let trouble = report.trouble.unwrap();
    assert!(trouble.contains("PROCESS_API_URL") && trouble.contains("not today"), "{trouble}");
    assert!(scene.posts().len() < 50, "{:?}", scene.posts());
    assert_eq!(scene.claims(&given).await, vec![Claim::Claimed; 1000]);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_sent_who_is_gone_is_held_under_its_batch() {
    let scene = Scene::new(Settings::default(), |_| Act::Work);
    let given = downloads(3);
    let (batch, owner) = (BatchId(uuid::Uuid::new_v4()), Owner(uuid::Uuid::new_v4()));
    let keys: Vec<_> = given.iter().map(Download::key).collect();
    scene.ledger.claim(&keys, owner).await.unwrap();
    scene.ledger.sent(&keys[..2], owner, batch).await.unwrap();
    assert_eq!(scene.deliver(&given, 60).await.outcomes, [Pending; 3]);
    *scene.world.ahead.lock().unwrap() += i64::try_from(LEASE.as_secs()).unwrap() + 1;
    assert_eq!(scene.deliver(&given, 60).await.outcomes, [Held, Held, Delivered]);
    let held = scene.world.held.lock().unwrap();
    assert_eq!((held[0].batch, held[0].downloads.as_slice()), (batch, &given[..2]));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_is_kept_when_its_lease_has_ended() {
    let scene = Scene::new(Settings::default(), first(vec![Act::InsertAndSay(unknown(), None)]));
    *scene.world.keeping.lock().unwrap() = Box::new(|| (false, false));
    let given = downloads(2);
    let report = scene.deliver(&given, 60).await;
    assert_eq!(report.outcomes, [Pending; 2]);
    assert!(report.trouble.unwrap().starts_with("HELD"));
    *scene.world.keeping.lock().unwrap() = Box::new(|| (true, true));
    *scene.world.ahead.lock().unwrap() += i64::try_from(LEASE.as_secs()).unwrap() + 1;
    assert_eq!(scene.deliver(&given, 60).await.outcomes, [Held; 2]);
    assert_eq!(scene.posts(), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_record_that_cannot_be_quarantined_is_pending() {
    let refused = Answer::Refused("Invalid respSize format".into());
    let scene = Scene::new(Settings::default(), move |_| Act::Say(refused.clone(), Some(400)));
    *scene.world.keeping.lock().unwrap() = Box::new(|| (false, false));
    let report = scene.deliver(&downloads(1), 60).await;
    assert_eq!(report.outcomes, [Pending]);
    assert!(report.trouble.unwrap().starts_with("QUARANTINE"));
    assert_eq!(scene.claims(&downloads(1)).await, [Claim::Claimed]);
}

#[tokio::test(start_paused = true)]
async fn near_the_end_nothing_is_begun_and_everything_freed() {
    let scene = Scene::new(Settings::default(), |_| Act::Work);
    let report = scene.deliver(&downloads(2), 9).await;
    assert_eq!(report.outcomes, [Pending; 2]);
    assert!(report.trouble.is_some());
    assert!(scene.posts().is_empty());
    assert_eq!(scene.claims(&downloads(2)).await, [Claim::Claimed; 2]);
}

#[tokio::test(start_paused = true)]
async fn resending_is_counted() {
    let settings = Settings { ambiguous: Ambiguous::Resend, ..Settings::default() };
    let scene = Scene::new(settings, first(vec![Act::InsertAndSay(unknown(), Some(502))]));
    let given = downloads(2);
    let report = scene.deliver(&given, 600).await;
    assert_eq!((report.outcomes, report.resent), (vec![Delivered; 2], 2));
    // Twice, as was asked for.
    assert_eq!(scene.world.rows_of(&given[0]), 2);
    assert!(scene.world.held.lock().unwrap().is_empty());
}
