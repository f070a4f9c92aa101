//! Loaders of the users of institutions.

use std::collections::HashMap;

use async_graphql::dataloader::Loader;
use sea_orm::{ConnectionTrait, EntityTrait, QueryFilter, Select};

use super::{Loaders, group_by_part};
use crate::db::conditions::{no_index_hint, one_of};
use crate::entity::list_total::CountedList;
use crate::entity::user;
use crate::error::Error;
use crate::graphql::pagination::{self, Page, PageRequest};
use crate::scalar::Id;

/// One page of the users of an institution.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UsersOfInstitution(pub Id, pub PageRequest);

/// The number of users of an institution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserCountOfInstitution(pub Id);

impl Loaders {
    fn users(&self, institutions: impl IntoIterator<Item = Id>) -> Select<user::Entity> {
        let backend = self.db.read().get_database_backend();
        user::Entity::find()
            .filter(one_of(backend, user::Column::InstitutionId, institutions))
            .filter(no_index_hint(self.current_viewer.viewer().listed_users(false)))
    }
}

impl Loader<UsersOfInstitution> for Loaders {
    type Value = Page<user::Model>;
    type Error = Error;

    async fn load(&self, keys: &[UsersOfInstitution]) -> Result<HashMap<UsersOfInstitution, Page<user::Model>>, Error> {
        let mut pages = HashMap::new();
        for (part, institutions) in group_by_part(keys.iter().map(|key| (&key.1, key.0))) {
            let columns = self.selected_fields.columns();
            let select = columns.narrow(self.users(institutions.keys().copied()));
            let parent = user::Column::InstitutionId;
            let rows = pagination::read_per_parent(self.db.read(), select, &columns, parent, &part, |_, user| Ok(user))
                .await?;
            let lists = super::pages(institutions, rows).into_iter();
            pages.extend(lists.map(|list| (UsersOfInstitution(list.parent_id, list.request.clone()), list.page)));
        }
        Ok(pages)
    }
}

impl Loader<UserCountOfInstitution> for Loaders {
    type Value = i32;
    type Error = Error;

    async fn load(&self, keys: &[UserCountOfInstitution]) -> Result<HashMap<UserCountOfInstitution, i32>, Error> {
        let counts = self.kept_totals(CountedList::UsersOfInstitution, keys.iter().map(|key| key.0)).await?;
        Ok(counts.into_iter().map(|(institution, count)| (UserCountOfInstitution(institution), count)).collect())
    }
}
