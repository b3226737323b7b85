//! `LEDGER_URL`: which ledger.

use std::str::FromStr;

use redis::IntoConnectionInfo;
use secrecy::SecretString;

/// Which ledger to use; a Redis address may hold a password, so it cannot be printed.
#[derive(Debug, Clone)]
pub enum LedgerUrl {
    /// `memory:`, gone with the process.
    Memory,
    /// `spool:`, in the standalone receiver's spool.
    Spool,
    /// `redis://…` or `rediss://…`, in full.
    Redis(SecretString),
    /// `dynamodb://TABLE`: the table's name.
    DynamoDb(String),
}

/// The value names no ledger. Says what is expected, never the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerUrlError {
    /// No known scheme.
    #[error("expected spool:, redis://HOST, rediss://HOST, dynamodb://TABLE or memory:")]
    Scheme,
    /// A Redis address that is none.
    #[error("expected redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or the same with rediss:// for TLS")]
    Redis,
    /// A name that no table can have.
    #[error("expected dynamodb://TABLE, a table name of 3 to 255 letters, digits, dots, hyphens and underscores")]
    Table,
}

impl FromStr for LedgerUrl {
    type Err = LedgerUrlError;

    fn from_str(text: &str) -> Result<Self, LedgerUrlError> {
        match text.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("spool", "")) => Ok(Self::Spool),
            Some(("redis" | "rediss", rest)) => redis(text, rest),
            Some(("dynamodb", rest)) => {
                let table = rest.strip_prefix("//").ok_or(LedgerUrlError::Table)?;
                if is_table(table) { Ok(Self::DynamoDb(table.to_owned())) } else { Err(LedgerUrlError::Table) }
            }
            _ => Err(LedgerUrlError::Scheme),
        }
    }
}

/// A fragment is refused with the rest: `#insecure` would switch the check of certificates off.
fn redis(text: &str, rest: &str) -> Result<LedgerUrl, LedgerUrlError> {
    let valid = rest.starts_with("//") && !rest.contains('#') && text.into_connection_info().is_ok();
    if valid { Ok(LedgerUrl::Redis(text.into())) } else { Err(LedgerUrlError::Redis) }
}

fn is_table(name: &str) -> bool {
    (3..=255).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ledger_has_its_url() {
        assert!(matches!("memory:".parse(), Ok(LedgerUrl::Memory)));
        assert!(matches!("spool:".parse(), Ok(LedgerUrl::Spool)));
        assert!(matches!("redis://localhost".parse(), Ok(LedgerUrl::Redis(_))));
        assert!(matches!("rediss://u:p@cache.example:6380/2".parse(), Ok(LedgerUrl::Redis(_))));
        assert!(
            matches!("dynamodb://audit-ledger_1.x".parse(), Ok(LedgerUrl::DynamoDb(table)) if table == "audit-ledger_1.x")
        );
    }

    #[test]
    fn a_bad_value_is_told_what_is_expected_and_never_repeated() {
        for (text, error) in [
            ("", LedgerUrlError::Scheme),
            ("secret", LedgerUrlError::Scheme),
            ("postgres://secret@host", LedgerUrlError::Scheme),
            ("memory", LedgerUrlError::Scheme),
            ("spool:/secret", LedgerUrlError::Scheme),
            ("redis:secret", LedgerUrlError::Redis),
            ("redis://", LedgerUrlError::Redis),
            ("redis://host:secret", LedgerUrlError::Redis),
            ("redis://host/secret", LedgerUrlError::Redis),
            ("rediss://host#insecure", LedgerUrlError::Redis),
            ("dynamodb:secret", LedgerUrlError::Table),
            ("dynamodb://", LedgerUrlError::Table),
            ("dynamodb://se", LedgerUrlError::Table),
            ("dynamodb://secret/eu", LedgerUrlError::Table),
        ] {
            let refused = text.parse::<LedgerUrl>().unwrap_err();
            assert_eq!(refused, error, "{text}");
            assert!(!refused.to_string().contains("secret"));
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        let url: LedgerUrl = "redis://user:hunter2@host".parse().unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
