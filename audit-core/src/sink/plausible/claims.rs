//! Which of the open reads are events to be sent now: asks the ledger, and settles what it already knows.

use std::collections::{BTreeMap, HashMap};

use tracing::warn;
use uuid::Uuid;

use super::{AnalyticsOutcome, Fate, Part, PlausibleSink};
use crate::analytics::window;
use crate::ledger::{BatchId, Claim, LedgerError, Owner};
use crate::record::Key;

/// A download that is claimed and to be sent as one event.
#[derive(Debug)]
pub(super) struct Event<'p, 'r> {
    /// Its parts with their numbers, the first part first.
    pub(super) parts: Vec<(usize, &'p Part<'r>)>,
    /// What is claimed for it.
    pub(super) keys: Vec<Key>,
}

/// The state of one attempt: what became of each part, and what is left to tell the ledger.
pub(super) struct Claims<'s> {
    sink: &'s PlausibleSink,
    pub(super) owner: Owner,
    pub(super) fates: Vec<Fate>,
    /// All keys that were asked for.
    asked: Vec<Key>,
    settled: Vec<Key>,
    free: Vec<Key>,
    lost: BTreeMap<BatchId, Vec<Key>>,
}

/// The parts of one visitor's downloads of one object, with their numbers, by time.
type Chain<'p, 'r> = Vec<(usize, &'p Part<'r>)>;

impl<'s> Claims<'s> {
    /// Without a name that the sink was given, each attempt has its own: two in one process must not find each other's claims free.
    pub(super) fn new(sink: &'s PlausibleSink, parts: usize) -> Self {
        Self {
            sink,
            owner: sink.owner.unwrap_or_else(|| Owner(Uuid::new_v4())),
            fates: vec![Fate::Later; parts],
            asked: Vec::new(),
            settled: Vec::new(),
            free: Vec::new(),
            lost: BTreeMap::new(),
        }
    }

    /// Claims what is new among `parts`; the fates of all others are then known.
    ///
    /// # Errors
    /// When the ledger cannot answer; what was claimed is among what was [asked](Self::take_asked) for.
    pub(super) async fn claim<'p, 'r>(&mut self, parts: &'p [Part<'r>]) -> Result<Vec<Event<'p, 'r>>, LedgerError> {
        let mut chains: HashMap<Key, Chain<'p, 'r>> = HashMap::new();
        for (number, part) in self.unknown_reads(parts).await? {
            chains.entry(part.visit.download()).or_default().push((number, part));
        }
        let mut events = Vec::new();
        let mut open: Vec<(Key, Chain<'p, 'r>)> = chains.into_iter().collect();
        for (_, chain) in &mut open {
            chain.sort_by_key(|(_, part)| part.visit.at);
        }
        while !open.is_empty() {
            open = self.first_windows(open, &mut events).await?;
        }
        self.tell().await?;
        Ok(events)
    }

    /// The keys that may be claimed by now.
    pub(super) fn take_asked(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.asked)
    }

    async fn ask(&mut self, keys: &[Key]) -> Result<Vec<Claim>, LedgerError> {
        self.asked.extend(keys);
        self.sink.ledger.claim(keys, self.owner).await
    }

    fn set(&mut self, number: usize, fate: Fate) {
        if let Some(own) = self.fates.get_mut(number) {
            *own = fate;
        }
    }

    /// Of an event that was lost on its way, one part tells.
    fn lose(&mut self, key: Key, batch: BatchId) -> Fate {
        let keys = self.lost.entry(batch).or_default();
        let told = !keys.is_empty();
        keys.push(key);
        Fate::Done(if told { AnalyticsOutcome::Duplicate } else { AnalyticsOutcome::Ambiguous })
    }

    async fn unknown_reads<'p, 'r>(&mut self, parts: &'p [Part<'r>]) -> Result<Chain<'p, 'r>, LedgerError> {
        let keys: Vec<Key> = parts.iter().filter_map(Part::key).collect();
        let mut answers = self.ask(&keys).await?.into_iter();
        let mut unknown = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            let answer = part.key().map(|key| (key, answers.next()));
            match answer {
                None | Some((_, Some(Claim::Claimed))) => unknown.push((number, part)),
                Some((_, Some(Claim::Duplicate))) => self.set(number, Fate::Done(AnalyticsOutcome::Duplicate)),
                Some((_, Some(Claim::Busy) | None)) => self.set(number, Fate::Busy),
                Some((key, Some(Claim::Lost(batch)))) => {
                    let fate = self.lose(key, batch);
                    self.set(number, fate);
                }
            }
        }
        Ok(unknown)
    }

    /// Claims the first window of each chain; what remains of the chains is for the next round.
    async fn first_windows<'p, 'r>(
        &mut self,
        chains: Vec<(Key, Chain<'p, 'r>)>,
        events: &mut Vec<Event<'p, 'r>>,
    ) -> Result<Vec<(Key, Chain<'p, 'r>)>, LedgerError> {
        let sink = self.sink;
        let wanted = |(download, chain): &(Key, Chain<'p, 'r>)| {
            chain.first().map_or(Vec::new(), |(_, first)| sink.window.keys(first.visit.read, *download, first.visit.at))
        };
        let keys: Vec<Vec<Key>> = chains.iter().map(wanted).collect();
        let answers = self.ask(&keys.concat()).await?;
        let mut answers = answers.into_iter();
        let mut open = Vec::new();
        for ((download, chain), keys) in chains.into_iter().zip(keys) {
            let answers: Vec<Claim> = answers.by_ref().take(keys.len()).collect();
            let rest = self.first_window(chain, keys, &answers, events);
            if !rest.is_empty() {
                open.push((download, rest));
            }
        }
        // Before the next round, which may claim some of them for good.
        sink.ledger.release(&std::mem::take(&mut self.free), self.owner).await?;
        Ok(open)
    }

    fn first_window<'p, 'r>(
        &mut self,
        chain: Chain<'p, 'r>,
        mut keys: Vec<Key>,
        answers: &[Claim],
        events: &mut Vec<Event<'p, 'r>>,
    ) -> Chain<'p, 'r> {
        let Some(&(_, first)) = chain.first() else { return chain };
        let window = &self.sink.window;
        if answers.len() == keys.len() && answers.iter().all(|answer| *answer == Claim::Claimed) {
            let (parts, rest): (Chain<'_, '_>, _) =
                chain.into_iter().partition(|(_, part)| window.joins(first.visit.at, part.visit.at));
            keys.extend(parts.iter().filter_map(|(_, part)| part.key()));
            events.push(Event { parts, keys });
            return rest;
        }
        // Another download is within a window of the first part. Of the later parts nobody knows yet, save of those that ask
        // for the very same keys.
        let (known, rest): (Chain<'_, '_>, _) =
            chain.into_iter().partition(|(_, part)| window.same_keys(first.visit.at, part.visit.at));
        let mut fate = Fate::Busy;
        for (key, answer) in keys.into_iter().zip(answers) {
            match answer {
                Claim::Claimed => self.free.push(key),
                Claim::Duplicate if fate == Fate::Busy => fate = Fate::Done(AnalyticsOutcome::Duplicate),
                Claim::Busy | Claim::Duplicate => {}
                Claim::Lost(batch) => {
                    let lost = self.lose(key, *batch);
                    // One part tells of the doubt, whichever other keys were lost with it.
                    if fate != Fate::Done(AnalyticsOutcome::Ambiguous) {
                        fate = lost;
                    }
                }
            }
        }
        if fate == Fate::Busy {
            for (number, part) in known.into_iter().chain(rest) {
                self.set(number, Fate::Busy);
                self.free.extend(part.key());
            }
            return Vec::new();
        }
        for (place, (number, part)) in known.into_iter().enumerate() {
            self.set(number, if place == 0 { fate.clone() } else { Fate::Done(AnalyticsOutcome::Duplicate) });
            self.settled.extend(part.key());
        }
        rest
    }

    /// Tells the ledger what was found out.
    async fn tell(&mut self) -> Result<(), LedgerError> {
        let ledger = &self.sink.ledger;
        for (batch, keys) in std::mem::take(&mut self.lost) {
            warn!("an event was under way when its sender ended; nobody knows whether it was recorded");
            ledger.hold(&keys, batch).await?;
        }
        let settled = std::mem::take(&mut self.settled);
        self.sink.settle(&settled, self.owner).await
    }
}

impl Part<'_> {
    fn key(&self) -> Option<Key> {
        window::read_key(self.visit.read)
    }
}
