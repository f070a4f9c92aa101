//! Passwords and PINs: the rules for new passwords, and hashing on separate threads, so that a flood of sign-ins does not slow
//! down other requests.

mod hash;
mod imported;
mod metrics;
mod normal;
mod pool;
mod pseudonym;
mod strength;

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::hash::PasswordHash;
pub use self::imported::{
    Imported, KEY_MARK, format_counts, is_keyed, is_of_other_key, mark_of, parse_imported, weakness,
};
pub use self::metrics::{HashLoad, HashMetrics};
pub use self::normal::normalize;
use self::pool::Pool;
pub use self::pseudonym::ReferenceHash;
use crate::auth::key_ring::{KeyRing, ServerKeys};
use crate::background;
use crate::error::{Error, ErrorCode};
use crate::scalar::Id;
use crate::share::{Share, ShareLimits, Shares};
use crate::trace;
use crate::validation::Validator;

/// The default for the fewest characters of a password.
pub const DEFAULT_MIN_LENGTH: u8 = 12;
/// The most characters of a password.
pub const MAX_PASSWORD_LENGTH: usize = 128;
/// The most bytes of a secret that is hashed. No stored secret is longer.
const MAX_SECRET_LENGTH: usize = 4096;
/// The most hashes that are computed or waiting, before the next is refused. Each of Roster's own takes 19 MiB and one core for
/// about 20 ms.
const MAX_ADMITTED: usize = 18;
/// The most of them for one signed-in user, so that no user fills the queue alone; further ones of the same user wait for
/// these.
const LIMITS_OF_A_USER: ShareLimits =
    ShareLimits { at_once: 4, waiting: 60, max_wait: Duration::from_secs(10), rest: 0 };

/// Returns the number of hashes that are computed at once.
fn thread_count() -> usize {
    background::threads().min(MAX_ADMITTED)
}

/// Computes and verifies the hashes of passwords and PINs, a few at a time; cheap to clone.
#[derive(Clone)]
pub struct Hasher {
    keys: KeyRing,
    min_length: usize,
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    user_shares: Shares<Id>,
    pool: Arc<OnceLock<Pool>>,
    metrics: HashMetrics,
}

/// A permit to compute one hash. It is reserved until it is used or dropped, so that the work before the hash, such as counting
/// the attempt, is done for no more attempts at once than hashes are computed.
pub struct HashPermit {
    hasher: Hasher,
    permits: Permits,
}

/// The permits of one hash, released together when it is computed.
struct Permits {
    _running: OwnedSemaphorePermit,
    _admitted: OwnedSemaphorePermit,
    _share: Option<Share<Id>>,
}

/// A new password to be checked.
#[derive(Clone, Copy)]
pub struct PasswordCandidate<'a> {
    /// The input field of the password, for errors.
    pub field: &'static str,
    pub password: &'a str,
    /// Words that make a password easy to guess, such as the user's names and addresses.
    pub known_words: &'a [&'a str],
    /// The signed-in user, if any, whose share of the hashing threads is used.
    pub on_behalf_of: Option<Id>,
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
    /// Creates a hasher with server keys, which accepts new passwords of at least `min_length` characters.
    #[must_use]
    pub fn new(keys: impl Into<KeyRing>, min_length: usize) -> Self {
        Self {
            keys: keys.into(),
            min_length,
            running: Arc::new(Semaphore::new(thread_count())),
            admitted: Arc::new(Semaphore::new(MAX_ADMITTED)),
            user_shares: Shares::new(LIMITS_OF_A_USER),
            pool: Arc::default(),
            metrics: HashMetrics::default(),
        }
    }

    /// Returns the server keys that are in use now.
    #[must_use]
    pub fn keys(&self) -> Arc<ServerKeys> {
        self.keys.keys()
    }

    /// Returns the server keys, as they change while a key is being replaced.
    #[must_use]
    pub const fn key_ring(&self) -> &KeyRing {
        &self.keys
    }

    /// Returns the fewest characters of a new password.
    #[must_use]
    pub fn min_length(&self) -> usize {
        self.min_length
    }

    /// Waits for a permit, on behalf of a user if one is signed in.
    ///
    /// # Errors
    /// `RateLimited`: at once if too many are waiting already, or after a timeout if the user has too many under way.
    pub async fn acquire_permit(&self, user_id: Option<Id>) -> Result<HashPermit, Error> {
        let begun = Instant::now();
        let rate_limited = |why: &str| {
            self.metrics.refused();
            Error::RateLimited(format!("Too many {why}; try again in a few seconds."))
        };
        let share = match user_id {
            Some(user_id) => {
                let share = self.user_shares.take(user_id).await;
                Some(share.ok_or_else(|| rate_limited("of your requests are setting or checking a password or PIN"))?)
            }
            None => None,
        };
        let admitted = Arc::clone(&self.admitted).try_acquire_owned();
        let admitted = admitted.map_err(|_| rate_limited("users are signing in at the moment"))?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(Error::internal)?;
        self.metrics.waited(begun.elapsed());
        let permits = Permits { _running: running, _admitted: admitted, _share: share };
        Ok(HashPermit { hasher: self.clone(), permits })
    }

    /// Returns the threads, which start with the first hash.
    fn pool(&self) -> Result<&Pool, Error> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let pool = Pool::start(thread_count()).map_err(Error::internal)?;
        Ok(self.pool.get_or_init(|| pool))
    }

    /// Returns the hash of a normalized password, or of a PIN, as a PHC string, computed on behalf of a user if one is signed
    /// in.
    ///
    /// # Errors
    /// As [`Hasher::acquire_permit`].
    pub async fn hash(&self, secret: String, user_id: Option<Id>) -> Result<String, Error> {
        self.acquire_permit(user_id).await?.hash(secret).await
    }

    /// Checks the length and the characters of a new password; adds errors to the validator. Returns whether they are valid.
    pub fn check_format(&self, validator: &mut Validator, field: &'static str, password: &str) -> bool {
        let password = normalize(password);
        let has_controls = password.chars().any(char::is_control);
        if has_controls {
            validator.add_error(field, ErrorCode::Invalid, "Line breaks and control characters are not allowed.");
        }
        let length = password.chars().count();
        if length < self.min_length {
            let message = format!("Must be at least {} characters.", self.min_length);
            validator.add_error(field, ErrorCode::TooShort, message);
        }
        if length > MAX_PASSWORD_LENGTH {
            validator.add_error(
                field,
                ErrorCode::TooLong,
                format!("Must be at most {MAX_PASSWORD_LENGTH} characters."),
            );
        }
        !has_controls && (self.min_length..=MAX_PASSWORD_LENGTH).contains(&length)
    }

    /// Checks a new password: neither too short nor too long, and hard to guess (zxcvbn score of at least 3) even with the
    /// known words. Adds errors to the validator. The strength is computed on the hashing threads, and waits for a permit as
    /// hashes do.
    ///
    /// # Errors
    /// As [`Hasher::acquire_permit`].
    pub async fn check(&self, validator: &mut Validator, candidate: PasswordCandidate<'_>) -> Result<(), Error> {
        let PasswordCandidate { field, password, known_words, on_behalf_of } = candidate;
        if !self.check_format(validator, field, password) {
            return Ok(());
        }
        let known_words = known_words.iter().map(|word| (*word).to_owned()).collect();
        if !self.acquire_permit(on_behalf_of).await?.check_strength(normalize(password), known_words).await? {
            validator.add_error(
                field,
                ErrorCode::Invalid,
                "This password is too easy to guess; use several unrelated words.",
            );
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
        self.run(move |keys| verify(keys, &normal::forms(&password), hash.as_deref())).await
    }

    /// Verifies a PIN against a hash, as [`HashPermit::verify`], but only in the form in which it was given.
    ///
    /// # Errors
    /// `Internal` if the hash cannot be computed.
    pub async fn verify_pin(self, pin: String, hash: Option<String>) -> Result<Verification, Error> {
        self.run(move |keys| verify(keys, &normal::single_form(pin), hash.as_deref())).await
    }

    async fn hash(self, secret: String) -> Result<String, Error> {
        self.run(move |keys| hash::create(keys.current(), normalize(&secret).as_bytes())).await
    }

    async fn check_strength(self, password: String, known_words: Vec<String>) -> Result<bool, Error> {
        self.run(move |_| {
            tracing::debug!(target: "roster::hash", "a strength is computed");
            Ok(strength::is_strong(&password, &known_words))
        })
        .await
    }

    /// Runs one job on the hashing threads.
    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce(&ServerKeys) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let Self { hasher, permits } = self;
        let (keys, metrics) = (hasher.keys(), hasher.metrics.clone());
        let job = move || {
            let begun = Instant::now();
            let result = work(&keys);
            let elapsed = begun.elapsed();
            metrics.computed(elapsed);
            // Not earlier: if the client disconnects, its hash is still being computed.
            drop(permits);
            Ok((result, elapsed))
        };
        let (result, elapsed) = hasher.pool()?.run(job).await?;
        trace::record_hash(elapsed);
        result
    }
}

/// Computes one hash for each form of a wrong secret, whatever is wrong; one for a secret that is too long to have any form.
fn verify(keys: &ServerKeys, forms: &[String], hash: Option<&str>) -> Result<Verification, Error> {
    let placeholder = [String::new()];
    let (forms, hash) = if forms.is_empty() { (&placeholder[..], None) } else { (forms, hash) };
    let stored = match hash.map(|hash| PasswordHash::parse(hash).map_err(|error| error.message(hash))) {
        Some(Ok(stored)) => stored,
        Some(Err(error)) => {
            tracing::warn!(error, "a stored password hash cannot be used");
            PasswordHash::dummy(keys.current())?
        }
        None => PasswordHash::dummy(keys.current())?,
    };
    for (index, form) in forms.iter().enumerate() {
        if stored.matches(form.as_bytes(), keys)? {
            // The first form is the one that is hashed today.
            let is_current = index == 0 && stored.is_current(keys.current());
            return Ok(if is_current { Verification::Right } else { Verification::Outdated });
        }
    }
    Ok(Verification::Wrong)
}
