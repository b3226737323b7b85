//! Log files of past days: found in their bucket, and sent to the function's own queue.
//!
//! To deliver them here, each is given to [`CloudTrail::run`](super::cloudtrail::CloudTrail::run) as `{"bucket":…,"key":…}`.

mod layout;
mod list;
mod messages;
mod sample;
mod send;

pub use layout::Days;
pub use list::{ListError, Listed, Lister, Met};
pub use messages::{Message, Packer};
pub use sample::{Sample, sample};
pub use send::{Sender, Sent, SqsError};
