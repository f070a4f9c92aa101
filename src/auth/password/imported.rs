//! Password hashes of other systems, and what can be told of a stored hash without the secret.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::hash::PasswordHash;
use crate::auth::key_ring::ServerKeys;
use crate::auth::server_key::Key;

/// The part of a hash that tells that it was made with a server key; the key's ID follows.
pub const KEY_MARK: &str = ",keyid=";

/// A password hash of another system that can be verified at sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The hash as it is stored.
    pub hash: String,
    /// The name of its family, if that is a weak one.
    pub weakness: Option<&'static str>,
}

/// Parses a password hash of another system. `None` if it means that there is no password: an empty text, or one that begins
/// with `!` (Django, shadow) or `*` (shadow, `WordPress`), as no hash does.
///
/// # Errors
/// A message for users, which explains why the hash cannot be verified at sign-in: its format is unknown, it is damaged, or it
/// asks for unbounded work.
pub fn parse_imported(text: &str) -> Result<Option<Imported>, String> {
    let text = text.trim();
    if text.is_empty() || text.starts_with(['!', '*']) {
        return Ok(None);
    }
    let parsed = PasswordHash::parse(text).map_err(|error| error.message(text))?;
    Ok(Some(Imported { hash: text.to_owned(), weakness: parsed.weakness() }))
}

/// Returns the name of the family of a stored hash, if that is a weak one. Such a hash is replaced when its user signs in.
#[must_use]
pub fn weakness(hash: &str) -> Option<&'static str> {
    PasswordHash::parse(hash).ok()?.weakness()
}

/// Returns the number of weak hashes of each family as text; `None` if there are none.
#[must_use]
pub fn format_counts(families: &BTreeMap<&'static str, u64>) -> Option<String> {
    let counts: Vec<String> = families.iter().map(|(family, count)| format!("{count} {family}")).collect();
    (!counts.is_empty()).then(|| counts.join(", "))
}

/// Returns whether a hash was made by Roster with another server key than these. No secret matches it here.
#[must_use]
pub fn is_of_other_key(hash: &str, keys: &ServerKeys) -> bool {
    is_keyed(hash) && !keys.all().any(|key| hash.contains(&mark_of(key)))
}

/// Returns the part of a hash that tells that it was made with a key.
#[must_use]
pub fn mark_of(key: &Key) -> String {
    format!("{KEY_MARK}{}", STANDARD_NO_PAD.encode(key.id()))
}

/// Returns whether a hash was made by Roster, with the server key; hashes of other systems were not.
#[must_use]
pub fn is_keyed(hash: &str) -> bool {
    hash.contains(KEY_MARK)
}
