//! Creation of users.

use std::sync::LazyLock;

use sea_orm::sea_query::ExprTrait;
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::conflicts::{self, check_references, collect_conflicts, map_unique_violation};
use super::input::CreateUserInput;
use super::invitation::{ActivationEmails, InvitationOptions};
use super::secrets::{Hashes, Secrets};
use crate::access::{Action, Viewer};
use crate::actor::{self, Actor, Reliance};
use crate::attribute_values::{self, AttributeChanges, AttributeInputItem};
use crate::audit::{self, Entry, difference};
use crate::auth::password::Hasher;
use crate::auth::{one_time_link, throttle};
use crate::db::batch::InsertionFrom;
use crate::db::{Db, Transaction, rows};
use crate::entity::audit_event::AuditAction;
use crate::entity::user::{self, UserNames};
use crate::error::Error;
use crate::mail::MailQueue;
use crate::scalar::{Id, Url};
use crate::validation::Validator;

/// A user to insert.
pub struct NewUser<'a> {
    pub row: &'a user::Model,
    pub hashed_secrets: Hashes,
    pub attributes: &'a [AttributeInputItem],
    pub activation: ActivationMethod<'a>,
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

/// Creates a user in the viewer's license. Returns `None` for a dry run.
///
/// # Errors
/// `Rejected` with every error of the input; `Forbidden` for more rights than the viewer may give; `RateLimited` for a viewer who
/// has encountered too many logins of other licenses.
pub async fn create(
    db: &Db,
    hasher: &Hasher,
    viewer: &Viewer,
    emails: ActivationEmails<'_>,
    input: CreateUserInput,
) -> Result<Option<user::Model>, Error> {
    let dry_run = input.dry_run;
    let (mut draft, mut validator) = read(db, viewer, emails, input).await?;
    let row = &draft.row;
    draft.secrets.check(hasher, viewer, &mut validator, row).await?;
    check_references(db.read(), None, row, &mut validator).await?;
    if draft.lacks_attributes && validator.has_errors() {
        validator = missing_attributes(db.read(), row).await?.followed_by(validator);
    }
    let given = validator.given().to_vec();
    if dry_run {
        let (transaction, ..) = begin(db, viewer, row, &given).await?;
        collect_conflicts(&transaction, None, row, &mut validator).await?;
        validator.finish()?;
        return Ok(None);
    }
    if validator.has_errors() && (row.username.is_some() || row.email.is_some()) {
        throttle::check_foreign_logins(db, viewer.signed_in()?.user_id).await?;
    }
    conflicts::finish(db.read(), None, row, validator).await?;

    // Hashing is slow: it is done before the transaction begins.
    let hashed_secrets = std::mem::take(&mut draft.secrets).hash(hasher, viewer).await?;
    if draft.lacks_attributes
        && matches!(draft.activation, ActivationMethod::Nothing)
        && insert_at_once(db, viewer, &draft.row).await?
    {
        return Ok(Some(draft.row));
    }
    let (transaction, actor, found) = begin(db, viewer, &draft.row, &given).await?;
    found.check(&transaction, &draft).await?;
    let Draft { row, attributes, activation, .. } = draft;
    let new = NewUser { row: &row, hashed_secrets, attributes: &attributes, activation };
    insert(db, transaction, Some(&actor), new).await?;
    Ok(Some(row))
}

static INSERTION: LazyLock<InsertionFrom<user::Model>> =
    LazyLock::new(|| InsertionFrom::new(Reliance::NAME, false, &[user::Column::Id]));

/// Inserts a user without secrets and attributes as one statement, where that saves round trips. Returns whether it was done;
/// otherwise, a transaction finds out why not.
async fn insert_at_once(db: &Db, viewer: &Viewer, row: &user::Model) -> Result<bool, Error> {
    // Whoever waits for another user with the same reference does so after the event has its number.
    if row.external_references.is_some() {
        return Ok(false);
    }
    let Some((actor, reliance)) = actor::rely_on(db, viewer) else { return Ok(false) };
    let reliance = reliance.with_institution(row.institution_id).with(vec![
        throttle::has_foreign_logins_left(viewer.signed_in()?.user_id),
        attribute_values::required_count(row.license_id).eq(0_i64),
    ]);
    match audit::commit_if(db, &reliance, INSERTION.of(row), creation(Some(&actor), row)).await? {
        Ok(is_inserted) => Ok(is_inserted),
        Err(error) => Err(map_unique_violation(db, None, row, error).await),
    }
}

/// A user as described by an input.
struct Draft<'a> {
    row: user::Model,
    secrets: Secrets,
    attributes: Vec<AttributeInputItem>,
    /// Whether there are no attributes, and it has not been checked yet whether some are required.
    lacks_attributes: bool,
    activation: ActivationMethod<'a>,
}

/// Reads an input, and checks that the viewer may create the user. Returns the errors found so far in the validator.
async fn read<'a>(
    db: &Db,
    viewer: &Viewer,
    emails: ActivationEmails<'a>,
    input: CreateUserInput,
) -> Result<(Draft<'a>, Validator), Error> {
    let mut validator = Validator::creating();
    let mut row = user::Model::empty(Id::new(), viewer.signed_in()?.license_id);
    row.apply(UserNames::new(input.first_name, input.last_name), input.fields, &mut validator);
    validator.value("isActive", input.is_active, &mut row.is_active);
    let secrets =
        Secrets { password: validator.secret("password", input.password), pin: validator.secret("pin", input.pin) };
    row.has_activated = secrets.password.is_value();
    secrets.apply(&mut row);
    viewer.may_create(&row, validator.given())?;
    let attributes = attribute_values::of_list(input.attributes, &mut validator);
    // Secrets are hashed only for an input without errors, so that these must be found before. Otherwise, whether attributes are
    // missing is read with the actor.
    let is_simple = attributes.is_empty() && secrets.are_absent() && !validator.has_errors();
    let lacks_attributes = is_simple && !input.dry_run;
    if !lacks_attributes {
        let definitions = attribute_values::definitions(db.read(), row.license_id).await?;
        let mut changes = AttributeChanges::default();
        changes.apply(&attributes, &definitions, &mut validator);
        changes.require(&definitions, &mut validator);
    }
    let options =
        InvitationOptions { mail: input.send_registration_email, next_url: input.registration_email_next_url };
    options.check(viewer)?;
    let is_invited = viewer.may(Action::Invite).is_ok() && !secrets.password.is_value();
    let activation = options.activation(&row, is_invited, emails, &mut validator);
    Ok((Draft { row, secrets, attributes, lacks_attributes, activation }, validator))
}

/// Returns the errors of a new user without attributes.
async fn missing_attributes(connection: &impl ConnectionTrait, new: &user::Model) -> Result<Validator, Error> {
    let definitions = attribute_values::definitions(connection, new.license_id).await?;
    let mut validator = Validator::creating();
    AttributeChanges::default().require(&definitions, &mut validator);
    Ok(validator)
}

/// The values that are read with the actor.
#[derive(FromQueryResult)]
struct Found {
    /// The number of logins of other licenses that the viewer has encountered.
    foreign_logins: Option<i32>,
    required_attributes: i64,
}

impl Found {
    /// Checks the creation of a user against the values.
    ///
    /// # Errors
    /// `RateLimited`; `Rejected` if attributes are missing.
    async fn check(&self, transaction: &Transaction, draft: &Draft<'_>) -> Result<(), Error> {
        throttle::check_foreign_login_count(self.foreign_logins.unwrap_or_default())?;
        if draft.lacks_attributes && self.required_attributes > 0 {
            let validator = missing_attributes(transaction, &draft.row).await?;
            conflicts::finish(transaction, None, &draft.row, validator).await?;
        }
        Ok(())
    }
}

/// Begins the transaction in which a viewer creates a user, with the rights that the viewer has by then.
async fn begin(
    db: &Db,
    viewer: &Viewer,
    new: &user::Model,
    given: &[&str],
) -> Result<(Transaction, Actor, Found), Error> {
    let values = vec![
        ("foreign_logins", throttle::foreign_login_count(viewer.signed_in()?.user_id)),
        ("required_attributes", attribute_values::required_count(new.license_id)),
    ];
    let (transaction, actor, found) = actor::begin_with(db, viewer, values).await?;
    actor.may_create(new, given)?;
    Ok((transaction, actor, found))
}

/// Inserts a user with secrets and attributes, and commits the transaction, which has begun with or without an actor. Returns the
/// token of the link that is to be shown, if any.
///
/// # Errors
/// `Rejected`, naming each value that another user has.
pub async fn insert(
    db: &Db,
    transaction: Transaction,
    actor: Option<&Actor>,
    new: NewUser<'_>,
) -> Result<Option<String>, Error> {
    let NewUser { row, hashed_secrets, attributes, activation } = new;
    if hashed_secrets.are_absent() && attributes.is_empty() && matches!(activation, ActivationMethod::Nothing) {
        let write = rows::insertion(transaction.get_database_backend(), row);
        return match audit::commit_write(transaction, write, creation(actor, row)).await? {
            Ok(()) => Ok(None),
            Err(error) => Err(map_unique_violation(db, None, row, error).await),
        };
    }
    // Uses the definitions as they are now; whether required attributes are present was checked before.
    let (mut values, mut validator) = (AttributeChanges::default(), Validator::creating());
    let names: Vec<String> = attributes.iter().map(|item| item.name.clone()).collect();
    let definitions = attribute_values::hold(&transaction, row.license_id, &names).await?;
    values.apply(attributes, &definitions, &mut validator);
    validator.finish()?;
    if let Err(error) = rows::insert(&transaction, row.clone()).await {
        drop(transaction);
        return Err(map_unique_violation(db, None, row, error).await);
    }
    let secrets = hashed_secrets.stored(&transaction, row.id).await?;
    let event = creation(actor, row).with(secrets).with(values.changes());
    attribute_values::store(&transaction, &[(row.id, values)]).await?;
    let token = match activation {
        ActivationMethod::Nothing => None,
        ActivationMethod::Link => Some(one_time_link::issue(&transaction, row).await?),
        ActivationMethod::Mail(queue, next_url) => {
            queue.invite(&transaction, row, next_url).await?;
            None
        }
    };
    audit::commit(transaction, [event]).await?;
    Ok(token)
}

/// Returns the event of the creation of a user, without secrets and attributes.
fn creation(actor: Option<&Actor>, row: &user::Model) -> Entry {
    let changes = difference(&user::Model::empty(row.id, row.license_id), row);
    let event = Entry::new(AuditAction::UserCreated, row).with(changes);
    match actor {
        Some(actor) => event.by(actor),
        None => event,
    }
}
