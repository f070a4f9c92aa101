//! Server key: goes into every hash of a secret, and is stored outside the database. A copy of only one of the two is not
//! enough to guess secrets.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use sea_orm::EntityTrait;
use sha2::{Digest, Sha256};

use crate::db::{Db, rows};
use crate::entity::server_key;
use crate::error::Error;
use crate::private_file;
use crate::scalar::Id;

/// The most bytes that are read from a file, which should contain 45.
const MAX_FILE_LENGTH: u64 = 1024;

/// A server key: 32 secret bytes.
#[derive(Clone)]
pub struct Key([u8; 32]);

/// The source of the key.
#[derive(Clone, Debug)]
pub enum Source {
    /// The key itself, from the settings.
    Setting(Key),
    /// A file with the key, which the first start creates.
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

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(_) => formatter.write_str("--key (ROSTER_KEY)"),
            Self::File(path) => write!(formatter, "--key-file {} (ROSTER_KEY_FILE)", path.display()),
        }
    }
}

impl Source {
    /// Returns the key; `None` if its file does not exist yet.
    ///
    /// # Errors
    /// An I/O error if the file cannot be read or does not contain a key.
    pub fn find(&self) -> io::Result<Option<Key>> {
        match self {
            Self::Setting(key) => Ok(Some(key.clone())),
            Self::File(path) => match read_file(path) {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
                found => found.map(Some),
            },
        }
    }

    /// Returns the key; creates its file if it does not exist. If several processes start at once, all get the same key.
    ///
    /// # Errors
    /// An I/O error if the file cannot be read or created, or does not contain a key.
    pub fn find_or_create(&self) -> io::Result<Key> {
        match self {
            Self::Setting(key) => Ok(key.clone()),
            Self::File(path) => self.find()?.map_or_else(|| create_file(path), Ok),
        }
    }
}

fn read_file(path: &Path) -> io::Result<Key> {
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_FILE_LENGTH).read_to_string(&mut text)?;
    Key::parse(&text).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "expected 32 bytes in base64"))
}

/// Creates the file atomically, complete and durable, unless another process has created it first.
fn create_file(path: &Path) -> io::Result<Key> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    private_file::make_dir(dir)?;
    let temp_path = dir.join(format!(".roster-key-{}", Id::new().0));
    let created = write_file(&temp_path, &Key::random()?).and_then(|()| fs::hard_link(&temp_path, path));
    fs::remove_file(&temp_path)
        .or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    match created {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Hashes made with the key survive a power failure, so the key must survive it too.
    #[cfg(unix)]
    fs::File::open(dir)?.sync_all()?;
    read_file(path)
}

fn write_file(path: &Path, key: &Key) -> io::Result<()> {
    let mut file = private_file::make(path)?;
    writeln!(file, "{}", base64::engine::general_purpose::STANDARD.encode(key.0))?;
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

/// Returns whether the secrets of a database were made with a key. A database without a key is bound to this one.
pub async fn bind(db: &Db, key: &Key) -> Result<bool, Error> {
    let row = server_key::Model { only_one: 1, fingerprint: key.fingerprint().to_vec() };
    let claim = server_key::Entity::insert(rows::active(row)).on_conflict_do_nothing();
    claim.exec_without_returning(db.write()).await?;
    Ok(fingerprint_of(db).await?.is_some_and(|fingerprint| fingerprint == key.fingerprint()))
}

/// Returns the fingerprint of the key with which the secrets of a database were made, if it is bound to one.
pub async fn fingerprint_of(db: &Db) -> Result<Option<Vec<u8>>, Error> {
    let row = server_key::Entity::find().one(db.read()).await?;
    Ok(row.map(|row| row.fingerprint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_parsed_from_every_base64_and_shown_nowhere() {
        let key = Key::from([0xfb; 32]);
        let url_safe = "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s";
        let standard = url_safe.replace('-', "+").replace('_', "/");
        for text in [url_safe.to_owned(), format!("{url_safe}="), standard.clone(), format!(" {standard}=\n")] {
            assert_eq!(Key::parse(&text).unwrap().as_bytes(), key.as_bytes(), "{text}");
        }
        for text in [
            "",
            "secret",
            url_safe.trim_start_matches('-'),
            &format!("{url_safe}A"),
            &format!("{url_safe}=="),
            &"f".repeat(64),
        ] {
            assert!(Key::parse(text).is_none(), "{text}");
        }
        assert_eq!(format!("{key:?} {:?}", Source::Setting(key.clone())), "Key Setting(Key)");
        assert_ne!(key.fingerprint().get(..6), Some(&key.id()[..]));
    }

    #[test]
    fn processes_that_create_the_file_at_once_get_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let source = Source::File(dir.path().join("below/roster.key"));
        assert!(source.find().unwrap().is_none());
        let keys: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let create = || *source.find_or_create().unwrap().as_bytes();
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(create)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| Some(*key) == source.find().unwrap().map(|key| *key.as_bytes())));
        let left: Vec<_> =
            fs::read_dir(dir.path().join("below")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["roster.key"]);
    }
}
