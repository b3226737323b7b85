//! The log files of given days in a bucket, page by page: no more than one page of them is in memory.

use std::collections::VecDeque;

use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Error;
use aws_sdk_s3::types::{Object, ObjectStorageClass};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::layout::{Days, Folder, ROOT, day_of, folder};
use crate::trigger::{Skipped, no_log};

/// A log file in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Tells this version of it from others; may be empty.
    pub etag: String,
    /// Its size in bytes, compressed as it is.
    pub size: u64,
    /// Whether it is in a storage class that must be restored from before it can be read.
    pub archived: bool,
}

/// What is met in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Met {
    /// A log file of one of the days.
    Log(Listed),
    /// An object of one of the days that holds no logs.
    Skipped(Skipped),
    /// A folder with another service's logs, or with none, which is left alone.
    Foreign(String),
}

/// The bucket cannot be listed; the text says what to mend where that is known.
#[derive(Debug, thiserror::Error)]
#[error("s3://{bucket}/{prefix}: {reason}")]
pub struct ListError {
    bucket: String,
    prefix: String,
    reason: String,
}

/// Lists a bucket. Where CloudTrail's folders are met, only those of the days are opened.
#[derive(Debug)]
pub struct Lister {
    s3: aws_sdk_s3::Client,
    bucket: String,
    /// What the user named, with a slash at its end unless it is empty.
    start: String,
    days: Days,
    places: Vec<Place>,
    started: bool,
    /// CloudTrail's folders are right below the start, so that others beside them are opened only where there are such folders too.
    root_below: bool,
    ready: VecDeque<Met>,
    requests: u64,
}

/// A prefix to list.
#[derive(Debug)]
struct Place {
    prefix: String,
    /// Its folders one by one, rather than all that is below it.
    by_folder: bool,
    /// Where the next page starts.
    next: Option<String>,
}

impl Place {
    fn new(prefix: String, by_folder: bool) -> Self {
        Self { prefix, by_folder, next: None }
    }
}

impl Lister {
    /// Lists what is below `prefix` (a folder, with or without its last slash).
    #[must_use]
    pub fn new(s3: aws_sdk_s3::Client, bucket: &str, prefix: &str, days: Days) -> Self {
        let folder = prefix.trim_matches('/');
        let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        Self {
            s3,
            bucket: bucket.to_owned(),
            start,
            days,
            places: Vec::new(),
            started: false,
            root_below: false,
            ready: VecDeque::new(),
            requests: 0,
        }
    }

    /// How many requests were made so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// The next thing met, in no particular order; `None` at the end.
    ///
    /// # Errors
    /// When S3 refuses or cannot be reached.
    pub async fn next(&mut self) -> Result<Option<Met>, ListError> {
        if !self.started {
            let first = self.first().await?;
            self.places.push(first);
            self.started = true;
        }
        loop {
            if let Some(met) = self.ready.pop_front() {
                return Ok(Some(met));
            }
            let Some(place) = self.places.pop() else { return Ok(None) };
            self.page(place).await?;
        }
    }

    /// Where to begin. Outside CloudTrail's folders, one request tells whether they are right below.
    async fn first(&mut self) -> Result<Place, ListError> {
        match folder(&self.start, self.days) {
            Folder::Above => return Ok(Place::new(self.start.clone(), true)),
            // Also of other days: whoever names a folder is told that nothing in it is of those days.
            Folder::Day | Folder::OtherDays | Folder::Foreign => return Ok(Place::new(self.start.clone(), false)),
            Folder::Unknown => {}
        }
        self.root_below = self.root_in(&self.start.clone()).await?.is_some();
        Ok(Place::new(self.start.clone(), self.root_below))
    }

    /// CloudTrail's folder in `prefix`, if it is there.
    async fn root_in(&mut self, prefix: &str) -> Result<Option<String>, ListError> {
        let root = format!("{prefix}{ROOT}/");
        let request = self.s3.list_objects_v2().bucket(&self.bucket).prefix(&root).max_keys(1);
        self.requests += 1;
        let answer = request.send().await.map_err(|error| self.error(&root, &error))?;
        Ok((!answer.contents().is_empty()).then_some(root))
    }

    async fn page(&mut self, place: Place) -> Result<(), ListError> {
        let request = self.s3.list_objects_v2().bucket(&self.bucket).prefix(&place.prefix);
        let request = request.set_delimiter(place.by_folder.then(|| "/".to_owned()));
        let request = request.set_continuation_token(place.next.clone());
        self.requests += 1;
        let answer = request.send().await.map_err(|error| self.error(&place.prefix, &error))?;
        for folder in answer.common_prefixes.unwrap_or_default().into_iter().rev().filter_map(|own| own.prefix) {
            self.meet_folder(folder).await?;
        }
        let objects = answer.contents.unwrap_or_default();
        let days = self.days;
        self.ready.extend(objects.into_iter().filter_map(|object| judge(object, days)));
        if answer.is_truncated == Some(true) && answer.next_continuation_token.is_some() {
            // Before the folders just found, so that few of them wait.
            self.places.push(Place { next: answer.next_continuation_token, ..place });
        }
        Ok(())
    }

    async fn meet_folder(&mut self, prefix: String) -> Result<(), ListError> {
        match folder(&prefix, self.days) {
            Folder::Above => self.places.push(Place::new(prefix, true)),
            // Of a trail with a prefix of its own, or nothing of CloudTrail's.
            Folder::Unknown
                if self.root_below && prefix.matches('/').count() == self.start.matches('/').count() + 1 =>
            {
                match self.root_in(&prefix).await? {
                    Some(root) => self.places.push(Place::new(root, true)),
                    None => self.ready.push_back(Met::Foreign(prefix)),
                }
            }
            Folder::Day | Folder::Unknown => self.places.push(Place::new(prefix, false)),
            Folder::OtherDays => {}
            Folder::Foreign => self.ready.push_back(Met::Foreign(prefix)),
        }
        Ok(())
    }

    fn error(&self, prefix: &str, error: &SdkError<ListObjectsV2Error>) -> ListError {
        let reason = match error.code() {
            Some("NoSuchBucket") => "no such bucket".to_owned(),
            Some("AccessDenied") => "access denied: listing needs s3:ListBucket on the bucket".to_owned(),
            Some("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                "the bucket is in another region: set CLOUDTRAIL_REGION to it".to_owned()
            }
            Some(code) => format!("S3 answered {code}"),
            None => format!("S3 could not be reached: {}", DisplayErrorContext(error)),
        };
        ListError { bucket: self.bucket.clone(), prefix: prefix.to_owned(), reason }
    }
}

/// What an object is; `None` when it is of other days, or another service's.
fn judge(object: Object, days: Days) -> Option<Met> {
    let key = object.key?;
    let parent = key.rsplit_once('/').map_or("", |(parent, _)| parent);
    let written = object.last_modified.and_then(|at| jiff::Timestamp::from_second(at.secs()).ok());
    let written = || written.map(|at| at.to_zoned(TimeZone::UTC).date());
    let is_meant = |day: Option<Date>| day.is_none_or(|day| days.contains(day));
    let meant = match folder(parent, days) {
        Folder::Day => true,
        Folder::OtherDays | Folder::Foreign => false,
        // A marker of a folder on the way is counted, whenever it was made.
        Folder::Above if key.ends_with('/') => true,
        Folder::Above | Folder::Unknown => is_meant(day_of(&key).or_else(written)),
    };
    if !meant {
        return None;
    }
    let size = object.size.and_then(|size| u64::try_from(size).ok());
    if let Some(why) = no_log(&key, size) {
        return Some(Met::Skipped(why));
    }
    let archived = matches!(object.storage_class, Some(ObjectStorageClass::Glacier | ObjectStorageClass::DeepArchive));
    Some(Met::Log(Listed { key, etag: object.e_tag.unwrap_or_default(), size: size.unwrap_or(0), archived }))
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::primitives::DateTime;
    use jiff::civil::date;

    use super::*;

    fn judged(key: &str, size: i64, written: &str) -> Option<Met> {
        let at: jiff::Timestamp = written.parse().unwrap();
        let object =
            Object::builder().key(key).size(size).e_tag("\"e\"").last_modified(DateTime::from_secs(at.as_second()));
        judge(object.build(), Days { from: date(2026, 1, 1), to: date(2026, 1, 2) })
    }

    #[test]
    fn an_object_s_day_is_its_folder_s_else_its_name_s_else_that_of_its_writing() {
        let other = "2020-05-05T00:00:00Z";
        let folder = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01";
        assert!(judged(&format!("{folder}/01/x.json.gz"), 1, other).is_some());
        assert!(judged(&format!("{folder}/03/1_CloudTrail_r_20260101T0000Z_x.json.gz"), 1, other).is_none());
        assert!(judged("copies/1_CloudTrail_r_20260101T0000Z_x.json.gz", 1, other).is_some());
        assert!(judged("copies/1_CloudTrail_r_20260103T0000Z_x.json.gz", 1, "2026-01-01T00:00:00Z").is_none());
        assert!(judged("copies/x.json.gz", 1, "2026-01-02T23:59:59Z").is_some());
        assert!(judged("copies/x.json.gz", 1, "2026-01-03T00:00:00Z").is_none());
        assert!(judged("AWSLogs/1/vpcflowlogs/eu-west-1/2026/01/01/x.gz", 1, "2026-01-01T00:00:00Z").is_none());
    }

    #[test]
    fn what_holds_no_logs_is_told_apart() {
        let at = "2026-01-01T00:00:00Z";
        let skipped = |key, size, why| assert_eq!(judged(key, size, at), Some(Met::Skipped(why)), "{key}");
        skipped("AWSLogs/1/CloudTrail-Digest/eu-west-1/2026/01/01/x.json.gz", 9, Skipped::Digest);
        skipped("AWSLogs/1/CloudTrail-Insight/eu-west-1/2026/01/01/x.json.gz", 9, Skipped::Insight);
        skipped("AWSLogs/1/CloudTrail/", 0, Skipped::Folder);
        skipped("AWSLogs/1/CloudTrail/eu-west-1/2026/01/01/x.json.gz", 0, Skipped::Empty);
    }
}
