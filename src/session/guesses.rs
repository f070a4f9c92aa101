//! Counting of sign-in attempts: those of strangers separately from those of known devices.

use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect};

use super::errors::locked;
use super::sign_in::{Account, Authenticator, counted_as};
use super::start::this_device;
use crate::audit::{self, Entry};
use crate::auth::password::Hasher;
use crate::auth::throttle::{self, ThrottleKey, ThrottleStatus};
use crate::auth::token;
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::{device, user};
use crate::error::Error;
use crate::scalar::Id;

/// The origin of a sign-in attempt, as far as it matters for counting.
pub(super) enum Guesser {
    /// A device that has signed in as this user before. Strangers cannot lock it out: neither its network address nor the
    /// lock of the login counts.
    Known { user: Id, device: ThrottleKey },
    /// Any other origin, with the counters of the login as typed and of the user that it identifies.
    Stranger { login: ThrottleKey, person: ThrottleKey },
}

/// The status of an attempt before its secret is checked.
#[derive(Default)]
pub(super) struct Attempt {
    /// Whether the attempt locks sign-in if it is wrong.
    pub(super) locks: bool,
    /// Whether the attempt fails whatever the secret is.
    ///
    /// The visible lock belongs to the login as typed; otherwise `LOCKED` would reveal that two logins belong to one
    /// user. Guessing at a user by several logins is stopped all the same: once these logins together have had as many
    /// wrong secrets as lock one, a stranger gets the answer to a wrong secret, for the same work, even to the right one.
    /// This ends like any lock: after 15 minutes, with a password reset, or by an administrator. Meanwhile the user can
    /// sign in on every known device.
    pub(super) is_void: bool,
    /// Whether it is the last attempt allowed from its network address.
    exhausts_address: bool,
}

impl Guesser {
    /// Returns the user, if the device is known.
    pub(super) fn user(&self) -> Option<Id> {
        match self {
            Self::Known { user, .. } => Some(*user),
            Self::Stranger { .. } => None,
        }
    }

    /// Refuses a device or a login that is locked, with `LOCKED`. Needs neither a hash permit nor a write.
    pub(super) async fn check_lock(&self, db: &Db) -> Result<(), Error> {
        let (Self::Known { device: counter, .. } | Self::Stranger { login: counter, .. }) = self;
        if throttle::is_locked(db, counter).await? { Err(locked()) } else { Ok(()) }
    }
}

impl Authenticator<'_> {
    /// Finds the account of a login, and whether the device is known to it. Runs the same statements whether or not the
    /// account exists.
    ///
    /// # Errors
    /// `RateLimited` for a stranger if the network address has had too many wrong secrets.
    pub(super) async fn admit(
        &self,
        login: &str,
        device_token: Option<&str>,
    ) -> Result<(Option<Account>, Guesser), Error> {
        let device_token = device_token.filter(|token| token::TokenKind::of(token) == Some(token::TokenKind::Device));
        let Some(device_token) = device_token else {
            self.check_address().await?;
            let account = self.find(login).await?;
            let guesser = self.stranger(login, account.as_ref());
            return Ok((account, guesser));
        };
        let account = self.find(login).await?;
        let user = account.as_ref().map_or(Id(uuid::Uuid::nil()), |account| account.person.id);
        let device = device::Entity::find().filter(this_device(user, device_token)).one(self.db.read()).await?;
        let guesser = if let Some(device) = device {
            Guesser::Known { user, device: ThrottleKey::of_device(device.id) }
        } else {
            self.check_address().await?;
            self.stranger(login, account.as_ref())
        };
        Ok((account, guesser))
    }

    fn stranger(&self, login: &str, account: Option<&Account>) -> Guesser {
        let blinded = self.hasher.pseudonymize(&counted_as(login));
        let person = match account {
            Some(account) => ThrottleKey::of_person(account.person.id),
            None => ThrottleKey::of_nobody(&blinded),
        };
        Guesser::Stranger { login: ThrottleKey::of_login(&blinded), person }
    }

    /// Counts an attempt to sign in with a password. It is counted before its secret is checked, and only with a hash
    /// permit: of many attempts at once, no more get through than are allowed.
    ///
    /// # Errors
    /// `RateLimited` if too many came from the network address; `Rejected` with `LOCKED`.
    pub(super) async fn count(&self, guesser: &Guesser) -> Result<Attempt, Error> {
        let attempt = self.count_by_address(guesser).await?;
        let (shown, silent) = match guesser {
            Guesser::Known { device, .. } => {
                (throttle::count_of_account(self.db, device).await?, ThrottleStatus::Allowed)
            }
            Guesser::Stranger { login, person } => throttle::count_of_stranger(self.db, login, person).await?,
        };
        if shown == ThrottleStatus::Locked {
            return Err(locked());
        }
        let locks = shown == ThrottleStatus::Last || silent == ThrottleStatus::Last;
        Ok(Attempt { locks, is_void: silent == ThrottleStatus::Locked, ..attempt })
    }

    /// Counts an attempt by its network address alone, if it is a stranger's.
    ///
    /// # Errors
    /// `RateLimited` if too many came from the address.
    pub(super) async fn count_by_address(&self, guesser: &Guesser) -> Result<Attempt, Error> {
        let (Guesser::Stranger { .. }, Some(address)) = (guesser, self.client.ip_address) else {
            return Ok(Attempt::default());
        };
        let counter = ThrottleKey::of_address(address);
        let standing = throttle::count_of_address(self.db, &counter, self.rules.max_failures_per_address).await?;
        Ok(Attempt { exhausts_address: standing == ThrottleStatus::Last, ..Attempt::default() })
    }

    /// Takes back the attempt of a right password: resets the counters of its login and user, or of its device.
    pub(super) async fn take_back(&self, guesser: &Guesser) -> Result<(), Error> {
        let (login, person) = match guesser {
            Guesser::Known { device, .. } => {
                throttle::reset(self.db.write(), device).await?;
                return Ok(());
            }
            Guesser::Stranger { login, person } => (login, person),
        };
        if let Some(address) = self.client.ip_address {
            throttle::uncount(self.db, &ThrottleKey::of_address(address)).await?;
        }
        throttle::reset_both(self.db, login, person).await
    }

    /// Logs, once, that a network address has no attempts left, for programs that block such addresses.
    pub(super) fn note_wrong(&self, attempt: &Attempt) {
        if let (true, Some(address)) = (attempt.exhausts_address, self.client.ip_address) {
            let address = address.to_canonical();
            tracing::warn!(code = "RATE_LIMITED", %address, "too many wrong passwords or PINs from a network address");
        }
    }

    /// Records a lock in the audit trail. Not awaited: the answer must not take longer if there is a user to lock out.
    #[expect(clippy::disallowed_methods, reason = "the server itself locks, for nobody who is signed in")]
    pub(super) fn record(&self, action: AuditAction, person: &user::Model) {
        let (db, entry) = (self.db.clone(), Entry::new(action, person).in_request(self.client.request_id.clone()));
        tokio::spawn(async move {
            let recorded = match db.begin().await {
                Ok(transaction) => audit::commit(transaction, [entry]).await,
                Err(error) => Err(error),
            };
            if let Err(error) = recorded {
                tracing::error!(?error, "failed to record a lock");
            }
        });
    }

    async fn check_address(&self) -> Result<(), Error> {
        let Some(address) = self.client.ip_address else { return Ok(()) };
        throttle::check_address(self.db, &ThrottleKey::of_address(address), self.rules.max_failures_per_address).await
    }
}

/// Resets every counter of a user: those of each login, of the devices, and of the user. Returns whether anything was
/// counted.
pub(super) async fn forget(
    transaction: &DatabaseTransaction,
    hasher: &Hasher,
    person: &user::Model,
) -> Result<bool, Error> {
    let devices: Vec<Id> = device::Entity::find()
        .select_only()
        .column(device::Column::Id)
        .filter(device::Column::UserId.eq(person.id))
        .into_tuple()
        .all(transaction)
        .await?;
    let logins = [person.username.as_deref(), person.email.as_deref()].into_iter().flatten();
    let of_logins = logins.map(|login| ThrottleKey::of_login(&hasher.pseudonymize(&counted_as(login))));
    let counters = [ThrottleKey::of_person(person.id), ThrottleKey::of_owner(person.id)].into_iter();
    let mut forgotten = false;
    for counter in counters.chain(of_logins).chain(devices.into_iter().map(ThrottleKey::of_device)) {
        forgotten |= throttle::reset(transaction, &counter).await?;
    }
    Ok(forgotten)
}
