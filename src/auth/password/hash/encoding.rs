//! Encodings of hashes: fields, numbers, base64 and hexadecimal digits.

use std::str::FromStr;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64ct::{Base64ShaCrypt, Encoding};

use super::Unreadable;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Splits a text into exactly `N` fields separated by `$`.
pub(super) fn fields<const N: usize>(text: &str) -> Result<[&str; N], Unreadable> {
    text.split('$').collect::<Vec<_>>().try_into().map_err(|_| Unreadable::Damaged)
}

/// Parses a number that consists of decimal digits only.
pub(super) fn number<T: FromStr>(text: &str) -> Option<T> {
    Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).and_then(|text| text.parse().ok())
}

/// Decodes base64, padded or not, with `.` in place of `+` as passlib and `OpenLDAP` write it.
pub(super) fn base64(text: &str) -> Result<Vec<u8>, Unreadable> {
    BASE64.decode(text.replace('.', "+")).map_err(|_| Unreadable::Damaged)
}

/// Decodes the base64 of crypt(3), which has the lowest bits first.
pub(super) fn crypt_base64(text: &str, length: usize) -> Result<Vec<u8>, Unreadable> {
    Base64ShaCrypt::decode_vec(text).ok().filter(|bytes| bytes.len() == length).ok_or(Unreadable::Damaged)
}

/// Decodes hexadecimal digits.
pub(super) fn unhex(text: &str) -> Result<Vec<u8>, Unreadable> {
    hex::decode(text).map_err(|_| Unreadable::Damaged)
}
