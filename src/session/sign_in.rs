//! Sign-in: with a password, or with a PIN on a device that has signed in with the password.

use sea_orm::sea_query::{Condition, Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, JoinType, QueryFilter, QuerySelect, RelationTrait};

use super::errors::{LOCKED, inactive, pin_is_off, wrong};
use super::start::{self, NewSession, VerifiedCredential};
use crate::access::is_active_in_valid_license;
use crate::auth::password::{Hasher, Verification};
use crate::auth::policy::{SelfServicePolicy, SignInPolicy};
use crate::auth::throttle::{self, ThrottleKey, ThrottleStatus};
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

/// The dependencies of a sign-in.
pub struct Authenticator<'a> {
    pub db: &'a Db,
    pub hasher: &'a Hasher,
    pub rules: SignInPolicy,
    pub client: &'a Client,
    pub ways: &'a SelfServicePolicy,
}

/// A user, with the data that a sign-in is checked against.
#[derive(FromQueryResult)]
pub(super) struct Account {
    #[sea_orm(nested)]
    pub(super) person: user::Model,
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
    pub async fn by_password(
        &self,
        login: &str,
        password: String,
        device_token: Option<String>,
    ) -> Result<NewSession, Error> {
        let (account, guesser) = self.admit(login, device_token.as_deref()).await?;
        guesser.check_lock(self.db).await?;
        let turn = self.hasher.turn(guesser.user()).await?;
        let attempt = self.count(&guesser).await?;
        let hash = account.as_ref().and_then(|account| account.password_hash.clone());
        let verdict = turn.verify(password.clone(), hash.clone()).await?;
        let is_right = verdict != Verification::Wrong && !attempt.is_void;
        let (account, verified) = match (account, hash) {
            (Some(account), Some(hash)) if is_right => (account, hash),
            (account, _) => {
                self.note_wrong(&attempt);
                if let (Some(account), true) = (account, attempt.locks) {
                    self.record(AuditAction::SignInLocked, &account.person);
                }
                return Err(wrong());
            }
        };
        self.take_back(&guesser).await?;
        check_active(&account)?;
        let upgraded = match verdict {
            // If too many wait, the hash is upgraded at the next sign-in.
            Verification::Outdated => self.hasher.hash(password, guesser.user()).await.ok(),
            Verification::Right | Verification::Wrong => None,
        };
        self.begin(account.person, VerifiedCredential::Password { verified, upgraded, device_token }).await
    }

    /// Signs a user in with a username or email address and a PIN, on the device of the token.
    ///
    /// # Errors
    /// As [`Authenticator::by_password`]; `Rejected` with `LOCKED` if the PIN is disabled.
    pub async fn by_pin(&self, login: &str, pin: String, device_token: String) -> Result<NewSession, Error> {
        let (account, guesser) = self.admit(login, Some(&device_token)).await?;
        let turn = self.hasher.turn(guesser.user()).await?;
        let attempt = self.count_by_address(&guesser).await?;
        let account = account.filter(|_| guesser.user().is_some());
        let hash = account.as_ref().and_then(|account| account.pin_hash.clone());
        let mut wrong_so_far = 0;
        if let (Some(account), Some(_)) = (&account, &hash) {
            wrong_so_far = self.count_pin(account.person.id).await?;
        }
        let verdict = turn.verify_pin(pin, hash.clone()).await?;
        let (account, verified) = match (account, hash) {
            (Some(account), Some(hash)) if verdict != Verification::Wrong => (account, hash),
            (account, _) => {
                self.note_wrong(&attempt);
                if let (Some(account), MAX_WRONG_PINS) = (account, wrong_so_far) {
                    self.record(AuditAction::PinLocked, &account.person);
                }
                return Err(wrong());
            }
        };
        check_active(&account)?;
        self.begin(account.person, VerifiedCredential::Pin { verified, device_token }).await
    }

    /// Checks that a signed-in user knows their own password, and returns its hash. Wrong passwords are counted
    /// separately from those of a sign-in, so that guesses elsewhere cannot lock the user out here.
    ///
    /// # Errors
    /// `Rejected`, naming `field`, with `INVALID_CREDENTIALS` for a wrong password and with `LOCKED` after too many;
    /// `RateLimited` if too many hashes are computed at once.
    pub async fn prove(&self, person: &user::Model, password: String, field: &str) -> Result<String, Error> {
        let locked = || Error::rejected(field, ErrorCode::Locked, LOCKED);
        let counter = ThrottleKey::of_owner(person.id);
        if throttle::is_locked(self.db, &counter).await? {
            return Err(locked());
        }
        let turn = self.hasher.turn(Some(person.id)).await?;
        if throttle::count_of_account(self.db, &counter).await? == ThrottleStatus::Locked {
            return Err(locked());
        }
        let credential = credential::Entity::find_by_id(person.id).one(self.db.read()).await?;
        let hash = credential.map(|credential| credential.password_hash);
        let verdict = turn.verify(password, hash.clone()).await?;
        let Some(hash) = hash.filter(|_| verdict != Verification::Wrong) else {
            return Err(Error::rejected(field, ErrorCode::InvalidCredentials, "The password is wrong."));
        };
        throttle::reset(self.db.write(), &counter).await?;
        Ok(hash)
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
        person: &user::Model,
    ) -> Result<String, Error> {
        let (mut form, user) = (Validator::creating(), Some(person.id));
        if self.hasher.check_form(&mut form, "password", &password) {
            throttle::count_of_link(self.db, &token::hash(link_token)).await?;
            self.hasher.check(&mut form, ("password", &password), &person.known_words(), user).await?;
        }
        form.finish()?;
        self.hasher.hash(password, user).await
    }

    /// Counts an email to an address that an anonymous caller requests. Returns false if the address has had enough
    /// emails of this kind.
    ///
    /// # Errors
    /// `RateLimited` if too many were requested from the network address.
    pub(super) async fn may_write_to(&self, what: MailKind, address: &str) -> Result<bool, Error> {
        let mailbox = self.hasher.pseudonymize(&text::canonical_email(address));
        let from = (self.client.ip_address, self.rules.max_failures_per_address);
        throttle::may_write_to(self.db, (what, &mailbox), from).await
    }

    /// Counts an email to an address that a signed-in user requests. Returns false if the address has had enough emails
    /// of this kind.
    ///
    /// # Errors
    /// `RateLimited` if the user requested too many.
    pub(super) async fn may_write_for(&self, user: Id, what: MailKind, address: &str) -> Result<bool, Error> {
        let mailbox = self.hasher.pseudonymize(&text::canonical_email(address));
        throttle::may_write_for(self.db, (what, &mailbox), user).await
    }

    pub(super) async fn begin(&self, person: user::Model, proof: VerifiedCredential) -> Result<NewSession, Error> {
        start::begin(self.db, self.rules.lifetime, self.client, person, proof).await
    }

    /// Counts an attempt with a PIN, and returns the number of wrong ones, this one included.
    async fn count_pin(&self, user_id: Id) -> Result<i32, Error> {
        let counted = pin::Entity::update_many()
            .col_expr(pin::Column::Wrong, Expr::col(pin::Column::Wrong).add(1))
            .filter(pin::Column::UserId.eq(user_id))
            .filter(pin::Column::Wrong.lt(MAX_WRONG_PINS))
            .exec_with_returning(self.db.write())
            .await?;
        counted.first().map(|pin| pin.wrong).ok_or_else(pin_is_off)
    }

    /// Finds the account of a login, with one statement whether or not it exists.
    pub(super) async fn find(&self, login: &str) -> Result<Option<Account>, Error> {
        let login = shown(login);
        let key = text::canonical_login(login);
        let [former_username, former_email] = text::former_logins(login);
        let named = Condition::any()
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
            .filter(named)
            .into_model::<Account>()
            .all(self.db.read())
            .await?;
        // In a directory from before usernames and email addresses were one namespace, a login may belong to two users:
        // each signs in as before.
        let precedence = |person: &user::Model| {
            let (email, username) = (person.email_key.as_ref(), person.username_key.as_ref());
            let forms = [(email, &former_email), (username, &former_username), (email, &key), (username, &key)];
            forms.iter().position(|(has, form)| *has == Some(*form)).unwrap_or(forms.len())
        };
        Ok(accounts.into_iter().min_by_key(|account| precedence(&account.person)))
    }
}

/// Returns the form of a login under which wrong secrets are counted: two spellings of one login count together.
pub(super) fn counted_as(login: &str) -> String {
    text::canonical_login(shown(login))
}

/// Returns the login to look up: trimmed, or empty if it is too long.
fn shown(login: &str) -> &str {
    if login.chars().count() > MAX_LOGIN_LENGTH { "" } else { login.trim() }
}

fn check_active(account: &Account) -> Result<(), Error> {
    let term = (account.starts_on, account.expires_on);
    if is_active_in_valid_license(&account.person, term) { Ok(()) } else { Err(inactive()) }
}
