//! phpass hashes in the portable format: `$P$` of `WordPress` before 6.8 and others, `$H$` of phpBB.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use super::crypt::bounded_secret;
use super::encoding::crypt_base64;
use super::{PasswordHash, Unreadable, bounded};

/// The digits of its base64, the lowest first.
const DIGITS: &str = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SALT: usize = 8;
/// The binary logarithms of the rounds that phpass allows, and of the most rounds that are computed.
const LOG_ROUNDS: std::ops::RangeInclusive<usize> = 7..=30;
const MAX_LOG_ROUNDS: usize = 20;

pub struct Phpass {
    rounds: u32,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Phpass {
    pub(super) fn matches(&self, secret: &[u8]) -> bool {
        let (secret, is_whole) = bounded_secret(secret);
        let first = Md5::new().chain_update(&self.salt).chain_update(secret).finalize();
        let again = |output, _| Md5::new().chain_update(output).chain_update(secret).finalize();
        let output = (0..self.rounds).fold(first, again);
        let is_equal: bool = self.output.ct_eq(&output).into();
        is_equal && is_whole
    }
}

/// Parses a digit for the logarithm of the rounds, eight characters of salt, and the output.
pub(super) fn parse(rest: &str) -> Result<PasswordHash, Unreadable> {
    let (log_rounds, rest) = rest.split_at_checked(1).ok_or(Unreadable::Damaged)?;
    let log_rounds = DIGITS.find(log_rounds).filter(|log| LOG_ROUNDS.contains(log)).ok_or(Unreadable::Damaged)?;
    let (salt, output) = rest.split_at_checked(SALT).ok_or(Unreadable::Damaged)?;
    let output = crypt_base64(output, 16)?;
    bounded(log_rounds <= MAX_LOG_ROUNDS)?;
    Ok(PasswordHash::Phpass(Phpass { rounds: 1 << log_rounds, salt: salt.as_bytes().to_vec(), output }))
}
