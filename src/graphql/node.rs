//! The queries `node` and `nodes`: any object by its ID.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, ID, Interface, Object, Result};

use crate::access::RequiresAction;
use crate::budget::ListItem;
use crate::entity::{api_key, attribute_definition, audit_event, group, institution, license, session, user};
use crate::error::Error;
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::loader::{
    ApiKeyById, AttributeDefinitionById, AuditEventById, GroupById, InstitutionById, LicenseById, SessionById, UserById,
};
use crate::scalar::Id;

/// Maximum number of IDs in `nodes`.
const MAX_IDS: usize = 100;

/// The number of object types with an ID of their own: the variants of [`Node`]. Each is looked up in a statement of its own.
pub const NODE_TYPES: usize = 8;

/// An object with an ID. IDs are unique across all types.
#[derive(Clone, Interface)]
#[expect(clippy::large_enum_variant, reason = "each value is moved into the response right away")]
#[graphql(field(name = "id", ty = "Id", desc = "The object's ID, a UUID."))]
pub enum Node {
    User(user::Model),
    Group(group::Model),
    Institution(institution::Model),
    License(license::Model),
    Session(session::Model),
    ApiKey(api_key::Model),
    AuditEvent(audit_event::Model),
    AttributeDefinition(attribute_definition::Model),
}

#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// An object by its ID. Null if it does not exist or the viewer cannot see it.
    async fn node(&self, ctx: &Context<'_>, #[graphql(desc = "The object's ID.")] id: ID) -> NullableField<Node> {
        authorized(ctx, async {
            let id = Id::given("id", &id)?;
            Ok(load_nodes(ctx, &[id]).await?.remove(&id))
        })
        .await
    }

    /// Objects by their IDs, in the order of the input. Null in place of each object that does not exist or that the viewer
    /// cannot see. At most 100.
    #[graphql(guard = "RequiresAction")]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The IDs of the objects. At most 100.")] ids: Vec<Id>,
    ) -> Result<Vec<Option<ListItem<Node>>>> {
        if ids.len() > MAX_IDS {
            return Err(Error::BadInput(format!("ids: must contain at most {MAX_IDS} IDs.")).into());
        }
        let nodes = load_nodes(ctx, &ids).await?;
        Ok(ids.iter().map(|id| nodes.get(id).cloned().map(ListItem)).collect())
    }
}

async fn load_nodes(ctx: &Context<'_>, ids: &[Id]) -> Result<HashMap<Id, Node>, Error> {
    let loaders = ctx.loaders()?;
    let (users, groups, institutions, licenses, sessions, api_keys, events, definitions) = futures_util::try_join!(
        loaders.load_many(ids.iter().copied().map(UserById)),
        loaders.load_many(ids.iter().copied().map(GroupById)),
        loaders.load_many(ids.iter().copied().map(InstitutionById)),
        loaders.load_many(ids.iter().copied().map(LicenseById)),
        loaders.load_many(ids.iter().copied().map(SessionById)),
        loaders.load_many(ids.iter().copied().map(ApiKeyById)),
        loaders.load_many(ids.iter().copied().map(AuditEventById)),
        loaders.load_many(ids.iter().copied().map(AttributeDefinitionById)),
    )?;
    let mut nodes = HashMap::new();
    nodes.extend(users.into_iter().map(|(key, row)| (key.0, Node::User(row))));
    nodes.extend(groups.into_iter().map(|(key, row)| (key.0, Node::Group(row))));
    nodes.extend(institutions.into_iter().map(|(key, row)| (key.0, Node::Institution(Arc::unwrap_or_clone(row)))));
    nodes.extend(licenses.into_iter().map(|(key, row)| (key.0, Node::License(row))));
    nodes.extend(sessions.into_iter().map(|(key, row)| (key.0, Node::Session(row))));
    nodes.extend(api_keys.into_iter().map(|(key, row)| (key.0, Node::ApiKey(row))));
    nodes.extend(events.into_iter().map(|(key, row)| (key.0, Node::AuditEvent(row))));
    nodes.extend(definitions.into_iter().map(|(key, row)| (key.0, Node::AttributeDefinition(row))));
    Ok(nodes)
}
