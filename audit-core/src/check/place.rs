//! `QUARANTINE` and `HELD`: whether they can be written to.

use crate::finding::Finding;
use crate::store::{Probe, Store};

/// Which of the two places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// `QUARANTINE`.
    Quarantine,
    /// `HELD`.
    Held,
}

impl Use {
    fn variable(self) -> &'static str {
        match self {
            Self::Quarantine => "QUARANTINE",
            Self::Held => "HELD",
        }
    }
}

/// Writes a probe there and removes it, then lists what waits.
pub async fn place(store: &Store, of: Use) -> Vec<Finding> {
    let variable = of.variable();
    let written = match store.probe().await {
        Ok(Probe::Removed(place)) => {
            Finding::Fine(format!("{variable}: {place} takes a probe, which was removed again"))
        }
        Ok(Probe::NotYet(place)) => {
            return vec![Finding::Fine(format!(
                "{variable}: {place} is not there yet; the directory can be made when it is needed"
            ))];
        }
        Ok(Probe::Left(name, why)) => Finding::Note(format!(
            "{variable}: written, but the probe {name} could not be removed ({why}). The programs need {}; to settle and replay, a person \
             also needs s3:GetObject, s3:DeleteObject and s3:ListBucket",
            match of {
                Use::Quarantine => "s3:PutObject alone",
                Use::Held => "s3:PutObject and s3:GetObject",
            }
        )),
        Err(error) => {
            return vec![Finding::Trouble(format!(
                "{variable}: {error}. What belongs there cannot be kept, so nothing that needs it is acknowledged: expected a directory that \
                 this user may write to, or a bucket where s3:PutObject is allowed (and kms:GenerateDataKey where it is encrypted with a \
                 key of yours)"
            ))];
        }
    };
    vec![written, waiting(store, of).await]
}

async fn waiting(store: &Store, of: Use) -> Finding {
    let variable = of.variable();
    let counted = match of {
        Use::Quarantine => store.quarantine_files().await.map(|files| files.len()),
        Use::Held => store.held().await.map(|batches| batches.len()),
    };
    match (counted, of) {
        (Ok(0), _) => Finding::Fine(format!("{variable}: nothing waits there")),
        (Ok(files), Use::Quarantine) => Finding::Note(format!(
            "{variable}: {files} files of records that could not be billed; `s3audit quarantine list` counts those that are not dealt with"
        )),
        (Ok(batches), Use::Held) => Finding::Note(format!(
            "{variable}: {batches} batches were sent and never answered; `s3audit held list` shows them, `s3audit held settle` proves most"
        )),
        (Err(error), _) => Finding::Note(format!(
            "{variable}: {error}, so what waits there was not counted; the programs do not need to list it, a person who settles does \
             (s3:ListBucket)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::Place;

    fn store(path: &std::path::Path) -> Store {
        Store::open(&Place::Directory(path.to_owned()), || unreachable!("a directory"), Clock::system())
    }

    #[tokio::test]
    async fn a_directory_is_left_as_it_was() {
        let own = tempfile::tempdir().unwrap();
        let found = place(&store(own.path()), Use::Held).await;
        assert!(matches!(found.as_slice(), [Finding::Fine(_), Finding::Fine(_)]), "{found:?}");
        let later = own.path().join("not/yet");
        let found = place(&store(&later), Use::Quarantine).await;
        assert!(matches!(found.as_slice(), [Finding::Fine(words)] if words.contains("not there yet")), "{found:?}");
        assert_eq!(std::fs::read_dir(own.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_file_in_its_place_is_told_with_its_variable() {
        let own = tempfile::tempdir().unwrap();
        let file = own.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let found = place(&store(&file.join("held")), Use::Held).await;
        // Root may write anywhere, but nobody makes a directory in a file.
        let [Finding::Trouble(words)] = found.as_slice() else { panic!("{found:?}") };
        assert!(words.starts_with("HELD: ") && words.contains("expected a directory"), "{words}");
    }
}
