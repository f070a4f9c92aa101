//! Query `resolveUsers`: resolves many keys of other systems to users at once.

use std::collections::{HashMap, HashSet};

use async_graphql::{Context, Enum, Object, Result, SimpleObject};
use sea_orm::sea_query::{Condition, SimpleExpr};
use sea_orm::{ConnectionTrait, QueryFilter, QueryTrait};

use crate::access::{RequiresAction, Viewer, is_same_license, of_license};
use crate::budget::ListItem;
use crate::db::Db;
use crate::db::conditions::{any_of, no_index_hint, one_of};
use crate::entity::{external_reference, user, user_reference};
use crate::error::Error;
use crate::graphql::context::ContextExt;
use crate::graphql::projection::{Columns, Projectable};
use crate::scalar::Id;
use crate::text;

/// The maximum number of keys that are resolved at once.
const MAX_KEYS: usize = 1_000;
/// The maximum length of a key, in characters.
const MAX_KEY_LENGTH: usize = 250;

/// The result of resolving a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ResolveStatus {
    /// The key identifies one user.
    Matched,
    /// The key identifies several users, such as one by username and another by external ID.
    Ambiguous,
    /// The key identifies no user that the viewer can see.
    Missing,
}

/// A key and the user that it identifies.
#[derive(SimpleObject)]
pub struct ResolvedUser {
    /// The key as it was given.
    key: String,
    /// Whether the key identifies one user, several users or none.
    status: ResolveStatus,
    /// The user that the key identifies. Null unless the key identifies exactly one user.
    user: Option<user::Model>,
}

#[derive(Default)]
pub struct ResolveQuery;

#[Object]
impl ResolveQuery {
    /// Resolves each key to a user, in the order of the input. A key is an ID, a username, an email address or, for
    /// administrators, an `externalId` in the viewer's license. Keys of different kinds can be mixed. With `source`,
    /// every key is an ID in that system. At most 1,000 keys. Administrators also find inactive users.
    #[graphql(guard = "RequiresAction")]
    async fn resolve_users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The keys to resolve. At most 1,000 keys of at most 250 characters each.")] keys: Vec<String>,
        #[graphql(
            desc = "The name of the other system if the keys are IDs in one: the `source` of `externalReferences`. Private: administrators only."
        )]
        source: Option<String>,
    ) -> Result<Vec<ListItem<ResolvedUser>>> {
        check(&keys, source.as_deref())?;
        let (db, viewer, columns) = (ctx.db()?, ctx.viewer()?, ctx.selected_fields()?.columns());
        let found = match &source {
            None => MatchedUsers::find(db, viewer, &keys, &columns).await?,
            Some(source) => MatchedUsers::find_by_reference(db, viewer, &keys, source.trim(), &columns).await?,
        };
        Ok(ListItem::list(keys.into_iter().map(|key| found.of(key))))
    }
}

fn check(keys: &[String], source: Option<&str>) -> Result<(), Error> {
    if source.is_some_and(|source| source.chars().count() > MAX_KEY_LENGTH) {
        return Err(Error::BadInput(format!("source: must be at most {MAX_KEY_LENGTH} characters.")));
    }
    if keys.len() > MAX_KEYS {
        return Err(Error::BadInput(format!("keys: must contain at most {MAX_KEYS} keys.")));
    }
    match keys.iter().position(|key| key.chars().count() > MAX_KEY_LENGTH) {
        Some(place) => Err(Error::BadInput(format!("keys.{place}: must be at most {MAX_KEY_LENGTH} characters."))),
        None => Ok(()),
    }
}

/// The forms of a key by which a user may be found.
struct Forms {
    id: Option<Id>,
    login: String,
    external_id: String,
}

impl Forms {
    fn of(key: &str) -> Self {
        let key = key.trim();
        Self { id: Id::parse(key), login: text::canonical_login(key), external_id: key.to_owned() }
    }
}

/// The users that match at least one of the keys.
#[derive(Default)]
struct MatchedUsers {
    users: HashMap<Id, user::Model>,
    by_username: HashMap<String, Id>,
    by_email: HashMap<String, Id>,
    by_external_id: HashMap<String, Id>,
    /// Whether the keys are only IDs in another system.
    is_of_source: bool,
}

impl MatchedUsers {
    /// Finds the users with one statement.
    async fn find(db: &Db, viewer: &Viewer, keys: &[String], shown: &Columns<user::Entity>) -> Result<Self, Error> {
        let forms: Vec<Forms> = keys.iter().map(|key| Forms::of(key)).collect();
        let by_external_id = viewer.may_filter(user::Column::ExternalId).is_ok();
        let found_by = [user::Column::UsernameKey, user::Column::EmailKey, user::Column::ExternalId];
        let columns = shown.with(found_by.into_iter());
        let select = columns.select();
        let license_id = viewer.signed_in()?.license_id;
        let select = select
            .filter(any_key(db, &forms, by_external_id.then_some(license_id)))
            .filter(no_index_hint(viewer.visible_users()));
        let blank = user::Entity::placeholder();
        let mut meant = Self::default();
        for row in db.read().query_all(&QueryTrait::into_query(select)).await? {
            let user = columns.read(&row, &blank)?;
            meant.by_username.extend(user.username_key.clone().map(|key| (key, user.id)));
            meant.by_email.extend(user.email_key.clone().map(|key| (key, user.id)));
            if by_external_id && is_same_license(user.license_id, license_id) {
                meant.by_external_id.extend(user.external_id.clone().map(|key| (key, user.id)));
            }
            meant.users.insert(user.id, user);
        }
        Ok(meant)
    }

    /// Finds the users by their IDs in another system, with one statement.
    async fn find_by_reference(
        db: &Db,
        viewer: &Viewer,
        keys: &[String],
        source: &str,
        shown: &Columns<user::Entity>,
    ) -> Result<Self, Error> {
        viewer.may_filter(user::Column::ExternalReferences)?;
        let license_id = viewer.signed_in()?.license_id;
        let columns = shown.with([user::Column::ExternalReferences].into_iter());
        let ids: Vec<String> = keys.iter().map(|key| key.trim().to_owned()).collect();
        let mut meant = Self { is_of_source: true, ..Self::default() };
        if ids.is_empty() {
            return Ok(meant);
        }
        let select = columns
            .select()
            .filter(user_reference::with_one_of(db.read().get_database_backend(), license_id, source, ids))
            .filter(no_index_hint(viewer.visible_users()));
        let blank = user::Entity::placeholder();
        for row in db.read().query_all(&QueryTrait::into_query(select)).await? {
            let user = columns.read(&row, &blank)?;
            let references = external_reference::list(user.external_references.as_ref());
            let of_source = references.into_iter().find(|reference| reference.source == source);
            meant.by_external_id.extend(of_source.map(|reference| (reference.id, user.id)));
            meant.users.insert(user.id, user);
        }
        Ok(meant)
    }

    fn of(&self, key: String) -> ResolvedUser {
        let forms = Forms::of(&key);
        let by_id = forms.id.filter(|id| !self.is_of_source && self.users.contains_key(id));
        let ids: HashSet<Id> = [
            by_id,
            self.by_username.get(&forms.login).copied(),
            self.by_email.get(&forms.login).copied(),
            self.by_external_id.get(&forms.external_id).copied(),
        ]
        .into_iter()
        .flatten()
        .collect();
        let mut ids = ids.into_iter();
        let (status, user) = match (ids.next(), ids.next()) {
            (None, _) => (ResolveStatus::Missing, None),
            (Some(id), None) => (ResolveStatus::Matched, self.users.get(&id).cloned()),
            (Some(_), Some(_)) => (ResolveStatus::Ambiguous, None),
        };
        ResolvedUser { key, status, user }
    }
}

/// Returns the condition that a user matches one of the keys. External IDs are those of the license `of`; if `None`, they are
/// ignored.
fn any_key(db: &Db, forms: &[Forms], of: Option<Id>) -> Condition {
    let backend = db.read().get_database_backend();
    let texts = |validator: fn(&Forms) -> &String| forms.iter().map(validator).cloned().collect::<Vec<_>>();
    let in_license = |license: Id| -> SimpleExpr {
        let external_ids = any_of(backend, user::Column::ExternalId, texts(|forms| &forms.external_id));
        Condition::all().add(of_license(user::Column::LicenseId, license)).add(external_ids).into()
    };
    let ids: Vec<Id> = forms.iter().filter_map(|forms| forms.id).collect();
    Condition::any()
        // SQLite uses the index of each condition as long as none of them is always false.
        .add_option((!ids.is_empty()).then(|| one_of(backend, user::Column::Id, ids)))
        .add(any_of(backend, user::Column::UsernameKey, texts(|forms| &forms.login)))
        .add(any_of(backend, user::Column::EmailKey, texts(|forms| &forms.login)))
        .add_option(of.map(in_license))
}
