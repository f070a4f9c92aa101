//! Query `changes`.

use std::sync::Arc;

use async_graphql::{Context, Object, Result};

use super::{Change, ChangeFilter, ChangeKind, ChangePage, ChangesRequest, NodeType, Outcome, arguments};
use crate::access::RequiresAction;
use crate::budget::ListItem;
use crate::error::{Error, located};
use crate::graphql::context::ContextExt;
use crate::graphql::loader::{GroupById, InstitutionById, LicenseById, UserById};
use crate::graphql::node::Node;
use crate::graphql::pagination::{CursorKey, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE};
use crate::scalar::{Id, Instant};

#[derive(Default)]
pub struct ChangeQuery;

#[Object]
impl ChangeQuery {
    /// The committed changes to users, groups, institutions and licenses that the viewer can see, after a position, in
    /// the order of the commits. A client that always continues at the last `position` receives each change exactly
    /// once.
    #[graphql(guard = "RequiresAction")]
    async fn changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Returns the changes after this position. By default, no changes are returned, only the current \
                    position. `SNAPSHOT_REQUIRED` if the directory does not know the position because it was restored \
                    from an older backup: read everything again, then continue at the `position` in the error's \
                    `extensions`."
        )]
        after: Option<String>,
        #[graphql(desc = "The types of the changed objects. At least one and at most 100. Defaults to all types.")]
        types: Option<Vec<NodeType>>,
        #[graphql(desc = "The maximum number of changes, from 1 to 100. Defaults to `50`.")] first: Option<i32>,
    ) -> Result<ChangePage> {
        let key = ctx.cursor_key()?;
        let request = validate(&key, after.as_deref(), types, first)?;
        match super::read_latest_page(ctx.db()?, ctx.viewer()?, &request).await? {
            Outcome::Page(page) => Ok(page),
            Outcome::SnapshotRequired { current } => {
                Err(Error::SnapshotRequired { position: current.encode(&key) }.into())
            }
        }
    }
}

/// Validates the arguments.
fn validate(
    key: &CursorKey,
    after: Option<&str>,
    types: Option<Vec<NodeType>>,
    first: Option<i32>,
) -> Result<ChangesRequest, Error> {
    let mut errors = Vec::new();
    let position = arguments::position(key, "after", after, &mut errors);
    let filter = ChangeFilter { types, ids: None };
    arguments::check_filter(&filter, &mut errors);
    let size = first.map_or(Ok(DEFAULT_PAGE_SIZE), u64::try_from).unwrap_or_default();
    if !(1..=MAX_PAGE_SIZE).contains(&size) {
        errors.push(format!("first: must be a number from 1 to {MAX_PAGE_SIZE}."));
    }
    if !errors.is_empty() {
        return Err(Error::BadInput(errors.join(" ")));
    }
    Ok(ChangesRequest { after: position, filter, first: usize::try_from(size).unwrap_or(usize::MAX) })
}

/// A page of changes.
#[Object]
impl ChangePage {
    /// The changes, oldest first. At most 100. A page can have fewer changes than requested, or none, even if there are
    /// more.
    async fn changes(&self) -> Vec<ListItem<&Change>> {
        ListItem::list(&self.changes)
    }

    /// The position to pass as `after` for the next page. It advances past changes that the viewer cannot see, even if
    /// `changes` is empty.
    async fn position(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(self.position.encode(&ctx.cursor_key()?))
    }

    /// Whether more changes may already follow `position`. If `true`, request the next page immediately.
    async fn has_more(&self) -> bool {
        self.has_more
    }
}

/// A committed change to a user, group, institution or license.
#[Object]
impl Change {
    /// The position of the change, to pass as `after` to continue with the next one.
    async fn position(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(self.position.encode(&ctx.cursor_key()?))
    }

    /// The kind of change.
    async fn kind(&self) -> ChangeKind {
        self.kind
    }

    /// The type of the object.
    #[graphql(name = "type")]
    async fn node_type(&self) -> NodeType {
        self.node_type
    }

    /// The ID of the changed object, a UUID.
    async fn node_id(&self) -> Id {
        self.id
    }

    /// The names of the changed fields that the viewer can see, such as `position`, `adminRights.isAdmin` or
    /// `attributes.birthplace`, at most 200. Empty if `kind` is `DELETED` or `REMOVED`.
    async fn changed_fields(&self) -> &[String] {
        &self.changed_fields
    }

    /// The date and time of the change.
    async fn at(&self) -> Instant {
        self.at.into()
    }

    /// The current state of the object. Null if it no longer exists or the viewer cannot see it.
    async fn node(&self, ctx: &Context<'_>) -> Result<Option<Node>> {
        located(ctx, async {
            if self.kind.is_gone() {
                return Ok(None);
            }
            let (loaders, id) = (ctx.loaders()?, self.id);
            Ok(match self.node_type {
                NodeType::User => loaders.load_one(UserById(id)).await?.map(Node::User),
                NodeType::Group => loaders.load_one(GroupById(id)).await?.map(Node::Group),
                NodeType::Institution => {
                    loaders.load_one(InstitutionById(id)).await?.map(Arc::unwrap_or_clone).map(Node::Institution)
                }
                NodeType::License => loaders.load_one(LicenseById(id)).await?.map(Node::License),
            })
        })
        .await
    }
}
