//! The pages of lists as connections.

use std::hash::Hash;

use async_graphql::dataloader::Loader;
use async_graphql::{Context, OutputType};
use futures_util::FutureExt;
use sea_orm::{EntityTrait, Select};

use crate::entity::list_total;
use crate::error::Error;
use crate::graphql::context::ContextExt;
use crate::graphql::loader::Loaders;
use crate::graphql::pagination::{
    self, Connection, CountAndPosition, DefaultOrder, LazyCount, Order, Page, PageRequest, PositionedConnection,
};

/// Returns the total of a list: the sum of `totals`, which the database keeps, or with a filter the number of its rows up to a
/// maximum.
#[must_use]
pub fn total_of<E: EntityTrait>(list: &Select<E>, is_filtered: bool, totals: Select<list_total::Entity>) -> LazyCount {
    if is_filtered { LazyCount::of_filtered_list(list.clone()) } else { LazyCount::of_totals(totals) }
}

/// Reads a page of a list in an order. `total` is the number of all rows of the list.
///
/// # Errors
/// As [`pagination::read`].
pub async fn connection<E>(
    ctx: &Context<'_>,
    list: Select<E>,
    order: &Order<E>,
    page_request: &PageRequest,
    total: LazyCount,
) -> Result<Connection<E::Model>, Error>
where
    E: DefaultOrder,
    E::Model: OutputType,
{
    Ok(page(ctx, list, order, page_request).await?.into_connection(total, pagination::plain))
}

/// Reads a page of a list in an order as [`connection`], and before it the position among the changes if that is selected.
///
/// # Errors
/// As [`pagination::read`].
pub async fn positioned_connection<E>(
    ctx: &Context<'_>,
    list: Select<E>,
    order: &Order<E>,
    page_request: &PageRequest,
    total: LazyCount,
) -> Result<PositionedConnection<E::Model>, Error>
where
    E: DefaultOrder,
    E::Model: OutputType,
{
    let total = CountAndPosition::read(ctx, total).await?;
    Ok(page(ctx, list, order, page_request).await?.into_connection(total, pagination::plain))
}

async fn page<E: DefaultOrder>(
    ctx: &Context<'_>,
    list: Select<E>,
    order: &Order<E>,
    page_request: &PageRequest,
) -> Result<Page<E::Model>, Error> {
    let columns = ctx.selected_fields()?.columns();
    pagination::read(ctx.db()?.read(), list, &columns, order, page_request).await
}

/// Creates a total that is loaded by a key, together with those of other parents.
#[must_use]
pub fn loaded_count<K>(key: K) -> LazyCount
where
    K: Copy + Eq + Hash + Send + Sync + 'static,
    Loaders: Loader<K, Value = i32, Error = Error>,
{
    LazyCount::of(move |ctx| async move { Ok(ctx.loaders()?.load_one(key).await?.unwrap_or(0)) }.boxed())
}
