//! What the tests of analytics begin with.

use std::collections::HashMap;

use super::{AnalyticsPolicy, Read};
use crate::config::{AnalyticsConfig, read_analytics};
use crate::event::Backend;

pub(crate) const NOW: &str = "2026-03-01T12:00:00Z";

pub(crate) fn config(variables: &[(&str, &str)]) -> AnalyticsConfig {
    let mut strings =
        HashMap::from([("PLAUSIBLE_API_URL", "http://127.0.0.1:8000"), ("PLAUSIBLE_DATA_DOMAIN", "data.example")]);
    strings.extend(variables.iter().copied());
    read_analytics(&strings).unwrap().unwrap()
}

pub(crate) fn policy() -> AnalyticsPolicy {
    AnalyticsPolicy::new(config(&[])).unwrap()
}

pub(crate) fn read() -> Read {
    Read {
        backend: Backend::Minio,
        bucket: "data".into(),
        key: "v0.1/spatial/parquet/italy.parquet".into(),
        client_address: Some("203.0.113.7".into()),
        user_agent: Some("aws-cli/2.15.30 md/installer#exe md/command#s3.cp".into()),
        access_key: Some("reader".into()),
        time: Some(NOW.into()),
        bytes: Some(8 << 20),
        collection: None,
        item: None,
        asset: None,
        identity: None,
    }
}
