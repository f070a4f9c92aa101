//! bcrypt hashes, of the secret itself or of a digest of it.

use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha384};
use subtle::ConstantTimeEq;

use super::encoding::{fields, number};
use super::{PasswordHash, Unreadable, bounded};
use crate::error::Error;

const MIN_COST: u32 = 4;
const MAX_COST: u32 = 15;
/// The number of bytes of a secret that bcrypt uses, including a zero byte at the end if there is room for it.
const INPUT_LENGTH: usize = 72;
/// The number of bytes that bcrypt stores of its 24.
const OUTPUT_LENGTH: usize = 23;
const BASE64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));
/// The characters that PHP's `trim` removes, and therefore `WordPress` from every password.
const TRIMMED: &[char] = &[' ', '\t', '\n', '\r', '\0', '\u{b}'];

pub struct Bcrypt {
    input: Input,
    cost: u32,
    salt: [u8; 16],
    output: Vec<u8>,
}

/// The input of bcrypt.
enum Input {
    Secret,
    /// The hexadecimal digits of the secret's SHA-256, as in Django's `BCryptSHA256PasswordHasher`.
    Sha256,
    /// The base64 of the secret's HMAC-SHA-384, as in `WordPress` from 6.8 on.
    WordPress,
}

impl Bcrypt {
    pub(super) fn matches(&self, secret: &[u8]) -> Result<bool, Error> {
        let output = match self.input {
            Input::Secret => self.output(secret),
            Input::Sha256 => self.output(hex::encode(Sha256::digest(secret)).as_bytes()),
            Input::WordPress => self.output(wordpress_input(secret)?.as_bytes()),
        };
        Ok(self.output.ct_eq(&output).into())
    }

    fn output(&self, input: &[u8]) -> Vec<u8> {
        let taken: Vec<u8> = input.iter().copied().chain([0]).take(INPUT_LENGTH).collect();
        ::bcrypt::bcrypt(self.cost, self.salt, &taken).into_iter().take(OUTPUT_LENGTH).collect()
    }
}

fn wordpress_input(secret: &[u8]) -> Result<String, Error> {
    let text = String::from_utf8_lossy(secret);
    let mac = Hmac::<Sha384>::new_from_slice(b"wp-sha384").map_err(Error::internal)?;
    Ok(STANDARD.encode(mac.chain_update(text.trim_matches(TRIMMED)).finalize().into_bytes()))
}

/// Parses `$2b$12$`, followed by salt and output without a separator.
pub(super) fn plain(text: &str) -> Result<PasswordHash, Unreadable> {
    parse(text, Input::Secret)
}

/// Parses `$2b$12$...`, of a digest.
pub(super) fn django_sha256(text: &str) -> Result<PasswordHash, Unreadable> {
    parse(text, Input::Sha256)
}

/// Parses `2y$10$...`, which follows `$wp$`.
pub(super) fn wordpress(rest: &str) -> Result<PasswordHash, Unreadable> {
    parse(&format!("${rest}"), Input::WordPress)
}

fn parse(text: &str, input: Input) -> Result<PasswordHash, Unreadable> {
    let [before, version, cost, rest] = fields(text)?;
    let cost: u32 = number(cost).filter(|_| cost.len() == 2).ok_or(Unreadable::Damaged)?;
    let (salt, output) = rest.split_at_checked(22).ok_or(Unreadable::Damaged)?;
    let decoded = |text| BASE64.decode(text).map_err(|_| Unreadable::Damaged);
    let salt = decoded(salt)?.try_into().map_err(|_| Unreadable::Damaged)?;
    let output = decoded(output)?;
    let is_well_formed = before.is_empty() && matches!(version, "2a" | "2b" | "2y") && cost >= MIN_COST;
    if !is_well_formed || output.len() != OUTPUT_LENGTH {
        return Err(Unreadable::Damaged);
    }
    bounded(cost <= MAX_COST)?;
    Ok(PasswordHash::Bcrypt(Bcrypt { input, cost, salt, output }))
}
