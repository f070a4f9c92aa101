//! The inbox: events of committed writes that have no place in the chain yet. Only PostgreSQL has it.

use std::sync::LazyLock;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter, QueryOrder,
    QueryResult, QuerySelect, QueryTrait, Statement,
};

use super::chain::{changes_match, content_hash_of};
use crate::db::batch::{self, IfExists, InsertionFrom};
use crate::db::conditions::any_of;
use crate::entity::audit_event;
use crate::entity::audit_inbox::{self, Column};
use crate::error::Error;

/// The number of events that are read at once.
pub(super) const BATCH: u64 = 1_000;

/// Whether the chain already has the event. A scalar subquery, so that PostgreSQL looks up each event by its ID and never reads
/// all events of the chain.
const IS_SEALED: &str = "(SELECT 1 FROM audit_events WHERE audit_events.id = audit_inbox.id) IS NOT NULL";

/// Whether the subject is a user who has been erased. A user who still exists was not erased, whatever a tombstone says.
const IS_ERASED: &str = "(SELECT 1 FROM tombstones WHERE tombstones.user_id = audit_inbox.subject_id) IS NOT NULL \
    AND (SELECT 1 FROM users WHERE users.id = audit_inbox.subject_id) IS NULL";

/// An event in the inbox. A row that was tampered with may not be readable as an event.
pub(super) struct UnsealedEvent {
    pub(super) number: i64,
    is_sealed: bool,
    /// Whether the subject is a user who has been erased.
    pub(super) is_erased: bool,
    /// The event, without a place in the chain, and its hash as it was written.
    event: Result<(audit_event::Model, Vec<u8>), DbErr>,
}

impl UnsealedEvent {
    fn of(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            number: row.try_get("", "number")?,
            is_sealed: row.try_get("", "is_sealed")?,
            is_erased: row.try_get("", "is_erased")?,
            event: audit_event::Model::from_query_result(row, "")
                .and_then(|event| Ok((event, row.try_get("", "content_hash")?))),
        })
    }

    /// Returns the event, without a place in the chain.
    ///
    /// # Errors
    /// The reason why the event cannot be sealed: it is not as it was written.
    pub(super) fn check(self) -> Result<audit_event::Model, String> {
        let (event, content_hash) = self.event.map_err(|error| format!("the row is not a valid event: {error}"))?;
        if self.is_sealed {
            Err("the trail already contains the event".to_owned())
        } else if content_hash_of(&event).ok() != Some(content_hash) {
            Err("the hash does not match the event".to_owned())
        } else if !changes_match(&event) {
            Err("the changes do not match their hash".to_owned())
        } else {
            Ok(event)
        }
    }
}

/// Adds events to the inbox, without waiting for other transactions.
pub(super) async fn add(connection: &impl ConnectionTrait, events: Vec<audit_event::Model>) -> Result<(), Error> {
    let rows = events.into_iter().map(row_of).collect::<Result<Vec<_>, _>>()?;
    batch::insert_generated(connection, &rows, IfExists::Fail, &[]).await?;
    Ok(())
}

/// The name of the result of the statement before [`addition_after`].
pub(super) const SOURCE: &str = "written";

static ADDITION: LazyLock<InsertionFrom<audit_inbox::Model>> = LazyLock::new(|| InsertionFrom::new(SOURCE, true, &[]));

/// Returns the statement that adds an event to the inbox if another one, whose result is [`SOURCE`], has written its row.
pub(super) fn addition_after(event: audit_event::Model) -> Result<Statement, Error> {
    Ok(ADDITION.of(&row_of(event)?))
}

/// Returns whether no event waits for its place in the chain. The lowest number is found by the index, while `EXISTS` would read the
/// pages of all rows that are deleted and not vacuumed yet.
pub(super) async fn is_empty(connection: &impl ConnectionTrait) -> Result<bool, Error> {
    let statement = "SELECT min(number) IS NULL FROM audit_inbox";
    let row = connection
        .query_one_raw(Statement::from_string(connection.get_database_backend(), statement))
        .await?
        .ok_or_else(|| Error::internal("a statement without a result"))?;
    Ok(row.try_get_by_index(0)?)
}

/// Returns the number of events in the inbox.
pub(super) async fn count(connection: &impl ConnectionTrait) -> Result<u64, Error> {
    Ok(audit_inbox::Entity::find().count(connection).await?)
}

/// Reads the oldest events after a number, except those with given numbers; at most [`BATCH`].
pub(super) async fn read(
    connection: &impl ConnectionTrait,
    after: Option<i64>,
    except: &[i64],
) -> Result<Vec<UnsealedEvent>, Error> {
    let mut select = audit_inbox::Entity::find()
        .expr_as(Expr::cust("0::bigint"), "seq")
        .expr_as(Expr::cust("''::bytea"), "previous")
        .expr_as(Expr::cust("''::bytea"), "hash")
        .expr_as(Expr::cust(IS_SEALED), "is_sealed")
        .expr_as(Expr::cust(IS_ERASED), "is_erased")
        .order_by_asc(Column::Number)
        .limit(BATCH);
    if let Some(after) = after {
        select = select.filter(Column::Number.gt(after));
    }
    if !except.is_empty() {
        select = select.filter(Column::Number.ne_all(except.iter().copied()));
    }
    let rows = connection.query_all(&QueryTrait::into_query(select)).await?;
    Ok(rows.iter().map(UnsealedEvent::of).collect::<Result<Vec<_>, _>>()?)
}

/// Deletes events that the chain contains.
pub(super) async fn delete(connection: &impl ConnectionTrait, numbers: Vec<i64>) -> Result<(), Error> {
    if numbers.is_empty() {
        return Ok(());
    }
    let sealed = any_of(connection.get_database_backend(), Column::Number, numbers);
    audit_inbox::Entity::delete_many().filter(sealed).exec(connection).await?;
    Ok(())
}

/// Returns the row of an event. The database assigns its number.
fn row_of(event: audit_event::Model) -> Result<audit_inbox::Model, Error> {
    let content_hash = content_hash_of(&event)?;
    let audit_event::Model {
        seq: _,
        id,
        license_id,
        at,
        action,
        actor_id,
        api_key_id,
        subject_type,
        subject_id,
        request_id,
        changes,
        salt,
        changes_hash,
        previous: _,
        hash: _,
    } = event;
    Ok(audit_inbox::Model {
        number: 0,
        id,
        license_id,
        at,
        action,
        actor_id,
        api_key_id,
        subject_type,
        subject_id,
        request_id,
        changes,
        salt,
        changes_hash,
        content_hash,
    })
}
