//! Some of the downloads of a call, to be sent together.

use crate::client::retry::Waits;
use crate::ledger::Owner;

/// Some of the downloads of a call, by their place in it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) members: Vec<usize>,
    /// Under whose name they are claimed, if they are.
    pub(super) owner: Option<Owner>,
    pub(super) waits: Option<Waits>,
    /// Whether a token was refused for it, and a new one fetched.
    pub(super) refreshed: bool,
}

impl Part {
    pub(super) fn of(members: Vec<usize>, owner: Option<Owner>) -> Self {
        Self { members, owner, waits: None, refreshed: false }
    }

    /// The first member alone, and the others.
    pub(super) fn first_alone(mut self) -> (Self, Option<Self>) {
        if self.members.len() < 2 {
            return (self, None);
        }
        let others = self.members.split_off(1);
        let owner = self.owner;
        (self, Some(Self::of(others, owner)))
    }

    /// Two halves, the first not the smaller: one bad record among n is alone after ⌈log₂ n⌉ halvings.
    pub(super) fn halves(mut self) -> (Self, Self) {
        let second = self.members.split_off(self.members.len().div_ceil(2));
        (Self::of(self.members, self.owner), Self::of(second, self.owner))
    }

    /// Parts of at most `max_records` and, where a single member is not heavier, `max_bytes`.
    pub(super) fn chunks(
        self,
        weight_bytes: impl Fn(usize) -> usize,
        max_records: usize,
        max_bytes: usize,
    ) -> Vec<Self> {
        let mut chunks: Vec<Vec<usize>> = Vec::new();
        let mut filled_bytes = 0;
        for member in self.members {
            let bytes = weight_bytes(member);
            match chunks.last_mut() {
                Some(last) if last.len() < max_records && filled_bytes + bytes <= max_bytes => {
                    last.push(member);
                    filled_bytes += bytes;
                }
                _ => {
                    chunks.push(vec![member]);
                    filled_bytes = bytes;
                }
            }
        }
        chunks.into_iter().map(|members| Self::of(members, self.owner)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chunks_keep_order_and_limits(weights in prop::collection::vec(0..40_usize, 0..60), max_records in 1..10_usize) {
            let part = Part::of((0..weights.len()).collect(), None);
            let chunks = part.chunks(|member| weights[member], max_records, 30);
            let all: Vec<usize> = chunks.iter().flat_map(|chunk| chunk.members.clone()).collect();
            prop_assert_eq!(all, (0..weights.len()).collect::<Vec<_>>());
            for Part { members, .. } in chunks {
                let bytes: usize = members.iter().map(|&member| weights[member]).sum();
                prop_assert!((1..=max_records).contains(&members.len()));
                prop_assert!(bytes <= 30 || members.len() == 1);
            }
        }
    }
}
