//! What can be done with people.

pub mod mutation;
pub mod query;
pub mod search;

use async_graphql::MaybeUndefined;
use sea_orm::sea_query::{Condition, IntoCondition};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseBackend, DatabaseTransaction, EntityTrait, IntoActiveModel,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, SqlErr,
};

use crate::access::{
    Action, Viewer, active_license_admins, active_superusers, is_active_license_admin, is_active_superuser, of_license,
};
use crate::audit::{self, Change, Entry, difference};
use crate::credential::{self, ShutOut};
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::link::Purpose;
use crate::entity::membership::GroupRole;
use crate::entity::user::Names;
use crate::entity::{group, institution, membership, tombstone, user};
use crate::error::{Error, ErrorCode};
use crate::form::{Form, rule};
use crate::link;
use crate::password::Hasher;
use crate::scalar::{Id, now};
use mutation::{CreateUserInput, SetActiveInput, UpdateUserInput};

/// The most characters of a reason.
const LONGEST_REASON: usize = 500;

/// By what a new person gets in.
#[derive(Default)]
pub struct Secrets {
    pub password_hash: Option<String>,
    pub pin_hash: Option<String>,
    /// A link to be made.
    pub link: Option<Purpose>,
}

/// Enters a person into the viewer's license; none where that was only tried out.
///
/// # Errors
/// `Rejected` with every fault of the input; `Forbidden` for more rights than the viewer may give.
pub async fn create(
    db: &Db,
    hasher: &Hasher,
    viewer: &Viewer,
    input: CreateUserInput,
) -> Result<Option<user::Model>, Error> {
    let CreateUserInput { first_name, last_name, password, pin, is_active, fields, dry_run } = input;
    let mut form = Form::creating();
    let mut new = user::Model::blank(Id::new(), viewer.signed_in()?.license_id);
    let names = Names { first_name: MaybeUndefined::Value(first_name), last_name: MaybeUndefined::Value(last_name) };
    new.lay_over(names, fields, &mut form);
    form.value("isActive", is_active, &mut new.is_active);
    let (password, pin) = (form.secret("password", password), form.secret("pin", pin));
    new.has_activated = password.is_value();
    new.has_pin = pin.is_value();
    viewer.may_create(&new)?;
    check_secrets(hasher, &mut form, &password, &pin, &new);
    check(db.read(), &new, &mut form).await?;
    if dry_run {
        note_taken(db.read(), &new, &mut form).await?;
        form.finish()?;
        return Ok(None);
    }
    finish(db.read(), &new, form).await?;

    let secrets =
        Secrets { password_hash: hash(hasher, password).await?, pin_hash: hash(hasher, pin).await?, link: None };
    insert(db, viewer, &new, secrets).await?;
    Ok(Some(new))
}

/// Stores a person, and by what the person gets in; returns the token of the link, if one was to be made.
///
/// # Errors
/// `Rejected`, naming each value that another person has.
pub async fn insert(db: &Db, viewer: &Viewer, new: &user::Model, secrets: Secrets) -> Result<Option<String>, Error> {
    let transaction = db.begin().await?;
    if let Err(error) =
        user::Entity::insert(new.clone().into_active_model().reset_all()).exec_without_returning(&transaction).await
    {
        drop(transaction);
        return Err(explain(db, new, error).await);
    }
    let blank = user::Model::blank(new.id, new.license_id);
    let mut event = Entry::new(AuditAction::UserCreated, new).by(viewer).with(difference(&blank, new));
    if let Some(password_hash) = secrets.password_hash {
        credential::store_password(&transaction, new.id, password_hash).await?;
        event = event.with([Change::of_secret("password")]);
    }
    if secrets.pin_hash.is_some() {
        credential::set_pin(&transaction, new.id, secrets.pin_hash).await?;
        event = event.with([Change::of_secret("pin")]);
    }
    let token = match secrets.link {
        Some(purpose) => Some(link::make(&transaction, new, purpose).await?),
        None => None,
    };
    audit::commit(transaction, [event]).await?;
    Ok(token)
}

/// What became of a change.
pub enum Updated {
    /// The person as it is now.
    Done(user::Model),
    /// It was only tried out, and would have been done; the person as it still is.
    Possible(user::Model),
    /// The person has changed since the caller read it; as it is now.
    Stale(user::Model),
}

/// Changes a person: what is absent stays, null clears. A new password, or none any more, ends the person's sessions.
///
/// # Errors
/// `Rejected` with every fault of the input; `Forbidden`, naming the fields that the viewer may not change.
pub async fn update(db: &Db, hasher: &Hasher, viewer: &Viewer, input: UpdateUserInput) -> Result<Updated, Error> {
    let id = Id::parse(&input.id).ok_or_else(|| Error::rejected("id", ErrorCode::Invalid, "This is not an id."))?;
    let expected = input.expected_version;
    let is_stale = |old: &user::Model| expected.is_some_and(|version| version != old.version);
    let old = find(db.read(), viewer, id).await?;
    let (new, mut secrets) = changed(db.read(), hasher, viewer, &old, &input).await?;
    if is_stale(&old) {
        return Ok(Updated::Stale(old));
    }
    let has_secrets = !(secrets.password.is_undefined() && secrets.pin.is_undefined());
    if new == old && !has_secrets {
        return Ok(if input.dry_run { Updated::Possible(old) } else { Updated::Done(old) });
    }
    // Hashing takes long: it is done before the row is locked, and only for input that was good so far.
    if !input.dry_run {
        secrets = secrets.hashed(hasher).await?;
    }

    // The secrets have been judged; whether they are strong is not computed again while others wait.
    let absent = || MaybeUndefined::Undefined;
    let input = UpdateUserInput { password: absent(), pin: absent(), ..input };
    let transaction = db.begin().await?;
    let old = find_locked(&transaction, viewer, id).await?;
    if is_stale(&old) {
        return Ok(Updated::Stale(old));
    }
    let (mut new, _) = changed(&transaction, hasher, viewer, &old, &input).await?;
    secrets.lay_over(&mut new);
    keep_an_administrator(&transaction, &old, &new).await?;
    if input.dry_run {
        let mut form = Form::changing();
        note_taken(&transaction, &new, &mut form).await?;
        form.finish()?;
        return Ok(Updated::Possible(old));
    }
    if new == old && !has_secrets {
        return Ok(Updated::Done(old));
    }
    let changes = difference(&old, &new);
    let event = Entry::new(AuditAction::UserUpdated, &new).by(viewer).with(changes).with(secrets.changes());
    secrets.store(&transaction, id).await?;
    new.modified_at = now();
    new.version = old.version + 1;
    if new.email_key != old.email_key {
        link::revoke(&transaction, id).await?;
    }
    if let Err(error) = new.clone().into_active_model().reset_all().update(&transaction).await {
        drop(transaction);
        return Err(explain(db, &new, error).await);
    }
    audit::commit(transaction, [event]).await?;
    Ok(Updated::Done(new))
}

/// What an input does to the secrets of a person: the secrets themselves, then their hashes.
struct NewSecrets {
    password: MaybeUndefined<String>,
    pin: MaybeUndefined<String>,
}

impl NewSecrets {
    async fn hashed(self, hasher: &Hasher) -> Result<Self, Error> {
        let hash = async |secret| match secret {
            MaybeUndefined::Value(secret) => Ok::<_, Error>(MaybeUndefined::Value(hasher.hash(secret).await?)),
            other => Ok(other),
        };
        Ok(Self { password: hash(self.password).await?, pin: hash(self.pin).await? })
    }

    fn lay_over(&self, person: &mut user::Model) {
        if !self.pin.is_undefined() {
            person.has_pin = self.pin.is_value();
        }
    }

    fn changes(&self) -> Vec<Change> {
        let named = [("password", &self.password), ("pin", &self.pin)];
        named
            .into_iter()
            .filter(|(_, secret)| !secret.is_undefined())
            .map(|(name, _)| Change::of_secret(name))
            .collect()
    }

    async fn store(self, transaction: &DatabaseTransaction, id: Id) -> Result<(), Error> {
        if !self.password.is_undefined() {
            credential::set_password(transaction, id, self.password.take(), None).await?;
        }
        if !self.pin.is_undefined() {
            credential::set_pin(transaction, id, self.pin.take()).await?;
        }
        Ok(())
    }
}

/// The person as the input would have it, and what it does to the secrets.
async fn changed(
    connection: &impl ConnectionTrait,
    hasher: &Hasher,
    viewer: &Viewer,
    old: &user::Model,
    input: &UpdateUserInput,
) -> Result<(user::Model, NewSecrets), Error> {
    let UpdateUserInput { id: _, expected_version: _, first_name, last_name, password, pin, fields, dry_run: _ } =
        input.clone();
    let mut form = Form::changing();
    let mut new = old.clone();
    new.lay_over(Names { first_name, last_name }, fields, &mut form);
    new.email_verified = old.email_verified && new.email_key == old.email_key;
    let secrets = NewSecrets { password: form.secret("password", password), pin: form.secret("pin", pin) };
    secrets.lay_over(&mut new);
    viewer.may_update(old, &new, form.given())?;
    check_secrets(hasher, &mut form, &secrets.password, &secrets.pin, &new);
    check(connection, &new, &mut form).await?;
    finish(connection, &new, form).await?;
    Ok((new, secrets))
}

/// What ended when a person was activated or deactivated.
pub struct Switched {
    pub person: user::Model,
    pub ended: ShutOut,
}

/// Activates or deactivates a person; deactivating ends all by which the person gets in. It may be repeated.
///
/// # Errors
/// `Rejected` for an unknown id, a bad reason and for the last administrator; `Forbidden`.
pub async fn set_active(db: &Db, viewer: &Viewer, input: SetActiveInput) -> Result<Switched, Error> {
    let mut form = Form::changing();
    let id = form.id("id", &input.id);
    let mut reason = None::<String>;
    form.text("reason", input.reason, &mut reason, rule::lines(LONGEST_REASON));
    form.finish()?;
    let id = id.ok_or_else(|| Error::internal("an id that is none passed the form"))?;
    let transaction = db.begin().await?;
    let old = find_locked(&transaction, viewer, id).await?;
    viewer.may_to(Action::SetActive, &old)?;
    let new = user::Model { is_active: input.active, ..old.clone() };
    keep_an_administrator(&transaction, &old, &new).await?;
    let ended = if input.active { ShutOut::default() } else { credential::shut_out(&transaction, id).await? };
    if new == old && ended == ShutOut::default() {
        return Ok(Switched { person: old, ended });
    }
    let action = if input.active { AuditAction::UserActivated } else { AuditAction::UserDeactivated };
    let reason = reason.map(|reason| Change::of("reason", None, Some(reason.into())));
    let event = Entry::new(action, &new).by(viewer).with(difference(&old, &new)).with(reason);
    let new = user::Model { modified_at: now(), version: old.version + 1, ..new };
    new.clone().into_active_model().reset_all().update(&transaction).await?;
    audit::commit(transaction, [event]).await?;
    Ok(Switched { person: new, ended })
}

/// Erases a person: the row with all that hangs on it, and what the audit trail says of the person. A tombstone keeps the
/// id, when, and by whom.
///
/// # Errors
/// `Rejected` for an unknown id, for the last administrator and for the last owner of a group; `Forbidden`.
pub async fn delete(db: &Db, viewer: &Viewer, id: &str) -> Result<Id, Error> {
    let id = Id::parse(id).ok_or_else(|| Error::rejected("id", ErrorCode::Invalid, "This is not an id."))?;
    let (transaction, old) = begin_deletion(db, viewer, id).await?;
    viewer.may_to(Action::DeleteUser, &old)?;
    keep_an_administrator(&transaction, &old, &user::Model { is_active: false, ..old.clone() }).await?;
    keep_an_owner(&transaction, &old).await?;
    let tombstone = tombstone::Model {
        user_id: id,
        license_id: old.license_id,
        deleted_at: now(),
        deleted_by: Some(viewer.signed_in()?.user_id),
    };
    tombstone.into_active_model().reset_all().insert(&transaction).await?;
    audit::erase(&transaction, id).await?;
    user::Entity::delete_by_id(id).exec(&transaction).await?;
    audit::commit(transaction, [Entry::new(AuditAction::UserDeleted, &old).by(viewer)]).await?;
    Ok(id)
}

/// Locks a person with the groups that he owns: first the groups, as who changes the members of one does.
async fn begin_deletion(db: &Db, viewer: &Viewer, id: Id) -> Result<(DatabaseTransaction, user::Model), Error> {
    loop {
        let transaction = db.begin().await?;
        let owned = groups_owned(&transaction, id).await?;
        for group_id in &owned {
            group::Entity::find_by_id(*group_id).lock_exclusive().one(&transaction).await?;
        }
        let person = find_locked(&transaction, viewer, id).await?;
        // Nobody makes him an owner from now on; has somebody before, it is done again.
        if groups_owned(&transaction, id).await?.iter().all(|group_id| owned.contains(group_id)) {
            return Ok((transaction, person));
        }
    }
}

async fn groups_owned(transaction: &DatabaseTransaction, id: Id) -> Result<Vec<Id>, Error> {
    let owned = membership::Entity::find()
        .select_only()
        .column(membership::Column::GroupId)
        .filter(membership::Column::UserId.eq(id))
        .filter(membership::Column::Role.eq(GroupRole::Owner))
        .order_by_asc(membership::Column::GroupId);
    Ok(owned.into_tuple().all(transaction).await?)
}

/// A group always has an owner.
async fn keep_an_owner(transaction: &DatabaseTransaction, person: &user::Model) -> Result<(), Error> {
    for group_id in groups_owned(transaction, person.id).await? {
        let others = membership::Entity::find()
            .filter(membership::Column::GroupId.eq(group_id))
            .filter(membership::Column::Role.eq(GroupRole::Owner))
            .filter(membership::Column::UserId.ne(person.id));
        if others.count(transaction).await? == 0 {
            let group = group::Entity::find_by_id(group_id).one(transaction).await?;
            let name = group.map(|group| group.name).unwrap_or_default();
            let message = format!("{} is the last owner of {name}; make somebody else an owner first.", person.name());
            return Err(Error::rejected("id", ErrorCode::NotAllowed, message));
        }
    }
    Ok(())
}

async fn find(db: &impl ConnectionTrait, viewer: &Viewer, id: Id) -> Result<user::Model, Error> {
    let found = user::Entity::find_by_id(id).filter(viewer.finds_users()).one(db).await?;
    found.ok_or_else(|| Error::not_found("id", "person"))
}

async fn find_locked(transaction: &DatabaseTransaction, viewer: &Viewer, id: Id) -> Result<user::Model, Error> {
    let found = user::Entity::find_by_id(id).filter(viewer.finds_users()).lock_exclusive().one(transaction).await?;
    found.ok_or_else(|| Error::not_found("id", "person"))
}

/// Judges a new password beside what is known of the person, and a new PIN; faults go to the form.
fn check_secrets(
    hasher: &Hasher,
    form: &mut Form,
    password: &MaybeUndefined<String>,
    pin: &MaybeUndefined<String>,
    person: &user::Model,
) {
    if let MaybeUndefined::Value(password) = password {
        hasher.check(form, "password", password, &person.known_words());
    }
    if let MaybeUndefined::Value(pin) = pin {
        form.obeying("pin", rule::pin(pin));
    }
}

async fn hash(hasher: &Hasher, secret: MaybeUndefined<String>) -> Result<Option<String>, Error> {
    match secret {
        MaybeUndefined::Value(secret) => Ok(Some(hasher.hash(secret).await?)),
        MaybeUndefined::Null | MaybeUndefined::Undefined => Ok(None),
    }
}

/// The rules that take more than one value, or another table.
async fn check(db: &impl ConnectionTrait, new: &user::Model, form: &mut Form) -> Result<(), Error> {
    let blamed = form.has_fault_of("username") || form.has_fault_of("email");
    if new.username.is_none() && new.email.is_none() && !blamed {
        form.fault("email", ErrorCode::Required, "There must be a username or an e-mail address.");
    }
    if let Some(id) = new.institution_id {
        let of_license = of_license(institution::Column::LicenseId, new.license_id);
        if institution::Entity::find_by_id(id).filter(of_license).one(db).await?.is_none() {
            form.fault("institutionId", ErrorCode::NotFound, "There is no such institution.");
        }
    }
    Ok(())
}

/// Ends a form. Where it has faults, those that only the database would have found are added, so that all come at once.
async fn finish(db: &impl ConnectionTrait, new: &user::Model, mut form: Form) -> Result<(), Error> {
    if form.has_faults() {
        note_taken(db, new, &mut form).await?;
    }
    form.finish()
}

/// Says which value broke a unique constraint, or all of them.
async fn explain(db: &Db, new: &user::Model, error: sea_orm::DbErr) -> Error {
    if !matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) {
        return error.into();
    }
    let mut form = Form::changing();
    match note_taken(db.read(), new, &mut form).await.and_then(|()| form.finish()) {
        Ok(()) => error.into(),
        Err(explained) => explained,
    }
}

async fn note_taken(db: &impl ConnectionTrait, new: &user::Model, form: &mut Form) -> Result<(), Error> {
    let external = new.external_id.as_ref().map(|id| {
        let of_license = of_license(user::Column::LicenseId, new.license_id);
        Condition::all().add(user::Column::ExternalId.eq(id)).add(of_license)
    });
    let username = new.username_key.as_ref().map(|key| user::Column::UsernameKey.eq(key).into_condition());
    let email = new.email_key.as_ref().map(|key| user::Column::EmailKey.eq(key).into_condition());
    let keys = [
        ("username", "username", username),
        ("email", "e-mail address", email),
        ("externalId", "external id", external),
    ];
    // One statement for each, so that each is found by its index; a key that is not given names nobody.
    for (field, what, key) in keys {
        let Some(key) = key else { continue };
        if user::Entity::find().filter(key).filter(user::Column::Id.ne(new.id)).one(db).await?.is_some() {
            form.fault(field, ErrorCode::Taken, format!("This {what} is taken."));
        }
    }
    Ok(())
}

/// The last active superuser, and the last active license administrator of a license, stay what they are.
async fn keep_an_administrator(
    transaction: &DatabaseTransaction,
    old: &user::Model,
    new: &user::Model,
) -> Result<(), Error> {
    let lost = [
        (is_active_superuser(old) && !is_active_superuser(new), active_superusers(), "the last active superuser"),
        (
            is_active_license_admin(old) && !is_active_license_admin(new),
            active_license_admins(old.license_id),
            "the last active license administrator of the license",
        ),
    ];
    for (_, peers, what) in lost.into_iter().filter(|(lost, _, _)| *lost) {
        if transaction.get_database_backend() == DatabaseBackend::Postgres {
            // Two who demote each other at the same moment must not both find the other still there.
            transaction.execute_unprepared("SELECT pg_advisory_xact_lock(7305804403)").await?;
        }
        let others = user::Entity::find().filter(peers).filter(user::Column::Id.ne(old.id));
        if others.count(transaction).await? == 0 {
            return Err(Error::rejected("id", ErrorCode::NotAllowed, format!("{} is {what}.", old.name())));
        }
    }
    Ok(())
}
