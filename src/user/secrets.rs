//! Passwords and PINs in an input.

use async_graphql::MaybeUndefined;

use crate::access::Viewer;
use crate::audit::Change;
use crate::auth::credential;
use crate::auth::password::{Hasher, PasswordCandidate};
use crate::db::Transaction;
use crate::entity::user;
use crate::error::Error;
use crate::scalar::Id;
use crate::validation::{Validator, rule};

/// A password and a PIN, as given. Null removes the secret.
#[derive(Default)]
pub struct Secrets {
    pub password: MaybeUndefined<String>,
    pub pin: MaybeUndefined<String>,
}

/// A password and a PIN, hashed.
#[derive(Default)]
pub struct Hashes {
    password: MaybeUndefined<String>,
    pin: MaybeUndefined<String>,
}

impl Secrets {
    /// Returns whether neither is given.
    #[must_use]
    pub fn are_absent(&self) -> bool {
        self.password.is_undefined() && self.pin.is_undefined()
    }

    /// Checks the secrets on behalf of the viewer. A password must not be made of the user's names and logins. Adds errors to
    /// `validator`.
    ///
    /// # Errors
    /// `RateLimited` if too many hashes and checks are computed at once.
    pub async fn check(
        &self,
        hasher: &Hasher,
        viewer: &Viewer,
        validator: &mut Validator,
        user: &user::Model,
    ) -> Result<(), Error> {
        if let MaybeUndefined::Value(pin) = &self.pin {
            validator.check("pin", rule::pin(pin));
        }
        if let MaybeUndefined::Value(password) = &self.password {
            let candidate = PasswordCandidate {
                field: "password",
                password,
                known_words: &user.known_words(),
                on_behalf_of: user_of(viewer),
            };
            hasher.check(validator, candidate).await?;
        }
        Ok(())
    }

    /// Sets the columns of the user that show the secrets.
    pub fn apply(&self, user: &mut user::Model) {
        if !self.pin.is_undefined() {
            user.has_pin = self.pin.is_value();
        }
    }

    /// Returns the hashes, computed on behalf of the viewer.
    ///
    /// # Errors
    /// `RateLimited` if too many hashes and checks are computed at once.
    pub async fn hash(self, hasher: &Hasher, viewer: &Viewer) -> Result<Hashes, Error> {
        let user = user_of(viewer);
        let hash = async |secret| match secret {
            MaybeUndefined::Value(secret) => Ok::<_, Error>(MaybeUndefined::Value(hasher.hash(secret, user).await?)),
            other => Ok(other),
        };
        Ok(Hashes { password: hash(self.password).await?, pin: hash(self.pin).await? })
    }
}

impl Hashes {
    /// Returns whether neither is given.
    #[must_use]
    pub fn are_absent(&self) -> bool {
        self.password.is_undefined() && self.pin.is_undefined()
    }

    /// Stores the hashes and returns the changes. Removing a secret that does not exist is no change.
    pub async fn stored(self, transaction: &Transaction, id: Id) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        let password = !self.password.is_undefined();
        if password && credential::set_password(transaction, id, self.password.take(), None).await?.is_some() {
            changes.push(Change::of_secret("password"));
        }
        if !self.pin.is_undefined() && credential::set_pin(transaction, id, self.pin.take()).await? {
            changes.push(Change::of_secret("pin"));
        }
        Ok(changes)
    }
}

/// Returns the user on whose behalf the hasher works. `None` for the command line.
fn user_of(viewer: &Viewer) -> Option<Id> {
    viewer.signed_in().ok().map(|signed_in| signed_in.user_id)
}
