//! Updates of users.

use std::fmt::Write as _;

use sea_orm::{ConnectionTrait, DatabaseBackend, ModelTrait};

use super::administrators::ensure_administrator_remains;
use super::conflicts::{self, check_references, map_unique_violation};
use super::find;
use super::input::UpdateUserInput;
use super::secrets::{Hashes, Secrets};
use crate::access::{self, Action, ProposedChange, Viewer};
use crate::actor::{self, Actor, Reliance, Unlocked};
use crate::attribute_values::{self, AttributeChanges, Definitions};
use crate::audit::{self, Entry, difference};
use crate::auth::one_time_link;
use crate::auth::password::Hasher;
use crate::db::{Db, Offline, Transaction};
use crate::entity::audit_event::AuditAction;
use crate::entity::user::{self, UserNames};
use crate::entity::{site_access, versioned};
use crate::error::Error;
use crate::graphql::payload::{UpdateOptions, Updated};
use crate::i18n::language::Language;
use crate::mail;
use crate::scalar::Id;
use crate::validation::Validator;

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
) -> Result<Updated<user::Model>, Error> {
    let id = Id::of_input("id", &input.id)?;
    let options = UpdateOptions { expected_version: input.expected_version, dry_run: input.dry_run };
    let has_secrets = !input.password.is_undefined() || !input.pin.is_undefined();
    // The row is read before it is locked only if that is worth a statement: if there are secrets to hash, which takes long, or if
    // the viewer has no right that reaches the user, whom other callers would have to wait for.
    let hashed_secrets = if has_secrets || !viewer.may_reach(Action::UpdateUser, id) {
        match hash_secrets(db, hasher, viewer, id, &input, options).await? {
            Ok(hashed_secrets) => hashed_secrets,
            Err(current) => return Ok(Updated::Conflict(current)),
        }
    } else {
        if let Some(saved) = save_at_once(db, viewer, id, &input, options).await? {
            return Ok(Updated::Saved(saved));
        }
        Hashes::default()
    };

    let (transaction, actor, old) = actor::begin_on_known(db, viewer, "id", id).await?;
    let names = attribute_values::names(&input.attributes);
    let definitions = attribute_values::hold(&transaction, old.license_id, &names).await?;
    // The secrets were checked above; their strength is not computed again while other transactions wait.
    let Draft { row, attributes, .. } = apply(&transaction, None, &actor, &old, input, &definitions).await?;
    if options.is_conflict(&old) {
        return Ok(Updated::Conflict(old));
    }
    ensure_administrator_remains(&transaction, &old, &row).await?;
    if options.dry_run {
        conflicts::check(&transaction, Some(&old), &row).await?;
        return Ok(Updated::DryRun(old));
    }
    save(db, transaction, &actor, language, Change { old, new: row, hashed_secrets, attributes }).await
}

/// The columns whose change affects other rows, or waits for other transactions when the event has its number already. Beside them,
/// a change of rank depends on the other administrators.
const ENTANGLED: [user::Column; 3] =
    [user::Column::UsernameKey, user::Column::EmailKey, user::Column::ExternalReferences];

/// Updates a user as one statement, where that saves round trips and depends on nothing but the rows of the user and the actor.
/// Returns the user as saved. `None` if a transaction must do it, or find out why it cannot be done.
async fn save_at_once(
    db: &Db,
    viewer: &Viewer,
    id: Id,
    input: &UpdateUserInput,
    options: UpdateOptions,
) -> Result<Option<user::Model>, Error> {
    if options.dry_run || !attribute_values::names(&input.attributes).is_empty() {
        return Ok(None);
    }
    let Some(Unlocked { actor, user: old, reliance }) = actor::read_on(db, viewer, id).await? else { return Ok(None) };
    let draft = apply(&Offline, None, &actor, &old, input.clone(), &Definitions::new()).await;
    let Ok(Draft { row: new, attributes, .. }) = draft else { return Ok(None) };
    let mut entangled = ENTANGLED.iter().chain(&user::RANK_COLUMNS);
    let is_entangled = entangled.any(|column| old.get(*column) != new.get(*column));
    // Without a change, there is no statement that checks the actor.
    if options.is_conflict(&old) || is_entangled || !attributes.is_unchanged() || new == old {
        return Ok(None);
    }
    let event = Entry::new(AuditAction::UserUpdated, &new).by(&actor).with(difference(&old, &new));
    let (mut write, saved) = versioned::saving(DatabaseBackend::Postgres, &old, new);
    let _ = write!(write.sql, r#" AND EXISTS (SELECT 1 FROM {}) RETURNING "id""#, Reliance::NAME);
    match audit::commit_if(db, &reliance, write, event).await? {
        Ok(is_saved) => Ok(is_saved.then_some(saved)),
        Err(error) => Err(map_unique_violation(db, Some(&old), &saved, error).await),
    }
}

/// Checks an update as far as that is possible without a lock, and hashes its secrets unless it is a dry run. Returns the user as
/// they are now if the update is based on another version.
async fn hash_secrets(
    db: &Db,
    hasher: &Hasher,
    viewer: &Viewer,
    id: Id,
    input: &UpdateUserInput,
    options: UpdateOptions,
) -> Result<Result<Hashes, user::Model>, Error> {
    let old = find(db.read(), viewer, id).await?;
    let definitions = match attribute_values::names(&input.attributes).as_slice() {
        [] => Definitions::new(),
        _ => attribute_values::definitions(db.read(), old.license_id).await?,
    };
    let draft = apply(db.read(), Some(hasher), viewer, &old, input.clone(), &definitions).await?;
    if options.is_conflict(&old) {
        return Ok(Err(old));
    }
    Ok(Ok(if options.dry_run { Hashes::default() } else { draft.secrets.hash(hasher, viewer).await? }))
}

/// A user as changed by an input.
struct Draft {
    row: user::Model,
    secrets: Secrets,
    attributes: AttributeChanges,
}

/// Applies an input to a user, and checks that the viewer may make the changes. Without a hasher, secrets are not checked.
async fn apply(
    connection: &impl ConnectionTrait,
    hasher: Option<&Hasher>,
    viewer: &Viewer,
    old: &user::Model,
    input: UpdateUserInput,
    definitions: &Definitions,
) -> Result<Draft, Error> {
    let mut validator = Validator::changing();
    let mut new = old.clone();
    let names = UserNames { first_name: input.first_name, last_name: input.last_name };
    new.apply(names, input.fields, &mut validator);
    new.email_verified = old.email_verified && new.email_key == old.email_key;
    let secrets =
        Secrets { password: validator.secret("password", input.password), pin: validator.secret("pin", input.pin) };
    secrets.apply(&mut new);
    let items = attribute_values::of_list(input.attributes, &mut validator);
    let mut attributes = AttributeChanges::read(connection, old.id, &items).await?;
    attributes.apply(&items, definitions, &mut validator);
    let has_more_sites = access::affects_sign_in(old, &new, validator.given())
        && site_access::holds_more(connection, old.id, viewer.signed_in()?.user_id).await?;
    let (fields, attribute_definitions) = (validator.given(), attributes.given());
    viewer.may_update(ProposedChange { old, new: &new, fields, attributes: attribute_definitions, has_more_sites })?;
    if let Some(hasher) = hasher {
        secrets.check(hasher, viewer, &mut validator, &new).await?;
    }
    check_references(connection, Some(old), &new, &mut validator).await?;
    conflicts::finish(connection, Some(old), &new, validator).await?;
    Ok(Draft { row: new, secrets, attributes })
}

/// A valid change of a user.
struct Change {
    old: user::Model,
    new: user::Model,
    hashed_secrets: Hashes,
    attributes: AttributeChanges,
}

/// Saves a change, and commits the transaction, in which the user is locked.
async fn save(
    db: &Db,
    transaction: Transaction,
    actor: &Actor,
    language: Language,
    change: Change,
) -> Result<Updated<user::Model>, Error> {
    let Change { old, new, hashed_secrets, attributes } = change;
    let secrets = hashed_secrets.stored(&transaction, old.id).await?;
    if new == old && secrets.is_empty() && attributes.is_unchanged() {
        return Ok(Updated::Saved(old));
    }
    mail::notify_of_credential_changes(&transaction, &old, &new, &secrets, language).await?;
    let event = Entry::new(AuditAction::UserUpdated, &new).by(actor).with(difference(&old, &new)).with(secrets);
    let event = event.with(attributes.changes());
    if new.email_key != old.email_key {
        one_time_link::revoke(&transaction, &[old.id]).await?;
    }
    attribute_values::store(&transaction, &[(old.id, attributes)]).await?;
    let (write, saved) = versioned::saving(transaction.get_database_backend(), &old, new);
    match audit::commit_write(transaction, write, event).await? {
        Ok(()) => Ok(Updated::Saved(saved)),
        Err(error) => Err(map_unique_violation(db, Some(&old), &saved, error).await),
    }
}
