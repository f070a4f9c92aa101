//! The changes behind events, as far as a viewer can see them.

use std::collections::HashSet;

use sea_orm::sea_query::Condition;
use sea_orm::{ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use super::field::api_field;
use super::trail::Event;
use super::{Change, ChangeFilter, ChangeKind, NodeType};
use crate::access::{ATTRIBUTES, Viewer};
use crate::audit::{self, Change as RecordedChange};
use crate::db::Reader;
use crate::db::conditions::{no_index_hint, one_of};
use crate::entity::audit_event::MAX_CHANGES;
use crate::entity::{attribute_definition, group, institution, license, user};
use crate::error::Error;
use crate::scalar::Id;

/// An event that is a change, for every viewer.
struct Candidate {
    event: Event,
    kind: ChangeKind,
    node_type: NodeType,
}

impl Candidate {
    fn of_event(event: Event, filter: &ChangeFilter) -> Option<Self> {
        let kind = ChangeKind::of_action(event.action)?;
        let node_type = NodeType::of_subject(event.subject_type)?;
        filter.includes(node_type, event.subject_id).then_some(Self { event, kind, node_type })
    }
}

/// Returns the changes behind events that the viewer can see, at most `limit`.
pub(super) async fn changes(
    db: &Reader,
    viewer: &Viewer,
    filter: &ChangeFilter,
    events: Vec<Event>,
    limit: usize,
) -> Result<Vec<Change>, Error> {
    let candidates: Vec<Candidate> =
        events.into_iter().filter_map(|event| Candidate::of_event(event, filter)).collect();
    let open = open_attributes(db, viewer, &candidates).await?;
    let mut possible = Vec::new();
    for candidate in candidates {
        possible.extend(PossibleChange::of_candidate(candidate, viewer, &open)?);
    }
    let objects = visible_objects(db, viewer, &possible).await?;
    let changes = possible.into_iter().filter_map(|change| change.judge(viewer, &objects));
    Ok(changes.take(limit).collect())
}

/// A change that the viewer can see if they can see its object.
struct PossibleChange {
    candidate: Candidate,
    /// The names of the changed fields that the viewer can see.
    fields: Vec<String>,
    /// Whether the user was activated or deactivated; `None` if neither.
    activity: Option<bool>,
    is_never_active: bool,
    /// Whether anything is recorded.
    is_recorded: bool,
}

impl PossibleChange {
    /// Returns `None` if the viewer cannot know of the change, whether they can see its object or not. `open` are the
    /// licenses and names of the custom attributes whose values are visible to every user.
    fn of_candidate(
        candidate: Candidate,
        viewer: &Viewer,
        open: &HashSet<(Id, String)>,
    ) -> Result<Option<Self>, Error> {
        let recorded = candidate.event.recorded()?;
        let fields = visible_fields(&candidate, viewer, open, &recorded);
        // A change of which nothing is visible would tell that something private changed.
        if fields.is_empty() && !matches!(candidate.kind, ChangeKind::Created | ChangeKind::Deleted) {
            return Ok(None);
        }
        let (activity, is_never_active) = (recorded_activity(&recorded), is_never_active(&recorded));
        Ok(Some(Self { candidate, fields, activity, is_never_active, is_recorded: !recorded.is_empty() }))
    }

    /// Returns the change as the viewer can see it, by the objects that they can see; `None` if they cannot know of it.
    fn judge(self, viewer: &Viewer, objects: &HashSet<Id>) -> Option<Change> {
        let Self { candidate, fields, activity, is_never_active, is_recorded } = self;
        let Candidate { event, kind, node_type } = candidate;
        let is_visible = objects.contains(&event.subject_id);
        let kind = match (kind, activity) {
            // An import activates and deactivates users together with other changes.
            (ChangeKind::Updated, Some(true)) => ChangeKind::Activated,
            (ChangeKind::Updated, Some(false)) => ChangeKind::Deactivated,
            (kind, _) => kind,
        };
        let visible_kind = match kind {
            // Viewers who do not see inactive users have never seen one who was never active.
            ChangeKind::Deleted if is_never_active && !viewer.can_see_inactive_users() => None,
            ChangeKind::Deleted => Some(kind),
            ChangeKind::Created if is_visible => Some(kind),
            // Nothing is recorded of a user who was erased, and their deletion follows.
            ChangeKind::Created if node_type == NodeType::User && !is_recorded => None,
            // A user who was created inactive has never been visible.
            ChangeKind::Created => (activity != Some(false)).then_some(ChangeKind::Removed),
            // The user may have been hidden before the update. If not, a later change tells that they are hidden now.
            ChangeKind::Updated if !is_visible && node_type == NodeType::User => None,
            _ => Some(if is_visible { kind } else { ChangeKind::Removed }),
        };
        visible_kind.map(|kind| Change {
            position: event.position(),
            kind,
            node_type,
            id: event.subject_id,
            changed_fields: if kind.is_gone() { Vec::new() } else { fields },
            at: event.at,
        })
    }
}

/// Returns the names of the changed fields that the viewer can see.
fn visible_fields(
    candidate: &Candidate,
    viewer: &Viewer,
    open: &HashSet<(Id, String)>,
    recorded: &[RecordedChange],
) -> Vec<String> {
    let Candidate { event, node_type, .. } = candidate;
    let Event { license_id, subject_type, subject_id, .. } = event;
    let mut fields: Vec<String> = Vec::new();
    for RecordedChange { field, .. } in recorded.iter().take(MAX_CHANGES) {
        let attribute = field.strip_prefix(ATTRIBUTES).filter(|_| *node_type == NodeType::User);
        let is_open = attribute.is_some_and(|name| open.contains(&(*license_id, name.to_owned())));
        if !is_open && !viewer.can_see_change(*license_id, *subject_type, *subject_id, field) {
            continue;
        }
        if let Some(name) = api_field(*node_type, field)
            && !fields.iter().any(|known| known == name)
        {
            fields.push(name.to_owned());
        }
    }
    fields
}

/// Returns whether the user was activated or deactivated according to the recorded changes; `None` if neither.
fn recorded_activity(recorded: &[RecordedChange]) -> Option<bool> {
    let activity = recorded.iter().find(|change| change.field == "isActive")?;
    activity.after.as_ref()?.as_bool()
}

/// Returns whether the event of a deletion records that the user was never active. Without the record, as in events of earlier
/// versions, the user may have been visible, and whoever knows of them must learn that they are gone.
fn is_never_active(recorded: &[RecordedChange]) -> bool {
    let was_active = recorded.iter().find(|change| change.field == audit::WAS_ACTIVE);
    was_active.is_some_and(|change| change.before == Some(false.into()))
}

/// Returns the IDs of the changed objects that the viewer can see now, in one statement for each type.
async fn visible_objects(db: &Reader, viewer: &Viewer, changes: &[PossibleChange]) -> Result<HashSet<Id>, Error> {
    let ids = |node_type: NodeType| -> HashSet<Id> {
        let candidates = changes.iter().map(|change| &change.candidate);
        let of_type = candidates.filter(|candidate| candidate.node_type == node_type);
        let existing = of_type.filter(|candidate| candidate.kind != ChangeKind::Deleted);
        existing.map(|candidate| candidate.event.subject_id).collect()
    };
    let (users, groups, institutions, licenses) =
        (ids(NodeType::User), ids(NodeType::Group), ids(NodeType::Institution), ids(NodeType::License));
    let (users, groups, institutions, licenses) = futures_util::try_join!(
        visible_ids::<user::Entity>(db, user::Column::Id, users, viewer.visible_users()),
        visible_ids::<group::Entity>(db, group::Column::Id, groups, viewer.visible_groups()),
        visible_ids::<institution::Entity>(db, institution::Column::Id, institutions, viewer.visible_institutions()),
        visible_ids::<license::Entity>(db, license::Column::Id, licenses, viewer.visible_licenses()),
    )?;
    Ok(users.into_iter().chain(groups).chain(institutions).chain(licenses).collect())
}

async fn visible_ids<E: EntityTrait>(
    db: &Reader,
    column: E::Column,
    ids: HashSet<Id>,
    visible: Condition,
) -> Result<Vec<Id>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let of_ids = one_of(db.get_database_backend(), column, ids);
    let select = E::find().select_only().column(column).filter(of_ids).filter(no_index_hint(visible));
    Ok(select.into_tuple::<Id>().all(db).await?)
}

/// Returns the licenses and names of the custom attributes that every user can see. Runs no statement unless the viewer
/// cannot see an attribute by their own rights.
async fn open_attributes(
    db: &Reader,
    viewer: &Viewer,
    candidates: &[Candidate],
) -> Result<HashSet<(Id, String)>, Error> {
    let is_needed = candidates.iter().any(|Candidate { event, node_type, .. }| {
        *node_type == NodeType::User
            && event.changes.as_deref().is_some_and(|changes| changes.contains(ATTRIBUTES))
            && !viewer.can_see_change(event.license_id, event.subject_type, event.subject_id, ATTRIBUTES)
    });
    if !is_needed {
        return Ok(HashSet::new());
    }
    let definitions = attribute_definition::Entity::find()
        .select_only()
        .columns([attribute_definition::Column::LicenseId, attribute_definition::Column::Name])
        .filter(viewer.open_attribute_definitions());
    Ok(definitions.into_tuple::<(Id, String)>().all(db).await?.into_iter().collect())
}
