//! Signing in: by password, or by PIN on a device that has seen the password.

use sea_orm::sea_query::{Condition, Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, EntityTrait, FromQueryResult, IntoActiveModel, JoinType,
    QueryFilter, QueryOrder, QuerySelect, RelationTrait,
};

use super::activation::expired;
use super::end_oldest;
use crate::access::is_active_in_valid_license;
use crate::attempt::{self, Counter, Standing};
use crate::audit::{self, Change, Entry, difference};
use crate::context::{Client, Lifetime, Rules};
use crate::credential::{set_password, store_password};
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::device::{MOST_DEVICES_OF_A_USER, REMEMBERED};
use crate::entity::pin::MOST_WRONG_PINS;
use crate::entity::{credential, device, license, pin, session, user};
use crate::error::{Error, ErrorCode, MutationError};
use crate::link;
use crate::password::{Hasher, Verdict};
use crate::scalar::{Date, Id, now};
use crate::text;
use crate::token::{self, Kind};

/// The most characters that a username or an address has; what is longer is nobody's, and not looked for.
const LONGEST_LOGIN: usize = 250;

/// What it takes to let somebody in.
pub struct Gate<'a> {
    pub db: &'a Db,
    pub hasher: &'a Hasher,
    pub rules: Rules,
    pub client: &'a Client,
}

/// A session that has just begun. The tokens are shown this once.
pub struct Opened {
    pub id: Id,
    pub user: user::Model,
    pub token: String,
    pub device_token: Option<String>,
    pub expires_at: chrono::DateTime<chrono::Utc>,
}

/// A person with what the sign-in is held against.
#[derive(FromQueryResult)]
struct Account {
    #[sea_orm(nested)]
    person: user::Model,
    password_hash: Option<String>,
    pin_hash: Option<String>,
    expires_on: Option<Date>,
}

/// What was found right. It takes long to verify a secret: it must be the person's still when the session begins.
pub(super) enum Proof {
    /// Nothing; whoever runs the server lets somebody in.
    None,
    Password {
        verified: String,
        upgraded: Option<String>,
        device_token: Option<String>,
    },
    Pin {
        verified: String,
        device_token: String,
    },
    /// A link by which the password is set.
    Link {
        token: String,
        password_hash: String,
    },
}

impl Gate<'_> {
    /// Signs a person in by username or e-mail address and password. The device of the `device_token`, or a new one, may
    /// then sign in by PIN.
    ///
    /// # Errors
    /// `Rejected` with one and the same fault for an unknown login, a wrong password and no password set; with INACTIVE
    /// where the password is right but the person inactive or the license expired; with LOCKED after too many wrong ones.
    /// `RateLimited` where too many sign in at once, or too many wrong secrets came from the address.
    pub async fn by_password(
        &self,
        login: &str,
        password: String,
        device_token: Option<String>,
    ) -> Result<Opened, Error> {
        let turn = self.hasher.turn().await?;
        self.count_address().await?;
        let account = self.find(login).await?;
        let counter = match &account {
            Some(account) => Counter::of_person(account.person.id),
            None => Counter::of_login(&text::canonical_email(login.trim())),
        };
        let standing = attempt::count_of_account(self.db, &counter).await?;
        if standing == Standing::Locked {
            return Err(locked());
        }
        let hash = account.as_ref().and_then(|account| account.password_hash.clone());
        let verdict = turn.verify(password.clone(), hash.clone()).await?;
        let (account, verified) = match (account, hash) {
            (Some(account), Some(hash)) if verdict != Verdict::Wrong => (account, hash),
            (account, _) => {
                if let (Some(account), Standing::Last) = (account, standing) {
                    self.record(AuditAction::SignInLocked, &account.person);
                }
                return Err(wrong());
            }
        };
        self.take_back_address().await?;
        attempt::forget(self.db.write(), &counter).await?;
        check_active(&account)?;
        let upgraded = match verdict {
            // Where too many wait, it is left to the next sign-in.
            Verdict::Outdated => self.hasher.hash(password).await.ok(),
            Verdict::Right | Verdict::Wrong => None,
        };
        self.begin(account.person, Proof::Password { verified, upgraded, device_token }).await
    }

    /// Signs a person in by username or e-mail address and PIN, on a device that the token stands for.
    ///
    /// # Errors
    /// As [`Gate::by_password`]; `Rejected` with LOCKED where the PIN is switched off.
    pub async fn by_pin(&self, login: &str, pin: String, device_token: String) -> Result<Opened, Error> {
        let turn = self.hasher.turn().await?;
        self.count_address().await?;
        let account = self.find(login).await?;
        let known = match &account {
            Some(account) => self.knows_device(account.person.id, &device_token).await?,
            None => false,
        };
        let account = account.filter(|_| known);
        let hash = account.as_ref().and_then(|account| account.pin_hash.clone());
        let mut wrong_so_far = 0;
        if let (Some(account), Some(_)) = (&account, &hash) {
            wrong_so_far = self.count_pin(account.person.id).await?;
        }
        let verdict = turn.verify(pin, hash.clone()).await?;
        let (account, verified) = match (account, hash) {
            (Some(account), Some(hash)) if verdict != Verdict::Wrong => (account, hash),
            (account, _) => {
                if let (Some(account), MOST_WRONG_PINS) = (account, wrong_so_far) {
                    self.record(AuditAction::PinLocked, &account.person);
                }
                return Err(wrong());
            }
        };
        self.take_back_address().await?;
        check_active(&account)?;
        self.begin(account.person, Proof::Pin { verified, device_token }).await
    }

    /// Makes sure that who is signed in knows the own password; returns its hash. Wrong ones count as those of a sign-in.
    ///
    /// # Errors
    /// `Rejected` for a wrong password, naming `field`, and after too many of them; `RateLimited` as
    /// [`Gate::by_password`].
    pub async fn prove(&self, person: &user::Model, password: String, field: &str) -> Result<String, Error> {
        let turn = self.hasher.turn().await?;
        self.count_address().await?;
        let counter = Counter::of_person(person.id);
        let standing = attempt::count_of_account(self.db, &counter).await?;
        if standing == Standing::Locked {
            return Err(Error::rejected(field, ErrorCode::Locked, LOCKED));
        }
        let credential = credential::Entity::find_by_id(person.id).one(self.db.read()).await?;
        let hash = credential.map(|credential| credential.password_hash);
        let verdict = turn.verify(password, hash.clone()).await?;
        let Some(hash) = hash.filter(|_| verdict != Verdict::Wrong) else {
            if standing == Standing::Last {
                self.record(AuditAction::SignInLocked, person);
            }
            return Err(Error::rejected(field, ErrorCode::InvalidCredentials, "The password is wrong."));
        };
        self.take_back_address().await?;
        attempt::forget(self.db.write(), &counter).await?;
        Ok(hash)
    }

    pub(super) async fn begin(&self, person: user::Model, proof: Proof) -> Result<Opened, Error> {
        begin(self.db, self.rules.lifetime, self.client, person, proof).await
    }

    async fn count_address(&self) -> Result<(), Error> {
        let Some(address) = self.client.ip_address else { return Ok(()) };
        let most = self.rules.most_wrong_of_address;
        attempt::count_of_address(self.db, &Counter::of_address(address), most).await
    }

    async fn take_back_address(&self) -> Result<(), Error> {
        let Some(address) = self.client.ip_address else { return Ok(()) };
        attempt::take_back(self.db, &Counter::of_address(address)).await
    }

    /// Counts an attempt by PIN; returns how many were wrong, this one included.
    async fn count_pin(&self, user_id: Id) -> Result<i32, Error> {
        let counted = pin::Entity::update_many()
            .col_expr(pin::Column::Wrong, Expr::col(pin::Column::Wrong).add(1))
            .filter(pin::Column::UserId.eq(user_id))
            .filter(pin::Column::Wrong.lt(MOST_WRONG_PINS))
            .exec_with_returning(self.db.write())
            .await?;
        let off = "The PIN is switched off after too many wrong ones; sign in with your password.";
        counted.first().map(|pin| pin.wrong).ok_or_else(|| refused(ErrorCode::Locked, off))
    }

    async fn knows_device(&self, user_id: Id, device_token: &str) -> Result<bool, Error> {
        if Kind::of(device_token) != Some(Kind::Device) {
            return Ok(false);
        }
        let device = device::Entity::find().filter(this_device(user_id, device_token)).one(self.db.read()).await?;
        Ok(device.is_some())
    }

    /// Records a lock. Not awaited: the answer must not take longer where there is somebody to be locked out.
    fn record(&self, action: AuditAction, person: &user::Model) {
        let (db, entry) = (self.db.clone(), Entry::new(action, person).in_request(self.client.request_id.clone()));
        tokio::spawn(async move {
            let recorded = match db.begin().await {
                Ok(transaction) => audit::commit(transaction, [entry]).await,
                Err(error) => Err(error),
            };
            if let Err(error) = recorded {
                tracing::error!(?error, "a lock was not recorded");
            }
        });
    }

    /// Who signs in by a name, in one statement whoever it is.
    async fn find(&self, login: &str) -> Result<Option<Account>, Error> {
        let login = if login.chars().count() > LONGEST_LOGIN { "" } else { login.trim() };
        let email_key = text::canonical_email(login);
        let named = Condition::any()
            .add(user::Column::EmailKey.eq(&email_key))
            .add(user::Column::UsernameKey.eq(text::canonical(login)));
        let accounts = user::Entity::find()
            .column(credential::Column::PasswordHash)
            .column(pin::Column::PinHash)
            .column(license::Column::ExpiresOn)
            .join(JoinType::InnerJoin, user::Relation::License.def())
            .join_rev(JoinType::LeftJoin, credential::Relation::User.def())
            .join_rev(JoinType::LeftJoin, pin::Relation::User.def())
            .filter(named)
            .into_model::<Account>()
            .all(self.db.read())
            .await?;
        // Somebody's username may be the text of another's address; the address goes first.
        Ok(accounts.into_iter().min_by_key(|account| account.person.email_key.as_deref() != Some(&email_key)))
    }
}

/// Begins a session for a person, who need not prove anything.
///
/// # Errors
/// `Rejected` with INACTIVE where the person is not active; whatever the database says.
pub async fn open(db: &Db, lifetime: Lifetime, client: &Client, person: user::Model) -> Result<Opened, Error> {
    begin(db, lifetime, client, person, Proof::None).await
}

/// Begins a session for a person who may have one.
async fn begin(
    db: &Db,
    lifetime: Lifetime,
    client: &Client,
    mut person: user::Model,
    proof: Proof,
) -> Result<Opened, Error> {
    let now = now();
    let token = token::new(Kind::Session)?;
    let session = session::Model {
        id: Id::new(),
        user_id: person.id,
        token_hash: token::hash(&token),
        created_at: now,
        last_seen_at: now,
        expires_at: now + lifetime.absolute,
        user_agent: client.user_agent.as_ref().map(|agent| agent.chars().take(200).collect()),
        ip_address: client.ip_address.map(|address| address.to_string()),
    };
    let (id, expires_at) = (session.id, session.expires_at);
    let transaction = db.begin().await?;
    // The person's row goes first: it is the lock under which sign-ins and what ends them take turns.
    let noted = user::Entity::update_many()
        .col_expr(user::Column::LastLogin, Expr::value(now))
        .filter(user::Column::Id.eq(person.id))
        .filter(user::Column::IsActive.eq(true))
        .exec(&transaction)
        .await?;
    if noted.rows_affected == 0 {
        return Err(inactive());
    }
    let (action, changes) = match &proof {
        Proof::Link { .. } => (AuditAction::AccountActivated, vec![Change::of_secret("password")]),
        Proof::None | Proof::Password { .. } | Proof::Pin { .. } => (AuditAction::SignedIn, Vec::new()),
    };
    let before = person.clone();
    let device_token = honour(&transaction, &mut person, proof).await?;
    session.into_active_model().reset_all().insert(&transaction).await?;
    end_oldest(&transaction, person.id).await?;
    person.last_login = Some(now);
    let event = Entry::new(action, &person).by_person(person.id, client.request_id.clone());
    audit::commit(transaction, [event.with(changes).with(difference(&before, &person))]).await?;
    Ok(Opened { id, user: person, token, device_token, expires_at })
}

/// Makes sure that what was verified is the person's still, and does what follows from it; returns the token of a new
/// device.
async fn honour(
    transaction: &DatabaseTransaction,
    person: &mut user::Model,
    proof: Proof,
) -> Result<Option<String>, Error> {
    let user_id = person.id;
    match proof {
        Proof::None => Ok(None),
        Proof::Password { verified, upgraded, device_token } => {
            let current = credential::Entity::find_by_id(user_id).one(transaction).await?;
            if current.is_none_or(|current| current.password_hash != verified) {
                return Err(wrong());
            }
            if let Some(upgraded) = upgraded {
                store_password(transaction, user_id, upgraded).await?;
            }
            forget_wrong_pins(transaction, user_id).await?;
            if let Some(device_token) = device_token
                && touch(transaction, user_id, &device_token).await?
            {
                return Ok(Some(device_token));
            }
            remember(transaction, user_id).await.map(Some)
        }
        Proof::Pin { verified, device_token } => {
            let current = pin::Entity::find_by_id(user_id).one(transaction).await?;
            let is_still_right = current.is_some_and(|current| current.pin_hash == verified);
            if !is_still_right || !touch(transaction, user_id, &device_token).await? {
                return Err(wrong());
            }
            forget_wrong_pins(transaction, user_id).await?;
            Ok(None)
        }
        Proof::Link { token, password_hash } => {
            if !link::consume(transaction, user_id, &token).await? {
                return Err(expired());
            }
            set_password(transaction, user_id, Some(password_hash), None).await?;
            forget_wrong_pins(transaction, user_id).await?;
            (person.has_activated, person.modified_at, person.version) = (true, now(), person.version + 1);
            user::Entity::update_many()
                .col_expr(user::Column::HasActivated, Expr::value(true))
                .col_expr(user::Column::ModifiedAt, Expr::value(person.modified_at))
                .col_expr(user::Column::Version, Expr::col(user::Column::Version).add(1))
                .filter(user::Column::Id.eq(user_id))
                .exec(transaction)
                .await?;
            remember(transaction, user_id).await.map(Some)
        }
    }
}

async fn forget_wrong_pins(transaction: &DatabaseTransaction, user_id: Id) -> Result<(), Error> {
    pin::Entity::update_many()
        .col_expr(pin::Column::Wrong, Expr::value(0))
        .filter(pin::Column::UserId.eq(user_id))
        .filter(pin::Column::Wrong.gt(0))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Notes the use of a device; false where it is not, or no longer, one of the person's.
async fn touch(transaction: &DatabaseTransaction, user_id: Id, device_token: &str) -> Result<bool, Error> {
    let noted = device::Entity::update_many()
        .col_expr(device::Column::LastUsedAt, Expr::value(now()))
        .filter(this_device(user_id, device_token))
        .exec(transaction)
        .await?;
    Ok(noted.rows_affected > 0)
}

/// Remembers a new device, and of too many forgets those that were not used for longest.
async fn remember(transaction: &DatabaseTransaction, user_id: Id) -> Result<String, Error> {
    let device_token = token::new(Kind::Device)?;
    let new = device::Model { id: Id::new(), user_id, token_hash: token::hash(&device_token), last_used_at: now() };
    new.into_active_model().reset_all().insert(transaction).await?;
    let beyond: Vec<Id> = device::Entity::find()
        .select_only()
        .column(device::Column::Id)
        .filter(device::Column::UserId.eq(user_id))
        .order_by_desc(device::Column::LastUsedAt)
        .order_by_desc(device::Column::Id)
        .offset(MOST_DEVICES_OF_A_USER)
        .limit(MOST_DEVICES_OF_A_USER)
        .into_tuple()
        .all(transaction)
        .await?;
    if !beyond.is_empty() {
        device::Entity::delete_many().filter(device::Column::Id.is_in(beyond)).exec(transaction).await?;
    }
    Ok(device_token)
}

fn this_device(user_id: Id, device_token: &str) -> Condition {
    Condition::all()
        .add(device::Column::TokenHash.eq(token::hash(device_token)))
        .add(device::Column::UserId.eq(user_id))
        .add(device::Column::LastUsedAt.gt(now() - REMEMBERED))
}

fn check_active(account: &Account) -> Result<(), Error> {
    if is_active_in_valid_license(&account.person, account.expires_on) { Ok(()) } else { Err(inactive()) }
}

const LOCKED: &str = "Too many wrong passwords; try again in a quarter of an hour, or ask an administrator.";

fn wrong() -> Error {
    refused(ErrorCode::InvalidCredentials, "The login or the secret is wrong.")
}

fn inactive() -> Error {
    refused(ErrorCode::Inactive, "This account is deactivated; ask an administrator.")
}

fn locked() -> Error {
    refused(ErrorCode::Locked, LOCKED)
}

fn refused(code: ErrorCode, message: &str) -> Error {
    Error::Rejected(vec![MutationError { code, path: vec!["input".to_owned()], message: message.to_owned() }])
}
