//! The pages of lists as connections.

use std::hash::Hash;

use async_graphql::dataloader::Loader;
use async_graphql::{Context, OutputType};
use futures_util::FutureExt;
use sea_orm::Select;

use crate::error::Error;
use crate::graphql::context::ContextExt;
use crate::graphql::loader::Loaders;
use crate::graphql::pagination::{self, Connection, DefaultOrder, LazyCount, Order, PageRequest};

/// Reads a page of a list in an order. The total counts all rows of the list if it is selected.
///
/// # Errors
/// As [`pagination::read`].
pub async fn connection<E>(
    ctx: &Context<'_>,
    list: Select<E>,
    order: &Order<E>,
    page_request: &PageRequest,
) -> Result<Connection<E::Model>, Error>
where
    E: DefaultOrder,
    E::Model: OutputType,
{
    let columns = ctx.selected_fields()?.columns();
    let page = pagination::read(ctx.db()?.read(), list.clone(), &columns, order, page_request).await?;
    Ok(page.into_connection(LazyCount::of_list(list), pagination::plain))
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
