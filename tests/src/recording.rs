//! What MinIO sent, as it is kept in `audit-core/tests/minio`: the requests of one case, one after another, each with its
//! headers, an empty line and its body as it came.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where the recordings are: a folder for each way of sending, in it a file for each case.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../audit-core/tests/minio")
}

/// One request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Names in lower case, and values; no `content-length`, which is the body's.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl Message {
    /// The value of header `name`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The text of `messages`.
    #[must_use]
    pub fn write(messages: &[Self]) -> Vec<u8> {
        let mut text = Vec::new();
        for message in messages {
            text.extend_from_slice(b"POST /auditlogs/processor HTTP/1.1\n");
            for (name, value) in &message.headers {
                text.extend_from_slice(format!("{name}: {value}\n").as_bytes());
            }
            text.extend_from_slice(format!("content-length: {}\n\n", message.body.len()).as_bytes());
            text.extend_from_slice(&message.body);
        }
        text
    }

    /// The messages of a text that [`Message::write`] made.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(mut text: &[u8]) -> Result<Vec<Self>> {
        let mut messages = Vec::new();
        while !text.is_empty() {
            let end =
                text.windows(2).position(|pair| pair == b"\n\n").context("expected an empty line after headers")?;
            let (head, rest) = text.split_at(end);
            let mut lines = std::str::from_utf8(head).context("headers")?.lines();
            lines.next().filter(|line| line.starts_with("POST ")).context("expected a request line")?;
            let header = |line: &str| {
                let (name, value) = line.split_once(": ").with_context(|| format!("expected a header: {line}"))?;
                Ok((name.to_owned(), value.to_owned()))
            };
            let mut headers: Vec<(String, String)> = lines.map(header).collect::<Result<_>>()?;
            let length = headers.pop().filter(|(name, _)| name == "content-length");
            let length: usize = length.context("expected content-length last")?.1.parse()?;
            let body = rest.get(2..2 + length).context("expected a body as long as content-length says")?;
            messages.push(Self { headers, body: body.to_vec() });
            text = rest.get(2 + length..).unwrap_or_default();
        }
        Ok(messages)
    }

    /// The messages of `case` as they were sent in `mode`.
    ///
    /// # Errors
    /// When there is no such recording.
    pub fn recorded(mode: &str, case: &str) -> Result<Vec<Self>> {
        let path = folder().join(mode).join(format!("{case}.http"));
        Self::read(&std::fs::read(&path).with_context(|| path.display().to_string())?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by a panic")]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let message = |body: &[u8]| Message { headers: vec![("a".into(), "b: c".into())], body: body.to_vec() };
        let messages = [message(b"{}\n"), message(b""), message(b"\n\nPOST \xff")];
        assert_eq!(Message::read(&Message::write(&messages)).unwrap(), messages);
        assert!(Message::read(b"POST / HTTP/1.1\ncontent-length: 5\n\n{}").is_err());
    }
}
