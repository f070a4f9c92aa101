//! Counting of sign-in attempts: those of strangers separately from those of known devices.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::devices;
use super::errors::locked;
use super::sign_in::{Account, Authenticator, throttle_form};
use crate::audit::{self, Entry};
use crate::auth::password::Hasher;
use crate::auth::throttle::{self, StrangerStatus, ThrottleKey, ThrottleStatus};
use crate::auth::token::TokenKind;
use crate::db::{Db, Transaction};
use crate::entity::audit_event::AuditAction;
use crate::entity::{device, user};
use crate::error::{Error, TopLevelCode};
use crate::scalar::Id;

/// The origin of a sign-in attempt, as far as it matters for counting.
pub(super) enum AttemptOrigin {
    /// A device that has signed in as this user before. Strangers cannot lock it out: neither its network address nor the
    /// lock of the login counts.
    KnownDevice { user_id: Id, device: ThrottleKey },
    /// Any other origin, with the counters of the login as typed and of the user that it identifies.
    Stranger { login: ThrottleKey, user: ThrottleKey },
}

/// The status of an attempt before its secret is checked.
#[derive(Default)]
pub(super) struct Attempt {
    /// Whether the attempt locks sign-in if its secret is wrong.
    pub(super) locks_if_wrong: bool,
    /// Whether the attempt fails whatever the secret is.
    ///
    /// The visible lock belongs to the login as typed; otherwise `LOCKED` would reveal that two logins belong to one
    /// user. Guessing at a user by several logins is stopped all the same: once these logins together have had as many
    /// wrong secrets as lock one, a stranger gets the answer to a wrong secret, for the same work, even to the right one.
    /// This ends like any lock: after 15 minutes, with a password reset, or by an administrator. Meanwhile the user can
    /// sign in on every known device.
    pub(super) must_fail: bool,
    /// Whether it is the last attempt allowed from its network address.
    exhausts_address: bool,
}

impl AttemptOrigin {
    /// Returns the ID of the user, if the device is known.
    pub(super) fn user_id(&self) -> Option<Id> {
        match self {
            Self::KnownDevice { user_id, .. } => Some(*user_id),
            Self::Stranger { .. } => None,
        }
    }

    /// Checks that the device or the login is not locked (`LOCKED`). Needs neither a hash permit nor a write.
    pub(super) async fn check_lock(&self, db: &Db) -> Result<(), Error> {
        let (Self::KnownDevice { device: counter, .. } | Self::Stranger { login: counter, .. }) = self;
        if throttle::is_locked(db, counter).await? { Err(locked()) } else { Ok(()) }
    }
}

impl Authenticator<'_> {
    /// Finds the account of a login, and whether the device is known to it. Runs the same statements whether or not the
    /// account exists.
    ///
    /// # Errors
    /// `RateLimited` for a stranger if the network address has had too many wrong secrets.
    pub(super) async fn identify(
        &self,
        login: &str,
        device_token: Option<&str>,
    ) -> Result<(Option<Account>, AttemptOrigin), Error> {
        let device_token = device_token.filter(|token| TokenKind::of(token) == Some(TokenKind::Device));
        let Some(device_token) = device_token else {
            self.check_address_limit().await?;
            let account = self.find(login).await?;
            let origin = self.stranger(login, account.as_ref());
            return Ok((account, origin));
        };
        let account = self.find(login).await?;
        let user_id = account.as_ref().map_or(Id(uuid::Uuid::nil()), |account| account.user.id);
        let device =
            device::Entity::find().filter(devices::remembered(user_id, device_token)).one(self.db.read()).await?;
        let origin = if let Some(device) = device {
            AttemptOrigin::KnownDevice { user_id, device: ThrottleKey::of_device(device.id) }
        } else {
            self.check_address_limit().await?;
            self.stranger(login, account.as_ref())
        };
        Ok((account, origin))
    }

    fn stranger(&self, login: &str, account: Option<&Account>) -> AttemptOrigin {
        let pseudonym = self.hasher.pseudonymize(&throttle_form(login));
        let user = match account {
            Some(account) => ThrottleKey::of_user(account.user.id),
            None => ThrottleKey::of_unknown_login(&pseudonym),
        };
        AttemptOrigin::Stranger { login: ThrottleKey::of_login(&pseudonym), user }
    }

    /// Counts an attempt to sign in with a password. It is counted before its secret is checked, and only with a hash
    /// permit: of many attempts at once, no more get through than are allowed.
    ///
    /// # Errors
    /// `RateLimited` if too many came from the network address; `Rejected` with `LOCKED`.
    pub(super) async fn count_attempt(&self, origin: &AttemptOrigin) -> Result<Attempt, Error> {
        let attempt = self.count_address_attempt(origin).await?;
        let (shown, hidden) = match origin {
            AttemptOrigin::KnownDevice { device, .. } => {
                (throttle::count_account_attempt(self.db, device).await?, ThrottleStatus::Allowed)
            }
            AttemptOrigin::Stranger { login, user } => {
                let StrangerStatus { login, user } = throttle::count_stranger_attempt(self.db, login, user).await?;
                (login, user)
            }
        };
        if shown == ThrottleStatus::Locked {
            return Err(locked());
        }
        let locks_if_wrong = shown == ThrottleStatus::Last || hidden == ThrottleStatus::Last;
        Ok(Attempt { locks_if_wrong, must_fail: hidden == ThrottleStatus::Locked, ..attempt })
    }

    /// Counts an attempt by its network address alone, if it is a stranger's.
    ///
    /// # Errors
    /// `RateLimited` if too many came from the address.
    pub(super) async fn count_address_attempt(&self, origin: &AttemptOrigin) -> Result<Attempt, Error> {
        let (AttemptOrigin::Stranger { .. }, Some(address)) = (origin, self.client.ip_address) else {
            return Ok(Attempt::default());
        };
        let counter = ThrottleKey::of_address(address);
        let limit = self.policy.max_failures_per_address;
        let status = throttle::count_address_attempt(self.db, &counter, limit).await?;
        Ok(Attempt { exhausts_address: status == ThrottleStatus::Last, ..Attempt::default() })
    }

    /// Takes back the attempt of a right password: resets the counters of its login and user, or of its device.
    pub(super) async fn take_back_attempt(&self, origin: &AttemptOrigin) -> Result<(), Error> {
        let (login, user) = match origin {
            AttemptOrigin::KnownDevice { device, .. } => {
                throttle::reset(self.db.write(), device).await?;
                return Ok(());
            }
            AttemptOrigin::Stranger { login, user } => (login, user),
        };
        if let Some(address) = self.client.ip_address {
            throttle::decrement(self.db, &ThrottleKey::of_address(address)).await?;
        }
        throttle::reset_both(self.db, login, user).await
    }

    /// Logs, once, that a network address has no attempts left, for programs that block such addresses.
    pub(super) fn log_exhausted_address(&self, attempt: &Attempt) {
        if let (true, Some(address)) = (attempt.exhausts_address, self.client.ip_address) {
            let address = address.to_canonical();
            tracing::warn!(
                code = TopLevelCode::RateLimited.as_str(),
                %address,
                "too many wrong passwords or PINs from a network address"
            );
        }
    }

    /// Records a lock in the audit trail. Not awaited: the answer must not take longer if there is a user to lock out.
    #[expect(clippy::disallowed_methods, reason = "the server itself locks the user; no actor is signed in")]
    pub(super) fn record_lock(&self, action: AuditAction, user: &user::Model) {
        let (db, entry) = (self.db.clone(), Entry::new(action, user).in_request(self.client.request_id.clone()));
        tokio::spawn(async move {
            let recorded = match db.begin().await {
                Ok(transaction) => audit::commit(transaction, [entry]).await,
                Err(error) => Err(error),
            };
            if let Err(error) = recorded {
                tracing::error!(error = error.for_log(), "failed to record a lock");
            }
        });
    }

    async fn check_address_limit(&self) -> Result<(), Error> {
        let Some(address) = self.client.ip_address else { return Ok(()) };
        let counter = ThrottleKey::of_address(address);
        throttle::check_address(self.db, &counter, self.policy.max_failures_per_address).await
    }
}

/// Resets every counter of a user: those of each login, of the devices, and of the user. Returns whether anything was
/// counted.
pub(super) async fn reset_all(transaction: &Transaction, hasher: &Hasher, user: &user::Model) -> Result<bool, Error> {
    let devices: Vec<Id> = device::Entity::find()
        .select_only()
        .column(device::Column::Id)
        .filter(device::Column::UserId.eq(user.id))
        .into_tuple()
        .all(transaction)
        .await?;
    let logins = [user.username.as_deref(), user.email.as_deref()].into_iter().flatten();
    let of_logins = logins.map(|login| ThrottleKey::of_login(&hasher.pseudonymize(&throttle_form(login))));
    let of_user = [ThrottleKey::of_user(user.id), ThrottleKey::of_owner(user.id)].into_iter();
    let mut was_counted = false;
    for counter in of_user.chain(of_logins).chain(devices.into_iter().map(ThrottleKey::of_device)) {
        was_counted |= throttle::reset(transaction, &counter).await?;
    }
    Ok(was_counted)
}
