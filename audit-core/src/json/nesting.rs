//! How deep a value is nested, and in what.

/// Which of the open brackets are objects, a bit each: the depth is bounded by the input alone.
///
/// The outermost 64 levels, which is all that real records have, need no allocation.
#[derive(Debug, Default)]
pub(crate) struct Nesting {
    outer: u64,
    inner: Vec<u64>,
    depth: usize,
}

impl Nesting {
    pub(crate) fn push(&mut self, object: bool) {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word > self.inner.len() {
            self.inner.push(0);
        }
        if let Some(word) = self.word_mut(word) {
            *word = (*word & !(1 << bit)) | (u64::from(object) << bit);
        }
        self.depth += 1;
    }

    pub(crate) fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    pub(crate) fn top(&self) -> Option<bool> {
        let at = self.depth.checked_sub(1)?;
        let word = match (at / 64).checked_sub(1) {
            None => self.outer,
            Some(inner) => *self.inner.get(inner)?,
        };
        Some(word >> (at % 64) & 1 == 1)
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    fn word_mut(&mut self, word: usize) -> Option<&mut u64> {
        match word.checked_sub(1) {
            None => Some(&mut self.outer),
            Some(inner) => self.inner.get_mut(inner),
        }
    }
}
