//! What an input does to the secrets of a person.

use async_graphql::MaybeUndefined;
use sea_orm::DatabaseTransaction;

use crate::access::Viewer;
use crate::audit::Change;
use crate::auth::credential;
use crate::auth::password::Hasher;
use crate::entity::user;
use crate::error::Error;
use crate::scalar::Id;
use crate::validation::{Validator, rule};

/// A password and a PIN to be set, or removed where they are null, as they were given.
#[derive(Default)]
pub struct Secrets {
    pub password: MaybeUndefined<String>,
    pub pin: MaybeUndefined<String>,
}

/// The same, hashed.
#[derive(Default)]
pub struct Hashes {
    password: MaybeUndefined<String>,
    pin: MaybeUndefined<String>,
}

impl Secrets {
    /// Whether nothing is said of either.
    #[must_use]
    pub fn are_absent(&self) -> bool {
        self.password.is_undefined() && self.pin.is_undefined()
    }

    /// Judges them on behalf of the viewer, the password beside what is known of the person; faults go to the form.
    ///
    /// # Errors
    /// `RateLimited` where too many have something computed at once.
    pub async fn check(
        &self,
        hasher: &Hasher,
        viewer: &Viewer,
        form: &mut Validator,
        person: &user::Model,
    ) -> Result<(), Error> {
        if let MaybeUndefined::Value(pin) = &self.pin {
            form.check("pin", rule::pin(pin));
        }
        if let MaybeUndefined::Value(password) = &self.password {
            hasher.check(form, ("password", password), &person.known_words(), user_of(viewer)).await?;
        }
        Ok(())
    }

    /// What of them is shown.
    pub fn apply(&self, person: &mut user::Model) {
        if !self.pin.is_undefined() {
            person.has_pin = self.pin.is_value();
        }
    }

    /// Their hashes, computed on behalf of the viewer.
    ///
    /// # Errors
    /// `RateLimited` where too many have something computed at once.
    pub async fn hashed(self, hasher: &Hasher, viewer: &Viewer) -> Result<Hashes, Error> {
        let user = user_of(viewer);
        let hash = async |secret| match secret {
            MaybeUndefined::Value(secret) => Ok::<_, Error>(MaybeUndefined::Value(hasher.hash(secret, user).await?)),
            other => Ok(other),
        };
        Ok(Hashes { password: hash(self.password).await?, pin: hash(self.pin).await? })
    }
}

impl Hashes {
    /// Stores the hashes; returns what changed by it. To remove what is not there changes nothing.
    pub async fn stored(self, transaction: &DatabaseTransaction, id: Id) -> Result<Vec<Change>, Error> {
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

/// On whose behalf the hasher works; none for the command line.
fn user_of(viewer: &Viewer) -> Option<Id> {
    viewer.signed_in().ok().map(|signed_in| signed_in.user_id)
}
