//! group, groups; and a group's members.

use async_graphql::connection::{ConnectionNameType, EdgeNameType};
use async_graphql::{ComplexObject, Context, ID, Object, OutputType, Result, SimpleObject};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use sea_orm::{EntityTrait, QueryFilter};

use crate::access::RequiresAction;
use crate::entity::membership::GroupRole;
use crate::entity::{group, user};
use crate::error::located;
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::loader::{GroupById, Member, MemberCountOfGroup, MembersOfGroup};
use crate::graphql::pagination::{self, Connection, LazyCount, Order, PageArgs};
use crate::scalar::Id;

/// What the edge between a group and a member says.
#[derive(SimpleObject)]
pub struct Membership {
    /// What the person is in the group.
    role: GroupRole,
    /// Since when the person belongs to the group.
    joined_at: DateTime<Utc>,
}

/// `GroupMemberConnection` and `GroupMemberEdge`.
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
    /// One group; null where there is none, or none that the viewer can see.
    async fn group(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The group's id.")] id: ID,
    ) -> NullableField<group::Model> {
        authorized(ctx, async { Ok(ctx.loaders()?.load_one(GroupById(Id::given("id", &id)?)).await?) }).await
    }

    /// Groups by name and id.
    #[graphql(guard = "RequiresAction")]
    async fn groups(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Only groups with this in their name, whatever the case and accents; at most 200 characters."
        )]
        name_contains: Option<String>,
        #[graphql(desc = "How many, from the beginning: 1 to 100; 50 where nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many, from the end: 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Connection<group::Model>> {
        let (db, viewer) = (ctx.db()?, ctx.viewer()?);
        let name_has = pagination::name_has(name_contains.as_deref(), group::Column::NameKey, db.is_postgres())?;
        let name = format!("groups {} {}", viewer.visibility_scope(), name_contains.unwrap_or_default());
        let window = ctx.page_request(PageArgs { first, after, last, before }, &name)?;
        let select = group::Entity::find().filter(viewer.visible_groups()).filter(name_has);
        let page =
            pagination::read(db.read(), select.clone(), &ctx.selected_fields()?.columns(), &Order::default(), &window)
                .await?;
        Ok(page.into_connection(LazyCount::of_list(select), pagination::plain))
    }
}

#[ComplexObject]
impl group::Model {
    /// The people who belong to the group, by last name, first name and id. Inactive people are left out.
    async fn members(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from the beginning: 1 to 100; 50 where nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many, from the end: 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<MemberConnection> {
        located(ctx, async {
            let name = format!("members of group {} {}", self.id.0, ctx.viewer()?.visibility_scope());
            let window = ctx.page_request(PageArgs { first, after, last, before }, &name)?;
            let page = ctx.loaders()?.load_one(MembersOfGroup(self.id, window)).await?.unwrap_or_default();
            let id = self.id;
            let total = LazyCount::of(move |ctx| {
                async move { Ok(ctx.loaders()?.load_one(MemberCountOfGroup(id)).await?.unwrap_or(0)) }.boxed()
            });
            Ok(page.into_connection(total, |member: Member| {
                (member.user, Membership { role: member.role, joined_at: member.joined_at })
            }))
        })
        .await
    }
}
