//! Passwords and PINs: the rules for new passwords, and hashing on separate threads, so that a flood of sign-ins does not slow
//! down other requests.

mod hash;
mod normal;
mod pool;
mod strength;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::hash::PasswordHash;
pub use self::normal::normalize;
use self::pool::Pool;
use crate::auth::server_key::Key;
use crate::background;
use crate::error::{Error, ErrorCode};
use crate::scalar::Id;
use crate::share::{Share, ShareLimits, Shares};
use crate::validation::Validator;

/// The default for the fewest characters of a password.
pub const SHORTEST: u8 = 12;
/// The most characters of a password.
pub const MAX_PASSWORD_LENGTH: usize = 128;
/// The most bytes of a secret that is hashed. No stored secret is longer.
const MAX_SECRET_LENGTH: usize = 4096;
/// The most hashes that are computed or waiting, before the next is refused. Each of Roster's own takes 19 MiB and one core for
/// about 20 ms.
const ADMITTED: usize = 18;
/// The most of them for one signed-in user, so that no user fills the queue alone; further ones of the same user wait for
/// these.
const OF_ONE_USER: ShareLimits = ShareLimits { at_once: 4, waiting: 60, patience: Duration::from_secs(10) };

/// Returns the number of hashes that are computed at once.
fn at_once() -> usize {
    background::threads().min(ADMITTED)
}

/// Computes and verifies the hashes of passwords and PINs, a few at a time; cheap to clone.
#[derive(Clone)]
pub struct Hasher {
    key: Arc<Key>,
    shortest: usize,
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    of_users: Shares<Id>,
    pool: Arc<OnceLock<Pool>>,
}

/// A permit to compute one hash. It is reserved until it is used or dropped, so that the work before the hash, such as counting
/// the attempt, is done for no more attempts at once than hashes are computed.
pub struct HashPermit {
    hasher: Hasher,
    permits: (OwnedSemaphorePermit, OwnedSemaphorePermit, Option<Share<Id>>),
}

/// The result of verifying a secret against a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// The secret is a different one, or there is no usable hash.
    Wrong,
    /// The secret is the one that was hashed.
    Right,
    /// The secret is the one that was hashed, but a new hash would be made differently.
    Outdated,
}

impl Hasher {
    /// Creates a hasher with a key, which accepts new passwords of at least `shortest` characters.
    #[must_use]
    pub fn new(key: Key, shortest: usize) -> Self {
        Self {
            key: Arc::new(key),
            shortest,
            running: Arc::new(Semaphore::new(at_once())),
            admitted: Arc::new(Semaphore::new(ADMITTED)),
            of_users: Shares::new(OF_ONE_USER),
            pool: Arc::default(),
        }
    }

    /// Returns the key that goes into every hash.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Returns the fewest characters of a new password.
    #[must_use]
    pub fn shortest(&self) -> usize {
        self.shortest
    }

    /// Waits for a permit, on behalf of a user if one is signed in.
    ///
    /// # Errors
    /// `RateLimited`: at once if too many are waiting already, or after a timeout if the user has too many under way.
    pub async fn turn(&self, user: Option<Id>) -> Result<HashPermit, Error> {
        let refuse = |why: &str| Error::RateLimited(format!("Too many {why}; try again in a few seconds."));
        let share = match user {
            Some(user) => {
                let share = self.of_users.take(user).await;
                Some(share.ok_or_else(|| refuse("of your requests are setting or checking a password or PIN"))?)
            }
            None => None,
        };
        let admitted = Arc::clone(&self.admitted).try_acquire_owned();
        let admitted = admitted.map_err(|_| refuse("users are signing in at the moment"))?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(Error::internal)?;
        Ok(HashPermit { hasher: self.clone(), permits: (running, admitted, share) })
    }

    /// Returns the threads, which start with the first hash.
    fn pool(&self) -> Result<&Pool, Error> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let pool = Pool::start(at_once()).map_err(Error::internal)?;
        Ok(self.pool.get_or_init(|| pool))
    }

    /// Returns the hash of a normalized password, or of a PIN, as a PHC string, computed on behalf of a user if one is signed
    /// in.
    ///
    /// # Errors
    /// As [`Hasher::turn`].
    pub async fn hash(&self, secret: String, user: Option<Id>) -> Result<String, Error> {
        self.turn(user).await?.hash(secret).await
    }

    /// Returns a value that only the server key links to a text.
    #[must_use]
    pub fn pseudonymize(&self, text: &str) -> [u8; 32] {
        Sha256::new()
            .chain_update("roster login")
            .chain_update(self.key.as_bytes())
            .chain_update(text)
            .finalize()
            .into()
    }

    /// Checks the length and the characters of a new password; adds errors to the form. Returns whether they are valid.
    pub fn check_form(&self, form: &mut Validator, field: &'static str, password: &str) -> bool {
        let password = normalize(password);
        let has_controls = password.chars().any(char::is_control);
        if has_controls {
            form.fault(field, ErrorCode::Invalid, "Line breaks and control characters are not allowed.");
        }
        let length = password.chars().count();
        if length < self.shortest {
            form.fault(field, ErrorCode::TooShort, format!("Must be at least {} characters.", self.shortest));
        }
        if length > MAX_PASSWORD_LENGTH {
            form.fault(field, ErrorCode::TooLong, format!("Must be at most {MAX_PASSWORD_LENGTH} characters."));
        }
        !has_controls && (self.shortest..=MAX_PASSWORD_LENGTH).contains(&length)
    }

    /// Checks a new password on behalf of a user, if one is signed in: neither too short nor too long, and hard to guess
    /// (zxcvbn score of at least 3) even with the `known` words, such as the user's names and addresses. Adds errors to the
    /// form. The strength is computed on the hashing threads, and waits for a permit as hashes do.
    ///
    /// # Errors
    /// As [`Hasher::turn`].
    pub async fn check(
        &self,
        form: &mut Validator,
        (field, password): (&'static str, &str),
        known: &[&str],
        user: Option<Id>,
    ) -> Result<(), Error> {
        if !self.check_form(form, field, password) {
            return Ok(());
        }
        let known = known.iter().map(|word| (*word).to_owned()).collect();
        if !self.turn(user).await?.check_strength(normalize(password), known).await? {
            form.fault(field, ErrorCode::Invalid, "This password is too easy to guess; use several unrelated words.");
        }
        Ok(())
    }
}

impl HashPermit {
    /// Verifies a password against a hash, in its normal form or in one that another program may have hashed. Without a hash
    /// the same work is done, so that the time does not reveal whether there is an account.
    ///
    /// # Errors
    /// `Internal` if the hash cannot be computed.
    pub async fn verify(self, password: String, hash: Option<String>) -> Result<Verification, Error> {
        self.run(move |key| verify(key, &normal::forms(&password), hash.as_deref())).await
    }

    /// Verifies a PIN against a hash, as [`HashPermit::verify`], but only in the form in which it was given.
    ///
    /// # Errors
    /// `Internal` if the hash cannot be computed.
    pub async fn verify_pin(self, pin: String, hash: Option<String>) -> Result<Verification, Error> {
        self.run(move |key| verify(key, &normal::only(pin), hash.as_deref())).await
    }

    async fn hash(self, secret: String) -> Result<String, Error> {
        self.run(move |key| hash::make(key, normalize(&secret).as_bytes())).await
    }

    async fn check_strength(self, password: String, known: Vec<String>) -> Result<bool, Error> {
        self.run(move |_| {
            tracing::debug!(target: "roster::hash", "a strength is computed");
            Ok(strength::is_strong(&password, &known))
        })
        .await
    }

    /// Runs one job on the threads.
    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce(&Key) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let Self { hasher, permits } = self;
        let key = Arc::clone(&hasher.key);
        let job = move || {
            let result = work(&key);
            // Not earlier: if the client disconnects, its hash is still being computed.
            drop(permits);
            result
        };
        hasher.pool()?.run(job).await
    }
}

/// A password hash of another system that can be verified at sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The hash as it is stored.
    pub hash: String,
    /// The name of its family, if that is a weak one.
    pub weakness: Option<&'static str>,
}

/// Reads a password hash of another system. `None` if it means that there is no password: an empty text, or one that begins
/// with `!` (Django, shadow) or `*` (shadow, `WordPress`), as no hash does.
///
/// # Errors
/// A message for users, which explains why the hash cannot be verified at sign-in: its format is unknown, it is damaged, or it
/// asks for unbounded work.
pub fn read_imported(text: &str) -> Result<Option<Imported>, String> {
    let text = text.trim();
    if text.is_empty() || text.starts_with(['!', '*']) {
        return Ok(None);
    }
    let read = PasswordHash::read(text).map_err(|fault| fault.message(text))?;
    Ok(Some(Imported { hash: text.to_owned(), weakness: read.weakness() }))
}

/// Returns the name of the family of a stored hash, if that is a weak one. Such a hash is replaced when its user signs in.
#[must_use]
pub fn weakness(hash: &str) -> Option<&'static str> {
    PasswordHash::read(hash).ok()?.weakness()
}

/// Returns the number of weak hashes of each family as text; `None` if there are none.
#[must_use]
pub fn counted(families: &BTreeMap<&'static str, u64>) -> Option<String> {
    let counts: Vec<String> = families.iter().map(|(family, count)| format!("{count} {family}")).collect();
    (!counts.is_empty()).then(|| counts.join(", "))
}

/// Returns whether a hash was made by Roster, with the server key; hashes of other systems were not.
#[must_use]
pub fn is_keyed(hash: &str) -> bool {
    hash.contains(",keyid=")
}

/// Computes one hash for each form of a wrong secret, whatever is wrong; one for a secret that is too long to have any form.
fn verify(key: &Key, forms: &[String], hash: Option<&str>) -> Result<Verification, Error> {
    let nobodys = [String::new()];
    let (forms, hash) = if forms.is_empty() { (&nobodys[..], None) } else { (forms, hash) };
    let stored = match hash.map(|hash| PasswordHash::read(hash).map_err(|fault| fault.message(hash))) {
        Some(Ok(stored)) => stored,
        Some(Err(fault)) => {
            tracing::warn!(fault, "a stored password hash cannot be used");
            PasswordHash::dummy(key)?
        }
        None => PasswordHash::dummy(key)?,
    };
    for (place, form) in forms.iter().enumerate() {
        if stored.is_of(form.as_bytes(), key)? {
            // The first form is the one that is hashed today.
            let is_current = place == 0 && stored.is_current(key);
            return Ok(if is_current { Verification::Right } else { Verification::Outdated });
        }
    }
    Ok(Verification::Wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher() -> Hasher {
        Hasher::new(Key::from([7; 32]), SHORTEST.into())
    }

    #[tokio::test]
    async fn a_secret_is_right_outdated_or_wrong() {
        let hasher = hasher();
        let ours = hasher.hash("0042".to_owned(), None).await.unwrap();
        let foreign = "$argon2id$v=19$m=512,t=2,p=2$c2Vhc2FsdC1zZWFzYWx0$vo5DkMQ9RF0RzwRFjuauSrIwWw3B8d1L/HE5BJpnXSI";
        let greedy = foreign.replace("m=512", "m=262145");
        let long = "x".repeat(MAX_SECRET_LENGTH + 1);
        let of_long = hasher.hash(long.clone(), None).await.unwrap();
        let cases = [
            ("0042", Some(ours.as_str()), Verification::Right),
            ("42", Some(&ours), Verification::Wrong),
            ("l\u{e8}tmein", Some(foreign), Verification::Outdated),
            ("letmein", Some(foreign), Verification::Wrong),
            ("l\u{e8}tmein", Some(&greedy), Verification::Wrong),
            ("0042", Some("0042"), Verification::Wrong),
            ("0042", None, Verification::Wrong),
            ("", None, Verification::Wrong),
            (&long, Some(&of_long), Verification::Wrong),
        ];
        for (secret, hash, expected) in cases {
            let turn = hasher.turn(None).await.unwrap();
            let verdict = turn.verify(secret.to_owned(), hash.map(str::to_owned)).await.unwrap();
            assert_eq!(verdict, expected, "{secret:.9} {hash:?}");
        }
    }

    #[tokio::test]
    async fn of_too_many_at_once_some_are_refused() {
        let hasher = hasher();
        let all = (0..ADMITTED + 3).map(|_| hasher.hash(String::new(), None));
        let done = futures_util::future::join_all(all).await;
        let refused = done.iter().filter(|hash| matches!(hash, Err(Error::RateLimited(_)))).count();
        assert_eq!(refused, 3);
    }

    #[tokio::test]
    async fn one_user_waits_for_their_own_and_leaves_room_for_others() {
        let hasher = hasher();
        let (ada, bob) = (Id::new(), Id::new());
        let all = (0..ADMITTED + 3).map(|_| hasher.hash(String::new(), Some(ada)));
        let (done, other) = tokio::join!(futures_util::future::join_all(all), hasher.hash(String::new(), Some(bob)));
        assert!(done.iter().all(Result::is_ok) && other.is_ok());
    }

    #[tokio::test]
    async fn a_password_has_the_length_that_is_set() {
        let faults = async |shortest: usize, password: &str| {
            let mut form = Validator::creating();
            let hasher = Hasher::new(Key::from([7; 32]), shortest);
            hasher.check(&mut form, ("password", password), &[], None).await.unwrap();
            form.has_faults()
        };
        assert!(faults(12, "zyG4!wq3x").await && !faults(8, "zyG4!wq3x").await);
        assert!(faults(20, "seven-brass-otters").await && !faults(18, "seven-brass-otters").await);
    }
}
