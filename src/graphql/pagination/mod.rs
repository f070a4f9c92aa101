//! Pagination: keyset pages of any table as Relay connections, of one list or of the lists of many parents in one statement.

mod connection;
mod cursor;
mod order;
mod request;

use std::collections::HashMap;

use sea_orm::sea_query::{
    Alias, Asterisk, Condition, Expr, ExprTrait, IntoIden, Order as Direction, Query, SelectStatement, UnionType,
    WindowStatement,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryResult, QueryTrait, Select, Value};

pub use self::connection::{Connection, CountAndPosition, LazyCount, PositionedConnection, plain};
use self::cursor::Cursor;
pub use self::cursor::CursorKey;
use self::order::NullPartition;
pub use self::order::{DefaultOrder, Nulls, Order, SortKey};
pub use self::request::{DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, PageArgs, PageRequest};
use crate::db::{Reader, conditions};
use crate::entity::list_total;
use crate::error::Error;
use crate::graphql::projection::Columns;
use crate::scalar::Id;
use crate::text;

/// A row with its position in the list.
pub type PositionedRow<R> = (Vec<Value>, R);

/// The rows of one page, each with its cursor.
#[derive(Clone)]
pub struct Page<R> {
    rows: Vec<(Cursor, R)>,
    has_previous: bool,
    has_next: bool,
}

/// Reads one page of a list in this order, with these columns of each row.
///
/// # Errors
/// `BadInput` for a damaged cursor.
pub async fn read<E: DefaultOrder>(
    db: &Reader,
    select: Select<E>,
    columns: &Columns<E>,
    order: &Order<E>,
    page_request: &PageRequest,
) -> Result<Page<E::Model>, Error> {
    let columns = columns.with(order.columns());
    let statement = statement(&columns.narrow(select), order, page_request)?;
    let placeholder = E::placeholder();
    let rows = db.query_all(&statement).await?;
    let rows = rows.iter().map(|row| columns.read(row, &placeholder).map(|model| (order.position(&model), model)));
    Ok(page_request.page(rows.collect::<Result<_, _>>()?))
}

/// Returns the page of a forward request that consists of rows in order: those after its [beginning](PageRequest::begin), and at
/// least one more than it holds, if there are.
#[must_use]
pub fn page_of_sorted<R>(rows: Vec<PositionedRow<R>>, page_request: &PageRequest) -> Page<R> {
    page_request.page(rows)
}

/// Returns the statement for the rows of a page and one more, in the direction of the request. Each part of the list is read by
/// an index scan of its own.
fn statement<E: DefaultOrder>(
    select: &Select<E>,
    order: &Order<E>,
    page_request: &PageRequest,
) -> Result<SelectStatement, Error> {
    let direction = page_request.direction(order);
    let rows_of = |part: NullPartition| {
        let mut rows = QueryTrait::into_query(select.clone().filter(page_request.between(order, part)?));
        direction.within(part).apply(&mut rows);
        rows.limit(page_request.size + 1);
        Ok::<_, Error>(rows)
    };
    if let [only] = direction.parts() {
        return rows_of(*only);
    }
    let mut parts = Vec::new();
    for (number, part) in (0..).zip(direction.parts()) {
        let mut rows = Query::select();
        rows.column(Asterisk).expr_as(Expr::val(number), Alias::new("part"));
        parts.push(rows.from_subquery(rows_of(*part)?, Alias::new("rows")).to_owned());
    }
    let mut parts = parts.into_iter();
    let mut all = parts.next().unwrap_or_default();
    all.unions(parts.map(|rows| (UnionType::All, rows)));
    let table = E::default().table_name().into_iden();
    let mut statement = Query::select();
    statement.column(Asterisk).from_subquery(all, table).order_by(Alias::new("part"), Direction::Asc);
    direction.apply(&mut statement);
    statement.limit(page_request.size + 1);
    Ok(statement)
}

/// The rows of the list of each parent, each with its position.
pub type RowsOfParents<R> = HashMap<Id, Vec<PositionedRow<R>>>;

/// Reads the requested page, and one more row, of the list of each of several parents in one statement. `select` selects the rows
/// of all parents, with the given columns first; `parent` is the column with the parent's ID; `row` makes the result from a row
/// and its model.
///
/// # Errors
/// As [`read`].
pub async fn read_per_parent<E: DefaultOrder, R>(
    db: &Reader,
    select: Select<E>,
    columns: &Columns<E>,
    parent: impl ColumnTrait,
    page_request: &PageRequest,
    row: impl Fn(&QueryResult, E::Model) -> Result<R, DbErr>,
) -> Result<RowsOfParents<R>, Error> {
    let order = Order::<E>::default();
    let mut inner = QueryTrait::into_query(select.filter(page_request.between(&order, NullPartition::Whole)?));
    let mut over = WindowStatement::partition_by(parent.as_column_ref());
    page_request.direction(&order).apply(&mut over);
    inner.expr_as(Expr::col(parent.as_column_ref()), Alias::new("parent_id"));
    inner.expr_window_as(Expr::cust("ROW_NUMBER()"), over, Alias::new("place"));
    let mut statement = Query::select();
    statement.column(Asterisk).from_subquery(inner, Alias::new("placed"));
    statement.and_where(Expr::col(Alias::new("place")).lte(page_request.size + 1));
    statement.order_by(Alias::new("parent_id"), Direction::Asc).order_by(Alias::new("place"), Direction::Asc);

    let placeholder = E::placeholder();
    let mut rows: RowsOfParents<R> = HashMap::new();
    for result in db.query_all(&statement).await? {
        let parent: Id = result.try_get("", "parent_id")?;
        let model = columns.read(&result, &placeholder)?;
        rows.entry(parent).or_default().push((order.position(&model), row(&result, model)?));
    }
    Ok(rows)
}

/// The number of rows that the totals of lists add up to.
pub const SUM_OF_TOTALS: &str = "CAST(COALESCE(SUM(total), 0) AS bigint)";

/// Adds up the totals of lists.
async fn sum(db: &Reader, totals: Select<list_total::Entity>) -> Result<i32, Error> {
    let mut statement = QueryTrait::into_query(totals);
    statement.clear_selects().expr_as(Expr::cust(SUM_OF_TOTALS), Alias::new("total"));
    total_of(db, &statement).await
}

/// Counts the rows of a list, on all pages.
async fn count<E: EntityTrait>(db: &Reader, select: Select<E>) -> Result<i32, Error> {
    let mut statement = QueryTrait::into_query(select);
    statement.clear_selects().clear_order_by().expr_as(Expr::cust("COUNT(*)"), Alias::new("total"));
    total_of(db, &statement).await
}

/// Counts the rows of a list, on all pages; with more than `max`, returns one more than that.
async fn count_up_to<E: EntityTrait>(db: &Reader, select: Select<E>, max: u64) -> Result<i32, Error> {
    let mut rows = QueryTrait::into_query(select);
    rows.clear_selects().clear_order_by().expr_as(Expr::cust("1"), Alias::new("one")).limit(max.saturating_add(1));
    let mut statement = Query::select();
    statement.expr_as(Expr::cust("COUNT(*)"), Alias::new("total")).from_subquery(rows, Alias::new("counted"));
    total_of(db, &statement).await
}

async fn total_of(db: &Reader, statement: &SelectStatement) -> Result<i32, Error> {
    let row = db.query_one(statement).await?;
    let total: i64 = row.map(|row| row.try_get("", "total")).transpose()?.unwrap_or(0);
    Ok(i32::try_from(total).unwrap_or(i32::MAX))
}

/// Maximum number of characters of the argument `nameContains`.
const MAX_NAME_PART_LENGTH: usize = 200;

/// Returns the condition that a folded name contains a text; without a text, a condition that is always true.
///
/// # Errors
/// `BadInput` for a text of more than 200 characters.
pub fn name_contains(text: Option<&str>, name_key: impl ColumnTrait, postgres: bool) -> Result<Condition, Error> {
    let Some(text) = text else { return Ok(Condition::all()) };
    if text.chars().count() > MAX_NAME_PART_LENGTH {
        return Err(Error::BadInput(format!("nameContains: must be at most {MAX_NAME_PART_LENGTH} characters.")));
    }
    Ok(Condition::all().add(conditions::contains(
        Expr::col(name_key.as_column_ref()),
        &text::fold(text.trim()),
        postgres,
    )))
}

impl<R> Default for Page<R> {
    fn default() -> Self {
        Self { rows: Vec::new(), has_previous: false, has_next: false }
    }
}

impl<R> Page<R> {
    /// Returns the rows in order.
    pub fn rows(&self) -> impl Iterator<Item = &R> {
        self.rows.iter().map(|(_, row)| row)
    }

    /// Returns the page with each row replaced by the result of `change`, without the rows for which that is `None`.
    #[must_use]
    pub fn filter_map<T>(self, mut change: impl FnMut(R) -> Option<T>) -> Page<T> {
        let rows = self.rows.into_iter().filter_map(|(cursor, row)| Some((cursor, change(row)?))).collect();
        Page { rows, has_previous: self.has_previous, has_next: self.has_next }
    }
}
