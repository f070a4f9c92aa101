//! Stored hashes: Roster's own, and those imported from other systems, with one file for each family. Computing a hash takes long.

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
use crate::auth::key_ring::ServerKeys;
use crate::auth::server_key::Key;
use crate::error::Error;

/// The most bytes of a hash's text.
const MAX_LENGTH: usize = 512;
/// The most memory that a hash may require, in KiB.
const MAX_MEMORY: u64 = 256 * 1024;
/// The most memory that all passes of a hash may go over together, in KiB: about one second of work.
const MAX_PASSED_OVER: u64 = 4 * MAX_MEMORY;
/// The most bytes of a salt.
const MAX_SALT_LENGTH: usize = 256;
/// The fewest bytes of a hash's output, as in the PHC string format; a shorter output could match by chance.
const SHORTEST_OUTPUT: usize = 10;

/// A parsed hash: how it is computed, and the result for the right secret.
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

/// Creates a new hash of a secret.
///
/// # Errors
/// `Internal` if the system provides no memory or no randomness.
pub fn create(key: &Key, secret: &[u8]) -> Result<String, Error> {
    log_computation();
    let hash = own_algorithm(key)?.hash_password(secret).map_err(|error| Error::internal(error.to_string()))?;
    Ok(hash.to_string())
}

/// Returns the algorithm of new hashes: OWASP's Argon2id with m=19456 KiB, t=2, p=1, which are the crate's defaults, with the
/// server key as Argon2's secret and the key's ID to mark it.
fn own_algorithm(key: &Key) -> Result<Argon2<'_>, Error> {
    let params = KeyId::new(&key.id()).and_then(|id| ParamsBuilder::new().keyid(id).build());
    let argon =
        params.and_then(|params| Argon2::new_with_secret(key.as_bytes(), Algorithm::Argon2id, Version::V0x13, params));
    argon.map_err(|error| Error::internal(error.to_string()))
}

/// Logs that a hash is computed.
fn log_computation() {
    tracing::debug!(target: "roster::hash", "a hash is computed");
}

impl PasswordHash {
    /// Parses a hash. A hash that asks for more than bounded work is refused. Whitespace and line breaks around it are ignored.
    ///
    /// # Errors
    /// The reason why it cannot be used.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let text = text.trim();
        if text.len() > MAX_LENGTH {
            return Err(Unreadable::Unknown);
        }
        if let Some(rest) = text.strip_prefix('{') {
            let (scheme, rest) = rest.split_once('}').ok_or(Unreadable::Unknown)?;
            return ldap::parse(scheme, rest);
        }
        let (name, rest) = text.split_once('$').ok_or(Unreadable::Unknown)?;
        if name.is_empty() { Self::parse_modular(text) } else { django::parse(name, rest) }
    }

    /// Parses a hash of the form `$name$...`: a PHC string, or one of crypt(3) and its relatives.
    fn parse_modular(text: &str) -> Result<Self, Unreadable> {
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
            "P" | "H" => phpass::parse(rest),
            _ => Err(Unreadable::Unknown),
        }
    }

    /// Returns a hash that matches no secret and costs as much as Roster's own.
    ///
    /// # Errors
    /// None occur in practice.
    pub fn dummy(key: &Key) -> Result<Self, Error> {
        Ok(Self::Argon2(Argon2Hash::dummy(own_algorithm(key)?.params().clone())))
    }

    /// Returns whether it is the hash of a secret. Compared in constant time.
    ///
    /// # Errors
    /// `Internal` if the system provides no memory.
    pub fn matches(&self, secret: &[u8], keys: &ServerKeys) -> Result<bool, Error> {
        log_computation();
        match self {
            Self::Argon2(hash) => hash.matches(secret, keys),
            Self::Scrypt(hash) => hash.matches(secret),
            Self::Pbkdf2(hash) => Ok(hash.matches(secret)),
            Self::Bcrypt(hash) => hash.matches(secret),
            Self::ShaCrypt(hash) => Ok(hash.matches(secret)),
            Self::Yescrypt(hash) => Ok(hash.matches(secret)),
            Self::Md5Crypt(hash) => Ok(hash.matches(secret)),
            Self::Phpass(hash) => Ok(hash.matches(secret)),
            Self::Digest(hash) => Ok(hash.matches(secret)),
        }
    }

    /// Returns whether a new hash would be made in the same way.
    pub fn is_current(&self, key: &Key) -> bool {
        matches!(self, Self::Argon2(hash) if hash.is_current(key))
    }

    /// Returns the name of its family, if hashes of that family can be guessed at a rate of billions per second: single
    /// digests, and families based on MD5. `None` for all others.
    pub fn weakness(&self) -> Option<&'static str> {
        match self {
            Self::Digest(hash) => Some(hash.family()),
            Self::Md5Crypt(_) => Some("MD5 crypt"),
            Self::Phpass(_) => Some("phpass (MD5)"),
            _ => None,
        }
    }
}

/// Returns `Ok` if the work that a hash asks for is bounded.
fn bounded(is_bounded: bool) -> Result<(), Unreadable> {
    if is_bounded { Ok(()) } else { Err(Unreadable::TooMuch) }
}
