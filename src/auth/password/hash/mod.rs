//! Stored hashes: ours, and those that users bring along from other systems, a file for each family. Computing one takes a
//! long time.

mod bcrypt;
mod crypt;
mod digest;
mod django;
mod encoding;
mod ldap;
mod pbkdf2;
mod phc;
mod phpass;
mod unreadable;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use ::argon2::password_hash::PasswordHasher;
use ::argon2::{Algorithm, Argon2, KeyId, ParamsBuilder, Version};

use self::bcrypt::Bcrypt;
use self::crypt::{Md5Crypt, ShaCrypt, Yescrypt};
use self::digest::SaltedDigest;
use self::pbkdf2::Pbkdf2;
use self::phc::{Argon2Hash, ScryptHash};
use self::phpass::Phpass;
pub use self::unreadable::Unreadable;
use crate::auth::server_key::Key;
use crate::error::Error;

/// The most bytes of a hash's text.
const LONGEST: usize = 512;
/// The most memory that a hash may ask for, in KiB.
const MOST_MEMORY: u64 = 256 * 1024;
/// How often that memory may be gone over, counted in KiB: about a second's work.
const MOST_PASSED_OVER: u64 = 4 * MOST_MEMORY;
/// The most bytes of a salt.
const LONGEST_SALT: usize = 256;
/// The fewest bytes of a hash's output, as the PHC string format has it; fewer would be met by chance.
const SHORTEST_OUTPUT: usize = 10;

/// A stored hash, read: how it is computed, and the result for the right secret.
pub enum PasswordHash {
    Argon2(Argon2Hash),
    Scrypt(ScryptHash),
    Pbkdf2(Pbkdf2),
    Bcrypt(Bcrypt),
    ShaCrypt(ShaCrypt),
    Yescrypt(Yescrypt),
    Md5Crypt(Md5Crypt),
    Phpass(Phpass),
    Digest(SaltedDigest),
}

/// A new hash of a secret.
///
/// # Errors
/// `Internal` where the system has no memory or no randomness.
pub fn make(key: &Key, secret: &[u8]) -> Result<String, Error> {
    count();
    let hash = ours(key)?.hash_password(secret).map_err(|error| Error::internal(error.to_string()))?;
    Ok(hash.to_string())
}

/// How new hashes are made: OWASP's Argon2id, m=19456 KiB, t=2, p=1, which are the crate's defaults, with the key as
/// Argon2's secret and the key's id as the mark of it.
fn ours(key: &Key) -> Result<Argon2<'_>, Error> {
    let params = KeyId::new(&key.id()).and_then(|id| ParamsBuilder::new().keyid(id).build());
    let argon =
        params.and_then(|params| Argon2::new_with_secret(key.as_bytes(), Algorithm::Argon2id, Version::V0x13, params));
    argon.map_err(|error| Error::internal(error.to_string()))
}

/// Says in the log that a hash is computed.
fn count() {
    tracing::debug!(target: "roster::hash", "a hash is computed");
}

impl PasswordHash {
    /// Reads a hash; one that asks for more than bounded work is refused. Blanks and line breaks around it are no part
    /// of it.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(Unreadable::Unknown);
        }
        if let Some(rest) = text.strip_prefix('{') {
            let (scheme, rest) = rest.split_once('}').ok_or(Unreadable::Unknown)?;
            return ldap::read(scheme, rest);
        }
        let (name, rest) = text.split_once('$').ok_or(Unreadable::Unknown)?;
        if name.is_empty() { Self::read_modular(text) } else { django::read(name, rest) }
    }

    /// Reads a hash of the form `$name$...`: a PHC string, or one of crypt(3) and its relatives.
    fn read_modular(text: &str) -> Result<Self, Unreadable> {
        let (name, rest) = text.strip_prefix('$').and_then(|text| text.split_once('$')).ok_or(Unreadable::Unknown)?;
        match name {
            "argon2i" | "argon2d" | "argon2id" => phc::argon2(text),
            "scrypt" => phc::scrypt(text),
            "pbkdf2" | "pbkdf2-sha1" | "pbkdf2-sha256" | "pbkdf2-sha512" => pbkdf2::modular(name, rest),
            "2a" | "2b" | "2y" => bcrypt::plain(text),
            "wp" => bcrypt::wordpress(rest),
            "1" | "apr1" => crypt::md5(name, rest),
            "5" | "6" => crypt::sha(text),
            "y" => crypt::yescrypt(text),
            "P" | "H" => phpass::read(rest),
            _ => Err(Unreadable::Unknown),
        }
    }

    /// A hash that is nobody's and costs what ours do.
    ///
    /// # Errors
    /// None that could occur.
    pub fn dummy(key: &Key) -> Result<Self, Error> {
        Ok(Self::Argon2(Argon2Hash::dummy(ours(key)?.params().clone())))
    }

    /// Whether it is the hash of a secret. Compared in constant time.
    ///
    /// # Errors
    /// `Internal` where the system has no memory.
    pub fn is_of(&self, secret: &[u8], key: &Key) -> Result<bool, Error> {
        count();
        match self {
            Self::Argon2(hash) => hash.is_of(secret, key),
            Self::Scrypt(hash) => hash.is_of(secret),
            Self::Pbkdf2(hash) => Ok(hash.is_of(secret)),
            Self::Bcrypt(hash) => hash.is_of(secret),
            Self::ShaCrypt(hash) => Ok(hash.is_of(secret)),
            Self::Yescrypt(hash) => Ok(hash.is_of(secret)),
            Self::Md5Crypt(hash) => Ok(hash.is_of(secret)),
            Self::Phpass(hash) => Ok(hash.is_of(secret)),
            Self::Digest(hash) => Ok(hash.is_of(secret)),
        }
    }

    /// Whether a new hash would be made in the same way.
    pub fn is_current(&self, key: &Key) -> bool {
        matches!(self, Self::Argon2(hash) if hash.is_current(key))
    }

    /// The name of its family, if that is one whose hashes are guessed by the billion a second: those of a single digest,
    /// and those built of MD5. `None` for all others.
    pub fn weakness(&self) -> Option<&'static str> {
        match self {
            Self::Digest(hash) => Some(hash.family()),
            Self::Md5Crypt(_) => Some("MD5 crypt"),
            Self::Phpass(_) => Some("phpass (MD5)"),
            _ => None,
        }
    }
}

/// `Ok` if the work that a hash asks for is bounded.
fn bounded(is_bounded: bool) -> Result<(), Unreadable> {
    if is_bounded { Ok(()) } else { Err(Unreadable::TooMuch) }
}
