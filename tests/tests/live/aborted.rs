//! Downloads that their readers break off: what MinIO had sent by then is billed.
//!
//! MinIO itself loses about half of these entries, at each webhook by a chance of its own, before they reach any queue (see the
//! crate's words). So there are many, and what is checked is that each one that was told is billed to the byte.

use std::collections::BTreeSet;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::modes::{SCENE_BYTES, content, modes};
use crate::reader::{BUCKET, Reader};
use crate::until;

const TIMES: usize = 24;
const FACTOR: usize = 10;
/// What the reader takes of it before it goes.
const TAKEN: usize = 200_000;

#[tokio::test]
async fn what_was_sent_is_billed() {
    needs_minio!();
    let modes = modes().await;
    let mut reader = Reader::of(&modes.minio);
    // More than the sockets' buffers hold, so that MinIO cannot be through before it notices.
    e2e::aws::put_object(reader.s3(), BUCKET, "large.tif", content(SCENE_BYTES).repeat(FACTOR)).await.unwrap();
    let items: Vec<String> = (0..TIMES).map(|number| format!("broken off {number}")).collect();
    for item in &items {
        break_off(&reader.link("large.tif", item).await).await;
    }
    reader.read_last("large.tif").await;

    for site in &modes.sites {
        let rows = until(async || {
            let rows = site.rows(&reader.user).await;
            if rows.keys().any(|(_, item, _)| item == "the last") { Ok(rows) } else { Err(format!("{rows:?}")) }
        });
        let mut rows = rows.await;
        let whole = u64::try_from(SCENE_BYTES * FACTOR).unwrap();
        assert!(rows.remove(&(reader.collection.clone(), "the last".into(), whole)).is_some(), "{rows:?}");
        let mut billed = BTreeSet::new();
        for ((collection, item, bytes), times) in &rows {
            assert!(*collection == reader.collection && items.contains(item), "{collection} {item}");
            assert_eq!(times.len(), 1, "{item}: billed twice");
            let sent = u64::try_from(TAKEN).unwrap()..whole;
            assert!(sent.contains(bytes), "{item}: {bytes} bytes, of which the reader took {TAKEN}");
            billed.insert(item.clone());
            // Both were told: then both say the same.
            let heard = modes.ear.heard(|entry| {
                entry["requestQuery"]["itemId"] == item.as_str()
                    && entry["requestQuery"]["userId"] == reader.user.as_str()
            });
            assert!(heard.iter().all(|entry| entry["api"]["tx"] == *bytes), "{item}: {bytes}, MinIO says {heard:?}");
        }
        assert!(!billed.is_empty(), "{}: none of {TIMES} broken-off downloads was billed", site.id);
        site.settles().await;
    }
}

/// Takes a part of `url`, and closes the connection.
async fn break_off(url: &str) {
    let (authority, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut connection = TcpStream::connect(authority).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: impatient/1.0\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let (mut buffer, mut taken) = (vec![0; 65_536], 0);
    while taken < TAKEN + 4096 {
        let read = connection.read(&mut buffer).await.unwrap();
        assert!(read > 0, "MinIO closed after {taken} bytes");
        if taken == 0 {
            assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..read.min(400)]));
        }
        taken += read;
    }
}
