//! The file with all data that the directory holds about one user, for that user. It contains no secrets, no hashes of secrets,
//! and no data of other users.

use std::collections::BTreeMap;

use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, ModelTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::{Map, Value, json};

use super::events::{about_user, by_user};
use super::object::{instant_text, of_avatar, of_row, of_user};
use super::related::{ExportContent, ExportedUser};
use crate::access::{Action, Viewer};
use crate::attribute_values;
use crate::db::conditions::{no_index_hint, one_of};
use crate::entity::{api_key, device, group, institution, invitation, license, link, mail, session, user};
use crate::error::Error;
use crate::scalar::{Id, now};

/// The reader of a file.
#[derive(Clone, Copy)]
pub enum ExportReader<'a> {
    /// A viewer, who finds in the file what they can see, and all events if they are few.
    Viewer(&'a Viewer),
    /// The operator of the server, who finds everything.
    Operator,
}

impl ExportReader<'_> {
    /// Returns the condition for the rows that the reader sees, by the one for viewers.
    pub(super) fn visible(self, to_viewer: fn(&Viewer) -> Condition) -> Condition {
        match self {
            Self::Viewer(viewer) => Condition::all().add(no_index_hint(to_viewer(viewer))),
            Self::Operator => Condition::all(),
        }
    }

    fn may(self, action: Action) -> bool {
        match self {
            Self::Viewer(viewer) => viewer.may(action).is_ok(),
            Self::Operator => true,
        }
    }

    fn is_user(self, user_id: Id) -> bool {
        match self {
            Self::Viewer(viewer) => viewer.signed_in().is_ok_and(|viewer| viewer.user_id == user_id),
            Self::Operator => false,
        }
    }
}

/// Returns the file of a user, as the reader sees it. A viewer must have the right to it ([`Viewer::may_export`]).
pub async fn user_file(
    db: &impl ConnectionTrait,
    reader: ExportReader<'_>,
    user: user::Model,
) -> Result<Map<String, Value>, Error> {
    let id = user.id;
    let mut file = Map::new();
    file.insert("exportedAt".to_owned(), instant_text(now()).into());
    let license = license::Entity::find_by_id(user.license_id).one(db).await?;
    let license = license.map(|license| json!({ "number": license.number, "holder": license.holder }));
    file.insert("license".to_owned(), license.into());
    file.insert("user".to_owned(), profile(db, reader, user).await?);
    file.insert("sessions".to_owned(), sessions(db, id).await?);
    file.insert("devices".to_owned(), devices(db, id).await?);
    file.insert("links".to_owned(), links(db, id).await?);
    file.insert("invitation".to_owned(), invitation(db, reader, id).await?);
    file.insert("queuedEmails".to_owned(), queued_emails(db, id).await?);
    file.insert("apiKeys".to_owned(), api_keys(db, reader, id).await?);
    file.insert("auditEvents".to_owned(), about_user(db, reader, id).await?);
    file.insert("actions".to_owned(), by_user(db, reader, id).await?);
    Ok(file)
}

/// Returns the fields of a user, with the custom attributes, groups, sites and the picture.
async fn profile(db: &impl ConnectionTrait, reader: ExportReader<'_>, row: user::Model) -> Result<Value, Error> {
    let definitions = attribute_values::definitions(db, row.license_id).await?;
    let definitions: BTreeMap<Id, _> =
        definitions.into_values().map(|definition| (definition.id, definition)).collect();
    let content = ExportContent { avatars: true, ..ExportContent::default() };
    let Some(user) = ExportedUser::read(db, vec![row], content).await?.pop() else { return Ok(Value::Null) };
    let mut object = of_user(&user, &definitions, user.avatar.as_ref().map(of_avatar));
    object.insert("hasPin".to_owned(), user.row.has_pin.into());
    if let ExportReader::Viewer(viewer) = reader {
        keep_visible_rights(&mut object, viewer, &user.row);
    }
    let joined = user.memberships.iter().map(|row| row.group_id).collect();
    let groups = names_of::<group::Entity>(db, [group::Column::Id, group::Column::Name], joined).await?;
    let granted = user.grants.iter().map(|row| row.institution_id).chain(user.row.institution_id).collect();
    let columns = [institution::Column::Id, institution::Column::Name];
    let institutions = names_of::<institution::Entity>(db, columns, granted).await?;
    add_names(&mut object, "groups", "group", &groups);
    add_names(&mut object, "sites", "site", &institutions);
    if let Some(name) = user.row.institution_id.and_then(|id| institutions.get(&id.0.to_string())) {
        object.insert("institutionName".to_owned(), name.as_str().into());
    }
    Ok(Value::Object(object))
}

/// Leaves out the rights that the viewer does not see.
fn keep_visible_rights(object: &mut Map<String, Value>, viewer: &Viewer, row: &user::Model) {
    let visible = viewer.visible_rights(row).unwrap_or_default().named();
    let is_visible =
        |name: &str| visible.iter().any(|(field, held)| *held && field.strip_prefix("adminRights.") == Some(name));
    if let Some(rights) = object.get_mut("adminRights").and_then(Value::as_object_mut) {
        rights.retain(|name, _| is_visible(name));
    }
}

/// Adds the names of the objects that the items of a list refer to.
fn add_names(object: &mut Map<String, Value>, list: &str, key: &str, names: &BTreeMap<String, String>) {
    for item in object.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
        let name = item.get(key).and_then(Value::as_str).and_then(|id| names.get(id));
        if let (Some(name), Some(item)) = (name, item.as_object_mut()) {
            item.insert("name".to_owned(), name.as_str().into());
        }
    }
}

/// Returns the names of rows by their IDs, which are in the two columns.
async fn names_of<E: EntityTrait>(
    db: &impl ConnectionTrait,
    [id, name]: [E::Column; 2],
    ids: Vec<Id>,
) -> Result<BTreeMap<String, String>, Error> {
    let select = E::find().select_only().columns([id, name]).filter(one_of(db.get_database_backend(), id, ids));
    let names: Vec<(Id, String)> = select.into_tuple().all(db).await?;
    Ok(names.into_iter().map(|(id, name)| (id.0.to_string(), name)).collect())
}

async fn sessions(db: &impl ConnectionTrait, user_id: Id) -> Result<Value, Error> {
    let of_user = session::Entity::find().filter(session::Column::UserId.eq(user_id));
    let rows = of_user.order_by_asc(session::Column::CreatedAt).all(db).await?;
    Ok(rows.iter().map(|row| without(row, &["userId"])).collect())
}

async fn devices(db: &impl ConnectionTrait, user_id: Id) -> Result<Value, Error> {
    let of_user = device::Entity::find().filter(device::Column::UserId.eq(user_id));
    let rows = of_user.order_by_asc(device::Column::Id).all(db).await?;
    let device = |row: &device::Model| {
        let created_at = instant_text(row.created_at());
        json!({ "id": row.id, "createdAt": created_at, "lastUsedAt": instant_text(row.last_used_at) })
    };
    Ok(rows.iter().map(device).collect())
}

/// Returns the unused links that were made for a user, without what is in them.
async fn links(db: &impl ConnectionTrait, user_id: Id) -> Result<Value, Error> {
    let rows = link::Entity::find().filter(link::Column::UserId.eq(user_id)).all(db).await?;
    Ok(rows.iter().map(|row| without(row, &["userId"])).collect())
}

async fn invitation(db: &impl ConnectionTrait, reader: ExportReader<'_>, user_id: Id) -> Result<Value, Error> {
    if !reader.may(Action::SeeInvitations) {
        return Ok(Value::Null);
    }
    let row = invitation::Entity::find_by_id(user_id).one(db).await?;
    Ok(row.map(|row| without(&row, &["userId", "mailId"])).unwrap_or_default())
}

/// Returns the emails to a user that are still to be sent. Those that were sent are not kept.
async fn queued_emails(db: &impl ConnectionTrait, user_id: Id) -> Result<Value, Error> {
    let of_user = mail::Entity::find().filter(mail::Column::UserId.eq(user_id));
    let rows = of_user.order_by_asc(mail::Column::CreatedAt).all(db).await?;
    Ok(rows.iter().map(|row| without(row, &["userId"])).collect())
}

/// Returns the API keys of a user that the reader sees; users find their own, whatever their rank is by now.
async fn api_keys(db: &impl ConnectionTrait, reader: ExportReader<'_>, user_id: Id) -> Result<Value, Error> {
    let mut of_user = api_key::Entity::find().filter(api_key::Column::UserId.eq(user_id));
    if !reader.is_user(user_id) {
        of_user = of_user.filter(reader.visible(Viewer::visible_api_keys));
    }
    let rows = of_user.order_by_asc(api_key::Column::CreatedAt).all(db).await?;
    Ok(rows.iter().map(|row| without(row, &["userId"])).collect())
}

/// Returns the columns of a row without some of them.
fn without<M: ModelTrait>(row: &M, left_out: &[&str]) -> Value {
    let mut object = of_row(row);
    object.retain(|name, _| !left_out.contains(&name.as_str()));
    Value::Object(object)
}
