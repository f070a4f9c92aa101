//! The audit events in the file of a user: those about the user, and those of what the user did to other objects.

use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use serde_json::{Value, json};

use super::ExportReader;
use super::object::of_row;
use crate::access::Viewer;
use crate::audit::Change;
use crate::entity::audit_event::{self, SubjectType};
use crate::error::Error;
use crate::scalar::Id;

/// The maximum number of events in each list of a file that is a response.
const MAX_EVENTS: usize = 1_000;
/// The maximum length of their changes, in bytes.
const MAX_CHANGES_LENGTH: usize = 1024 * 1024;
/// The number of events that are read at once for a response. The changes of a single one may be as long as two requests.
const PAGE: usize = 100;

/// Returns the events about a user. Other users who acted are not named: their data is not the user's.
pub(super) async fn about_user(
    db: &impl ConnectionTrait,
    reader: ExportReader<'_>,
    user_id: Id,
) -> Result<Value, Error> {
    let list = EventList::read(db, reader, Condition::all().add(audit_event::Column::SubjectId.eq(user_id))).await?;
    list.into_json(|event| {
        let changes = changes_of(event, reader)?;
        let is_by_user = event.actor_id == Some(user_id);
        let shown = ["id", "at", "action", "requestId"];
        Ok(with_members(event, &shown, [("isByUser", is_by_user.into()), ("changes", changes)]))
    })
}

/// Returns the events of what a user did to other objects, without the values that changed, and without the IDs of other users:
/// these are data of others.
pub(super) async fn by_user(db: &impl ConnectionTrait, reader: ExportReader<'_>, user_id: Id) -> Result<Value, Error> {
    let of_others =
        Condition::all().add(audit_event::Column::ActorId.eq(user_id)).add(audit_event::Column::SubjectId.ne(user_id));
    let list = EventList::read(db, reader, of_others).await?;
    list.into_json(|event| {
        let is_user = event.subject_type == SubjectType::User;
        let shown: &[&str] = if is_user {
            &["id", "at", "action", "requestId", "subjectType"]
        } else {
            &["id", "at", "action", "requestId", "subjectType", "subjectId"]
        };
        Ok(with_members(event, shown, []))
    })
}

/// Returns the members of an event with these names, and others.
fn with_members<const N: usize>(event: &audit_event::Model, shown: &[&str], others: [(&str, Value); N]) -> Value {
    let mut object = of_row(event);
    object.retain(|name, _| shown.contains(&name.as_str()));
    object.extend(others.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(object)
}

/// Returns the changes of an event, each with the values that the reader sees.
fn changes_of(event: &audit_event::Model, reader: ExportReader<'_>) -> Result<Value, Error> {
    let Some(changes) = &event.changes else { return Ok(json!([])) };
    let changes: Vec<Change> = serde_json::from_str(changes).map_err(Error::internal)?;
    let shown = changes.into_iter().map(|change| {
        let is_visible = match reader {
            ExportReader::Operator => true,
            ExportReader::Viewer(viewer) => {
                viewer.can_see_change(event.license_id, event.subject_type, event.subject_id, &change.field)
            }
        };
        if is_visible { change } else { Change::of_secret(&change.field) }
    });
    serde_json::to_value(shown.collect::<Vec<Change>>()).map_err(Error::internal)
}

/// Events, newest first.
struct EventList {
    events: Vec<audit_event::Model>,
    is_complete: bool,
}

impl EventList {
    /// Reads the events that the reader sees: as many as a response can hold, or all of them for the operator.
    async fn read(db: &impl ConnectionTrait, reader: ExportReader<'_>, of_user: Condition) -> Result<Self, Error> {
        let visible = reader.visible(Viewer::visible_audit_events);
        let found = audit_event::Entity::find().filter(of_user).filter(visible);
        let found = found.order_by_desc(audit_event::Column::Seq);
        match reader {
            ExportReader::Operator => Ok(Self { events: found.all(db).await?, is_complete: true }),
            ExportReader::Viewer(_) => Self::read_latest(db, &found).await,
        }
    }

    /// Reads as many events as a response can hold.
    async fn read_latest(db: &impl ConnectionTrait, found: &Select<audit_event::Entity>) -> Result<Self, Error> {
        let (mut events, mut length) = (Vec::<audit_event::Model>::new(), 0);
        loop {
            let earlier = events.last().map(|event| audit_event::Column::Seq.lt(event.seq));
            let page = found.clone().filter(Condition::all().add_option(earlier)).limit(PAGE as u64).all(db).await?;
            let is_last = page.len() < PAGE;
            for event in page {
                length += event.changes.as_ref().map_or(0, String::len);
                if events.len() == MAX_EVENTS || length > MAX_CHANGES_LENGTH {
                    return Ok(Self { events, is_complete: false });
                }
                events.push(event);
            }
            if is_last {
                return Ok(Self { events, is_complete: true });
            }
        }
    }

    fn into_json(self, of_event: impl Fn(&audit_event::Model) -> Result<Value, Error>) -> Result<Value, Error> {
        let events: Vec<Value> = self.events.iter().map(of_event).collect::<Result<_, Error>>()?;
        Ok(json!({ "isComplete": self.is_complete, "events": events }))
    }
}
