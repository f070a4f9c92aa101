//! Errors of hashes that cannot be used, with messages that do not show the hash.

/// The reason why a hash cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Its format is unknown.
    Unknown,
    /// Its format is known, but it does not follow that format.
    Damaged,
    /// It asks for more work than is allowed.
    TooMuch,
}

const EXPECTED: &str = "expected a PHC string (Argon2, scrypt, PBKDF2), bcrypt, crypt ($1$, $5$, $6$, $y$), phpass \
                        ($P$), WordPress ($wp$), Django's, or an LDAP scheme such as {SSHA} or {PBKDF2-SHA256}";
const LIMITS: &str = "at most 256 MiB of memory, 5,000,000 iterations (1,000,000 for $5$ and $6$), a bcrypt cost of 15, a \
                    salt of 256 bytes";
/// The most characters of a prefix that is shown.
const MAX_PREFIX_LENGTH: usize = 20;
/// The fewest characters of a text of unknown format of which a part is shown.
const SHORTEST_HASH: usize = 20;

impl Unreadable {
    /// Returns a message for users: what is wrong with a hash, its format but nothing more of it, and what is expected.
    #[must_use]
    pub fn message(self, text: &str) -> String {
        // A short text of unknown format may be a password.
        let shortest = if self == Self::Unknown { SHORTEST_HASH } else { 0 };
        let format = prefix(text)
            .filter(|_| text.trim().len() >= shortest)
            .map_or_else(|| "without a prefix".to_owned(), |prefix| format!("\"{prefix}\""));
        match self {
            Self::Unknown => format!("a password hash of an unknown format ({format}); {EXPECTED}"),
            Self::Damaged => format!("a damaged password hash ({format}): it does not follow its format"),
            Self::TooMuch => format!("a password hash that takes too much work ({format}); {LIMITS}"),
        }
    }
}

/// Returns the part of a hash that names its format.
fn prefix(text: &str) -> Option<&str> {
    let text = text.trim();
    let (open, close) = match text.chars().next()? {
        '{' => (1, '}'),
        '$' => (1, '$'),
        _ => (0, '$'),
    };
    let name = text.get(open..)?.split_once(close)?.0;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let shown = is_name && !name.is_empty() && name.len() <= MAX_PREFIX_LENGTH;
    text.get(..open + name.len() + 1).filter(|_| shown)
}
