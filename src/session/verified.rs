//! Passwords and PINs that were verified before the transaction that needs them. A concurrent sign-in may meanwhile have stored a newer
//! hash of the same secret, for example because the server key was replaced: such a hash is verified too.

use std::ops::ControlFlow;

use sea_orm::EntityTrait;

use super::sign_in::Authenticator;
use crate::auth::password::Verification;
use crate::entity::{credential, pin};
use crate::error::Error;
use crate::scalar::Id;

/// What a user signs in with.
pub(super) enum Secret {
    Password(String),
    Pin(String),
}

/// A secret that is right for a stored hash.
pub(super) struct Verified {
    pub(super) secret: Secret,
    pub(super) hash: String,
    /// The newer hash that replaces the stored one.
    pub(super) upgraded: Option<String>,
}

impl Verified {
    /// Redeems the secret of a user: `redeem` checks, in a transaction, that the verified hash is still stored, and does what
    /// the secret is for. If another hash is stored, `redeem` returns the secret, which is then verified with that hash and
    /// redeemed anew. Returns `None` if it is wrong, or if there is none.
    pub(super) async fn redeem<T, F>(
        self,
        authenticator: &Authenticator<'_>,
        user_id: Id,
        redeem: impl Fn(Self) -> F,
    ) -> Result<Option<T>, Error>
    where
        F: Future<Output = Result<ControlFlow<T, Self>, Error>>,
    {
        let mut verified = Some(self);
        while let Some(secret) = verified {
            match redeem(secret).await? {
                ControlFlow::Break(done) => return Ok(Some(done)),
                ControlFlow::Continue(secret) => verified = secret.verify_again(authenticator, user_id).await?,
            }
        }
        Ok(None)
    }

    /// Verifies the secret of a user with the hash that is stored now. Returns `None` if it is wrong, or if there is none.
    async fn verify_again(self, authenticator: &Authenticator<'_>, user_id: Id) -> Result<Option<Self>, Error> {
        let (db, permit) = (authenticator.db.read(), authenticator.hasher.acquire_permit(Some(user_id)).await?);
        let (hash, verification) = match &self.secret {
            Secret::Password(password) => {
                let stored = credential::Entity::find_by_id(user_id).one(db).await?;
                let hash = stored.map(|credential| credential.password_hash);
                (hash.clone(), permit.verify(password.clone(), hash).await?)
            }
            Secret::Pin(pin) => {
                let hash = pin::Entity::find_by_id(user_id).one(db).await?.map(|pin| pin.pin_hash);
                (hash.clone(), permit.verify_pin(pin.clone(), hash).await?)
            }
        };
        let hash = hash.filter(|_| verification != Verification::Wrong);
        Ok(hash.map(|hash| Self { hash, upgraded: None, ..self }))
    }
}
