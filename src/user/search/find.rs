//! Finding users in the search index, among those who match a filter.

use std::collections::HashSet;
use std::sync::Arc;

use sea_orm::sea_query::Condition;
use sea_orm::{ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::access::Viewer;
use crate::db::Db;
use crate::db::conditions::{no_index_hint, one_of};
use crate::entity::user;
use crate::error::Error;
use crate::scalar::Id;
use crate::search_index::{Found, ResultPosition, SearchIndex, SearchRequest, Snapshot};
use crate::share::Requester;

/// The maximum number of users who match the words, of whom each is compared with a filter.
const MAX_COMPARED: usize = 5_000;
/// The maximum number of users who match a filter, of whom each is compared with the words.
const MAX_FILTERED: u64 = 20_000;

/// The users that are searched, and the words that they must match.
pub struct SearchScope<'a> {
    pub db: &'a Db,
    pub index: &'a SearchIndex,
    /// The caller, who searches among the users of their license or of all licenses.
    pub viewer: &'a Viewer,
    pub snapshot: Arc<Snapshot>,
    pub words: Vec<String>,
    pub include_inactive: bool,
    /// Whether there is a filter.
    pub is_filtered: bool,
    /// The condition of the filter, and of what the viewer can see.
    pub visible: Condition,
}

impl SearchScope<'_> {
    /// Returns the number of users who match, and the first ones after a place in the list.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached, `RateLimited` if too many searches of the caller wait.
    pub async fn find(&self, after: Option<ResultPosition>, limit: usize) -> Result<Found, Error> {
        let request = SearchRequest {
            words: self.words.clone(),
            license_id: self.viewer.license_of_lists(),
            include_inactive: self.include_inactive,
            among: None,
            always_with_typos: self.is_filtered,
            after,
            limit,
        };
        if self.is_filtered { self.find_filtered(request).await } else { self.search(request).await }
    }

    async fn find_filtered(&self, request: SearchRequest) -> Result<Found, Error> {
        let first = SearchRequest { after: None, limit: MAX_COMPARED, ..request.clone() };
        let found = self.search(first).await?;
        if found.total > MAX_COMPARED
            && let Some(filtered) = self.filtered().await?
        {
            return self.search(SearchRequest { among: Some(Arc::new(filtered)), ..request }).await;
        }
        let is_exact = found.total <= MAX_COMPARED;
        let SearchRequest { after, limit, .. } = request;
        let shown = self.shown(found.hits.iter().map(|hit| hit.id).collect()).await?;
        let mut hits = found.hits;
        hits.retain(|hit| shown.contains(&hit.id));
        let total = hits.len();
        hits.retain(|hit| after.as_ref().is_none_or(|after| hit.is_after(after)));
        hits.truncate(limit);
        Ok(Found { total, is_exact, hits })
    }

    async fn search(&self, request: SearchRequest) -> Result<Found, Error> {
        let who = Requester::User(self.viewer.signed_in()?.user_id);
        self.index.search(Arc::clone(&self.snapshot), who, request).await
    }

    /// Returns the users who match the filter. `None` if there are too many.
    async fn filtered(&self) -> Result<Option<HashSet<Id>>, Error> {
        let users = user::Entity::find().select_only().column(user::Column::Id).filter(self.visible.clone());
        let ids = users.limit(MAX_FILTERED + 1).into_tuple::<Id>().all(self.db.read()).await?;
        Ok((ids.len() as u64 <= MAX_FILTERED).then(|| ids.into_iter().collect()))
    }

    /// Returns those of some users who match the filter.
    async fn shown(&self, ids: Vec<Id>) -> Result<HashSet<Id>, Error> {
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let db = self.db.read();
        let of_ids = one_of(db.get_database_backend(), user::Column::Id, ids);
        let users = user::Entity::find().select_only().column(user::Column::Id);
        let users = users.filter(of_ids).filter(no_index_hint(self.visible.clone()));
        Ok(users.into_tuple::<Id>().all(db).await?.into_iter().collect())
    }
}
