//! Passwords: the rules for new ones, and hashing on threads of its own, so that a flood of sign-ins does not slow
//! down anybody who reads.

use std::sync::{Arc, OnceLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::error::{Error, ErrorCode};
use crate::form::Form;

/// The fewest characters of a password.
const SHORTEST: usize = 12;
/// The most characters of a password.
const LONGEST: usize = 128;
/// How many hashes are computed at once; each takes 19 MiB and a core for about 30 ms.
const AT_ONCE: usize = 2;
/// How many more may wait before the next is refused.
const WAITING: usize = 16;

/// Computes and verifies password hashes, a few at a time; cheap to clone.
#[derive(Clone)]
pub struct Hasher {
    argon: Arc<Argon2<'static>>,
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    dummy: Arc<OnceLock<String>>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self {
            // OWASP Password Storage Cheat Sheet: Argon2id, m=19456 KiB, t=2, p=1; these are the crate's defaults.
            argon: Arc::new(Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)),
            running: Arc::new(Semaphore::new(AT_ONCE)),
            admitted: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
            dummy: Arc::new(OnceLock::new()),
        }
    }
}

impl Hasher {
    /// The hash of a password as a PHC string.
    ///
    /// # Errors
    /// `RateLimited` where too many wait already.
    pub async fn hash(&self, password: String) -> Result<String, Error> {
        let argon = Arc::clone(&self.argon);
        self.run(move || hash(&argon, &password)).await?
    }

    /// Whether a password is the one that was hashed. Without a hash the same work is done in vain, so that the time
    /// does not tell whether there is an account.
    ///
    /// # Errors
    /// `RateLimited` where too many wait already.
    pub async fn verify(&self, password: String, hash_of_user: Option<String>) -> Result<bool, Error> {
        let argon = Arc::clone(&self.argon);
        let dummy = Arc::clone(&self.dummy);
        self.run(move || {
            let known = hash_of_user.is_some();
            let text = match hash_of_user {
                Some(text) => text,
                None => match dummy.get() {
                    Some(text) => text.clone(),
                    None => dummy.get_or_init(|| hash(&argon, "of nobody").unwrap_or_default()).clone(),
                },
            };
            let expected = PasswordHash::new(&text).map_err(|error| Error::internal(error.to_string()))?;
            Ok(argon.verify_password(password.as_bytes(), &expected).is_ok() && known)
        })
        .await?
    }

    /// A place among those who are let in.
    pub async fn turn(&self) -> Result<Turn<'_>, Error> {
        Ok(Turn(self))
    }

    /// Checks a new password.
    pub fn check(&self, form: &mut Form, field: &'static str, password: &str, known: &[&str]) {
        check(form, field, password, known);
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let busy = || {
            Error::RateLimited("Too many people are signing in at this moment; try again in a few seconds.".to_owned())
        };
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| busy())?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(Error::internal)?;
        let task = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((running, admitted));
            result
        });
        task.await.map_err(Error::internal)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict { Wrong, Right, Outdated }
pub struct Turn<'a>(&'a Hasher);
impl Turn<'_> {
    pub async fn verify(self, secret: String, hash: Option<String>) -> Result<Verdict, Error> {
        Ok(if self.0.verify(secret, hash).await? { Verdict::Right } else { Verdict::Wrong })
    }
}

fn hash(argon: &Argon2<'_>, password: &str) -> Result<String, Error> {
    let hash = argon.hash_password(password.as_bytes()).map_err(|error| Error::internal(error.to_string()))?;
    Ok(hash.to_string())
}

/// Checks a new password: 12 to 128 characters, hard to guess (zxcvbn score of at least 3), and none of the `known`
/// words, such as the person's names and addresses. Faults go to the form.
pub fn check(form: &mut Form, field: &'static str, password: &str, known: &[&str]) {
    let length = password.chars().count();
    if length < SHORTEST {
        return form.fault(field, ErrorCode::TooShort, format!("At least {SHORTEST} characters."));
    }
    if length > LONGEST {
        return form.fault(field, ErrorCode::TooLong, format!("At most {LONGEST} characters."));
    }
    if zxcvbn::zxcvbn(password, known).score() < zxcvbn::Score::Three {
        form.fault(
            field,
            ErrorCode::Invalid,
            "This password is easy to guess; use a few words that do not belong together.",
        );
    }
}
