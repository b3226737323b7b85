//! The cases. Each takes keys of its own, so that they can follow each other in one store.

use std::time::Duration;

use uuid::Uuid;

use super::stores::Store;
use crate::ledger::{BatchId, Claim, Owner};
use crate::record::Key;

fn keys<const N: usize>() -> [Key; N] {
    std::array::from_fn(|_| Key(*Uuid::new_v4().as_bytes()))
}

fn owner() -> Owner {
    Owner(Uuid::new_v4())
}

fn batch() -> BatchId {
    BatchId(Uuid::new_v4())
}

const MOMENT: Duration = Duration::from_millis(200);

/// Every case that needs nothing but the store.
pub(super) async fn all(store: &Store) {
    a_delivery_is_a_duplicate_for_everybody(store).await;
    a_held_batch_is_a_duplicate_until_settled(store).await;
    what_was_not_inserted_comes_free(store).await;
    only_the_owner_of_a_claim_may_send(store).await;
    an_own_sent_is_lost_at_once(store).await;
    a_step_needs_the_state_before_it(store).await;
    a_call_may_be_repeated(store).await;
    leases_end(store).await;
    what_was_lost_can_be_settled_unheld(store).await;
    the_ttl_ends(store).await;
    of_two_workers_one_wins_each_key(store).await;
    a_thousand_keys_go_through(store).await;
    nothing_is_a_batch_too(store).await;
}

async fn a_delivery_is_a_duplicate_for_everybody(store: &Store) {
    let (ledger, keys, (me, other), batch) = (&store.ledger, keys::<2>(), (owner(), owner()), batch());
    assert_eq!(ledger.claim(&keys, me).await.unwrap(), [Claim::Claimed; 2]);
    assert_eq!(ledger.claim(&keys, other).await.unwrap(), [Claim::Busy; 2]);
    assert_eq!(ledger.claim(&keys, me).await.unwrap(), [Claim::Claimed; 2], "one's own claims are free");
    assert_eq!(ledger.sent(&keys, me, batch).await.unwrap(), [true; 2]);
    assert_eq!(ledger.claim(&keys, other).await.unwrap(), [Claim::Busy; 2]);
    ledger.confirm(&keys, batch).await.unwrap();
    assert_eq!(ledger.claim(&keys, me).await.unwrap(), [Claim::Duplicate; 2]);
    assert_eq!(ledger.claim(&keys, other).await.unwrap(), [Claim::Duplicate; 2]);
}

async fn a_held_batch_is_a_duplicate_until_settled(store: &Store) {
    let (ledger, keys, me, batch) = (&store.ledger, keys::<3>(), owner(), batch());
    ledger.claim(&keys, me).await.unwrap();
    ledger.sent(&keys, me, batch).await.unwrap();
    ledger.hold(&keys, batch).await.unwrap();
    assert_eq!(ledger.claim(&keys, me).await.unwrap(), [Claim::Duplicate; 3]);
    ledger.release(&keys, me).await.unwrap();
    ledger.settle(&keys, self::batch(), false).await.unwrap();
    assert_eq!(ledger.claim(&keys, me).await.unwrap(), [Claim::Duplicate; 3], "held under another batch");
    ledger.settle(&keys[..1], batch, true).await.unwrap();
    ledger.settle(&keys[1..2], batch, false).await.unwrap();
    ledger.confirm(&keys[2..], batch).await.unwrap();
    ledger.settle(&keys, batch, false).await.unwrap();
    let after = [Claim::Duplicate, Claim::Claimed, Claim::Duplicate];
    assert_eq!(ledger.claim(&keys, owner()).await.unwrap(), after, "delivered, freed, confirmed late");
}

async fn what_was_not_inserted_comes_free(store: &Store) {
    let (ledger, keys, me, other) = (&store.ledger, keys::<2>(), owner(), owner());
    ledger.claim(&keys, me).await.unwrap();
    ledger.sent(&keys[1..], me, batch()).await.unwrap();
    ledger.release(&keys, other).await.unwrap();
    assert_eq!(ledger.claim(&keys, other).await.unwrap(), [Claim::Busy; 2], "only the owner releases");
    ledger.release(&keys, me).await.unwrap();
    assert_eq!(ledger.claim(&keys, other).await.unwrap(), [Claim::Claimed; 2]);
}

async fn only_the_owner_of_a_claim_may_send(store: &Store) {
    let (ledger, keys, me, other) = (&store.ledger, keys::<3>(), owner(), owner());
    ledger.claim(&keys[..1], me).await.unwrap();
    ledger.claim(&keys[1..2], other).await.unwrap();
    assert_eq!(ledger.sent(&keys, me, batch()).await.unwrap(), [true, false, false], "mine, another's, nobody's");
    assert_eq!(ledger.sent(&keys[..1], me, batch()).await.unwrap(), [false], "already under way in another batch");
}

async fn an_own_sent_is_lost_at_once(store: &Store) {
    let (ledger, keys, me, batch) = (&store.ledger, keys::<1>(), owner(), batch());
    ledger.claim(&keys, me).await.unwrap();
    ledger.sent(&keys, me, batch).await.unwrap();
    assert_eq!(ledger.claim(&keys, me).await.unwrap(), [Claim::Lost(batch)]);
    ledger.hold(&keys, batch).await.unwrap();
    assert_eq!(ledger.claim(&keys, me).await.unwrap(), [Claim::Duplicate]);
}

async fn a_step_needs_the_state_before_it(store: &Store) {
    let (ledger, keys, (me, other), batch) = (&store.ledger, keys::<1>(), (owner(), owner()), batch());
    ledger.confirm(&keys, batch).await.unwrap();
    ledger.hold(&keys, batch).await.unwrap();
    ledger.settle(&keys, batch, true).await.unwrap();
    assert_eq!(ledger.claim(&keys, me).await.unwrap(), [Claim::Claimed], "nothing is made out of nothing");
    ledger.confirm(&keys, batch).await.unwrap();
    ledger.hold(&keys, batch).await.unwrap();
    assert_eq!(ledger.claim(&keys, other).await.unwrap(), [Claim::Busy], "a claim is not yet sent");
    ledger.sent(&keys, me, batch).await.unwrap();
    ledger.confirm(&keys, self::batch()).await.unwrap();
    ledger.hold(&keys, self::batch()).await.unwrap();
    ledger.settle(&keys, batch, false).await.unwrap();
    assert_eq!(ledger.claim(&keys, other).await.unwrap(), [Claim::Busy], "other batches do not concern it");
    ledger.confirm(&keys, batch).await.unwrap();
    ledger.hold(&keys, batch).await.unwrap();
    ledger.settle(&keys, batch, false).await.unwrap();
    ledger.release(&keys, me).await.unwrap();
    assert_eq!(ledger.claim(&keys, me).await.unwrap(), [Claim::Duplicate], "what is confirmed stays so");
}

async fn a_call_may_be_repeated(store: &Store) {
    let (ledger, keys, me, batch) = (&store.ledger, keys::<1>(), owner(), batch());
    ledger.claim(&keys, me).await.unwrap();
    for _ in 0..2 {
        assert_eq!(ledger.sent(&keys, me, batch).await.unwrap(), [true]);
    }
    for _ in 0..2 {
        ledger.confirm(&keys, batch).await.unwrap();
    }
    assert_eq!(ledger.sent(&keys, me, batch).await.unwrap(), [false]);
    assert_eq!(ledger.claim(&keys, me).await.unwrap(), [Claim::Duplicate]);
}

async fn leases_end(store: &Store) {
    let (ledger, claimed, sent, (me, other), batch) =
        (&store.ledger, keys::<2>(), keys::<2>(), (owner(), owner()), batch());
    ledger.claim(&claimed, me).await.unwrap();
    ledger.claim(&sent, me).await.unwrap();
    ledger.sent(&sent, me, batch).await.unwrap();
    store.pass(store.terms.lease + MOMENT).await;
    assert_eq!(ledger.sent(&claimed[1..], me, batch).await.unwrap(), [false], "the lease is over");
    assert_eq!(ledger.sent(&sent[1..], me, batch).await.unwrap(), [false], "the lease is over");
    assert_eq!(ledger.claim(&claimed, other).await.unwrap(), [Claim::Claimed; 2]);
    assert_eq!(ledger.claim(&sent, other).await.unwrap(), [Claim::Lost(batch); 2]);
    ledger.confirm(&sent[..1], batch).await.unwrap();
    ledger.release(&sent[1..], me).await.unwrap();
    let after = [Claim::Duplicate, Claim::Claimed];
    assert_eq!(ledger.claim(&sent, other).await.unwrap(), after, "a late answer still counts");
}

async fn what_was_lost_can_be_settled_unheld(store: &Store) {
    let (ledger, keys, me, batch) = (&store.ledger, keys::<2>(), owner(), batch());
    ledger.claim(&keys, me).await.unwrap();
    ledger.sent(&keys, me, batch).await.unwrap();
    store.pass(store.terms.lease + MOMENT).await;
    ledger.settle(&keys[..1], batch, true).await.unwrap();
    ledger.settle(&keys[1..], batch, false).await.unwrap();
    assert_eq!(ledger.claim(&keys, owner()).await.unwrap(), [Claim::Duplicate, Claim::Claimed]);
}

async fn the_ttl_ends(store: &Store) {
    let (ledger, keys, me, batch) = (&store.ledger, keys::<3>(), owner(), batch());
    ledger.claim(&keys, me).await.unwrap();
    ledger.sent(&keys, me, batch).await.unwrap();
    ledger.confirm(&keys[..1], batch).await.unwrap();
    ledger.hold(&keys[1..2], batch).await.unwrap();
    store.pass(store.terms.ttl / 2).await;
    let before = [Claim::Duplicate, Claim::Duplicate, Claim::Lost(batch)];
    assert_eq!(ledger.claim(&keys, owner()).await.unwrap(), before);
    store.pass(store.terms.ttl / 2 + MOMENT).await;
    ledger.confirm(&keys[2..], batch).await.unwrap();
    assert_eq!(ledger.claim(&keys, owner()).await.unwrap(), [Claim::Claimed; 3]);
}

async fn of_two_workers_one_wins_each_key(store: &Store) {
    let (ledger, keys, one, two) = (&store.ledger, keys::<200>().to_vec(), owner(), owner());
    let mut backwards = keys.clone();
    backwards.reverse();
    let (first, second) = tokio::join!(ledger.claim(&keys, one), ledger.claim(&backwards, two));
    let (first, mut second) = (first.unwrap(), second.unwrap());
    second.reverse();
    for (first, second) in first.iter().zip(&second) {
        let won = [first, second].into_iter().filter(|claim| **claim == Claim::Claimed).count();
        assert_eq!(won, 1, "{first:?} {second:?}");
        assert!([first, second].contains(&&Claim::Busy), "{first:?} {second:?}");
    }
    let (first_sent, second_sent) = tokio::join!(ledger.sent(&keys, one, batch()), ledger.sent(&keys, two, batch()));
    for (first, second) in first_sent.unwrap().iter().zip(second_sent.unwrap()) {
        assert!(first ^ second, "exactly the winner sends");
    }
}

async fn a_thousand_keys_go_through(store: &Store) {
    let (ledger, keys, me, batch) = (&store.ledger, keys::<1000>().to_vec(), owner(), batch());
    ledger.claim(&keys[500..600], owner()).await.unwrap();
    let claims = ledger.claim(&keys, me).await.unwrap();
    let expected = |index| if (500..600).contains(&index) { Claim::Busy } else { Claim::Claimed };
    assert!(claims.iter().enumerate().all(|(index, claim)| *claim == expected(index)), "answers in the keys' order");
    let sent = ledger.sent(&keys, me, batch).await.unwrap();
    assert_eq!(sent.iter().filter(|sent| **sent).count(), 900);
    ledger.confirm(&keys, batch).await.unwrap();
    let claims = ledger.claim(&keys, me).await.unwrap();
    assert_eq!(claims.iter().filter(|claim| **claim == Claim::Duplicate).count(), 900);
}

async fn nothing_is_a_batch_too(store: &Store) {
    assert_eq!(store.ledger.claim(&[], owner()).await.unwrap(), []);
    assert_eq!(store.ledger.sent(&[], owner(), batch()).await.unwrap(), [false; 0]);
    store.ledger.confirm(&[], batch()).await.unwrap();
}

/// One batch the good way: claim, sent, confirm.
pub(super) async fn deliver(store: &Store) {
    let (keys, me, batch) = (keys::<1000>().to_vec(), owner(), batch());
    store.ledger.claim(&keys, me).await.unwrap();
    store.ledger.sent(&keys, me, batch).await.unwrap();
    store.ledger.confirm(&keys, batch).await.unwrap();
}

/// The store goes away between two steps, and comes back.
pub(super) async fn the_store_goes_away(store: &Store, mut stop: impl FnMut(), mut start_again: impl AsyncFnMut()) {
    let (ledger, keys, me) = (&store.ledger, keys::<10>(), owner());
    ledger.claim(&keys, me).await.unwrap();
    stop();
    let error = ledger.sent(&keys, me, batch()).await.unwrap_err().to_string();
    assert!(!error.contains("127.0.0.1") && !error.contains("secret"), "{error}");
    ledger.claim(&keys, me).await.unwrap_err();
    assert!(ledger.ping().await.unwrap_err().away);
    assert!(ledger.check().await.unwrap_err().away);
    start_again().await;
    ledger.ping().await.unwrap();
    assert_eq!(ledger.claim(&keys, me).await.unwrap(), [Claim::Claimed; 10]);
    assert_eq!(ledger.sent(&keys, me, batch()).await.unwrap(), [true; 10]);
}
