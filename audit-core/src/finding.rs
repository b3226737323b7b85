//! What a check tells a person.

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// As it should be.
    Fine(String),
    /// To be mended; with the remedy.
    Trouble(String),
    /// Nobody can tell from outside: to be looked at once.
    Note(String),
}

impl Finding {
    /// Whether it is to be mended.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        matches!(self, Self::Trouble(_))
    }
}
