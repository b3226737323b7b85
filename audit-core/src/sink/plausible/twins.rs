//! Two records of one read in one call: MinIO's audit entry and notification, or a replay.

use std::collections::HashMap;

use super::Part;
use crate::analytics::window::read_key;
use crate::record::Key;

/// Leaves one part of each read, the one that tells most; answers the others with the one that stands for them.
pub(super) fn take_twins(parts: &mut Vec<Part<'_>>) -> Vec<(usize, usize)> {
    let tells = |part: &Part<'_>| {
        let read = part.visit.read;
        [read.user_agent.is_some(), read.bytes.is_some(), read.item.is_some()].into_iter().filter(|&is| is).count()
    };
    let mut best: HashMap<Key, (usize, usize)> = HashMap::new();
    for part in parts.iter() {
        if let Some(key) = read_key(part.visit.read) {
            let own = (tells(part), part.index);
            let best = best.entry(key).or_insert(own);
            *best = if own.0 > best.0 { own } else { *best };
        }
    }
    let mut twins = Vec::new();
    parts.retain(|part| {
        let key = read_key(part.visit.read);
        let own = key.and_then(|key| best.get(&key)).map_or(part.index, |&(_, index)| index);
        if own != part.index {
            twins.push((part.index, own));
        }
        own == part.index
    });
    twins
}
