//! Django hashes: the name of a hasher, `$`, and what that hasher writes.

use super::digest::{self, Algorithm};
use super::pbkdf2::{self, Digest};
use super::{PasswordHash, Unreadable, bcrypt, phc};

pub(super) fn parse(hasher: &str, rest: &str) -> Result<PasswordHash, Unreadable> {
    match hasher {
        "pbkdf2_sha256" => pbkdf2::django(Digest::Sha256, rest),
        "pbkdf2_sha1" => pbkdf2::django(Digest::Sha1, rest),
        "argon2" if rest.starts_with("argon2") => phc::argon2(&format!("${rest}")),
        "bcrypt" => bcrypt::plain(rest),
        "bcrypt_sha256" => bcrypt::django_sha256(rest),
        "scrypt" => phc::django_scrypt(rest),
        "md5" => digest::django(Algorithm::Md5, rest),
        "sha1" => digest::django(Algorithm::Sha1, rest),
        _ => Err(Unreadable::Unknown),
    }
}
