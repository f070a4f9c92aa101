//! What an input does to the secrets of a person.

use async_graphql::MaybeUndefined;
use sea_orm::DatabaseTransaction;

use crate::audit::Change;
use crate::credential;
use crate::entity::user;
use crate::error::Error;
use crate::form::{Form, rule};
use crate::password::Hasher;
use crate::scalar::Id;

/// A password and a PIN to be set, or removed where they are null: first as they were given, then hashed.
#[derive(Default)]
pub struct Secrets {
    pub password: MaybeUndefined<String>,
    pub pin: MaybeUndefined<String>,
}

impl Secrets {
    /// Whether nothing is said of either.
    #[must_use]
    pub fn are_absent(&self) -> bool {
        self.password.is_undefined() && self.pin.is_undefined()
    }

    /// Judges them, the password beside what is known of the person; faults go to the form.
    pub fn check(&self, hasher: &Hasher, form: &mut Form, person: &user::Model) {
        if let MaybeUndefined::Value(password) = &self.password {
            hasher.check(form, "password", password, &person.known_words());
        }
        if let MaybeUndefined::Value(pin) = &self.pin {
            form.obeying("pin", rule::pin(pin));
        }
    }

    /// What of them is shown.
    pub fn lay_over(&self, person: &mut user::Model) {
        if !self.pin.is_undefined() {
            person.has_pin = self.pin.is_value();
        }
    }

    /// Their hashes.
    ///
    /// # Errors
    /// `RateLimited` where too many have something hashed at once.
    pub async fn hashed(self, hasher: &Hasher) -> Result<Self, Error> {
        let hash = async |secret| match secret {
            MaybeUndefined::Value(secret) => Ok::<_, Error>(MaybeUndefined::Value(hasher.hash(secret).await?)),
            other => Ok(other),
        };
        Ok(Self { password: hash(self.password).await?, pin: hash(self.pin).await? })
    }

    /// That they were set, for the audit trail.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let named = [("password", &self.password), ("pin", &self.pin)];
        let given = named.into_iter().filter(|(_, secret)| !secret.is_undefined());
        given.map(|(name, _)| Change::of_secret(name)).collect()
    }

    /// Stores the hashes.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn store(self, transaction: &DatabaseTransaction, id: Id) -> Result<(), Error> {
        if !self.password.is_undefined() {
            credential::set_password(transaction, id, self.password.take(), None).await?;
        }
        if !self.pin.is_undefined() {
            credential::set_pin(transaction, id, self.pin.take()).await?;
        }
        Ok(())
    }
}
