//! Pagination: keyset pages of any table as Relay connections, of one list or of the lists of many parents in one statement.

mod connection;
mod cursor;
mod order;

use std::collections::HashMap;

use sea_orm::sea_query::{
    Alias, Asterisk, Condition, Expr, ExprTrait, IntoIden, Order as Direction, Query, SelectStatement, UnionType,
    WindowStatement,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryResult, QueryTrait, Select, Value};

pub use self::connection::{Connection, LazyCount, plain};
pub use self::cursor::CursorKey;
use self::cursor::{Cursor, ListFingerprint, Position};
use self::order::NullPartition;
pub use self::order::{DefaultOrder, Nulls, Order, SortKey};
use crate::db::{Reader, conditions};
use crate::error::Error;
use crate::graphql::projection::Columns;
use crate::scalar::Id;
use crate::text;

/// The default number of rows on a page.
pub const DEFAULT_PAGE_SIZE: u64 = 50;
/// Maximum number of rows on a page.
pub const MAX_PAGE_SIZE: u64 = 100;

/// The four pagination arguments of a connection.
#[derive(Clone, Debug, Default)]
pub struct PageArgs {
    pub first: Option<i32>,
    pub after: Option<String>,
    pub last: Option<i32>,
    pub before: Option<String>,
}

/// A validated request for a page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageRequest {
    mark: ListFingerprint,
    size: u64,
    backward: bool,
    after: Option<Position>,
    before: Option<Position>,
}

/// The rows of one page, each with its cursor.
#[derive(Clone)]
pub struct Page<R> {
    rows: Vec<(Cursor, R)>,
    has_previous: bool,
    has_next: bool,
}

impl PageRequest {
    /// Validates the pagination arguments. `list` identifies the list, with everything that its rows depend on: a cursor of
    /// another list is an error.
    ///
    /// # Errors
    /// `BadInput` with all invalid arguments.
    pub fn new(args: PageArgs, list: &str, seal: &CursorKey) -> Result<Self, Error> {
        let mut faults = Vec::new();
        let mut size = |name: &str, given: Option<i32>| match given.map(u64::try_from) {
            Some(Ok(size @ 1..=MAX_PAGE_SIZE)) => Some(size),
            None => None,
            Some(_) => {
                faults.push(format!("{name}: must be a number from 1 to {MAX_PAGE_SIZE}."));
                None
            }
        };
        let mark = seal.of(list);
        let sizes = (size("first", args.first), size("last", args.last));
        let mut position = |name: &str, given: Option<String>| {
            let given = given?;
            let position = mark.read(&given);
            if position.is_none() {
                faults.push(format!("{name}: must be a cursor of this list, with the same filter and order."));
            }
            position
        };
        let (after, before) = (position("after", args.after), position("before", args.before));
        if args.first.is_some() && args.last.is_some() {
            faults.push("first, last: at most one of them can be given.".to_owned());
        }
        if !faults.is_empty() {
            return Err(Error::BadInput(faults.join(" ")));
        }
        Ok(Self {
            mark,
            size: sizes.0.or(sizes.1).unwrap_or(DEFAULT_PAGE_SIZE),
            backward: args.last.is_some(),
            after,
            before,
        })
    }

    /// Returns the request without its list and page size; it is equal for all requests for the same part of any list.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { mark: ListFingerprint::default(), size: 0, ..self.clone() }
    }

    /// Returns the smallest request that contains all of `windows`, which must be requests for this part.
    #[must_use]
    pub fn around(part: Self, windows: &[&Self]) -> Self {
        let size = windows.iter().map(|window| window.size).max().unwrap_or_default();
        Self { size, ..part }
    }

    /// Returns the page of each of several requests for one part, made of the rows of the request [around](Self::around) them.
    #[must_use]
    pub fn pages<'a, R: Clone>(windows: &[&'a Self], rows: Vec<(Vec<Value>, R)>) -> Vec<(&'a Self, Page<R>)> {
        let Some((last, others)) = windows.split_last() else { return Vec::new() };
        let of_others = others.iter().map(|window| {
            let rows = rows.iter().take(usize::try_from(window.size + 1).unwrap_or(usize::MAX));
            (*window, window.page(rows.cloned().collect()))
        });
        let mut pages: Vec<_> = of_others.collect();
        pages.push((*last, last.page(rows)));
        pages
    }

    /// Returns the order in which the rows are read.
    fn direction<E: EntityTrait>(&self, order: &Order<E>) -> Order<E> {
        if self.backward { order.reversed() } else { order.clone() }
    }

    /// Returns the condition for the rows of a part of the list that lie between the cursors.
    fn between<E: EntityTrait>(&self, order: &Order<E>, part: NullPartition) -> Result<Condition, Error> {
        let damaged = || {
            Error::BadInput("after, before: must be a cursor of this list, with the same filter and order.".to_owned())
        };
        let after = self.after.as_ref().map(|place| order.after(part, place).ok_or_else(damaged));
        let before = self.before.as_ref().map(|place| order.reversed().after(part, place).ok_or_else(damaged));
        Ok(order.rows(part).add_option(after.transpose()?).add_option(before.transpose()?))
    }

    /// Makes a page of rows that were read in the direction of the request: one row more than the page holds, if there is one.
    fn page<R>(&self, mut rows: Vec<(Vec<Value>, R)>) -> Page<R> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        rows.truncate(size);
        if self.backward {
            rows.reverse();
        }
        Page {
            rows: rows.into_iter().map(|(position, row)| (Cursor { mark: self.mark, position }, row)).collect(),
            has_previous: if self.backward { more } else { self.after.is_some() },
            has_next: if self.backward { self.before.is_some() } else { more },
        }
    }
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
    window: &PageRequest,
) -> Result<Page<E::Model>, Error> {
    let columns = columns.with(order.columns());
    let statement = statement(&columns.narrow(select), order, window)?;
    let blank = E::placeholder();
    let rows = db.query_all(&statement).await?;
    let rows = rows.iter().map(|row| columns.read(row, &blank).map(|model| (order.position(&model), model)));
    Ok(window.page(rows.collect::<Result<_, _>>()?))
}

/// Returns one page of a list that is already ordered, from its beginning or after a cursor. `place` returns the position of a
/// row; `comes_after` returns whether a row comes after a position, or `None` if the position is invalid.
///
/// # Errors
/// `BadInput` for a damaged cursor.
pub fn of_ranked<R>(
    ranked: Vec<R>,
    window: &PageRequest,
    place: impl Fn(&R) -> Vec<Value>,
    comes_after: impl Fn(&R, &[Option<String>]) -> Option<bool>,
) -> Result<Page<R>, Error> {
    let mut rest = Vec::with_capacity(ranked.len());
    for row in ranked {
        let is_wanted = match &window.after {
            None => true,
            Some(after) => comes_after(&row, after).ok_or_else(|| {
                Error::BadInput("after: must be a cursor of this list, with the same filter and order.".to_owned())
            })?,
        };
        if is_wanted {
            rest.push((place(&row), row));
        }
    }
    Ok(window.page(rest))
}

/// Returns the statement for the rows of a page and one more, in the direction of the request. Each part of the list is read by
/// an index scan of its own.
fn statement<E: DefaultOrder>(
    select: &Select<E>,
    order: &Order<E>,
    window: &PageRequest,
) -> Result<SelectStatement, Error> {
    let direction = window.direction(order);
    let rows_of = |part: NullPartition| {
        let mut rows = QueryTrait::into_query(select.clone().filter(window.between(order, part)?));
        direction.within(part).apply(&mut rows);
        rows.limit(window.size + 1);
        Ok::<_, Error>(rows)
    };
    if let [only] = direction.parts() {
        return rows_of(*only);
    }
    let mut parts = Vec::new();
    for (place, part) in (0..).zip(direction.parts()) {
        let mut rows = Query::select();
        rows.column(Asterisk).expr_as(Expr::val(place), Alias::new("part"));
        parts.push(rows.from_subquery(rows_of(*part)?, Alias::new("rows")).to_owned());
    }
    let mut parts = parts.into_iter();
    let mut both = parts.next().unwrap_or_default();
    both.unions(parts.map(|rows| (UnionType::All, rows)));
    let table = E::default().table_name().into_iden();
    let mut statement = Query::select();
    statement.column(Asterisk).from_subquery(both, table).order_by(Alias::new("part"), Direction::Asc);
    direction.apply(&mut statement);
    statement.limit(window.size + 1);
    Ok(statement)
}

/// The rows of the list of each parent, each with its position.
pub type RowsOfParents<R> = HashMap<Id, Vec<(Vec<Value>, R)>>;

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
    window: &PageRequest,
    row: impl Fn(&QueryResult, E::Model) -> Result<R, DbErr>,
) -> Result<RowsOfParents<R>, Error> {
    let order = Order::<E>::default();
    let mut inner = QueryTrait::into_query(select.filter(window.between(&order, NullPartition::Whole)?));
    let mut over = WindowStatement::partition_by(parent.as_column_ref());
    window.direction(&order).apply(&mut over);
    inner.expr_as(Expr::col(parent.as_column_ref()), Alias::new("parent_id"));
    inner.expr_window_as(Expr::cust("ROW_NUMBER()"), over, Alias::new("place"));
    let mut statement = Query::select();
    statement.column(Asterisk).from_subquery(inner, Alias::new("placed"));
    statement.and_where(Expr::col(Alias::new("place")).lte(window.size + 1));
    statement.order_by(Alias::new("parent_id"), Direction::Asc).order_by(Alias::new("place"), Direction::Asc);

    let blank = E::placeholder();
    let mut rows: RowsOfParents<R> = HashMap::new();
    for found in db.query_all(&statement).await? {
        let parent: Id = found.try_get("", "parent_id")?;
        let model = columns.read(&found, &blank)?;
        rows.entry(parent).or_default().push((order.position(&model), row(&found, model)?));
    }
    Ok(rows)
}

/// Counts the rows of a list, on all pages.
pub async fn count<E: EntityTrait>(db: &Reader, select: Select<E>) -> Result<i32, Error> {
    let mut statement = QueryTrait::into_query(select);
    statement.clear_selects().clear_order_by().expr_as(Expr::cust("COUNT(*)"), Alias::new("total"));
    let row = db.query_one(&statement).await?;
    let total: i64 = row.map(|row| row.try_get("", "total")).transpose()?.unwrap_or(0);
    Ok(i32::try_from(total).unwrap_or(i32::MAX))
}

/// Returns the condition that a folded name contains a text; without a text, a condition that is always true.
///
/// # Errors
/// `BadInput` for a text of more than 200 characters.
pub fn name_has(text: Option<&str>, name_key: impl ColumnTrait, postgres: bool) -> Result<Condition, Error> {
    let Some(text) = text else { return Ok(Condition::all()) };
    if text.chars().count() > 200 {
        return Err(Error::BadInput("nameContains: must be at most 200 characters.".to_owned()));
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
