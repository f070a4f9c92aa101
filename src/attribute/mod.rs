//! Custom attributes: the definitions of a license. The values belong to users; see [`attribute_values`].

pub mod input;
pub mod mutation;
pub mod query;

use sea_orm::sea_query::LockType;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect, Select,
};

use crate::access::{Action, Viewer, of_license};
use crate::actor::{self, Actor};
use crate::attribute_values;
use crate::audit::{self, Change, Entry, difference};
use crate::db::{Db, Transaction, rows};
use crate::entity::attribute_definition::{self, DefineAttributeInput, MAX_DEFINITIONS, is_name};
use crate::entity::audit_event::AuditAction;
use crate::entity::{attribute_value, license};
use crate::error::{Error, ErrorCode};
use crate::scalar::{Id, now};
use crate::validation::Validator;

/// Returns the attribute definitions of the viewer's license, sorted by name. At most 100.
///
/// # Errors
/// `Unauthenticated` if no user is signed in.
pub async fn list(db: &Db, viewer: &Viewer) -> Result<Vec<attribute_definition::Model>, Error> {
    let definitions = attribute_values::definitions(db.read(), viewer.signed_in()?.license_id).await?;
    Ok(definitions.into_values().collect())
}

/// Defines an attribute in the viewer's license, or changes the attribute with this name.
///
/// # Errors
/// `Rejected` with every error of the input, if the license already has the maximum number of attributes, or if the kind would
/// change while any user has a value; `Forbidden`.
pub async fn define(
    db: &Db,
    viewer: &Viewer,
    input: DefineAttributeInput,
) -> Result<attribute_definition::Model, Error> {
    viewer.may(Action::DefineAttributes)?;
    let license_id = viewer.signed_in()?.license_id;
    let (transaction, viewer) = actor::begin(db, viewer).await?;
    viewer.may(Action::DefineAttributes)?;
    take_turns(&transaction, license_id).await?;
    let old = find(&transaction, license_id, &input.name).await?;
    let mut validator = if old.is_some() { Validator::changing() } else { Validator::creating() };
    let blank = attribute_definition::Model::empty(Id::new(), license_id);
    let mut new = old.clone().unwrap_or_else(|| blank.clone());
    new.apply(input, &mut validator);
    let Some(old) = old else {
        validator.finish()?;
        return insert(transaction, &viewer, &blank, new).await;
    };
    if new.kind != old.kind && values_of(&old).count(&transaction).await? > 0 {
        validator.add_error(
            "kind",
            ErrorCode::NotAllowed,
            "The kind cannot be changed while any user has a value of the attribute.",
        );
    }
    validator.finish()?;
    if new == old {
        return Ok(old);
    }
    new.modified_at = now();
    let event = Entry::new(AuditAction::AttributeChanged, &new).by(&viewer).with(difference(&old, &new));
    rows::update(&transaction, &old, new.clone()).await?;
    audit::commit(transaction, [event]).await?;
    Ok(new)
}

async fn insert(
    transaction: Transaction,
    actor: &Actor,
    blank: &attribute_definition::Model,
    new: attribute_definition::Model,
) -> Result<attribute_definition::Model, Error> {
    let of_license = of_license(attribute_definition::Column::LicenseId, new.license_id);
    if attribute_definition::Entity::find().filter(of_license).count(&transaction).await? >= MAX_DEFINITIONS {
        let message = format!("A license can define at most {MAX_DEFINITIONS} attributes; remove one first.");
        return Err(Error::rejected("name", ErrorCode::NotAllowed, message));
    }
    let event = made(blank, &new).by(actor);
    rows::insert(&transaction, new.clone()).await?;
    audit::commit(transaction, [event]).await?;
    Ok(new)
}

/// Inserts generated definitions into a license that has none. Does nothing if the license has any.
#[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
pub async fn define_all(db: &Db, license_id: Id, new: Vec<attribute_definition::Model>) -> Result<(), Error> {
    let transaction = db.begin().await?;
    take_turns(&transaction, license_id).await?;
    if new.is_empty() || !attribute_values::definitions(&transaction, license_id).await?.is_empty() {
        return Ok(());
    }
    insert_all(transaction, license_id, new).await
}

/// Inserts definitions of an import, except those whose names the license defines already.
#[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
pub async fn define_missing(db: &Db, license_id: Id, mut new: Vec<attribute_definition::Model>) -> Result<(), Error> {
    let transaction = db.begin().await?;
    take_turns(&transaction, license_id).await?;
    let defined = attribute_values::definitions(&transaction, license_id).await?;
    new.retain(|definition| !defined.contains_key(&definition.name));
    if new.is_empty() {
        return Ok(());
    }
    insert_all(transaction, license_id, new).await
}

/// Inserts definitions, and commits the transaction.
async fn insert_all(
    transaction: Transaction,
    license_id: Id,
    new: Vec<attribute_definition::Model>,
) -> Result<(), Error> {
    let blank = attribute_definition::Model::empty(Id::new(), license_id);
    let events: Vec<Entry> = new.iter().map(|new| made(&blank, new)).collect();
    attribute_definition::Entity::insert_many(new.into_iter().map(rows::active))
        .exec_without_returning(&transaction)
        .await?;
    audit::commit(transaction, events).await
}

/// Removes an attribute with the values of all users. Returns the attribute as it was.
///
/// # Errors
/// `Rejected` for a name that the license does not define; `Forbidden`.
pub async fn remove(db: &Db, viewer: &Viewer, name: &str) -> Result<attribute_definition::Model, Error> {
    viewer.may(Action::DefineAttributes)?;
    let (transaction, viewer) = actor::begin(db, viewer).await?;
    viewer.may(Action::DefineAttributes)?;
    let found = find(&transaction, viewer.signed_in()?.license_id, name).await?;
    let old = found.ok_or_else(|| Error::not_found("name", "attribute"))?;
    if transaction.get_database_backend() == DatabaseBackend::Postgres {
        // With very many users, this may take longer than the usual timeout of a statement.
        transaction.execute_unprepared("SET LOCAL statement_timeout = '60s'").await?;
    }
    let values = values_of(&old).count(&transaction).await?;
    attribute_definition::Entity::delete_by_id(old.id).exec(&transaction).await?;
    let changes =
        [Change::of("name", Some(old.name.clone().into()), None), Change::of("values", Some(values.into()), None)];
    audit::commit(transaction, [Entry::new(AuditAction::AttributeRemoved, &old).by(&viewer).with(changes)]).await?;
    Ok(old)
}

/// Waits for other transactions that define attributes in the license, so that each counts all definitions.
async fn take_turns(transaction: &Transaction, license_id: Id) -> Result<(), Error> {
    // This does not block transactions that create users: they take a weaker lock on the row of the license.
    license::Entity::find_by_id(license_id).lock(LockType::NoKeyUpdate).one(transaction).await?;
    Ok(())
}

/// Returns the definition with a name, locked: transactions that set a value of it wait.
async fn find(
    transaction: &impl ConnectionTrait,
    license_id: Id,
    name: &str,
) -> Result<Option<attribute_definition::Model>, Error> {
    let name = name.trim();
    // Only valid names are sent to the database.
    if !is_name(name) {
        return Ok(None);
    }
    let of_license = of_license(attribute_definition::Column::LicenseId, license_id);
    let named = attribute_definition::Entity::find().filter(attribute_definition::Column::Name.eq(name));
    Ok(named.filter(of_license).lock_exclusive().one(transaction).await?)
}

fn values_of(definition: &attribute_definition::Model) -> Select<attribute_value::Entity> {
    attribute_value::Entity::find().filter(attribute_value::Column::DefinitionId.eq(definition.id))
}

/// Returns the audit event of a new definition. It always records the kind, even the default one.
fn made(blank: &attribute_definition::Model, new: &attribute_definition::Model) -> Entry {
    let kind = audit::recorded(new, attribute_definition::Column::Kind);
    let like = attribute_definition::Model { kind: new.kind, ..blank.clone() };
    let changes = difference(&like, new).into_iter().chain([Change::of("kind", None, kind)]);
    Entry::new(AuditAction::AttributeDefined, new).with(changes)
}
