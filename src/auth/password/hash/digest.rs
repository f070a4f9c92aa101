//! Digest hashes: a single digest of a secret, with or without a salt. They are weak, because billions can be guessed per
//! second.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use super::encoding::{base64, fields, unhex};
use super::{MAX_SALT_LENGTH, PasswordHash, Unreadable, bounded};

pub struct SaltedDigest {
    algorithm: Algorithm,
    salt: Salt,
    output: Vec<u8>,
}

#[derive(Clone, Copy)]
pub(super) enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// The position of the salt.
enum Salt {
    None,
    Before(Vec<u8>),
    After(Vec<u8>),
}

impl Algorithm {
    /// Returns the number of bytes of the digest.
    fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn digest(self, parts: [&[u8]; 2]) -> Vec<u8> {
        match self {
            Self::Md5 => of::<Md5>(parts),
            Self::Sha1 => of::<Sha1>(parts),
            Self::Sha256 => of::<Sha256>(parts),
            Self::Sha384 => of::<Sha384>(parts),
            Self::Sha512 => of::<Sha512>(parts),
        }
    }
}

fn of<D: Digest>(parts: [&[u8]; 2]) -> Vec<u8> {
    parts.iter().fold(D::new(), sha2::Digest::chain_update).finalize().to_vec()
}

impl SaltedDigest {
    pub(super) fn matches(&self, secret: &[u8]) -> bool {
        let output = match &self.salt {
            Salt::None => self.algorithm.digest([secret, b""]),
            Salt::Before(salt) => self.algorithm.digest([salt, secret]),
            Salt::After(salt) => self.algorithm.digest([secret, salt]),
        };
        self.output.ct_eq(&output).into()
    }

    /// Returns the name of the algorithm, and whether it is salted.
    pub(super) fn family(&self) -> &'static str {
        match (self.algorithm, &self.salt) {
            (Algorithm::Md5, Salt::None) => "MD5",
            (Algorithm::Md5, _) => "salted MD5",
            (Algorithm::Sha1, Salt::None) => "SHA-1",
            (Algorithm::Sha1, _) => "salted SHA-1",
            (Algorithm::Sha256, Salt::None) => "SHA-256",
            (Algorithm::Sha256, _) => "salted SHA-256",
            (Algorithm::Sha384, Salt::None) => "SHA-384",
            (Algorithm::Sha384, _) => "salted SHA-384",
            (Algorithm::Sha512, Salt::None) => "SHA-512",
            (Algorithm::Sha512, _) => "salted SHA-512",
        }
    }
}

/// Parses `salt$hexadecimal`, with the salt before the secret; it may be empty.
pub(super) fn django(algorithm: Algorithm, rest: &str) -> Result<PasswordHash, Unreadable> {
    let [salt, output] = fields(rest)?;
    let output = unhex(output)?;
    if output.len() != algorithm.length() {
        return Err(Unreadable::Damaged);
    }
    let salt = if salt.is_empty() { Salt::None } else { Salt::Before(salt.as_bytes().to_vec()) };
    Ok(PasswordHash::Digest(SaltedDigest { algorithm, salt, output }))
}

/// Parses the base64 of the digest (RFC 2307).
pub(super) fn ldap(algorithm: Algorithm, rest: &str) -> Result<PasswordHash, Unreadable> {
    let output = base64(rest)?;
    if output.len() != algorithm.length() {
        return Err(Unreadable::Damaged);
    }
    Ok(PasswordHash::Digest(SaltedDigest { algorithm, salt: Salt::None, output }))
}

/// Parses the base64 of the digest and the salt, which comes after the secret.
pub(super) fn salted_ldap(algorithm: Algorithm, rest: &str) -> Result<PasswordHash, Unreadable> {
    let mut output = base64(rest)?;
    if output.len() <= algorithm.length() {
        return Err(Unreadable::Damaged);
    }
    let salt = output.split_off(algorithm.length());
    bounded(salt.len() <= MAX_SALT_LENGTH)?;
    Ok(PasswordHash::Digest(SaltedDigest { algorithm, salt: Salt::After(salt), output }))
}
