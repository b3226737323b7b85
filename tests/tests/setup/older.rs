//! A MinIO that takes up a change of its audit webhook only when it starts again: it does not answer that the change is in force.

use super::between::Between;
use super::{Rig, script};

fn older(rig: &Rig) -> Between {
    Between::before(rig.minio.endpoint(), None, Some(("X-Minio-Config-Applied", "X-Minio-Config-Unknown")))
}

#[tokio::test]
async fn a_change_that_is_not_in_force_is_followed_by_a_restart() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let older = older(&rig);
    let settings = [("MINIO_ENDPOINT", older.endpoint.as_str())];
    let first = rig.s3audit(&["setup"], &settings).await;
    assert_eq!(first.status, 0, "{}", first.all());
    assert!(first.stdout.contains("++  MinIO was started again, as this release"), "{}", first.stdout);
    let second = rig.s3audit(&["setup"], &settings).await;
    assert!(second.stdout.ends_with("nothing to change: MinIO was set up already\n"), "{}", second.all());
}

#[tokio::test]
async fn the_script_starts_it_again_too() {
    let Some(rig) = Rig::start(&[]).await else { return };
    if !script::tools_are_here("the_script_starts_it_again_too") {
        return;
    }
    let older = older(&rig);
    let told = rig.script(&[], &[("MINIO_ENDPOINT", &older.endpoint)]).await;
    assert_eq!(told.status, 0, "{}", told.all());
    assert!(told.stdout.contains("++  MinIO was started again, as this release"), "{}", told.stdout);
}
