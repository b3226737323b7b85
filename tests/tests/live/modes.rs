//! One server and its four ways to send, each to a receiver of its own. What its readers download must be in each of the four databases.

use e2e::{HeldOpen, Minio, Redis, aws};
use tokio::sync::OnceCell;

use crate::ear::Ear;
use crate::reader::{BUCKET, Reader};
use crate::site::Site;

/// What most cases download.
pub(crate) const SCENE: &str = "scenes/2026/scene.tif";
/// The length of [`SCENE`]: not a multiple of anything.
pub(crate) const SCENE_BYTES: usize = 3_000_017;
/// Open to everybody.
pub(crate) const PUBLIC: &str = "public";

/// The server, its receivers, and who listens beside them.
#[derive(Debug)]
pub(crate) struct Modes {
    pub(crate) minio: Minio,
    /// The way to it for programs, which may end with their last download.
    pub(crate) held_open: HeldOpen,
    pub(crate) ear: Ear,
    pub(crate) sites: [Site; 4],
    _redis: Redis,
}

/// The one that all tests share; started by the first that asks. All have checked that there is a MinIO.
pub(crate) async fn modes() -> &'static Modes {
    static SHARED: OnceCell<Modes> = OnceCell::const_new();
    SHARED.get_or_init(start).await
}

async fn start() -> Modes {
    let minio = Minio::start(&[]).await.unwrap().unwrap();
    let redis = Redis::start().await.unwrap();
    let [first, second] = ["/1", "/2"].map(|database| redis.url().trim_end_matches("/0").to_owned() + database);
    let sites = [
        Site::start("one-in-memory", "spool:").await,
        Site::start("hundred-in-memory", &first).await,
        Site::start("one-on-disk", &second).await,
        Site::start("hundred-on-disk", "spool:").await,
    ];
    for (site, (batch_size, queue_dir)) in sites.iter().zip([(1, false), (100, false), (1, true), (100, true)]) {
        site.hears(&minio, batch_size, queue_dir);
    }
    // Last: while webhooks are being changed, MinIO may lose what waits in memory.
    let ear = Ear::on(&minio);
    let s3 = minio.s3();
    for bucket in [BUCKET, PUBLIC] {
        aws::create_bucket(&s3, bucket).await.unwrap();
        aws::put_object(&s3, bucket, SCENE, content(SCENE_BYTES)).await.unwrap();
    }
    minio.mc(&["anonymous", "set", "download", &format!("local/{PUBLIC}")]).unwrap();
    let held_open = minio.held_open().unwrap();
    Modes { minio, held_open, ear, sites, _redis: redis }
}

impl Modes {
    /// Waits until each database has what `reader` downloaded, and nothing else.
    pub(crate) async fn bill(&self, reader: &Reader) {
        for site in &self.sites {
            site.bills(reader).await;
            site.settles().await;
        }
    }
}

/// That many bytes, the same each time.
pub(crate) fn content(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(5);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}
