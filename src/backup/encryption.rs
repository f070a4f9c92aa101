//! Encryption of a backup with a passphrase, in the format of age (<https://age-encryption.org/v1>).

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::iter::once;

use age::secrecy::SecretString;
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, Encryptor, Identity, Recipient, scrypt};
use anyhow::{anyhow, bail, ensure};

/// The beginning of every encrypted backup.
pub(super) const MAGIC: &[u8] = b"age-encryption.org/";
/// The same with the only version of the format.
const VERSION: &[u8] = b"age-encryption.org/v1\n";
/// The error of content that cannot be decrypted.
pub(super) const DAMAGED: &str = "its encrypted content is damaged, or ends too early";
const DAMAGED_HEADER: &str = "the header of its encryption is damaged";
/// The base-2 logarithm of scrypt's cost: 128 MiB for each attempt, on every machine.
const WORK_FACTOR: u8 = 17;
/// The same, above which a file is refused: it would take too much memory.
const MAX_WORK_FACTOR: u8 = 20;

/// A writer that encrypts if there is a passphrase.
pub(super) enum Output<W: Write> {
    Plain(W),
    Encrypted(StreamWriter<W>),
}

impl<W: Write> Output<W> {
    pub(super) fn new(to: W, passphrase: Option<&SecretString>) -> io::Result<Self> {
        let Some(passphrase) = passphrase else { return Ok(Self::Plain(to)) };
        let mut recipient = scrypt::Recipient::new(passphrase.clone());
        recipient.set_work_factor(WORK_FACTOR);
        let encryptor = Encryptor::with_recipients(once(&recipient as &dyn Recipient));
        Ok(Self::Encrypted(encryptor.map_err(io::Error::other)?.wrap_output(to)?))
    }

    /// Writes what is left, and returns the inner writer. Without it, an encrypted backup is incomplete.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(to) => Ok(to),
            Self::Encrypted(stream) => stream.finish(),
        }
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(to) => to.write(bytes),
            Self::Encrypted(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(to) => to.flush(),
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}

/// A reader of the decrypted content.
pub(super) struct Decrypted<R>(StreamReader<R>);

impl<R: Read> Read for Decrypted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => io::Error::new(ErrorKind::InvalidData, DAMAGED),
            _ => error,
        })
    }
}

/// Begins to decrypt a backup.
///
/// # Errors
/// That the passphrase is wrong, or that the header is damaged.
pub(super) fn decrypt<R: BufRead>(mut from: R, passphrase: &SecretString) -> anyhow::Result<Decrypted<R>> {
    let beginning = from.fill_buf()?;
    let (is_known, has_passphrase) = (beginning.starts_with(VERSION), has_work_factor(beginning));
    let explain = |error| match error {
        DecryptError::UnknownFormat if is_known => anyhow!(DAMAGED_HEADER),
        error => explain(error),
    };
    let decryptor = Decryptor::new_buffered(from).map_err(explain)?;
    if !decryptor.is_scrypt() {
        ensure!(!has_passphrase, DAMAGED_HEADER);
        bail!("it is encrypted for a key of age, not with a passphrase; decrypt it with age first");
    }
    let mut identity = scrypt::Identity::new(passphrase.clone());
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    Ok(Decrypted(decryptor.decrypt(once(&identity as &dyn Identity)).map_err(explain)?))
}

/// Returns whether the first recipient ends with a work factor, as only a passphrase does: a key ends with data in base64.
fn has_work_factor(beginning: &[u8]) -> bool {
    let recipient = beginning.split(|byte| *byte == b'\n').nth(1).unwrap_or_default();
    let last = recipient.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    (1..=2).contains(&last.len()) && last.iter().all(u8::is_ascii_digit)
}

fn explain(error: DecryptError) -> anyhow::Error {
    match error {
        // A passphrase is right if it opens what is in the header.
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed | DecryptError::NoMatchingKeys => {
            anyhow!("the passphrase is wrong, or {DAMAGED_HEADER}")
        }
        DecryptError::ExcessiveWork { required, .. } => {
            anyhow!("it asks for too much memory to check its passphrase (work factor {required}), or is damaged")
        }
        DecryptError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            anyhow!("it ends too early: the file is truncated")
        }
        DecryptError::Io(error) => error.into(),
        DecryptError::UnknownFormat => anyhow!("it is encrypted in an unknown version of the format of age"),
        _ => anyhow!(DAMAGED_HEADER),
    }
}
