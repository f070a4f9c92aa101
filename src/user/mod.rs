//! Users: creates and updates them. The submodules have the queries, the mutations and the other rules.

pub mod avatar;
pub mod filter;
pub mod filter_sql;
mod foreign;
pub mod input;
pub mod invitation;
pub mod lifecycle;
pub mod mutation;
pub mod order;
pub mod query;
pub mod resolve;
pub mod search;
pub mod secrets;

use async_graphql::MaybeUndefined;
use sea_orm::sea_query::{Condition, IntoCondition};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseBackend, DatabaseTransaction, EntityTrait, IntoActiveModel,
    PaginatorTrait, QueryFilter, SqlErr,
};

use self::input::{CreateUserInput, UpdateUserInput};
use self::secrets::{Hashes, Secrets};
use crate::access::{
    self, Action, Viewer, active_license_admins, active_superusers, is_active_license_admin, is_active_superuser,
    of_license,
};
use crate::actor::{self, Actor};
use crate::attribute_values::{self, AttributeChanges, AttributeInputItem, Definitions};
use crate::audit::{self, Entry, difference};
use crate::auth::one_time_link;
use crate::auth::password::Hasher;
use crate::auth::policy::SelfServicePolicy;
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::user::{self, UserNames};
use crate::entity::{institution, site_access};
use crate::error::{Error, ErrorCode};
use crate::graphql::payload;
use crate::i18n::language::Language;
use crate::mail::{self, MailQueue};
use crate::scalar::{Id, Url, now};
use crate::validation::Validator;
use crate::{login, search_index};

/// Creates a user in the viewer's license. Returns `None` for a dry run.
///
/// # Errors
/// `Rejected` with every error of the input; `Forbidden` for more rights than the viewer may give.
pub async fn create(
    db: &Db,
    hasher: &Hasher,
    viewer: &Viewer,
    (desk, ways): (MailQueue<'_>, &SelfServicePolicy),
    input: CreateUserInput,
) -> Result<Option<user::Model>, Error> {
    let CreateUserInput {
        first_name,
        last_name,
        password,
        pin,
        is_active,
        fields,
        attributes,
        send_registration_email,
        registration_email_next_url,
        dry_run,
    } = input;
    let mut form = Validator::creating();
    let mut new = user::Model::empty(Id::new(), viewer.signed_in()?.license_id);
    let names =
        UserNames { first_name: MaybeUndefined::Value(first_name), last_name: MaybeUndefined::Value(last_name) };
    new.apply(names, fields, &mut form);
    form.value("isActive", is_active, &mut new.is_active);
    let secrets = Secrets { password: form.secret("password", password), pin: form.secret("pin", pin) };
    new.has_activated = secrets.password.is_value();
    secrets.apply(&mut new);
    viewer.may_create(&new, form.given())?;
    let attributes = attribute_values::of_list(attributes, &mut form);
    let definitions = attribute_values::definitions(db.read(), new.license_id).await?;
    let mut profile = AttributeChanges::default();
    profile.apply(&attributes, &definitions, &mut form);
    profile.require(&definitions, &mut form);
    let wish = invitation::InvitationOptions { mail: send_registration_email, next_url: registration_email_next_url };
    wish.check(viewer)?;
    let invites = viewer.may(Action::Invite).is_ok() && !secrets.password.is_value();
    let welcome = wish.read(&new, invites, (desk, ways), &mut form);
    secrets.check(hasher, viewer, &mut form, &new).await?;
    check(db.read(), &new, &mut form).await?;
    if dry_run {
        let (transaction, _) = begin_creating(db, viewer, &new, form.given()).await?;
        collect_conflicts(&transaction, None, &new, &mut form).await?;
        form.finish()?;
        return Ok(None);
    }
    let given = form.given().to_vec();
    finish(db.read(), None, &new, form).await?;

    let stored = secrets.hashed(hasher, viewer).await?;
    let (transaction, actor) = begin_creating(db, viewer, &new, &given).await?;
    insert(db, (transaction, Some(&actor)), &new, stored, &attributes, welcome).await?;
    Ok(Some(new))
}

/// The means by which a new user activates the account.
pub enum ActivationMethod<'a> {
    /// No link: the user has a password, or gets a link later.
    Nothing,
    /// A link that the operator of the server hands over.
    Link,
    /// A link that is sent by email, and the URL to which it redirects afterwards.
    Mail(MailQueue<'a>, Option<Url>),
}

/// Begins the transaction in which a viewer creates a user, with the rights that the viewer has by then.
async fn begin_creating(
    db: &Db,
    viewer: &Viewer,
    new: &user::Model,
    given: &[&str],
) -> Result<(DatabaseTransaction, Actor), Error> {
    let (transaction, actor) = actor::begin(db, viewer).await?;
    actor.may_create(new, given)?;
    Ok((transaction, actor))
}

/// Inserts a user with secrets and attributes, and commits the transaction, which has begun with or without an actor. Creates a
/// link if `welcome` asks for one, and returns its token if it is to be shown.
///
/// # Errors
/// `Rejected`, naming each value that another user has.
pub async fn insert(
    db: &Db,
    (transaction, actor): (DatabaseTransaction, Option<&Actor>),
    new: &user::Model,
    hashes: Hashes,
    attributes: &[AttributeInputItem],
    welcome: ActivationMethod<'_>,
) -> Result<Option<String>, Error> {
    // Uses the definitions as they are now; whether required attributes are present was checked before.
    let (mut profile, mut form) = (AttributeChanges::default(), Validator::creating());
    let names: Vec<String> = attributes.iter().map(|item| item.name.clone()).collect();
    profile.apply(attributes, &attribute_values::hold(&transaction, new.license_id, &names).await?, &mut form);
    form.finish()?;
    if let Err(error) =
        user::Entity::insert(new.clone().into_active_model().reset_all()).exec_without_returning(&transaction).await
    {
        drop(transaction);
        return Err(map_unique_violation(db, None, new, error).await);
    }
    search_index::update(&transaction, [(None, Some(new))]).await?;
    let changes = difference(&user::Model::empty(new.id, new.license_id), new);
    let secrets = hashes.stored(&transaction, new.id).await?;
    let event = Entry::new(AuditAction::UserCreated, new).with(changes).with(secrets).with(profile.changes());
    let event = match actor {
        Some(actor) => event.by(actor),
        None => event,
    };
    attribute_values::store(&transaction, &[(new.id, profile)]).await?;
    let token = match welcome {
        ActivationMethod::Nothing => None,
        ActivationMethod::Link => Some(one_time_link::issue(&transaction, new).await?),
        ActivationMethod::Mail(desk, next_url) => {
            desk.invite(&transaction, new, next_url).await?;
            None
        }
    };
    audit::commit(transaction, [event]).await?;
    Ok(token)
}

/// The result of an update.
pub type Updated = payload::Updated<user::Model>;

/// Updates a user: absent fields stay unchanged, null clears. Setting or removing the password ends the user's sessions.
///
/// # Errors
/// `Rejected` with every error of the input; `Forbidden`, naming the fields that the viewer may not change.
pub async fn update(
    db: &Db,
    hasher: &Hasher,
    viewer: &Viewer,
    language: Language,
    input: UpdateUserInput,
) -> Result<Updated, Error> {
    let id = Id::of_input("id", &input.id)?;
    let expected = input.expected_version;
    let is_stale = |old: &user::Model| expected.is_some_and(|version| version != old.version);
    let old = find(db.read(), viewer, id).await?;
    let names = attribute_values::names(&input.attributes);
    let definitions = match names.as_slice() {
        [] => Definitions::new(),
        _ => attribute_values::definitions(db.read(), old.license_id).await?,
    };
    let Changed { new, secrets, profile } =
        changed(db.read(), Some(hasher), viewer, &old, &input, &definitions).await?;
    if is_stale(&old) {
        return Ok(Updated::Conflict(old));
    }
    if new == old && secrets.are_absent() && profile.is_unchanged() {
        return Ok(if input.dry_run { Updated::DryRun(old) } else { Updated::Saved(old) });
    }
    // Hashing is slow: it is done before the row is locked, and only for input without errors so far.
    let to_store = if input.dry_run { Hashes::default() } else { secrets.hashed(hasher, viewer).await? };

    let (transaction, viewer, old) = actor::begin_on_known(db, viewer, "id", id).await?;
    let definitions = attribute_values::hold(&transaction, old.license_id, &names).await?;
    if is_stale(&old) {
        return Ok(Updated::Conflict(old));
    }
    // The secrets were checked above; their strength is not computed again while other transactions wait.
    let Changed { mut new, profile, .. } = changed(&transaction, None, &viewer, &old, &input, &definitions).await?;
    ensure_administrator_remains(&transaction, &old, &new).await?;
    if input.dry_run {
        let mut form = Validator::changing();
        collect_conflicts(&transaction, Some(&old), &new, &mut form).await?;
        form.finish()?;
        return Ok(Updated::DryRun(old));
    }
    let secrets = to_store.stored(&transaction, id).await?;
    if new == old && secrets.is_empty() && profile.is_unchanged() {
        return Ok(Updated::Saved(old));
    }
    let changes = difference(&old, &new);
    mail::notify_of(&transaction, &old, &new, &secrets, language).await?;
    let event = Entry::new(AuditAction::UserUpdated, &new).by(&viewer).with(changes).with(secrets);
    let event = event.with(profile.changes());
    new.modified_at = now();
    new.version = old.version + 1;
    if new.email_key != old.email_key {
        one_time_link::revoke(&transaction, &[id]).await?;
    }
    if let Err(error) = new.clone().into_active_model().reset_all().update(&transaction).await {
        drop(transaction);
        return Err(map_unique_violation(db, Some(&old), &new, error).await);
    }
    search_index::update(&transaction, [(Some(&old), Some(&new))]).await?;
    attribute_values::store(&transaction, &[(id, profile)]).await?;
    audit::commit(transaction, [event]).await?;
    Ok(Updated::Saved(new))
}

/// The result of applying an input to a user.
struct Changed {
    new: user::Model,
    secrets: Secrets,
    profile: AttributeChanges,
}

/// Applies an input to a user, and returns the changed row with the changes of secrets and attributes.
async fn changed(
    connection: &impl ConnectionTrait,
    hasher: Option<&Hasher>,
    viewer: &Viewer,
    old: &user::Model,
    input: &UpdateUserInput,
    definitions: &Definitions,
) -> Result<Changed, Error> {
    let UpdateUserInput {
        id: _,
        expected_version: _,
        first_name,
        last_name,
        password,
        pin,
        fields,
        attributes,
        dry_run: _,
    } = input.clone();
    let mut form = Validator::changing();
    let mut new = old.clone();
    new.apply(UserNames { first_name, last_name }, fields, &mut form);
    new.email_verified = old.email_verified && new.email_key == old.email_key;
    let secrets = Secrets { password: form.secret("password", password), pin: form.secret("pin", pin) };
    secrets.apply(&mut new);
    let attributes = attribute_values::of_list(attributes, &mut form);
    let mut profile = AttributeChanges::read(connection, old.id, &attributes).await?;
    profile.apply(&attributes, definitions, &mut form);
    let lets_in = access::lets_in(old, &new, form.given());
    let holds_more = lets_in && site_access::holds_more(connection, old.id, viewer.signed_in()?.user_id).await?;
    viewer.may_update((old, holds_more), &new, form.given(), profile.given())?;
    if let Some(hasher) = hasher {
        secrets.check(hasher, viewer, &mut form, &new).await?;
    }
    check(connection, &new, &mut form).await?;
    finish(connection, Some(old), &new, form).await?;
    Ok(Changed { new, secrets, profile })
}

async fn find(db: &impl ConnectionTrait, viewer: &Viewer, id: Id) -> Result<user::Model, Error> {
    let found = user::Entity::find_by_id(id).filter(viewer.visible_users()).one(db).await?;
    found.ok_or_else(|| Error::not_found("id", "user"))
}

/// Checks the rules that involve more than one value, or another table.
async fn check(db: &impl ConnectionTrait, new: &user::Model, form: &mut Validator) -> Result<(), Error> {
    let blamed = form.has_fault_of("username") || form.has_fault_of("email");
    if new.username.is_none() && new.email.is_none() && !blamed {
        form.fault("email", ErrorCode::Required, "A username or an email address is required.");
    }
    if let Some(id) = new.institution_id {
        let of_license = of_license(institution::Column::LicenseId, new.license_id);
        if institution::Entity::find_by_id(id).filter(of_license).one(db).await?.is_none() {
            form.fault("institutionId", ErrorCode::NotFound, "There is no such institution.");
        }
    }
    Ok(())
}

/// Finishes a form. If it has errors, adds those that only the database would have found, so that all are returned at once.
async fn finish(
    db: &impl ConnectionTrait,
    old: Option<&user::Model>,
    new: &user::Model,
    mut form: Validator,
) -> Result<(), Error> {
    if form.has_faults() {
        collect_conflicts(db, old, new, &mut form).await?;
    }
    form.finish()
}

/// Turns a violated constraint into errors that name the values, all of them at once.
async fn map_unique_violation(db: &Db, old: Option<&user::Model>, new: &user::Model, error: sea_orm::DbErr) -> Error {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => {}
        // The institution existed when the input was checked.
        Some(SqlErr::ForeignKeyConstraintViolation(_)) if new.institution_id.is_some() => {
            return Error::not_found("institutionId", "institution");
        }
        _ => return error.into(),
    }
    let mut form = Validator::changing();
    match collect_conflicts(db.read(), old, new, &mut form).await.and_then(|()| form.finish()) {
        Ok(()) => error.into(),
        Err(explained) => explained,
    }
}

/// Adds an error for each value that another user has. A login that has not changed was accepted before and is not checked again.
async fn collect_conflicts(
    db: &impl ConnectionTrait,
    old: Option<&user::Model>,
    new: &user::Model,
    form: &mut Validator,
) -> Result<(), Error> {
    let external = new.external_id.as_ref().map(|id| {
        let of_license = of_license(user::Column::LicenseId, new.license_id);
        Condition::all().add(user::Column::ExternalId.eq(id)).add(of_license)
    });
    let login = |key: fn(&user::Model) -> Option<&String>| {
        let changed = key(new).filter(|_| old.is_none_or(|old| key(old) != key(new)));
        changed.map(|key| login::belongs(key).into_condition())
    };
    let username = login(|person| person.username_key.as_ref());
    let email = login(|person| person.email_key.as_ref());
    let keys = [
        ("username", "username", username),
        ("email", "email address", email),
        ("externalId", "external ID", external),
    ];
    // One statement for each, so that each uses its index. A key that is not given matches no user.
    for (field, what, key) in keys {
        let Some(key) = key else { continue };
        if user::Entity::find().filter(key).filter(user::Column::Id.ne(new.id)).one(db).await?.is_some() {
            form.fault(field, ErrorCode::Taken, format!("This {what} is taken."));
        }
    }
    Ok(())
}

/// Ensures that the last active superuser, and the last active license administrator of a license, keep their rank.
async fn ensure_administrator_remains(
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
            // Two administrators who demote each other at the same time must not both find the other one still active.
            transaction.execute_unprepared("SELECT pg_advisory_xact_lock(7305804403)").await?;
        }
        let others = user::Entity::find().filter(peers).filter(user::Column::Id.ne(old.id));
        if others.count(transaction).await? == 0 {
            return Err(Error::rejected(
                "id",
                ErrorCode::NotAllowed,
                format!("{} is {what} and cannot be deactivated, demoted or deleted.", old.name()),
            ));
        }
    }
    Ok(())
}
