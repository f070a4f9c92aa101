//! A page as a Relay connection, whose total is counted, and whose position is read, only if they are selected.

use async_graphql::connection::{
    Connection as RelayConnection, ConnectionNameType, DefaultConnectionName, DefaultEdgeName, Edge, EdgeNameType,
    EmptyFields,
};
use async_graphql::{Context, Object, ObjectType, OutputType};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sea_orm::{EntityTrait, Select};
use tokio::sync::OnceCell;

use super::cursor::Cursor;
use super::{Page, count, count_up_to, sum};
use crate::budget::ListItem;
use crate::db::Db;
use crate::entity::list_total;
use crate::error::{Error, located};
use crate::graphql::context::ContextExt;
use crate::graphql::position::Position;

/// Returns a node for an edge without additional fields.
pub fn plain<N>(node: N) -> (N, EmptyFields) {
    (node, EmptyFields)
}

/// A connection whose nodes are rows, with optional additional fields on its edges, and a total that is counted only if it is
/// selected.
pub type Connection<N, F = EmptyFields, C = DefaultConnectionName, E = DefaultEdgeName, T = LazyCount> =
    RelayConnection<Cursor, ListItem<N>, T, F, C, E>;

/// A connection that also says at which position among the changes it was read.
pub type PositionedConnection<N> = Connection<N, EmptyFields, DefaultConnectionName, DefaultEdgeName, CountAndPosition>;

/// The number of rows of a filtered list beyond which they are not counted.
const MAX_COUNTED: i32 = 10_000;

/// The number of rows of a list, read or counted only if it is selected, and once.
pub struct LazyCount {
    count: Box<Count>,
    /// The number beyond which rows are not counted.
    max: i32,
    counted: OnceCell<i32>,
}

type Count = dyn for<'a> Fn(&'a Context<'a>) -> BoxFuture<'a, Result<i32, Error>> + Send + Sync;

impl LazyCount {
    /// Creates a total that adds up the totals of lists, which the database keeps.
    #[must_use]
    pub fn of_totals(totals: Select<list_total::Entity>) -> Self {
        Self::of(move |ctx| {
            let totals = totals.clone();
            async move { sum(db_of(ctx)?.read(), totals).await }.boxed()
        })
    }

    /// Creates a total that counts the rows of a list. For lists that are always short.
    #[must_use]
    pub fn of_list<E: EntityTrait>(list: Select<E>) -> Self {
        Self::of(move |ctx| {
            let list = list.clone();
            async move { count(db_of(ctx)?.read(), list).await }.boxed()
        })
    }

    /// Creates a total that counts the rows of a filtered list, up to a maximum.
    #[must_use]
    pub fn of_filtered_list<E: EntityTrait>(list: Select<E>) -> Self {
        let total = Self::of(move |ctx| {
            let list = list.clone();
            async move { count_up_to(db_of(ctx)?.read(), list, MAX_COUNTED.unsigned_abs().into()).await }.boxed()
        });
        Self { max: MAX_COUNTED, ..total }
    }

    /// Creates a total that is computed by `count`.
    pub fn of<C>(count: C) -> Self
    where
        C: for<'a> Fn(&'a Context<'a>) -> BoxFuture<'a, Result<i32, Error>> + Send + Sync + 'static,
    {
        Self { count: Box::new(count), max: i32::MAX, counted: OnceCell::new() }
    }

    /// Returns the number of rows, but at most the maximum.
    async fn count(&self, ctx: &Context<'_>) -> async_graphql::Result<i32> {
        Ok(self.counted(ctx).await?.min(self.max))
    }

    /// Returns whether the number of rows is exact: it does not exceed the maximum.
    async fn is_exact(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        Ok(self.max == i32::MAX || self.counted(ctx).await? <= self.max)
    }

    async fn counted(&self, ctx: &Context<'_>) -> async_graphql::Result<i32> {
        located(ctx, async { Ok(*self.counted.get_or_try_init(|| (self.count)(ctx)).await?) }).await
    }
}

fn db_of<'a>(ctx: &'a Context<'_>) -> Result<&'a Db, Error> {
    ctx.data_opt().ok_or_else(|| Error::internal("the database is missing from the context"))
}

/// The number of all rows of a list.
#[Object]
impl LazyCount {
    /// The total number of items on all pages. Computed only if it is selected.
    async fn total_count(&self, ctx: &Context<'_>) -> async_graphql::Result<i32> {
        self.count(ctx).await
    }

    /// Whether `totalCount` is exact. With a filter, at most 10,000 items are counted.
    async fn total_count_is_exact(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        self.is_exact(ctx).await
    }
}

/// The number of all rows of a list, and the position among the changes at which the list was read.
pub struct CountAndPosition {
    pub count: LazyCount,
    /// `None` unless it is selected.
    pub position: Option<Position>,
}

impl CountAndPosition {
    /// Reads the position if the field that is being resolved selects it. It must be called before the rows are read.
    ///
    /// # Errors
    /// That the database cannot be reached.
    pub async fn read(ctx: &Context<'_>, count: LazyCount) -> Result<Self, Error> {
        let is_selected = ctx.look_ahead().field("position").exists();
        let position = if is_selected { Some(ctx.position().await?) } else { None };
        Ok(Self { count, position })
    }
}

/// The number of all rows of a list, and the position among the changes at which the list was read.
#[Object]
impl CountAndPosition {
    /// The total number of items on all pages. Computed only if it is selected.
    async fn total_count(&self, ctx: &Context<'_>) -> async_graphql::Result<i32> {
        self.count.count(ctx).await
    }

    /// Whether `totalCount` is exact. With a `filter`, at most 10,000 items are counted.
    async fn total_count_is_exact(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        self.count.is_exact(ctx).await
    }

    /// The position among the changes when the page was read. Pass it as `after` to `changes` to receive every change
    /// that the page does not contain yet.
    async fn position(&self, ctx: &Context<'_>) -> async_graphql::Result<String> {
        located(ctx, async {
            let position = self.position.ok_or_else(|| Error::internal("a selected position was not read"))?;
            Ok(position.encode(&ctx.cursor_key()?))
        })
        .await
    }
}

impl<R> Page<R> {
    /// Converts the page to a connection; `total` has the additional fields of the connection, and `edge` returns the node of a
    /// row and the additional fields of its edge.
    pub fn into_connection<N, F, C, E, T>(self, total: T, edge: impl Fn(R) -> (N, F)) -> Connection<N, F, C, E, T>
    where
        N: OutputType,
        F: ObjectType,
        C: ConnectionNameType,
        E: EdgeNameType,
        T: ObjectType,
    {
        let mut connection = RelayConnection::with_additional_fields(self.has_previous, self.has_next, total);
        connection.edges.extend(self.rows.into_iter().map(|(cursor, row)| {
            let (node, fields) = edge(row);
            Edge::with_additional_fields(cursor, ListItem(node), fields)
        }));
        connection
    }
}
