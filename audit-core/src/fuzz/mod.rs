//! What must hold for any bytes: each function panics where it does not. The targets in `fuzz/` call these, and so do this crate's tests with the
//! targets' seeds.
#![allow(clippy::missing_panics_doc, reason = "panicking is all that they are for")]

mod body;
mod log_file;
mod read;

pub use body::minio_body;
pub use log_file::log_file;
pub use read::read;

use crate::trigger::{Reader, Work};

/// An invocation's payload: read or refused, and records that came along are JSON.
pub fn invocation(payload: &[u8]) {
    let reader = Reader { request_id: "r", bucket: Some("logs"), max_decompressed_bytes: 1 << 20 };
    let Ok(invocation) = reader.read(payload) else { return };
    for message in invocation.messages {
        assert!(
            !invocation.from_sqs || message.id.is_some() || message.work.is_err(),
            "a message without an id is lost"
        );
        for work in message.work.iter().flatten() {
            match work {
                Work::Records { json, .. } => {
                    let read = serde_json::from_slice::<serde::de::IgnoredAny>(json);
                    assert!(read.is_ok(), "records that are no JSON");
                }
                Work::Object { bucket, .. } => assert_eq!(bucket, "logs", "another bucket than the configured one"),
                Work::Skipped(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    type Target = (&'static str, fn(&[u8]));
    const TARGETS: [Target; 4] =
        [("log_file", log_file), ("minio_body", minio_body), ("read", read), ("invocation", invocation)];

    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    #[test]
    fn every_target_takes_its_seeds_whole_cut_and_changed() {
        for (name, target) in TARGETS {
            let seeds = seeds(name);
            assert!(!seeds.is_empty(), "{name}");
            for seed in seeds {
                target(&seed);
                for at in (0..seed.len()).step_by(1 + seed.len() / 60) {
                    target(&seed[..at]);
                    let mut changed = seed.clone();
                    changed[at] = b"\"{}[],:0\\\n\xff "[at % 11];
                    target(&changed);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_target_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for (_, target) in TARGETS {
                target(&bytes);
            }
        }
    }
}
