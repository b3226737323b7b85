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
    let mut minio = Minio::start(&[]).await.unwrap().unwrap();
    aws::create_bucket(&minio.s3(), BUCKET).await.unwrap();
    aws::put_object(&minio.s3(), BUCKET, KEY, content(4567)).await.unwrap();
    let site = Site::start("metering", "spool:").await;
    let mut reader = Reader::of(&minio);
    // None, another one, and the right one after the wrong scheme.
    let wrong = [String::new(), "Bearer another-t0ken".to_owned(), format!("Basic {}", e2e::receiver::TOKEN)];
    for (round, (token, answer)) in wrong.iter().zip(["401 Unauthorized", "403 Forbidden", "403 Forbidden"]).enumerate()
    {
        site.hears_with_token(&minio, token, 100, true);
        for number in 0..10 {
            let item = format!("{round} {number}");
            let url = reader.link(KEY, &item).await;
            reader.read(&url, &item).await;
        }
        until(async || {
            let queued = minio.queued("metering").unwrap();
            let log = minio.process().stdout() + &minio.process().stderr();
            if queued >= 10 * (round + 1) && log.contains(answer) {
                Ok(())
            } else {
                Err(format!("{queued} wait; {log}"))
            }
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
