//! Sign-in: with a password, or with a PIN on a device that has signed in with the password.

use sea_orm::sea_query::{Condition, Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, JoinType, QueryFilter, QuerySelect, RelationTrait};

use super::errors::{LOCKED, inactive, invalid_credentials, pin_locked};
use super::start::{NewSession, SessionStart};
use super::verified::{Secret, Verified};
use crate::access::{LicenseTerm, is_active_in_valid_license};
use crate::auth::password::{Hasher, PasswordCandidate, Verification};
use crate::auth::policy::{SelfServicePolicy, SignInPolicy};
use crate::auth::throttle::{self, Mailbox, ThrottleKey, ThrottleStatus};
use crate::auth::token;
use crate::client::Client;
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::mail::MailKind;
use crate::entity::pin::MAX_WRONG_PINS;
use crate::entity::{credential, license, pin, user};
use crate::error::{Error, ErrorCode};
use crate::scalar::{Date, Id};
use crate::text;
use crate::validation::Validator;

/// The most characters of a username or email address. A longer login belongs to no user, and is not looked up.
const MAX_LOGIN_LENGTH: usize = 250;

/// Checks credentials and starts sessions, for the client of a request.
pub struct Authenticator<'a> {
    pub db: &'a Db,
    pub hasher: &'a Hasher,
    pub policy: SignInPolicy,
    pub client: &'a Client,
    pub self_service: &'a SelfServicePolicy,
}

/// A user, with the data that a sign-in is checked against.
#[derive(FromQueryResult)]
pub(super) struct Account {
    #[sea_orm(nested)]
    pub(super) user: user::Model,
    password_hash: Option<String>,
    pin_hash: Option<String>,
    starts_on: Date,
    expires_on: Option<Date>,
}

impl Authenticator<'_> {
    /// Signs a user in with a username or email address and a password. The device of `device_token`, or a new one, may
    /// then sign in with a PIN.
    ///
    /// # Errors
    /// `Rejected` with the same error, `INVALID_CREDENTIALS`, for an unknown login, a wrong password and a missing
    /// password; with `INACTIVE` if the password is right but the user is inactive or the license has expired; with
    /// `LOCKED` after too many wrong passwords for the login, or from the device. `RateLimited` if too many users sign in
    /// at once, or if too many wrong secrets came from the network address, unless the device is known.
    pub async fn sign_in_with_password(
        &self,
        login: &str,
        password: String,
        device_token: Option<String>,
    ) -> Result<NewSession, Error> {
        let (account, origin) = self.identify(login, device_token.as_deref()).await?;
        origin.check_lock(self.db).await?;
        let permit = self.hasher.acquire_permit(origin.user_id()).await?;
        let attempt = self.count_attempt(&origin).await?;
        let hash = account.as_ref().and_then(|account| account.password_hash.clone());
        let verification = permit.verify(password.clone(), hash.clone()).await?;
        let is_right = verification != Verification::Wrong && !attempt.must_fail;
        let (account, hash) = match (account, hash) {
            (Some(account), Some(hash)) if is_right => (account, hash),
            (account, _) => {
                self.log_exhausted_address(&attempt);
                if let (Some(account), true) = (account, attempt.locks_if_wrong) {
                    self.record_lock(AuditAction::SignInLocked, &account.user);
                }
                return Err(invalid_credentials());
            }
        };
        self.take_back_attempt(&origin).await?;
        check_active(&account)?;
        let upgraded = match verification {
            // If too many wait, the hash is upgraded at the next sign-in.
            Verification::Outdated => self.hasher.hash(password.clone(), origin.user_id()).await.ok(),
            Verification::Right | Verification::Wrong => None,
        };
        let verified = Verified { secret: Secret::Password(password), hash, upgraded };
        let (user_id, device_token) = (account.user.id, device_token.as_deref());
        let redeem =
            |verified| async move { self.begin_session(user_id).await?.with_password(verified, device_token).await };
        verified.redeem(self, user_id, redeem).await?.ok_or_else(invalid_credentials)
    }

    /// Signs a user in with a username or email address and a PIN, on the device of the token.
    ///
    /// # Errors
    /// As [`Authenticator::sign_in_with_password`]; `Rejected` with `LOCKED` if the PIN is disabled.
    pub async fn sign_in_with_pin(&self, login: &str, pin: String, device_token: &str) -> Result<NewSession, Error> {
        let (account, origin) = self.identify(login, Some(device_token)).await?;
        let permit = self.hasher.acquire_permit(origin.user_id()).await?;
        let attempt = self.count_address_attempt(&origin).await?;
        let account = account.filter(|_| origin.user_id().is_some());
        let hash = account.as_ref().and_then(|account| account.pin_hash.clone());
        let mut wrong_pins = 0;
        if let (Some(account), Some(_)) = (&account, &hash) {
            wrong_pins = self.count_pin(account.user.id).await?;
        }
        let verification = permit.verify_pin(pin.clone(), hash.clone()).await?;
        let (account, hash) = match (account, hash) {
            (Some(account), Some(hash)) if verification != Verification::Wrong => (account, hash),
            (account, _) => {
                self.log_exhausted_address(&attempt);
                if let (Some(account), MAX_WRONG_PINS) = (account, wrong_pins) {
                    self.record_lock(AuditAction::PinLocked, &account.user);
                }
                return Err(invalid_credentials());
            }
        };
        check_active(&account)?;
        let upgraded = match verification {
            Verification::Outdated => self.hasher.hash(pin.clone(), origin.user_id()).await.ok(),
            Verification::Right | Verification::Wrong => None,
        };
        let verified = Verified { secret: Secret::Pin(pin), hash, upgraded };
        let user_id = account.user.id;
        let redeem =
            |verified| async move { self.begin_session(user_id).await?.with_pin(verified, device_token).await };
        verified.redeem(self, user_id, redeem).await?.ok_or_else(invalid_credentials)
    }

    /// Checks that a signed-in user knows their own password. Wrong passwords are counted
    /// separately from those of a sign-in, so that guesses elsewhere cannot lock the user out here.
    ///
    /// # Errors
    /// `Rejected`, naming `field`, with `INVALID_CREDENTIALS` for a wrong password and with `LOCKED` after too many;
    /// `RateLimited` if too many hashes are computed at once.
    pub(super) async fn verify_own_password(
        &self,
        user: &user::Model,
        password: String,
        field: &str,
    ) -> Result<Verified, Error> {
        let locked = || Error::rejected(field, ErrorCode::Locked, LOCKED);
        let counter = ThrottleKey::of_owner(user.id);
        if throttle::is_locked(self.db, &counter).await? {
            return Err(locked());
        }
        let permit = self.hasher.acquire_permit(Some(user.id)).await?;
        if throttle::count_account_attempt(self.db, &counter).await? == ThrottleStatus::Locked {
            return Err(locked());
        }
        let credential = credential::Entity::find_by_id(user.id).one(self.db.read()).await?;
        let hash = credential.map(|credential| credential.password_hash);
        let verification = permit.verify(password.clone(), hash.clone()).await?;
        let Some(hash) = hash.filter(|_| verification != Verification::Wrong) else {
            return Err(Error::rejected(field, ErrorCode::InvalidCredentials, "The password is wrong."));
        };
        throttle::reset(self.db.write(), &counter).await?;
        Ok(Verified { secret: Secret::Password(password), hash, upgraded: None })
    }

    /// Checks a user's new password, which is set by the link of a token, and returns its hash.
    ///
    /// # Errors
    /// `Rejected` if the password is too short, too long or easy to guess; `RateLimited`, also if too many were tried
    /// with the link.
    pub(super) async fn hash_of_new(
        &self,
        link_token: &str,
        password: String,
        user: &user::Model,
    ) -> Result<String, Error> {
        let (mut validator, user_id) = (Validator::creating(), Some(user.id));
        if self.hasher.check_format(&mut validator, "password", &password) {
            throttle::count_link_attempt(self.db, &token::hash(link_token)).await?;
            let candidate = PasswordCandidate {
                field: "password",
                password: &password,
                known_words: &user.known_words(),
                on_behalf_of: user_id,
            };
            self.hasher.check(&mut validator, candidate).await?;
        }
        validator.finish()?;
        self.hasher.hash(password, user_id).await
    }

    /// Counts an email to an address that an anonymous caller requests. Returns false if the address has had enough
    /// emails of this kind.
    ///
    /// # Errors
    /// `RateLimited` if too many were requested from the network address.
    pub(super) async fn count_anonymous_mail(&self, kind: MailKind, address: &str) -> Result<bool, Error> {
        let pseudonym = self.hasher.pseudonymize(&text::canonical_email(address));
        let mailbox = Mailbox { kind, pseudonym: &pseudonym };
        let limit = self.policy.max_failures_per_address;
        throttle::count_anonymous_mail(self.db, mailbox, self.client.ip_address, limit).await
    }

    /// Counts an email to an address that a signed-in user requests. Returns false if the address has had enough emails
    /// of this kind.
    ///
    /// # Errors
    /// `RateLimited` if the user requested too many.
    pub(super) async fn count_user_mail(&self, user_id: Id, kind: MailKind, address: &str) -> Result<bool, Error> {
        let pseudonym = self.hasher.pseudonymize(&text::canonical_email(address));
        throttle::count_user_mail(self.db, Mailbox { kind, pseudonym: &pseudonym }, user_id).await
    }

    /// Begins the start of a user's session, which locks the user and redeems a credential.
    pub(super) async fn begin_session(&self, user_id: Id) -> Result<SessionStart<'_>, Error> {
        SessionStart::begin(self.db, self.policy.lifetime, self.client, user_id).await
    }

    /// Counts an attempt with a PIN, and returns the number of wrong ones, this one included.
    async fn count_pin(&self, user_id: Id) -> Result<i32, Error> {
        let counted = pin::Entity::update_many()
            .col_expr(pin::Column::Wrong, Expr::col(pin::Column::Wrong).add(1))
            .filter(pin::Column::UserId.eq(user_id))
            .filter(pin::Column::Wrong.lt(MAX_WRONG_PINS))
            .exec_with_returning(self.db.write())
            .await?;
        counted.first().map(|pin| pin.wrong).ok_or_else(pin_locked)
    }

    /// Finds the account of a login, with one statement whether or not it exists.
    pub(super) async fn find(&self, login: &str) -> Result<Option<Account>, Error> {
        let login = lookup_form(login);
        let key = text::canonical_login(login);
        let [former_username, former_email] = text::former_logins(login);
        let has_login = Condition::any()
            .add(user::Column::EmailKey.is_in([&key, &former_email]))
            .add(user::Column::UsernameKey.is_in([&key, &former_username]));
        let accounts = user::Entity::find()
            .column(credential::Column::PasswordHash)
            .column(pin::Column::PinHash)
            .column(license::Column::StartsOn)
            .column(license::Column::ExpiresOn)
            .join(JoinType::InnerJoin, user::Relation::License.def())
            .join_rev(JoinType::LeftJoin, credential::Relation::User.def())
            .join_rev(JoinType::LeftJoin, pin::Relation::User.def())
            .filter(has_login)
            .into_model::<Account>()
            .all(self.db.read())
            .await?;
        // In a directory from before usernames and email addresses were one namespace, a login may belong to two users:
        // each signs in as before.
        let precedence = |user: &user::Model| {
            let (email, username) = (user.email_key.as_ref(), user.username_key.as_ref());
            let forms = [(email, &former_email), (username, &former_username), (email, &key), (username, &key)];
            forms.iter().position(|(actual, form)| *actual == Some(*form)).unwrap_or(forms.len())
        };
        Ok(accounts.into_iter().min_by_key(|account| precedence(&account.user)))
    }
}

/// Returns the form of a login under which wrong secrets are counted: two spellings of one login count together.
pub(super) fn throttle_form(login: &str) -> String {
    text::canonical_login(lookup_form(login))
}

/// Returns the login to look up: trimmed, or empty if it is too long.
fn lookup_form(login: &str) -> &str {
    if login.chars().count() > MAX_LOGIN_LENGTH { "" } else { login.trim() }
}

fn check_active(account: &Account) -> Result<(), Error> {
    let term = LicenseTerm { starts_on: account.starts_on, expires_on: account.expires_on };
    if is_active_in_valid_license(&account.user, term) { Ok(()) } else { Err(inactive()) }
}
