//! The ledger: reached, written to, and set up so that it forgets nothing.

use uuid::Uuid;

use crate::finding::Finding;
use crate::ledger::{Claim, Ledger, Owner};
use crate::record::Key;

/// Looks at how the ledger's store is set up, then claims a key that no download has and frees it again.
pub async fn ledger(ledger: &Ledger) -> Vec<Finding> {
    let mut findings = Vec::new();
    match ledger.check().await {
        Ok(weaknesses) => findings.extend(weaknesses.into_iter().map(|own| Finding::Note(format!("ledger: {own}")))),
        Err(error) => {
            return vec![Finding::Trouble(format!(
                "LEDGER_URL: {error}. Nothing is delivered while it is away: see that the address is right, that the store runs and \
                 may be reached from here, and that its credentials are good"
            ))];
        }
    }
    let (key, owner) = (Key(Uuid::new_v4().into_bytes()), Owner(Uuid::new_v4()));
    let written = match ledger.claim(&[key], owner).await {
        Ok(claims) if claims == [Claim::Claimed] => ledger.release(&[key], owner).await.map(|()| true),
        Ok(_) => Ok(false),
        Err(error) => Err(error),
    };
    findings.push(match written {
        Ok(true) => Finding::Fine("ledger: takes a claim and frees it (tried with a key that no download has)".to_owned()),
        Ok(false) => Finding::Trouble("LEDGER_URL: the ledger does not grant a claim that nobody else can have".to_owned()),
        Err(error) => Finding::Trouble(format!(
            "LEDGER_URL: {error}: it can be read but not written to; see that its credentials may write (DynamoDB: dynamodb:PutItem and \
             dynamodb:DeleteItem on the table; Redis: no read-only replica)"
        )),
    });
    findings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::ledger::{LedgerUrl, MemoryLedger, Stores, Terms};

    const TERMS: Terms = Terms { lease: Duration::from_mins(15), ttl: Duration::from_hours(24) };

    #[tokio::test]
    async fn a_ledger_in_memory_works_and_is_weak() {
        let own = Ledger::Memory(MemoryLedger::new(TERMS, Clock::system()));
        let found = ledger(&own).await;
        let [Finding::Note(weak), Finding::Fine(works)] = found.as_slice() else { panic!("{found:?}") };
        assert!(weak.contains("in memory") && works.contains("claim"), "{found:?}");
    }

    #[tokio::test]
    async fn one_out_of_reach_is_told_with_its_variable_and_no_password() {
        let url: LedgerUrl = "redis://user:hunter2@127.0.0.1:1".parse().unwrap();
        let own = Ledger::open(&url, TERMS, Clock::system(), Stores::default()).unwrap();
        let found = ledger(&own).await;
        let [Finding::Trouble(words)] = found.as_slice() else { panic!("{found:?}") };
        assert!(words.starts_with("LEDGER_URL: ledger redis") && !words.contains("hunter2"), "{words}");
    }
}
