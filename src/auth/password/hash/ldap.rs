//! LDAP hashes, prefixed by a scheme (RFC 2307), as `OpenLDAP`, 389 Directory Server, Dovecot and others write them.

use super::digest::{Algorithm, ldap, salted_ldap};
use super::pbkdf2::{self, Digest};
use super::{PasswordHash, Unreadable};

/// The most characters of a scheme's name.
const MAX_SCHEME_LENGTH: usize = 20;

/// Parses the text after a scheme. The scheme's name may be in any case, with `-`, `_` or neither.
pub(super) fn parse(scheme: &str, rest: &str) -> Result<PasswordHash, Unreadable> {
    if scheme.len() > MAX_SCHEME_LENGTH {
        return Err(Unreadable::Unknown);
    }
    let scheme: String = scheme.to_ascii_uppercase().chars().filter(|c| !matches!(c, '-' | '_')).collect();
    match scheme.as_str() {
        "MD5" => ldap(Algorithm::Md5, rest),
        "SHA" | "SHA1" => ldap(Algorithm::Sha1, rest),
        "SHA256" => ldap(Algorithm::Sha256, rest),
        "SHA384" => ldap(Algorithm::Sha384, rest),
        "SHA512" => ldap(Algorithm::Sha512, rest),
        "SMD5" => salted_ldap(Algorithm::Md5, rest),
        "SSHA" | "SSHA1" => salted_ldap(Algorithm::Sha1, rest),
        "SSHA256" => salted_ldap(Algorithm::Sha256, rest),
        "SSHA384" => salted_ldap(Algorithm::Sha384, rest),
        "SSHA512" => salted_ldap(Algorithm::Sha512, rest),
        "PBKDF2" | "PBKDF2SHA1" => pbkdf2::ldap(Digest::Sha1, rest),
        "PBKDF2SHA256" => pbkdf2::ldap(Digest::Sha256, rest),
        "PBKDF2SHA512" => pbkdf2::ldap(Digest::Sha512, rest),
        "ARGON2" | "ARGON2I" | "ARGON2D" | "ARGON2ID" | "BCRYPT" | "BLFCRYPT" | "CRYPT" | "CRYPTMD5"
        | "CRYPTSHA256" | "CRYPTSHA512" | "MD5CRYPT" | "SHA256CRYPT" | "SHA512CRYPT" => {
            PasswordHash::parse_modular(rest)
        }
        _ => Err(Unreadable::Unknown),
    }
}
