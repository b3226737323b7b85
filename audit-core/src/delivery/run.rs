//! One call: takes the downloads part by part through claim, request and answer.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

use super::gate::Pass;
use super::part::Part;
use super::{Ambiguous, Delivery, Keep, Outcome, Posted, Report, Upstream, boxed};
use crate::client::retry::{Backoff, Waits};
use crate::ledger::{BatchId, Claim, Owner};
use crate::record::{Download, Key, MeteringRecord};
use crate::sink::ogc::answer::Answer;
use crate::sink::ogc::token::TokenError;

/// Waits for what somebody else is delivering: some ten seconds in all.
const PATIENCE: Backoff = Backoff { first: Duration::from_millis(100), cap: Duration::from_secs(2), tries: 10 };
/// Single records that are refused in doubtful words before the set-up is held to be at fault.
const DOUBTED_MAX: usize = 16;
const NO_TIME: &str = "no time left for another request";

/// One call's state. Outcomes start as pending, so what is not reached or given up stays so.
pub(super) struct Run<'a, U, K> {
    pub(super) delivery: &'a Delivery<U, K>,
    pub(super) downloads: &'a [Download],
    pub(super) report: Report,
    /// What is still to be sent, the next one last.
    pub(super) work: Vec<Part>,
    keys: Vec<Key>,
    until: Instant,
    stopped: bool,
    /// What somebody else has claimed or sent.
    busy: Vec<usize>,
    /// Waits for that.
    patience: Waits,
    /// A batch has used up its tries: each further one gets a single try, until one is delivered.
    tired: bool,
    /// The server has taken something in this call.
    taken: bool,
    /// Single records refused in doubtful words while nothing was taken: theirs is the fault once something is, else the set-up's.
    doubted: Vec<(Part, String)>,
}

impl<'a, U: Upstream, K: Keep> Run<'a, U, K> {
    pub(super) fn new(delivery: &'a Delivery<U, K>, downloads: &'a [Download], until: Instant) -> Self {
        let outcomes = vec![Outcome::Pending; downloads.len()];
        Self {
            delivery,
            downloads,
            report: Report { outcomes, last_status: None, trouble: None, resent: 0 },
            work: Vec::new(),
            keys: downloads.iter().map(Download::key).collect(),
            until,
            stopped: false,
            busy: Vec::new(),
            patience: PATIENCE.start(),
            tired: false,
            taken: false,
            doubted: Vec::new(),
        }
    }

    pub(super) async fn go(mut self) -> Report {
        let all = self.distinct();
        if !all.members.is_empty() && !self.has_time_for(&all) {
            // Claims would only have to be freed again.
            self.stop(NO_TIME);
        } else if !all.members.is_empty()
            && let Some(claimed) = self.claim(all).await
        {
            let settings = &self.delivery.settings;
            let weight_bytes = |member: usize| self.downloads.get(member).map_or(0, |own| U::weight_bytes(&own.record));
            let mut chunks = claimed.chunks(weight_bytes, settings.batch_max_records, settings.batch_max_bytes);
            chunks.reverse();
            // Lost ones that are to be sent again are in `work` already.
            self.work.append(&mut chunks);
        }
        loop {
            while !self.stopped
                && let Some(part) = self.work.pop()
            {
                self.step(part).await;
            }
            if self.stopped || !self.meet_busy().await {
                break;
            }
        }
        if let Some((_, words)) = self.doubted.first() {
            let told = format!("PROCESS_API_URL: every request is refused, whatever is in it ({words})");
            self.trouble(&told);
            self.delivery.recent.failed();
        }
        let doubted = std::mem::take(&mut self.doubted).into_iter().map(|(part, _)| part);
        for part in std::mem::take(&mut self.work).into_iter().chain(doubted) {
            self.free(part).await;
        }
        if !self.busy.is_empty() {
            self.trouble("somebody else is delivering some of it, or was until a short time ago");
        }
        self.report
    }

    /// Waits a while for what somebody else is delivering, such as another file of the same run, and claims it again: it is most
    /// often a duplicate soon. Answers whether there was anything to wait for, and time.
    async fn meet_busy(&mut self) -> bool {
        let until = self.until.checked_sub(self.delivery.settings.headroom).unwrap_or(self.until);
        let Some(at) = (!self.busy.is_empty()).then(|| self.patience.next(None, until)).flatten() else { return false };
        sleep_until(at).await;
        let busy = std::mem::take(&mut self.busy);
        self.work.push(Part::of(busy, None));
        true
    }

    /// All downloads once; those that repeat another are duplicates.
    fn distinct(&mut self) -> Part {
        let mut seen = HashSet::new();
        let (mut members, mut repeats) = (Vec::new(), Vec::new());
        for (member, key) in self.keys.iter().enumerate() {
            if seen.insert(*key) { members.push(member) } else { repeats.push(member) }
        }
        self.mark(&repeats, Outcome::Duplicate);
        Part::of(members, None)
    }

    /// Takes one part as far as one request.
    async fn step(&mut self, part: Part) {
        let delivery = self.delivery;
        // Kept to the end: nobody else probes meanwhile.
        let gate = delivery.gate.pass();
        let part = match &gate {
            Pass::Open => part,
            Pass::Probe(_) => {
                let (first, others) = part.first_alone();
                self.work.extend(others);
                first
            }
            Pass::Wait(at) => return self.wait(part, *at).await,
            Pass::Blocked(why) => return self.stop_before(part, why),
            Pass::Ask(_) => return self.ask(part).await,
        };
        let part = match part.owner {
            Some(_) => Some(part),
            None if !self.has_time_for(&part) => return self.stop_before(part, NO_TIME),
            None => self.claim(part).await,
        };
        let Some(part) = part else { return };
        if self.stopped {
            return self.work.push(part);
        }
        let pass = match timeout_at(self.until, boxed(delivery.upstream.pass())).await {
            Ok(Ok(pass)) => pass,
            Ok(Err(TokenError::Transient { retry_after, message })) => {
                delivery.recent.failed();
                return self.again(part, retry_after, &message, None).await;
            }
            Ok(Err(TokenError::Misconfigured(message))) => {
                delivery.recent.failed();
                return self.stop_before(part, &message);
            }
            Err(_) => return self.stop_before(part, NO_TIME),
        };
        if !self.has_time_for(&part) {
            return self.stop_before(part, NO_TIME);
        }
        let sent_at = Instant::now();
        let Some((part, batch)) = self.sent(part).await else { return };
        // Beyond the lease somebody else would hold the batch while its request goes on.
        let until = self.until.min(sent_at + delivery.settings.lease * 3 / 4);
        let started = Instant::now();
        let records: Vec<&MeteringRecord> = self.downloads_of(&part).map(|download| &download.record).collect();
        let posted = boxed(delivery.upstream.post(&pass, batch, &records, until)).await;
        let took = started.elapsed();
        delivery.latency.record(took);
        delivery.recent.record(took, records.len());
        self.answer(part, batch, &pass, posted).await;
    }

    /// Whether a request for `part` may be begun: its answer, what the ledger is told of it before and after, and freeing what else is
    /// claimed must fit into the time left.
    fn has_time_for(&self, part: &Part) -> bool {
        let claimed = self.work.iter().filter(|other| other.owner.is_some()).map(|other| other.members.len());
        let changes = 2 * part.members.len() + claimed.sum::<usize>();
        Instant::now() + self.delivery.settings.headroom + self.delivery.ledger.time_for(changes) <= self.until
    }

    /// Asks whether what blocked is mended, and sends nothing by it.
    async fn ask(&mut self, part: Part) {
        let gate = &self.delivery.gate;
        match timeout_at(self.until, boxed(self.delivery.upstream.can_follow())).await {
            Ok(Ok(())) => {
                gate.unblock();
                self.work.push(part);
            }
            Ok(Err(why)) => {
                gate.block(&why);
                self.stop_before(part, &why);
            }
            Err(_) => self.stop_before(part, NO_TIME),
        }
    }

    async fn answer(&mut self, mut part: Part, batch: BatchId, pass: &U::Pass, Posted { answer, status }: Posted) {
        let gate = &self.delivery.gate;
        self.report.last_status = status.or(self.report.last_status);
        if matches!(answer, Answer::Unknown(_) | Answer::Unfollowable(_)) {
            gate.unanswered();
        } else if status.is_some() {
            gate.answered();
        }
        // A first 401 means that the token was revoked, which a new one mends.
        let routine = matches!(answer, Answer::Unauthorized(_)) && !part.refreshed;
        if answer.is_servers_fault() && !routine {
            self.delivery.recent.failed();
        }
        match answer {
            Answer::Done => {
                self.tired = false;
                self.taken = true;
                self.confirm(&part, batch).await;
                for (part, words) in std::mem::take(&mut self.doubted) {
                    self.reject(part, words).await;
                }
            }
            Answer::Transient { retry_after, message } => self.again(part, retry_after, &message, status).await,
            Answer::Refused(words) if part.members.len() == 1 => self.reject(part, words).await,
            Answer::TooLarge if part.members.len() == 1 => {
                self.reject(part, "413: the record alone is over the server's limit".to_owned()).await;
            }
            Answer::Doubtful(words) if part.members.len() == 1 => self.doubt(part, words).await,
            Answer::Refused(_) | Answer::TooLarge | Answer::Doubtful(_) => {
                if let Some(part) = self.free(part).await {
                    let (first, second) = part.halves();
                    self.work.extend([second, first]);
                }
            }
            Answer::Unauthorized(_) if !part.refreshed => {
                boxed(self.delivery.upstream.refuse(pass)).await;
                part.refreshed = true;
                let freed = self.free(part).await;
                self.work.extend(freed);
            }
            Answer::Unauthorized(message) => {
                let advice = "AUTH_ROLE, AUTH_ITEM_ID, AUTH_ITEM_TYPE: the resource server does not accept a new token";
                self.stop_before(part, &format!("{advice} ({message})"));
            }
            Answer::Misconfigured(message) => self.stop_before(part, &message),
            Answer::Unknown(what) if self.delivery.settings.ambiguous == Ambiguous::Resend => {
                self.report.resent += part.members.len() as u64;
                self.again(part, None, &format!("outcome unknown, sent again: {what}"), status).await;
            }
            Answer::Unknown(what) => {
                self.hold(&part.members, batch, &what).await;
            }
            // Sending on, or again, would make one more of these each time.
            Answer::Unfollowable(what) => {
                gate.block(&what);
                self.hold(&part.members, batch, &what).await;
                self.stop(&what);
            }
            Answer::Accepted { .. } => {
                self.hold(&part.members, batch, "accepted as a job that was not followed").await;
            }
        }
    }

    /// A single record is refused, in words that do not say that it is at fault.
    async fn doubt(&mut self, part: Part, words: String) {
        if self.taken {
            return self.reject(part, words).await;
        }
        self.doubted.push((part, words));
        self.stopped |= self.doubted.len() >= DOUBTED_MAX;
    }

    /// Claims a part under a new name; `None` when none of it is ours to send.
    async fn claim(&mut self, mut part: Part) -> Option<Part> {
        let owner = self.delivery.settings.owner.unwrap_or_else(|| Owner(Uuid::new_v4()));
        part.owner = Some(owner);
        let claims = match self.delivery.ledger.claim(&self.keys_of(&part.members), owner).await {
            Ok(claims) => claims,
            Err(error) => {
                // Some may be claimed in spite of the error.
                self.stop_before(part, &error.to_string());
                return None;
            }
        };
        let (mut ours, mut lost) = (Vec::new(), BTreeMap::<BatchId, Vec<usize>>::new());
        for (member, claim) in std::mem::take(&mut part.members).into_iter().zip(claims) {
            match claim {
                Claim::Claimed => ours.push(member),
                Claim::Duplicate => self.mark(&[member], Outcome::Duplicate),
                Claim::Busy => self.busy.push(member),
                Claim::Lost(batch) => lost.entry(batch).or_default().push(member),
            }
        }
        part.members = ours;
        for (batch, members) in lost {
            self.lost(members, batch).await;
        }
        (!part.members.is_empty()).then_some(part)
    }

    /// Writes down that a part is about to be sent; what is no longer ours is left out and stays pending.
    async fn sent(&mut self, mut part: Part) -> Option<(Part, BatchId)> {
        let batch = BatchId(Uuid::now_v7());
        let owner = part.owner?;
        let sent = match self.delivery.ledger.sent(&self.keys_of(&part.members), owner, batch).await {
            Ok(sent) => sent,
            Err(error) => {
                self.stop_before(part, &error.to_string());
                return None;
            }
        };
        let mut ours = sent.into_iter();
        let claimed = part.members.len();
        part.members.retain(|_| ours.next() == Some(true));
        if part.members.len() < claimed {
            self.trouble("the lease of some of it ended before it could be sent");
        }
        (!part.members.is_empty()).then_some((part, batch))
    }

    /// Frees a part and sends it again later, or gives it up for this call.
    async fn again(&mut self, part: Part, retry_after: Option<Duration>, message: &str, status: Option<u16>) {
        let Some(mut part) = self.free(part).await else { return };
        let until = self.until.checked_sub(self.delivery.settings.headroom).unwrap_or(self.until);
        let next = match &mut part.waits {
            None if self.tired => None,
            waits => waits.get_or_insert_with(|| self.delivery.settings.backoff.start()).next(retry_after, until),
        };
        match next {
            Some(at) => {
                sleep_until(at).await;
                self.work.push(part);
            }
            // The server works; it may be this batch alone that it fails on, which must not block what comes after.
            None if status == Some(500) => {
                self.tired = true;
                self.trouble(message);
            }
            None => self.stop(message),
        }
    }

    /// Frees a part until `at`, when the next probe is due.
    async fn wait(&mut self, part: Part, at: Instant) {
        if at + self.delivery.settings.headroom > self.until {
            return self.stop_before(part, "the server does not answer; the next probe is due later");
        }
        let freed = self.free(part).await;
        sleep_until(at).await;
        self.work.extend(freed);
    }

    /// Sends nothing more in this call; what is known not to be inserted is freed.
    pub(super) fn stop_before(&mut self, part: Part, why: &str) {
        self.work.push(part);
        self.stop(why);
    }

    pub(super) fn stop(&mut self, why: &str) {
        self.stopped = true;
        self.report.trouble = Some(why.to_owned());
    }

    pub(super) fn trouble(&mut self, what: &str) {
        self.report.trouble.get_or_insert_with(|| what.to_owned());
    }

    pub(super) fn mark(&mut self, members: &[usize], outcome: Outcome) {
        for &member in members {
            if let Some(own) = self.report.outcomes.get_mut(member) {
                *own = outcome;
            }
        }
    }

    pub(super) fn keys_of(&self, members: &[usize]) -> Vec<Key> {
        members.iter().filter_map(|&member| self.keys.get(member).copied()).collect()
    }

    pub(super) fn downloads_of(&self, part: &Part) -> impl Iterator<Item = &'a Download> {
        let downloads = self.downloads;
        part.members.iter().filter_map(move |&member| downloads.get(member))
    }
}
