//! crypt(3) hashes: MD5 (`$1$`, and Apache's `$apr1$`), SHA-256 and SHA-512 (`$5$`, `$6$`), yescrypt (`$y$`).

use argon2::password_hash::PasswordVerifier;
use base64ct::{Base64ShaCrypt, Encoding};
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use super::encoding::{crypt_base64, fields, number};
use super::{MAX_MEMORY, PasswordHash, Unreadable, bounded};

/// The most bytes of a secret, as in libxcrypt; the work grows with them.
const MAX_SECRET_LENGTH: usize = 512;
/// The fewest rounds of `$5$` and `$6$`; no system writes fewer.
const FEWEST_ROUNDS: u32 = 1_000;
const MAX_ROUNDS: u32 = 1_000_000;
const MAX_SALT_LENGTH: usize = 16;
const LONGEST_MD5_SALT: usize = 8;
/// The length of yescrypt's parameters if only mode, N and r are given.
const YESCRYPT_PARAMETERS: usize = 3;

pub struct ShaCrypt(String);
pub struct Yescrypt(String);
pub struct Md5Crypt {
    magic: &'static str,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl ShaCrypt {
    pub(super) fn matches(&self, secret: &[u8]) -> bool {
        let (secret, is_whole) = bounded_secret(secret);
        sha_crypt::ShaCrypt::default().verify_password(secret, self.0.as_str()).is_ok() && is_whole
    }
}

impl Yescrypt {
    pub(super) fn matches(&self, secret: &[u8]) -> bool {
        let (secret, is_whole) = bounded_secret(secret);
        yescrypt::Yescrypt::default().verify_password(secret, self.0.as_str()).is_ok() && is_whole
    }
}

/// Returns the part of a secret that is hashed, and whether that is all of it.
pub(super) fn bounded_secret(secret: &[u8]) -> (&[u8], bool) {
    secret
        .get(..MAX_SECRET_LENGTH)
        .filter(|part| part.len() < secret.len())
        .map_or((secret, true), |part| (part, false))
}

/// Parses `$5$salt$output`, or `$5$rounds=N$salt$output`.
pub(super) fn sha(text: &str) -> Result<PasswordHash, Unreadable> {
    let (length, (rounds, salt, output)) = match text.split('$').collect::<Vec<_>>()[..] {
        ["", name, rounds, salt, output] => (sha_length(name), (Some(rounds), salt, output)),
        ["", name, salt, output] => (sha_length(name), (None, salt, output)),
        _ => return Err(Unreadable::Damaged),
    };
    let written = rounds.map(|rounds| rounds.strip_prefix("rounds=").and_then(number));
    let rounds: u32 = written.unwrap_or(Some(FEWEST_ROUNDS)).ok_or(Unreadable::Damaged)?;
    crypt_base64(output, length)?;
    let is_mcf = sha_crypt::PasswordHashRef::new(text).is_ok();
    if rounds < FEWEST_ROUNDS || salt.len() > MAX_SALT_LENGTH || !is_mcf {
        return Err(Unreadable::Damaged);
    }
    bounded(rounds <= MAX_ROUNDS)?;
    Ok(PasswordHash::ShaCrypt(ShaCrypt(text.to_owned())))
}

fn sha_length(name: &str) -> usize {
    if name == "5" { sha_crypt::BLOCK_SIZE_SHA256 } else { sha_crypt::BLOCK_SIZE_SHA512 }
}

/// Parses `$y$parameters$salt$output`, with the parameters that crypt(3) writes.
pub(super) fn yescrypt(text: &str) -> Result<PasswordHash, Unreadable> {
    let ["", _, parameters, salt, output] = fields(text)? else { return Err(Unreadable::Damaged) };
    let plain = parameters.len() == YESCRYPT_PARAMETERS && parameters.is_ascii();
    let parameters: yescrypt::Params =
        Some(parameters).filter(|_| plain).and_then(|text| text.parse().ok()).ok_or(Unreadable::Damaged)?;
    let memory = u128::from(parameters.n()) * u128::from(parameters.r()) * 128 / 1024;
    crypt_base64(output, sha_crypt::BLOCK_SIZE_SHA256)?;
    yescrypt::PasswordHashRef::new(text).map_err(|_| Unreadable::Damaged)?;
    Base64ShaCrypt::decode_vec(salt).map_err(|_| Unreadable::Damaged)?;
    bounded(memory <= u128::from(MAX_MEMORY))?;
    Ok(PasswordHash::Yescrypt(Yescrypt(text.to_owned())))
}

/// Parses `salt$output`, which follows `$1$` or `$apr1$`.
pub(super) fn md5(name: &str, rest: &str) -> Result<PasswordHash, Unreadable> {
    let [salt, output] = fields(rest)?;
    if salt.len() > LONGEST_MD5_SALT {
        return Err(Unreadable::Damaged);
    }
    let magic = if name == "1" { "$1$" } else { "$apr1$" };
    let output = crypt_base64(output, 16)?;
    Ok(PasswordHash::Md5Crypt(Md5Crypt { magic, salt: salt.as_bytes().to_vec(), output }))
}

impl Md5Crypt {
    pub(super) fn matches(&self, secret: &[u8]) -> bool {
        let (secret, is_whole) = bounded_secret(secret);
        // The order in which crypt(3) writes the bytes.
        let digest = self.digest(secret);
        let written = [12, 6, 0, 13, 7, 1, 14, 8, 2, 15, 9, 3, 5, 10, 4, 11];
        let output: Vec<u8> = written.iter().filter_map(|place| digest.get(*place).copied()).collect();
        let is_equal: bool = self.output.ct_eq(&output).into();
        is_equal && is_whole
    }

    /// Returns the digest by Poul-Henning Kamp's construction, as in FreeBSD's `crypt-md5.c`; no maintained crate provides it.
    fn digest(&self, secret: &[u8]) -> Vec<u8> {
        let salt = &self.salt;
        let inner = Md5::new().chain_update(secret).chain_update(salt).chain_update(secret).finalize();
        let mut digest = Md5::new().chain_update(secret).chain_update(self.magic).chain_update(salt);
        digest.update(inner.iter().cycle().take(secret.len()).copied().collect::<Vec<_>>());
        let mut bits = secret.len();
        while bits > 0 {
            let first = if bits & 1 == 1 { Some(&0) } else { secret.first() };
            digest.update(first.copied().as_slice());
            bits >>= 1;
        }
        let mut output = digest.finalize().to_vec();
        for round in 0..1_000 {
            let mut digest = Md5::new();
            digest.update(if round % 2 == 1 { secret } else { &output });
            if round % 3 != 0 {
                digest.update(salt);
            }
            if round % 7 != 0 {
                digest.update(secret);
            }
            digest.update(if round % 2 == 1 { &output } else { secret });
            output = digest.finalize().to_vec();
        }
        output
    }
}
