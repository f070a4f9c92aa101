//! One keyset page of any table as a Relay connection: of a whole list, or of many parents' lists in one statement.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::convert::Infallible;

use async_graphql::connection::{
    Connection as RelayConnection, ConnectionNameType, CursorType, DefaultConnectionName, DefaultEdgeName, Edge,
    EdgeNameType, EmptyFields,
};
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Context, Name, Object, ObjectType, OutputType};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sea_orm::sea_query::{
    Alias, Condition, Expr, ExprTrait, Order, Query, SelectStatement, SimpleExpr, WindowStatement,
};
use sea_orm::{
    ColumnTrait, ColumnType, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, ModelTrait, QueryFilter,
    QueryResult, QueryTrait, Select, Value,
};
use sha2::{Digest, Sha256};

use crate::columns::{Columns, Shown};
use crate::db::Db;
use crate::entity::{audit_event, group, institution, user};
use crate::error::Error;
use crate::scalar::Id;
use crate::text;

/// How many rows a page has where nothing is said.
pub const DEFAULT_SIZE: u64 = 50;
/// How many rows a page may have.
pub const LARGEST_SIZE: u64 = 100;

/// The four arguments by which a connection is paged.
#[derive(Clone, Debug, Default)]
pub struct PageArgs {
    pub first: Option<i32>,
    pub after: Option<String>,
    pub last: Option<i32>,
    pub before: Option<String>,
}

/// A table that is listed in one order, of which the last column is unique.
pub trait Listed: Shown {
    /// The columns that it is ordered by.
    const ORDER: &'static [Self::Column];

    /// Whether the list begins with the highest.
    const NEWEST_FIRST: bool = false;
}

/// Which part of a list is asked for, checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    mark: Mark,
    size: u64,
    backward: bool,
    after: Option<Vec<String>>,
    before: Option<Vec<String>>,
}

/// What tells the cursors of one list from those of another: the head of the SHA-256 of the list's name.
type Mark = [u8; 6];

/// The place of a row in a list; opaque to clients.
#[derive(Clone)]
pub struct Cursor {
    mark: Mark,
    position: Vec<Value>,
}

/// The rows of one page, each with its place.
#[derive(Clone)]
pub struct Page<R> {
    rows: Vec<(Cursor, R)>,
    has_previous: bool,
    has_next: bool,
}

impl Window {
    /// Checks the arguments. `list` says which list it is, with everything that its rows depend on: a cursor of another
    /// list is an error.
    ///
    /// # Errors
    /// `BadInput` with every argument that is wrong.
    pub fn new(args: PageArgs, list: &str) -> Result<Self, Error> {
        let mut faults = Vec::new();
        let mut size = |name: &str, given: Option<i32>| match given.map(u64::try_from) {
            Some(Ok(size @ 1..=LARGEST_SIZE)) => Some(size),
            None => None,
            Some(_) => {
                faults.push(format!("{name}: a number from 1 to {LARGEST_SIZE}."));
                None
            }
        };
        let mark = mark_of(list);
        let sizes = (size("first", args.first), size("last", args.last));
        let mut position = |name: &str, given: Option<String>| {
            let given = given?;
            let position = read_cursor(&given, mark);
            if position.is_none() {
                faults.push(format!("{name}: this is not a cursor of this list."));
            }
            position
        };
        let (after, before) = (position("after", args.after), position("before", args.before));
        if args.first.is_some() && args.last.is_some() {
            faults.push("first, last: only one of the two.".to_owned());
        }
        if !faults.is_empty() {
            return Err(Error::BadInput(faults.join(" ")));
        }
        Ok(Self {
            mark,
            size: sizes.0.or(sizes.1).unwrap_or(DEFAULT_SIZE),
            backward: args.last.is_some(),
            after,
            before,
        })
    }

    /// The same part of whatever list: windows of several lists have it in common.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { mark: Mark::default(), ..self.clone() }
    }

    fn direction<E: Listed>(&self) -> Order {
        if self.backward == E::NEWEST_FIRST { Order::Asc } else { Order::Desc }
    }

    /// The condition that a row lies between the cursors. Row values let the index find the place.
    fn bounds<E: Listed>(&self) -> Result<Vec<SimpleExpr>, Error> {
        let columns = || Expr::tuple(E::ORDER.iter().map(|column| Expr::col(column.as_column_ref())));
        let (above, below) = if E::NEWEST_FIRST { (&self.before, &self.after) } else { (&self.after, &self.before) };
        let mut bounds = Vec::new();
        if let Some(position) = above {
            bounds.push(columns().gt(Expr::tuple(position_of::<E>(position)?)));
        }
        if let Some(position) = below {
            bounds.push(columns().lt(Expr::tuple(position_of::<E>(position)?)));
        }
        Ok(bounds)
    }

    fn order<E: Listed>(&self, statement: &mut SelectStatement) {
        for column in E::ORDER {
            statement.order_by(column.as_column_ref(), self.direction::<E>());
        }
    }

    /// Makes the page of rows that were read in the window's direction, one more than the page holds if there is one.
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

/// Reads one page of a list, with these columns of each row.
///
/// # Errors
/// `BadInput` for a cursor that is damaged; whatever the database says.
pub async fn read<E: Listed>(
    db: &DatabaseConnection,
    mut select: Select<E>,
    columns: &Columns<E>,
    window: &Window,
) -> Result<Page<E::Model>, Error> {
    for bound in window.bounds::<E>()? {
        select = select.filter(bound);
    }
    let mut statement = QueryTrait::into_query(columns.narrow(select));
    window.order::<E>(&mut statement);
    statement.limit(window.size + 1);
    let blank = E::unread();
    let rows = db.query_all(&statement).await?;
    let rows = rows.iter().map(|row| columns.read(row, &blank).map(|model| (position::<E>(&model), model)));
    Ok(window.page(rows.collect::<Result<_, _>>()?))
}

/// Reads one page of the list of each of several parents, in one statement. `select` has the rows of all of them, first
/// in each the given columns, `parent` tells whose they are, and `row` makes what is wanted of a row and its model.
///
/// # Errors
/// As [`read`].
pub async fn read_per_parent<E: Listed, R>(
    db: &DatabaseConnection,
    mut select: Select<E>,
    columns: &Columns<E>,
    parent: impl ColumnTrait,
    window: &Window,
    row: impl Fn(&QueryResult, E::Model) -> Result<R, DbErr>,
) -> Result<HashMap<Id, Page<R>>, Error> {
    for bound in window.bounds::<E>()? {
        select = select.filter(bound);
    }
    let mut inner = QueryTrait::into_query(select);
    let mut over = WindowStatement::partition_by(parent.as_column_ref());
    for column in E::ORDER {
        over.order_by(column.as_column_ref(), window.direction::<E>());
    }
    inner.expr_as(Expr::col(parent.as_column_ref()), Alias::new("parent_id"));
    inner.expr_window_as(Expr::cust("ROW_NUMBER()"), over, Alias::new("place"));
    let mut statement = Query::select();
    statement.column(sea_orm::sea_query::Asterisk).from_subquery(inner, Alias::new("placed"));
    statement.and_where(Expr::col(Alias::new("place")).lte(window.size + 1));
    statement.order_by(Alias::new("parent_id"), Order::Asc).order_by(Alias::new("place"), Order::Asc);

    let blank = E::unread();
    let mut rows: HashMap<Id, Vec<(Vec<Value>, R)>> = HashMap::new();
    for found in db.query_all(&statement).await? {
        let parent: Id = found.try_get("", "parent_id")?;
        let model = columns.read(&found, &blank)?;
        rows.entry(parent).or_default().push((position::<E>(&model), row(&found, model)?));
    }
    Ok(rows.into_iter().map(|(parent, rows)| (parent, window.page(rows))).collect())
}

/// Where a row stands in its list.
fn position<E: Listed>(row: &E::Model) -> Vec<Value> {
    E::ORDER.iter().map(|column| row.get(*column)).collect()
}

/// Counts the rows of a list, without its page.
///
/// # Errors
/// Whatever the database says.
pub async fn count<E: EntityTrait>(db: &DatabaseConnection, select: Select<E>) -> Result<i32, Error> {
    let mut statement = QueryTrait::into_query(select);
    statement.clear_selects().clear_order_by().expr_as(Expr::cust("COUNT(*)"), Alias::new("total"));
    let row = db.query_one(&statement).await?;
    let total: i64 = row.map(|row| row.try_get("", "total")).transpose()?.unwrap_or(0);
    Ok(i32::try_from(total).unwrap_or(i32::MAX))
}

/// What a connection costs: every node of the page, as many as are asked for.
#[must_use]
pub fn cost(first: Option<i32>, last: Option<i32>, of_node: usize) -> usize {
    let asked = first.or(last).and_then(|size| u64::try_from(size).ok()).unwrap_or(DEFAULT_SIZE);
    let nodes = usize::try_from(asked.clamp(1, LARGEST_SIZE)).unwrap_or(usize::MAX);
    nodes.saturating_mul(of_node).saturating_add(1)
}

/// The variables for `first` or `last` that may be left out and are: to the cost of a document async-graphql takes them
/// for faults. For a page size, absent and null are the same.
#[must_use]
pub fn sizes_left_out(document: &ExecutableDocument, given: &BTreeSet<Name>) -> Vec<Name> {
    fn sizes(set: &SelectionSet, names: &mut HashSet<String>) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    let arguments = field.node.arguments.iter();
                    let of_size = arguments.filter(|(name, _)| matches!(name.node.as_str(), "first" | "last"));
                    let texts = of_size.map(|(_, value)| value.node.to_string());
                    names.extend(texts.filter_map(|text| text.strip_prefix('$').map(str::to_owned)));
                    sizes(&field.node.selection_set.node, names);
                }
                Selection::InlineFragment(fragment) => sizes(&fragment.node.selection_set.node, names),
                Selection::FragmentSpread(_) => {}
            }
        }
    }
    let mut names = HashSet::new();
    for (_, operation) in document.operations.iter() {
        sizes(&operation.node.selection_set.node, &mut names);
    }
    for fragment in document.fragments.values() {
        sizes(&fragment.node.selection_set.node, &mut names);
    }
    let defined = document.operations.iter().flat_map(|(_, operation)| &operation.node.variable_definitions);
    let left_out = defined.filter(|variable| {
        let name = &variable.node.name.node;
        let may_be = variable.node.var_type.node.nullable && variable.node.default_value.is_none();
        may_be && names.contains(name.as_str()) && !given.contains(name)
    });
    left_out.map(|variable| variable.node.name.node.clone()).collect()
}

/// The condition that a folded name has a text in it; none where nothing is asked for.
///
/// # Errors
/// `BadInput` for a text of more than 200 characters.
pub fn name_has(text: Option<&str>, name_key: impl ColumnTrait, postgres: bool) -> Result<Condition, Error> {
    let Some(text) = text else { return Ok(Condition::all()) };
    if text.chars().count() > 200 {
        return Err(Error::BadInput("nameContains: at most 200 characters.".to_owned()));
    }
    Ok(Condition::all().add(text::contains(name_key, &text::fold(text.trim()), postgres)))
}

/// A node without anything else on its edge.
pub fn plain<N>(node: N) -> (N, EmptyFields) {
    (node, EmptyFields)
}

/// A connection whose nodes are rows, with edges that may say more and a total that is counted when it is asked for.
pub type Connection<N, F = EmptyFields, C = DefaultConnectionName, E = DefaultEdgeName> =
    RelayConnection<Cursor, N, Total, F, C, E>;

/// The number of all rows of a list.
pub struct Total(Box<Count>);

type Count = dyn for<'a> Fn(&'a Context<'a>) -> BoxFuture<'a, Result<i32, Error>> + Send + Sync;

impl Total {
    /// How many rows a list has.
    #[must_use]
    pub fn of_list<E: EntityTrait>(list: Select<E>) -> Self {
        Self::of(move |ctx| {
            let list = list.clone();
            async move {
                let db = ctx.data_opt::<Db>().ok_or_else(|| Error::internal("the database is not attached"))?;
                count(db.read(), list).await
            }
            .boxed()
        })
    }

    /// A total that `count` finds out, should anybody ask.
    pub fn of<C>(count: C) -> Self
    where
        C: for<'a> Fn(&'a Context<'a>) -> BoxFuture<'a, Result<i32, Error>> + Send + Sync + 'static,
    {
        Self(Box::new(count))
    }
}

/// The number of all rows of a list.
#[Object]
impl Total {
    /// How many there are in all, on every page together. Counted only when it is selected.
    async fn total_count(&self, ctx: &Context<'_>) -> async_graphql::Result<i32> {
        Ok((self.0)(ctx).await?)
    }
}

impl<R> Page<R> {
    /// The page as one of the window's list, to which its cursors then belong.
    #[must_use]
    pub fn of(mut self, window: &Window) -> Self {
        for (cursor, _) in &mut self.rows {
            cursor.mark = window.mark;
        }
        self
    }

    /// The page as a connection; `edge` tells a row's node and what else the edge says.
    pub fn into_connection<N, F, C, E>(self, total: Total, edge: impl Fn(R) -> (N, F)) -> Connection<N, F, C, E>
    where
        N: OutputType,
        F: ObjectType,
        C: ConnectionNameType,
        E: EdgeNameType,
    {
        let mut connection = RelayConnection::with_additional_fields(self.has_previous, self.has_next, total);
        connection.edges.extend(self.rows.into_iter().map(|(cursor, row)| {
            let (node, fields) = edge(row);
            Edge::with_additional_fields(cursor, node, fields)
        }));
        connection
    }
}

impl<R> Default for Page<R> {
    fn default() -> Self {
        Self { rows: Vec::new(), has_previous: false, has_next: false }
    }
}

impl CursorType for Cursor {
    type Error = Infallible;

    /// Not used: whether a cursor is of the list that is asked for is checked by [`Window::new`].
    fn decode_cursor(_: &str) -> Result<Self, Infallible> {
        Ok(Self { mark: Mark::default(), position: Vec::new() })
    }

    fn encode_cursor(&self) -> String {
        let texts: Vec<String> = self.position.iter().map(text_of).collect();
        let mut bytes = self.mark.to_vec();
        bytes.extend(serde_json::to_vec(&texts).unwrap_or_default());
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

fn mark_of(list: &str) -> Mark {
    let mut mark = Mark::default();
    mark.iter_mut().zip(Sha256::digest(list.as_bytes())).for_each(|(to, from)| *to = from);
    mark
}

fn read_cursor(cursor: &str, mark: Mark) -> Option<Vec<String>> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let position: Vec<String> = serde_json::from_slice(bytes.strip_prefix(&mark)?).ok()?;
    // No row has U+0000 in it, and PostgreSQL takes none.
    (!position.iter().any(|text| text.contains('\0'))).then_some(position)
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(Some(text)) => text.clone(),
        Value::Uuid(Some(id)) => id.to_string(),
        Value::BigInt(Some(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn position_of<E: Listed>(position: &[String]) -> Result<Vec<SimpleExpr>, Error> {
    let damaged = || Error::BadInput("after, before: this is not a cursor of this list.".to_owned());
    if position.len() != E::ORDER.len() {
        return Err(damaged());
    }
    let values = E::ORDER.iter().zip(position).map(|(column, text)| match column.def().get_column_type() {
        ColumnType::Uuid => Id::parse(text).map(|id| Expr::val(id.0)),
        ColumnType::BigInteger => text.parse::<i64>().ok().map(Expr::val),
        _ => Some(Expr::val(text.as_str())),
    });
    values.collect::<Option<Vec<_>>>().ok_or_else(damaged)
}

impl Listed for user::Entity {
    const ORDER: &'static [user::Column] = &[user::Column::LastNameKey, user::Column::FirstNameKey, user::Column::Id];
}

impl Listed for group::Entity {
    const ORDER: &'static [group::Column] = &[group::Column::NameKey, group::Column::Id];
}

impl Listed for institution::Entity {
    const ORDER: &'static [institution::Column] = &[institution::Column::NameKey, institution::Column::Id];
}

impl Listed for audit_event::Entity {
    const ORDER: &'static [audit_event::Column] = &[audit_event::Column::Seq];
    const NEWEST_FIRST: bool = true;
}
