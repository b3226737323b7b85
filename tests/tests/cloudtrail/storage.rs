//! What stands for S3: the emulator, and a real MinIO where there is one.

use e2e::{Minio, Moto};
use tokio::sync::OnceCell;

/// Where a test keeps its log files.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Storage {
    Moto(&'static Moto),
    Minio(&'static Minio),
}

impl Storage {
    /// The emulator that all tests share.
    pub(crate) async fn moto() -> Self {
        Self::Moto(Moto::shared().await.unwrap())
    }

    /// The MinIO that all tests share. `None`, with a loud word for `test`, where there is none.
    pub(crate) async fn minio(test: &str) -> Option<Self> {
        static SHARED: OnceCell<Minio> = OnceCell::const_new();
        if !e2e::minio::available(test, &["minio", "mc"]).unwrap() {
            return None;
        }
        let shared = SHARED.get_or_init(async || Minio::start(&[]).await.unwrap().unwrap());
        Some(Self::Minio(shared.await))
    }

    pub(crate) fn endpoint(self) -> &'static str {
        match self {
            Self::Moto(own) => own.endpoint(),
            Self::Minio(own) => own.endpoint(),
        }
    }

    pub(crate) fn s3(self) -> aws_sdk_s3::Client {
        e2e::aws::s3(self.endpoint())
    }
}

/// Makes two tests of each `async fn NAME(storage)`: one on the emulator, one on MinIO.
macro_rules! on_every_storage {
    ($($name:ident),+ $(,)?) => {
        mod moto {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(super::Storage::moto().await).await;
                }
            )+
        }

        mod minio {
            $(
                #[tokio::test]
                async fn $name() {
                    if let Some(storage) = super::Storage::minio(concat!(module_path!(), "::", stringify!($name))).await {
                        super::$name(storage).await;
                    }
                }
            )+
        }
    };
}

pub(crate) use on_every_storage;
