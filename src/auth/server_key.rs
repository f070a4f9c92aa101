//! Server key: goes into every hash of a secret, and is stored outside the database. A copy of only one of the two is not
//! enough to guess secrets. While a key is being replaced, a process holds several.

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use sha2::{Digest, Sha256};

use crate::private_file;
use crate::scalar::Id;

/// The most bytes that are read from a file, in which a key takes 45.
const MAX_FILE_LENGTH: u64 = 1024;
/// The expected content of a source, for errors.
const EXPECTED: &str = "expected 32 bytes in base64";

/// A server key: 32 secret bytes.
#[derive(Clone)]
pub struct Key([u8; 32]);

/// The keys that a process holds: at least one. The database says which of them makes new hashes.
#[derive(Clone, Debug)]
pub struct HeldKeys {
    first: Key,
    further: Vec<Key>,
}

/// The source of the keys.
#[derive(Clone, Debug)]
pub enum Source {
    /// The keys themselves, from the settings.
    Setting(HeldKeys),
    /// A file with the keys, which the first start creates with one.
    File(PathBuf),
}

impl Key {
    /// Parses a key: 32 bytes in base64, standard or URL-safe, with or without padding.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().replace('-', "+").replace('_', "/");
        let bytes = STANDARD_NO_PAD.decode(text.strip_suffix('=').unwrap_or(&text)).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// Returns a random key, which is stored nowhere.
    ///
    /// # Errors
    /// An I/O error if the operating system has no random numbers.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 32];
        rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(bytes))
    }

    /// Returns the secret bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the key as its source contains it.
    #[must_use]
    pub fn to_base64(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(self.0)
    }

    /// Returns the ID of the key, which marks the hashes made with it.
    #[must_use]
    pub fn id(&self) -> [u8; 6] {
        self.derive("roster: key of a hash")
    }

    /// Returns the fingerprint by which the database identifies the key.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 16] {
        self.derive("roster: key of a database")
    }

    /// Returns the fingerprint in hexadecimal, for people and for lists of keys.
    #[must_use]
    pub fn fingerprint_text(&self) -> String {
        hex::encode(self.fingerprint())
    }

    /// Returns the key of values that clients receive and send back, such as cursors.
    #[must_use]
    pub fn of_cursors(&self) -> [u8; 32] {
        self.derive("roster: key of cursors")
    }

    /// Returns the key of the links that are sent by email.
    #[must_use]
    pub fn of_links(&self) -> [u8; 32] {
        self.derive("roster: key of links")
    }

    /// Returns the key of the signed URLs of pictures.
    #[must_use]
    pub fn of_pictures(&self) -> [u8; 32] {
        self.derive("roster: key of pictures")
    }

    fn derive<const N: usize>(&self, label: &str) -> [u8; N] {
        let digest = Sha256::new_with_prefix(label).chain_update(self.0).finalize();
        let mut first = [0; N];
        first.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        first
    }
}

impl From<[u8; 32]> for Key {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Shows nothing of the key.
impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key")
    }
}

impl HeldKeys {
    /// Parses keys that are separated by commas, spaces or line breaks.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        let mut keys = words.map(Key::parse).collect::<Option<Vec<Key>>>()?.into_iter();
        Some(Self { first: keys.next()?, further: keys.collect() })
    }

    /// Returns the first key, to which a new database is bound.
    #[must_use]
    pub const fn first(&self) -> &Key {
        &self.first
    }

    /// Returns all keys, in the order of their source.
    pub fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.first).chain(&self.further)
    }

    /// Returns the key with a fingerprint in hexadecimal.
    #[must_use]
    pub fn find(&self, fingerprint: &str) -> Option<&Key> {
        self.all().find(|key| key.fingerprint_text() == fingerprint)
    }

    /// Returns these keys and another one, the last.
    #[must_use]
    pub fn with(mut self, key: Key) -> Self {
        self.further.push(key);
        self
    }

    /// Returns these keys without those that have one of several fingerprints; `None` if none is left.
    #[must_use]
    pub fn without(&self, fingerprints: &[String]) -> Option<Self> {
        let mut kept = self.all().filter(|key| !fingerprints.contains(&key.fingerprint_text())).cloned();
        Some(Self { first: kept.next()?, further: kept.collect() })
    }

    /// Returns the keys as lines of text.
    fn lines(&self) -> String {
        self.all().map(|key| key.to_base64() + "\n").collect()
    }
}

impl From<Key> for HeldKeys {
    fn from(key: Key) -> Self {
        Self { first: key, further: Vec::new() }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(_) => formatter.write_str("--key (ROSTER_KEY)"),
            Self::File(path) => write!(formatter, "--key-file {} (ROSTER_KEY_FILE)", path.display()),
        }
    }
}

impl Source {
    /// Returns the keys; `None` if their file does not exist yet.
    ///
    /// # Errors
    /// An I/O error if the file cannot be read or does not contain keys.
    pub fn find(&self) -> io::Result<Option<HeldKeys>> {
        match self {
            Self::Setting(keys) => Ok(Some(keys.clone())),
            Self::File(path) => match read_file(path) {
                Err(error) if private_file::is_missing(&error) => Ok(None),
                found => found.map(Some),
            },
        }
    }

    /// Returns the keys, and whether this process has created their file, with one key, because it did not exist. If several
    /// processes start at once, one creates it, and all get the same key.
    ///
    /// # Errors
    /// An I/O error if the file cannot be read or created, or does not contain keys.
    pub fn find_or_create(&self) -> io::Result<(HeldKeys, bool)> {
        match self {
            Self::Setting(keys) => Ok((keys.clone(), false)),
            Self::File(path) => match self.find()? {
                Some(keys) => Ok((keys, false)),
                None => create_file(path),
            },
        }
    }

    /// Replaces the keys in the file, which must exist. Its owner and its mode stay.
    ///
    /// # Errors
    /// `Unsupported` if the keys are a setting; an I/O error if the file cannot be replaced.
    pub fn replace(&self, keys: &HeldKeys) -> io::Result<()> {
        match self {
            Self::Setting(_) => Err(io::Error::new(ErrorKind::Unsupported, "the keys are a setting, not a file")),
            Self::File(path) => replace_file(path, keys.lines().as_bytes()),
        }
    }
}

/// Replaces a file as a whole. A file that is reached by a symbolic link is replaced where it is.
fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let metadata = fs::metadata(&path)?;
    let mut file = tempfile::NamedTempFile::new_in(private_file::dir_of(&path))?;
    file.write_all(content)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        // The server may run as another user than the command.
        std::os::unix::fs::fchown(file.as_file(), Some(metadata.uid()), Some(metadata.gid()))?;
    }
    file.as_file().set_permissions(metadata.permissions())?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    private_file::sync_dir_of(&path)
}

fn read_file(path: &Path) -> io::Result<HeldKeys> {
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_FILE_LENGTH).read_to_string(&mut text)?;
    HeldKeys::parse(&text).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, EXPECTED))
}

/// Creates the file atomically, complete and durable, unless another process has created it first. Returns whether this one did.
fn create_file(path: &Path) -> io::Result<(HeldKeys, bool)> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    private_file::make_dir(dir)?;
    let temp_path = dir.join(format!(".roster-key-{}", Id::new().0));
    let created = write_file(&temp_path, &Key::random()?).and_then(|()| fs::hard_link(&temp_path, path));
    fs::remove_file(&temp_path)
        .or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    let is_new = match created {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    // Hashes made with the key survive a power failure, so the key must survive it too.
    #[cfg(unix)]
    fs::File::open(dir)?.sync_all()?;
    Ok((read_file(path)?, is_new))
}

fn write_file(path: &Path, key: &Key) -> io::Result<()> {
    let mut file = private_file::make(path)?;
    writeln!(file, "{}", key.to_base64())?;
    file.sync_all()
}

/// Returns the HMAC-SHA-256 (RFC 2104) of a message, not finalized yet.
#[must_use]
pub fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> Hmac<Sha256> {
    // A key shorter than the block is padded with zeros.
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    Hmac::new(&block.into()).chain_update(message)
}
