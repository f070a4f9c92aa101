//! Loaders of related rows: a key type and a loader for each relation, so that a page of users costs one statement for each
//! relation.
//!
//! Every loader returns only rows that the viewer can see. All other rows are treated as missing.

mod group;
mod institution;
mod node;
mod site;
mod user;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sea_orm::sea_query::{Alias, Condition, Expr};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryResult, QueryTrait, Select};

pub use self::group::{Member, MemberCountOfGroup, MembersOfGroup};
pub use self::institution::{UserCountOfInstitution, UsersOfInstitution};
pub use self::node::{
    ApiKeyById, AttributeDefinitionById, AuditEventById, GroupById, InstitutionById, LicenseById, SessionById, UserById,
};
pub use self::site::{SiteCount, Sites};
pub use self::user::{
    AttributesOfUser, DevicesOfUser, GroupMembership, GroupsOfUser, InvitationOfUser, SessionsOfUser,
};
use crate::access::CurrentViewer;
use crate::db::Db;
use crate::db::conditions::{no_index_hint, one_of};
use crate::entity::list_total::{self, CountedList};
use crate::error::Error;
use crate::graphql::pagination::{Page, PageRequest, RowsOfParents, SUM_OF_TOTALS};
use crate::graphql::projection::{Projectable, SelectedFields};
use crate::scalar::Id;

/// The loaders of one request.
pub struct Loaders {
    db: Db,
    current_viewer: Arc<CurrentViewer>,
    selected_fields: Arc<SelectedFields>,
    idle: Duration,
    groups_shown: AtomicUsize,
    attributes_shown: AtomicUsize,
    comparisons: AtomicUsize,
}

/// Maximum number of groups of users in one response.
const MAX_GROUPS_SHOWN: usize = 50_000;
/// Maximum number of custom attributes of users in one response.
const MAX_ATTRIBUTES_SHOWN: usize = 20_000;
/// Maximum number of conditions in the filters of one request.
const MAX_COMPARISONS: usize = 100;

impl Loaders {
    /// Creates loaders that return the rows that the viewer sees, with the columns of the selected fields. A session ends when it
    /// has not been used for the time `idle`.
    #[must_use]
    pub fn new(
        db: Db,
        current_viewer: Arc<CurrentViewer>,
        selected_fields: Arc<SelectedFields>,
        idle: Duration,
    ) -> Self {
        let [groups_shown, attributes_shown, comparisons] = std::array::from_fn(|_| AtomicUsize::new(0));
        Self { db, current_viewer, selected_fields, idle, groups_shown, attributes_shown, comparisons }
    }

    /// Counts groups that are about to be returned. The number of groups of a user is unknown until they are read, so the cost of
    /// a document cannot limit it.
    ///
    /// # Errors
    /// `BadInput` if one request would return too many.
    pub fn show_groups(&self, count: usize) -> Result<(), Error> {
        charge(&self.groups_shown, count, MAX_GROUPS_SHOWN, || {
            format!("groups: the response must contain at most {MAX_GROUPS_SHOWN} groups; request fewer users at once.")
        })
    }

    /// Counts custom attributes that are about to be returned; the limit has the same reason as that of groups.
    ///
    /// # Errors
    /// `BadInput` if one request would return too many.
    pub fn show_attributes(&self, count: usize) -> Result<(), Error> {
        charge(&self.attributes_shown, count, MAX_ATTRIBUTES_SHOWN, || {
            format!(
                "attributes: the response must contain at most {MAX_ATTRIBUTES_SHOWN} attributes; request fewer users at once."
            )
        })
    }

    /// Counts the conditions of a filter that is about to be applied: some conditions are evaluated for every user.
    ///
    /// # Errors
    /// `BadInput` if the filters of one request have too many.
    pub fn compare(&self, count: usize) -> Result<(), Error> {
        charge(&self.comparisons, count, MAX_COMPARISONS, || {
            format!("filter: the filters of a request must contain at most {MAX_COMPARISONS} conditions in total.")
        })
    }

    /// Returns the rows with these IDs that match `visible`, in any order.
    pub async fn by_id<E: Projectable>(
        &self,
        column: E::Column,
        ids: Vec<Id>,
        visible: Condition,
    ) -> Result<Vec<E::Model>, Error> {
        let db = self.db.read();
        let columns = self.selected_fields.columns::<E>();
        let of_ids = one_of(db.get_database_backend(), column, ids);
        let select = columns.select().filter(of_ids).filter(no_index_hint(visible));
        let placeholder = E::placeholder();
        let rows = db.query_all(&QueryTrait::into_query(select)).await?;
        Ok(rows.iter().map(|row| columns.read(row, &placeholder)).collect::<Result<_, _>>()?)
    }

    /// Returns the number of rows of a list for each parent, as far as the viewer can see them.
    async fn kept_totals(
        &self,
        list: CountedList,
        parents: impl IntoIterator<Item = Id>,
    ) -> Result<HashMap<Id, i32>, Error> {
        let parent = list_total::Column::ParentId;
        let of_parents = one_of(self.db.read().get_database_backend(), parent, parents);
        let totals = list_total::of([list], self.current_viewer.viewer().visible_totals()).filter(of_parents);
        self.totals(totals, parent, SUM_OF_TOTALS).await
    }

    /// Returns the number of rows of `select` for each parent.
    async fn counts<E: EntityTrait>(
        &self,
        select: Select<E>,
        parent: impl ColumnTrait,
    ) -> Result<HashMap<Id, i32>, Error> {
        self.totals(select, parent, "COUNT(*)").await
    }

    /// Returns the aggregate `total` of the rows of `select` for each parent.
    async fn totals<E: EntityTrait>(
        &self,
        select: Select<E>,
        parent: impl ColumnTrait,
        total: &'static str,
    ) -> Result<HashMap<Id, i32>, Error> {
        let mut statement = QueryTrait::into_query(select);
        statement.clear_selects().clear_order_by();
        statement.expr_as(Expr::col(parent.as_column_ref()), Alias::new("parent_id"));
        statement.expr_as(Expr::cust(total), Alias::new("total"));
        statement.add_group_by([Expr::col(parent.as_column_ref())]);
        let rows = self.db.read().query_all(&statement).await?;
        let count = |row: QueryResult| {
            let total: i64 = row.try_get("", "total")?;
            Ok((row.try_get("", "parent_id")?, i32::try_from(total).unwrap_or(i32::MAX)))
        };
        Ok(rows.into_iter().map(count).collect::<Result<_, DbErr>>()?)
    }
}

/// Adds to a counter of the request, and fails once it exceeds its limit.
fn charge(counter: &AtomicUsize, count: usize, max: usize, message: impl FnOnce() -> String) -> Result<(), Error> {
    let sum = counter.fetch_add(count, Ordering::Relaxed).saturating_add(count);
    if sum <= max { Ok(()) } else { Err(Error::BadInput(message())) }
}

/// The requested pages of the lists of each parent.
type RequestsByParent<'a> = HashMap<Id, Vec<&'a PageRequest>>;

/// Groups page requests into statements. All page requests for the same part of a list are read together, as the largest of them,
/// because finding the rows costs more than reading them. Parents with the same page request share a statement.
fn group_by_part<'a>(keys: impl Iterator<Item = (&'a PageRequest, Id)>) -> HashMap<PageRequest, RequestsByParent<'a>> {
    let mut requested: HashMap<(PageRequest, Id), Vec<&PageRequest>> = HashMap::new();
    for (page_request, parent) in keys {
        requested.entry((page_request.part(), parent)).or_default().push(page_request);
    }
    let mut requests: HashMap<PageRequest, RequestsByParent<'_>> = HashMap::new();
    for ((part, parent), page_requests) in requested {
        requests.entry(PageRequest::around(part, &page_requests)).or_default().insert(parent, page_requests);
    }
    requests
}

/// A page of the list of one parent.
struct ParentPage<'a, R> {
    parent_id: Id,
    request: &'a PageRequest,
    page: Page<R>,
}

/// Returns each requested page, with its parent, from the rows that were read.
fn pages<'a, R: Clone>(requested: RequestsByParent<'a>, mut rows: RowsOfParents<R>) -> Vec<ParentPage<'a, R>> {
    let pages_of_parent = |(parent_id, requests): (Id, Vec<&'a PageRequest>)| {
        let pages = rows.remove(&parent_id).map(|rows| PageRequest::pages(&requests, rows)).unwrap_or_default();
        pages.into_iter().map(move |(request, page)| ParentPage { parent_id, request, page })
    };
    requested.into_iter().flat_map(pages_of_parent).collect()
}
