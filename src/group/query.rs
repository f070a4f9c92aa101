//! Queries: `group` and `groups`, and the members of a group.

use async_graphql::connection::{ConnectionNameType, EdgeNameType};
use async_graphql::{ComplexObject, Context, ID, Object, OutputType, Result, SimpleObject};
use sea_orm::{EntityTrait, QueryFilter};

use crate::access::{Action, RequiresAction};
use crate::budget::ListItem;
use crate::entity::external_reference::{self, ExternalReference};
use crate::entity::list_total::{self, CountedList};
use crate::entity::membership::GroupRole;
use crate::entity::{group, user};
use crate::error::located;
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::list::{self, loaded_count};
use crate::graphql::loader::{GroupById, Member, MemberCountOfGroup, MembersOfGroup};
use crate::graphql::pagination::{self, Connection, Order, PageArgs};
use crate::scalar::{Id, Instant};

/// The fields of the edge between a group and a member.
#[derive(SimpleObject)]
pub struct Membership {
    /// The user's role in the group.
    role: GroupRole,
    /// The date and time when the user joined the group.
    joined_at: Instant,
}

/// The type names `GroupMemberConnection` and `GroupMemberEdge`.
pub struct MemberName;

/// A page of a group's members.
pub type MemberConnection = Connection<user::Model, Membership, MemberName, MemberName>;

impl ConnectionNameType for MemberName {
    fn type_name<T: OutputType>() -> String {
        "GroupMemberConnection".to_owned()
    }
}

impl EdgeNameType for MemberName {
    fn type_name<T: OutputType>() -> String {
        "GroupMemberEdge".to_owned()
    }
}

#[derive(Default)]
pub struct GroupQuery;

#[Object]
impl GroupQuery {
    /// A group by its ID. Null if it does not exist or the viewer cannot see it.
    async fn group(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The group's ID.")] id: ID,
    ) -> NullableField<group::Model> {
        authorized(ctx, async { Ok(ctx.loaders()?.load_one(GroupById(Id::given("id", &id)?)).await?) }).await
    }

    /// The groups that the viewer can see, sorted by name and ID.
    #[graphql(guard = "RequiresAction")]
    async fn groups(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Returns only groups whose name contains this text, ignoring case and accents. At most 200 characters."
        )]
        name_contains: Option<String>,
        #[graphql(
            desc = "The number of items to return from the beginning of the list, from 1 to 100. Defaults to `50`."
        )]
        first: Option<i32>,
        #[graphql(desc = "Returns the elements in the list that come after this cursor.")] after: Option<String>,
        #[graphql(
            desc = "The number of items to return from the end of the list, from 1 to 100. Cannot be combined with `first`."
        )]
        last: Option<i32>,
        #[graphql(desc = "Returns the elements in the list that come before this cursor.")] before: Option<String>,
    ) -> Result<Connection<group::Model>> {
        let (db, viewer) = (ctx.db()?, ctx.viewer()?);
        let matches_name =
            pagination::name_contains(name_contains.as_deref(), group::Column::NameKey, db.is_postgres())?;
        let is_filtered = name_contains.is_some();
        let name = format!("groups {} {}", viewer.visibility_scope(), name_contains.unwrap_or_default());
        let page_request = ctx.page_request(PageArgs { first, after, last, before }, &name)?;
        let select = group::Entity::find().filter(viewer.visible_groups()).filter(matches_name);
        let totals = list_total::of([CountedList::Groups], viewer.visible_totals());
        let total = list::total_of(&select, is_filtered, totals);
        Ok(list::connection(ctx, select, &Order::default(), &page_request, total).await?)
    }
}

#[ComplexObject]
impl group::Model {
    /// The group's IDs in other systems, sorted by source. At most 20.
    async fn external_references(&self) -> Vec<ListItem<ExternalReference>> {
        ListItem::list(external_reference::list(self.external_references.as_ref()))
    }

    /// The group's members, sorted by last name, first name and ID.
    async fn members(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            default = false,
            desc = "Whether to include inactive users. Administrators only. Defaults to `false`."
        )]
        include_inactive: bool,
        #[graphql(
            desc = "The number of items to return from the beginning of the list, from 1 to 100. Defaults to `50`."
        )]
        first: Option<i32>,
        #[graphql(desc = "Returns the elements in the list that come after this cursor.")] after: Option<String>,
        #[graphql(
            desc = "The number of items to return from the end of the list, from 1 to 100. Cannot be combined with `first`."
        )]
        last: Option<i32>,
        #[graphql(desc = "Returns the elements in the list that come before this cursor.")] before: Option<String>,
    ) -> Result<MemberConnection> {
        located(ctx, async {
            let (viewer, group_id) = (ctx.viewer()?, self.id);
            if include_inactive {
                viewer.may(Action::ListInactive)?;
            }
            let members = if include_inactive { "all members" } else { "members" };
            let name = format!("{members} of group {} {}", group_id.0, viewer.visibility_scope());
            let page_request = ctx.page_request(PageArgs { first, after, last, before }, &name)?;
            let key = MembersOfGroup { group_id, include_inactive, page_request };
            let page = ctx.loaders()?.load_one(key).await?.unwrap_or_default();
            let total = loaded_count(MemberCountOfGroup { group_id, include_inactive });
            Ok(page.into_connection(total, |member: Member| {
                (member.user, Membership { role: member.role, joined_at: member.joined_at.into() })
            }))
        })
        .await
    }
}
