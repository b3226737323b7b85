//! A wrong token: nothing comes in, everything waits, and comes once it is right.

use e2e::{Minio, aws};

use crate::modes::content;
use crate::reader::{BUCKET, Reader};
use crate::site::Site;
use crate::until;

const KEY: &str = "scene.tif";

#[tokio::test]
async fn a_wrong_token_is_corrected() {
    needs_minio!();
    let minio = Minio::start(&[]).await.unwrap().unwrap();
    aws::create_bucket(&minio.s3(), BUCKET).await.unwrap();
    aws::put_object(&minio.s3(), BUCKET, KEY, content(4567)).await.unwrap();
    let site = Site::start("metering", "spool:").await;
    let mut reader = Reader::of(&minio);
    let mut waiting = 0;
    // None, another one, and the right one after the wrong scheme.
    for token in ["", "Bearer another-t0ken", &format!("Basic {}", e2e::receiver::TOKEN)] {
        site.hears_with_token(&minio, token, 100, true);
        for number in 0..10 {
            let item = format!("{waiting} {number}");
            let url = reader.link(KEY, &item).await;
            reader.read(&url, &item).await;
        }
        waiting += 10;
        until(async || {
            let queued = minio.queued("metering", &reader.user).unwrap();
            if queued == waiting { Ok(()) } else { Err(format!("{queued} of {waiting} entries wait")) }
        })
        .await;
    }
    assert_eq!(site.records().await, 0);
    assert!(site.rows(&reader.user).await.is_empty());

    site.hears(&minio, 100, true);
    reader.read_last(KEY).await;
    site.bills(&reader).await;
    site.settles().await;
    let log = site.receiver.log();
    assert!(!log.contains("another-t0ken"), "a token in the log");
}
