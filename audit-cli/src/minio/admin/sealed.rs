//! How MinIO's admin API encrypts configuration: with a key derived from the administrator's secret key.
//!
//! `salt (32 bytes) | algorithm (1) | nonce (8) | fragments`, each fragment up to 16 KiB of text and a tag. A fragment's nonce is the
//! stream's and the fragment's number, from 1; number 0 seals nothing, and its tag goes with every fragment, behind a byte that marks
//! the last one. The format is madmin-go's `EncryptData` over secure-io's streams.

use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Params, Version};
use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::pbkdf2;
use ring::rand::{SecureRandom, SystemRandom};

const SALT_BYTES: usize = 32;
const STREAM_NONCE_BYTES: usize = NONCE_LEN - 4;
const HEADER_BYTES: usize = SALT_BYTES + 1 + STREAM_NONCE_BYTES;
const FRAGMENT_BYTES: usize = 16 << 10;
const TAG_BYTES: usize = 16;

const ARGON2ID_AES_GCM: u8 = 0;
const ARGON2ID_CHACHA20_POLY1305: u8 = 1;
const PBKDF2_AES_GCM: u8 = 2;

const MORE: u8 = 0x00;
const LAST: u8 = 0x80;

/// The text cannot be sealed or opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum SealError {
    /// Not the format above.
    #[error("expected an encrypted configuration as MinIO's admin API sends it")]
    Format,
    /// Another key, or changed on its way.
    #[error("the configuration does not open with this secret key")]
    Key,
    /// The cipher or the machine's random numbers refuse.
    #[error("the configuration cannot be encrypted here")]
    Machine,
}

/// Encrypts `text` for a server that knows `secret_key`. MinIO takes each of the three algorithms; this is the one that needs no 64 MiB.
pub(crate) fn seal(secret_key: &str, text: &[u8]) -> Result<Vec<u8>, SealError> {
    let random = SystemRandom::new();
    let mut salt = [0; SALT_BYTES];
    let mut nonce = [0; STREAM_NONCE_BYTES];
    random.fill(&mut salt).and_then(|()| random.fill(&mut nonce)).map_err(|_| SealError::Machine)?;
    let key = key(PBKDF2_AES_GCM, secret_key, &salt)?;
    let mut sealed = [&salt[..], &[PBKDF2_AES_GCM], &nonce].concat();
    let stream = Stream::new(&key, nonce)?;
    let mut fragments = text.chunks(FRAGMENT_BYTES).zip(1..).peekable();
    if fragments.peek().is_none() {
        sealed.extend(stream.seal(1, LAST, &[])?);
    }
    while let Some((fragment, number)) = fragments.next() {
        let mark = if fragments.peek().is_some() { MORE } else { LAST };
        sealed.extend(stream.seal(number, mark, fragment)?);
    }
    Ok(sealed)
}

/// Decrypts what the server sent.
pub(crate) fn open(secret_key: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let (header, fragments) = sealed.split_at_checked(HEADER_BYTES).ok_or(SealError::Format)?;
    let (salt, rest) = header.split_at_checked(SALT_BYTES).ok_or(SealError::Format)?;
    let (&algorithm, nonce) = rest.split_first().ok_or(SealError::Format)?;
    let key = key(algorithm, secret_key, salt)?;
    let stream = Stream::new(&key, nonce.try_into().map_err(|_| SealError::Format)?)?;
    let mut text = Vec::new();
    let mut fragments = fragments.chunks(FRAGMENT_BYTES + TAG_BYTES).zip(1..).peekable();
    if fragments.peek().is_none() {
        return Err(SealError::Format);
    }
    while let Some((fragment, number)) = fragments.next() {
        let mark = if fragments.peek().is_some() { MORE } else { LAST };
        text.extend(stream.open(number, mark, fragment)?);
    }
    Ok(text)
}

fn key(algorithm: u8, secret_key: &str, salt: &[u8]) -> Result<LessSafeKey, SealError> {
    let mut key = [0; 32];
    let cipher = match algorithm {
        ARGON2ID_AES_GCM | ARGON2ID_CHACHA20_POLY1305 => {
            let costs = Params::new(64 << 10, 1, 4, Some(key.len())).map_err(|_| SealError::Machine)?;
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, costs);
            argon2.hash_password_into(secret_key.as_bytes(), salt, &mut key).map_err(|_| SealError::Machine)?;
            if algorithm == ARGON2ID_AES_GCM { &AES_256_GCM } else { &CHACHA20_POLY1305 }
        }
        PBKDF2_AES_GCM => {
            const ROUNDS: NonZeroU32 = NonZeroU32::new(8192).unwrap();
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, salt, secret_key.as_bytes(), &mut key);
            &AES_256_GCM
        }
        _ => return Err(SealError::Format),
    };
    UnboundKey::new(cipher, &key).map(LessSafeKey::new).map_err(|_| SealError::Machine)
}

/// One stream of fragments.
struct Stream<'k> {
    key: &'k LessSafeKey,
    nonce: [u8; STREAM_NONCE_BYTES],
    start_tag: [u8; TAG_BYTES],
}

impl<'k> Stream<'k> {
    fn new(key: &'k LessSafeKey, nonce: [u8; STREAM_NONCE_BYTES]) -> Result<Self, SealError> {
        let mut stream = Self { key, nonce, start_tag: [0; TAG_BYTES] };
        let tag =
            key.seal_in_place_separate_tag(stream.nonce(0), Aad::empty(), &mut []).map_err(|_| SealError::Machine)?;
        stream.start_tag.copy_from_slice(tag.as_ref());
        Ok(stream)
    }

    fn nonce(&self, number: u32) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        let (stream, counter) = nonce.split_at_mut(STREAM_NONCE_BYTES);
        stream.copy_from_slice(&self.nonce);
        counter.copy_from_slice(&number.to_le_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    fn with(&self, mark: u8) -> Aad<[u8; 1 + TAG_BYTES]> {
        let mut with = [mark; 1 + TAG_BYTES];
        if let Some((_, tag)) = with.split_first_mut() {
            tag.copy_from_slice(&self.start_tag);
        }
        Aad::from(with)
    }

    fn seal(&self, number: u32, mark: u8, fragment: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut sealed = fragment.to_vec();
        let result = self.key.seal_in_place_append_tag(self.nonce(number), self.with(mark), &mut sealed);
        result.map(|()| sealed).map_err(|_| SealError::Machine)
    }

    fn open(&self, number: u32, mark: u8, fragment: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut opened = fragment.to_vec();
        let text =
            self.key.open_in_place(self.nonce(number), self.with(mark), &mut opened).map_err(|_| SealError::Key)?;
        Ok(text.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What madmin-go 3.0.109 made of `audit_webhook:metering enable=on` with the secret key `minio-secret`.
    const FROM_MADMIN: &str = include_str!("sealed-by-madmin.hex");

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(pair).collect()
    }

    #[test]
    fn what_minio_s_own_library_sealed_opens() {
        let opened = open("minio-secret", &bytes(FROM_MADMIN)).unwrap();
        assert_eq!(String::from_utf8(opened).unwrap(), "audit_webhook:metering enable=on");
    }

    #[test]
    fn texts_of_every_length_come_back() {
        for length in [0, 1, FRAGMENT_BYTES - 1, FRAGMENT_BYTES, FRAGMENT_BYTES + 1, 2 * FRAGMENT_BYTES, 40_000] {
            let text: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let sealed = seal("key", &text).unwrap();
            assert_eq!(open("key", &sealed).unwrap(), text, "{length}");
        }
    }

    #[test]
    fn another_key_or_a_changed_text_does_not_open() {
        let sealed = seal("key", &vec![7; 20_000]).unwrap();
        assert_eq!(open("another", &sealed), Err(SealError::Key));
        for at in [0, 33, HEADER_BYTES, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open("key", &changed), Err(SealError::Key), "{at}");
        }
        assert_eq!(open("key", &sealed[..HEADER_BYTES + FRAGMENT_BYTES + TAG_BYTES]), Err(SealError::Key), "cut short");
        assert_eq!(open("key", &sealed[..20]), Err(SealError::Format));
        assert_eq!(open("key", &[9; 100]), Err(SealError::Format));
    }
}
