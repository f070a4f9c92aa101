//! PBKDF2 hashes in every notation: PHC strings and those of passlib, Django, `OpenLDAP` and 389 Directory Server.

use ::pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::encoding::{base64, fields, number};
use super::{MAX_SALT_LENGTH, PasswordHash, SHORTEST_OUTPUT, Unreadable, bounded};

/// The most iterations, of all blocks of the output together.
const MAX_ITERATIONS: u64 = 5_000_000;
/// The lengths of the parts that 389 Directory Server packs into one base64 text: the iterations as a big-endian number, the
/// salt, the output.
const PACKED_ITERATIONS: usize = 4;
const PACKED_SALT: usize = 64;
const PACKED_OUTPUT: usize = 256;

pub struct Pbkdf2 {
    digest: Digest,
    rounds: u32,
    salt: Vec<u8>,
    output: Vec<u8>,
}

#[derive(Clone, Copy)]
pub(super) enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl Digest {
    /// Returns the number of bytes of the digest.
    fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl Pbkdf2 {
    pub(super) fn matches(&self, secret: &[u8]) -> bool {
        let mut output = vec![0; self.output.len()];
        let compute = match self.digest {
            Digest::Sha1 => pbkdf2_hmac::<Sha1>,
            Digest::Sha256 => pbkdf2_hmac::<Sha256>,
            Digest::Sha512 => pbkdf2_hmac::<Sha512>,
        };
        compute(secret, &self.salt, self.rounds, &mut output);
        self.output.ct_eq(&output).into()
    }
}

/// Parses `i=iterations,l=length$salt$output` of a PHC string, or `iterations$salt$output` of passlib.
pub(super) fn modular(name: &str, rest: &str) -> Result<PasswordHash, Unreadable> {
    let [parameters, salt, output] = fields(rest)?;
    let output = base64(output)?;
    let digest = match name {
        "pbkdf2-sha512" => Digest::Sha512,
        "pbkdf2-sha256" => Digest::Sha256,
        _ => Digest::Sha1,
    };
    let (mut rounds, mut length) = (number(parameters), None);
    if parameters.contains('=') {
        for parameter in parameters.split(',') {
            match parameter.split_once('=') {
                Some(("i", value)) if rounds.is_none() => rounds = number(value),
                Some(("l", value)) if length.is_none() => length = number(value),
                _ => return Err(Unreadable::Damaged),
            }
        }
    }
    if length.is_some_and(|length: usize| length != output.len()) {
        return Err(Unreadable::Damaged);
    }
    checked(digest, rounds, base64(salt)?, output)
}

/// Parses `iterations$salt$output`, with the salt as plain text.
pub(super) fn django(digest: Digest, rest: &str) -> Result<PasswordHash, Unreadable> {
    let [rounds, salt, output] = fields(rest)?;
    let output = Some(base64(output)?).filter(|output| output.len() == digest.length()).ok_or(Unreadable::Damaged)?;
    checked(digest, number(rounds), salt.as_bytes().to_vec(), output)
}

/// Parses `iterations$salt$output` of `OpenLDAP`, or the packed form of 389 Directory Server.
pub(super) fn ldap(digest: Digest, rest: &str) -> Result<PasswordHash, Unreadable> {
    if rest.contains('$') {
        let [rounds, salt, output] = fields(rest)?;
        return checked(digest, number(rounds), base64(salt)?, base64(output)?);
    }
    let packed = base64(rest)?;
    let (rounds, rest) = packed.split_first_chunk::<PACKED_ITERATIONS>().ok_or(Unreadable::Damaged)?;
    let (salt, output) = rest.split_at_checked(PACKED_SALT).ok_or(Unreadable::Damaged)?;
    if output.len() != PACKED_OUTPUT {
        return Err(Unreadable::Damaged);
    }
    checked(digest, Some(u32::from_be_bytes(*rounds)), salt.to_vec(), output.to_vec())
}

fn checked(digest: Digest, rounds: Option<u32>, salt: Vec<u8>, output: Vec<u8>) -> Result<PasswordHash, Unreadable> {
    let rounds = rounds.filter(|rounds| *rounds > 0 && output.len() >= SHORTEST_OUTPUT).ok_or(Unreadable::Damaged)?;
    let blocks = output.len().div_ceil(digest.length()) as u64;
    bounded(u64::from(rounds) * blocks <= MAX_ITERATIONS && salt.len() <= MAX_SALT_LENGTH)?;
    Ok(PasswordHash::Pbkdf2(Pbkdf2 { digest, rounds, salt, output }))
}
