//! Loaders of sites: the institutions whose data users may access.

use std::collections::HashMap;

use async_graphql::dataloader::Loader;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, JoinType, QueryFilter, QuerySelect, RelationTrait, Select};

use super::{Loaders, by_part};
use crate::access::SitesOf;
use crate::db::conditions::{no_index_hint, one_of};
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
            .filter(no_index_hint(self.asking.viewer().visible_institutions()))
    }

    fn sites_of_people(&self, people: Vec<Id>) -> Select<institution::Entity> {
        let backend = self.db.read().get_database_backend();
        institution::Entity::find()
            .join_rev(JoinType::InnerJoin, site_access::Relation::Institution.def())
            .filter(one_of(backend, site_access::Column::UserId, people))
            .filter(no_index_hint(self.asking.viewer().visible_institutions()))
    }

    /// Reads the pages of the lists of one kind of parent. `whose` selects the keys of that kind, `of` makes a key from a
    /// parent's ID, and `parent` is the column with that ID in the rows of `select`.
    async fn site_pages(
        &self,
        keys: &[Sites],
        whose: fn(SitesOf) -> Option<Id>,
        of: fn(Id) -> SitesOf,
        parent: impl ColumnTrait,
        select: impl Fn(Vec<Id>) -> Select<institution::Entity>,
    ) -> Result<HashMap<Sites, Page<institution::Model>>, Error> {
        let columns = self.named.columns();
        let mut pages = HashMap::new();
        for (part, parents) in by_part(keys.iter().filter_map(|Sites(of, window)| Some((window, whose(*of)?)))) {
            let select = columns.narrow(select(parents.keys().copied().collect()));
            let read = pagination::read_per_parent(self.db.read(), select, &columns, parent, &part, |_, site| Ok(site))
                .await?;
            let of_parents = super::pages(parents, read).into_iter();
            pages.extend(of_parents.map(|(id, window, page)| (Sites(of(id), window.clone()), page)));
        }
        Ok(pages)
    }
}

impl Loader<Sites> for Loaders {
    type Value = Page<institution::Model>;
    type Error = Error;

    async fn load(&self, keys: &[Sites]) -> Result<HashMap<Sites, Page<institution::Model>>, Error> {
        let (people, licenses) = (site_access::Column::UserId, institution::Column::LicenseId);
        let mut pages = self.site_pages(keys, person, SitesOf::Person, people, |ids| self.sites_of_people(ids)).await?;
        let everywhere = |ids| self.sites_of_licenses(ids);
        pages.extend(self.site_pages(keys, license, SitesOf::License, licenses, everywhere).await?);
        Ok(pages)
    }
}

impl Loader<SiteCount> for Loaders {
    type Value = i32;
    type Error = Error;

    async fn load(&self, keys: &[SiteCount]) -> Result<HashMap<SiteCount, i32>, Error> {
        let mut counts = HashMap::new();
        let people: Vec<Id> = keys.iter().filter_map(|key| person(key.0)).collect();
        if !people.is_empty() {
            let found = self.counts(self.sites_of_people(people), site_access::Column::UserId).await?;
            counts.extend(found.into_iter().map(|(id, count)| (SiteCount(SitesOf::Person(id)), count)));
        }
        let licenses: Vec<Id> = keys.iter().filter_map(|key| license(key.0)).collect();
        if !licenses.is_empty() {
            let found = self.counts(self.sites_of_licenses(licenses), institution::Column::LicenseId).await?;
            counts.extend(found.into_iter().map(|(id, count)| (SiteCount(SitesOf::License(id)), count)));
        }
        Ok(counts)
    }
}

fn person(of: SitesOf) -> Option<Id> {
    match of {
        SitesOf::Person(id) => Some(id),
        SitesOf::License(_) => None,
    }
}

fn license(of: SitesOf) -> Option<Id> {
    match of {
        SitesOf::License(id) => Some(id),
        SitesOf::Person(_) => None,
    }
}
