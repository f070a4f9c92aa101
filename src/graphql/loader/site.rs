//! Loaders of sites: the institutions whose data users may access.

use std::collections::HashMap;

use async_graphql::dataloader::Loader;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, JoinType, QueryFilter, QuerySelect, RelationTrait, Select};

use super::{Loaders, group_by_part};
use crate::access::SitesOf;
use crate::db::conditions::{no_index_hint, one_of};
use crate::entity::list_total::CountedList;
use crate::entity::{institution, site_access};
use crate::error::Error;
use crate::graphql::pagination::{self, Page, PageRequest};
use crate::scalar::Id;

/// One page of the sites of a user, or of all users with access to every site of a license.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sites(pub SitesOf, pub PageRequest);

/// The number of sites of a user, or of all users with access to every site of a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SiteCount(pub SitesOf);

impl Loaders {
    fn sites_of_licenses(&self, licenses: Vec<Id>) -> Select<institution::Entity> {
        let backend = self.db.read().get_database_backend();
        institution::Entity::find()
            .filter(one_of(backend, institution::Column::LicenseId, licenses))
            .filter(no_index_hint(self.current_viewer.viewer().visible_institutions()))
    }

    fn sites_of_users(&self, users: Vec<Id>) -> Select<institution::Entity> {
        let backend = self.db.read().get_database_backend();
        institution::Entity::find()
            .join_rev(JoinType::InnerJoin, site_access::Relation::Institution.def())
            .filter(one_of(backend, site_access::Column::UserId, users))
            .filter(no_index_hint(self.current_viewer.viewer().visible_institutions()))
    }

    /// Reads the pages of the lists of one kind of parent. `id_of` returns the parent's ID if a key is of that kind, `of` makes a
    /// key from a parent's ID, and `parent` is the column with that ID in the rows of `select`.
    async fn site_pages(
        &self,
        keys: &[Sites],
        id_of: fn(SitesOf) -> Option<Id>,
        of: fn(Id) -> SitesOf,
        parent: impl ColumnTrait,
        select: impl Fn(Vec<Id>) -> Select<institution::Entity>,
    ) -> Result<HashMap<Sites, Page<institution::Model>>, Error> {
        let columns = self.selected_fields.columns();
        let mut pages = HashMap::new();
        let requests = keys.iter().filter_map(|Sites(of, page_request)| Some((page_request, id_of(*of)?)));
        for (part, parents) in group_by_part(requests) {
            let select = columns.narrow(select(parents.keys().copied().collect()));
            let rows = pagination::read_per_parent(self.db.read(), select, &columns, parent, &part, |_, site| Ok(site))
                .await?;
            let lists = super::pages(parents, rows).into_iter();
            pages.extend(lists.map(|list| (Sites(of(list.parent_id), list.request.clone()), list.page)));
        }
        Ok(pages)
    }
}

impl Loader<Sites> for Loaders {
    type Value = Page<institution::Model>;
    type Error = Error;

    async fn load(&self, keys: &[Sites]) -> Result<HashMap<Sites, Page<institution::Model>>, Error> {
        let (users, licenses) = (site_access::Column::UserId, institution::Column::LicenseId);
        let mut pages = self.site_pages(keys, user_id, SitesOf::User, users, |ids| self.sites_of_users(ids)).await?;
        let of_licenses = |ids| self.sites_of_licenses(ids);
        pages.extend(self.site_pages(keys, license_id, SitesOf::License, licenses, of_licenses).await?);
        Ok(pages)
    }
}

impl Loader<SiteCount> for Loaders {
    type Value = i32;
    type Error = Error;

    async fn load(&self, keys: &[SiteCount]) -> Result<HashMap<SiteCount, i32>, Error> {
        let mut counts = HashMap::new();
        let users: Vec<Id> = keys.iter().filter_map(|key| user_id(key.0)).collect();
        if !users.is_empty() {
            let found = self.counts(self.sites_of_users(users), site_access::Column::UserId).await?;
            counts.extend(found.into_iter().map(|(id, count)| (SiteCount(SitesOf::User(id)), count)));
        }
        let licenses: Vec<Id> = keys.iter().filter_map(|key| license_id(key.0)).collect();
        if !licenses.is_empty() {
            let found = self.kept_totals(CountedList::Institutions, licenses).await?;
            counts.extend(found.into_iter().map(|(id, count)| (SiteCount(SitesOf::License(id)), count)));
        }
        Ok(counts)
    }
}

fn user_id(of: SitesOf) -> Option<Id> {
    match of {
        SitesOf::User(id) => Some(id),
        SitesOf::License(_) => None,
    }
}

fn license_id(of: SitesOf) -> Option<Id> {
    match of {
        SitesOf::License(id) => Some(id),
        SitesOf::User(_) => None,
    }
}
