//! The events of the audit trail behind changes.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Alias, Asterisk, Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};

use super::Position;
use crate::access::Viewer;
use crate::audit::Change as RecordedChange;
use crate::db::Reader;
use crate::db::conditions::all_rows;
use crate::entity::audit_event::{self, AuditAction, SubjectType};
use crate::error::Error;
use crate::scalar::Id;

/// The maximum length of the recorded changes of the events that are read at once, in bytes. Those of the last event may exceed it.
const MAX_CHANGES_LENGTH: usize = 4 * 1024 * 1024;
/// The length of the recorded changes of the events before one.
const LENGTH_BEFORE: &str =
    "COALESCE(SUM(OCTET_LENGTH(changes)) OVER (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)";

/// An event of the trail.
#[derive(FromQueryResult)]
pub(super) struct Event {
    pub(super) seq: i64,
    pub(super) hash: Vec<u8>,
    pub(super) license_id: Id,
    pub(super) at: DateTime<Utc>,
    pub(super) action: AuditAction,
    pub(super) subject_type: SubjectType,
    pub(super) subject_id: Id,
    pub(super) changes: Option<String>,
}

impl Event {
    /// Returns the position after the event.
    pub(super) fn position(&self) -> Position {
        Position::after(self.seq, &self.hash)
    }

    /// Returns the changed fields that the event records. None if they were erased with their user.
    pub(super) fn recorded(&self) -> Result<Vec<RecordedChange>, Error> {
        let recorded = self.changes.as_deref().map(serde_json::from_str::<Vec<RecordedChange>>).transpose();
        Ok(recorded.map_err(Error::internal)?.unwrap_or_default())
    }
}

/// The part of the trail that a page is read from.
pub(super) struct Bounds {
    /// Whether the trail contains the position after which the page begins.
    pub(super) is_known: bool,
    /// The position after the last event of the licenses that the viewer can see, but not before the position of the
    /// request.
    pub(super) end: Position,
}

/// Reads the bounds for a page in one statement.
pub(super) async fn bounds(db: &Reader, viewer: &Viewer, after: Position) -> Result<Bounds, Error> {
    let select =
        || audit_event::Entity::find().select_only().columns([audit_event::Column::Seq, audit_event::Column::Hash]);
    let last = select().filter(viewer.visible_changes()).order_by_desc(audit_event::Column::Seq).limit(1_u64);
    let at_position = select().filter(audit_event::Column::Seq.eq(after.seq()));
    let parts = [at_position, last].into_iter().map(QueryTrait::into_query);
    let Some(statement) = all_rows(parts) else { return Ok(Bounds { is_known: false, end: Position::START }) };
    let mut positions = Vec::new();
    for row in db.query_all(&statement).await? {
        let (seq, hash): (i64, Vec<u8>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        positions.push(Position::after(seq, &hash));
    }
    let is_known = after == Position::START || positions.contains(&after);
    let end = positions.into_iter().max_by_key(|position| position.seq()).unwrap_or(Position::START);
    Ok(Bounds { is_known, end })
}

/// Consecutive events of the trail.
pub(super) struct EventPage {
    pub(super) events: Vec<Event>,
    /// Whether there may be more events up to the requested position.
    pub(super) has_more: bool,
    /// Whether they end because their recorded changes are long.
    pub(super) is_long: bool,
}

/// Reads the events after a position, up to another one, of the licenses that the viewer can see. Ends after `limit` events, and
/// after [`MAX_CHANGES_LENGTH`].
pub(super) async fn events(
    db: &Reader,
    viewer: &Viewer,
    after: Position,
    until: Position,
    limit: usize,
) -> Result<EventPage, DbErr> {
    use audit_event::Column;
    let found = audit_event::Entity::find()
        .select_only()
        .columns([Column::Seq, Column::Hash, Column::LicenseId, Column::At, Column::Action])
        .columns([Column::SubjectType, Column::SubjectId, Column::Changes])
        .filter(viewer.visible_changes())
        .filter(Column::Seq.gt(after.seq()))
        .filter(Column::Seq.lte(until.seq()))
        .order_by_asc(Column::Seq)
        .limit(limit as u64);
    let mut found = QueryTrait::into_query(found);
    found.expr_as(Expr::cust(LENGTH_BEFORE), Alias::new("length_before"));
    let mut statement = Query::select();
    statement.column(Asterisk).from_subquery(found, Alias::new("found"));
    statement.and_where(Expr::col(Alias::new("length_before")).lt(MAX_CHANGES_LENGTH as u64));
    let rows = db.query_all(&statement).await?;
    let events: Result<Vec<Event>, DbErr> = rows.iter().map(|row| Event::from_query_result(row, "")).collect();
    let mut events = events?;
    events.sort_unstable_by_key(|event| event.seq);
    let length: usize = events.iter().filter_map(|event| event.changes.as_ref()).map(String::len).sum();
    let is_long = length >= MAX_CHANGES_LENGTH;
    Ok(EventPage { has_more: is_long || events.len() >= limit, is_long, events })
}
