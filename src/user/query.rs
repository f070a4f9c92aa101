//! Queries `viewer`, `user` and `users`, and the computed fields and links of `User`.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, InputType, Object, Result};
use sea_orm::{EntityTrait, QueryFilter};

use super::filter::UserFilter;
use super::filter_sql::CompiledFilter;
use super::order::{self, UserOrder};
use super::user_by::UserBy;
use crate::access::{Action, RequiresAction, SitesOf, UserPermissions, Viewer, sites_of};
use crate::budget::ListItem;
use crate::entity::attribute_value::Attribute;
use crate::entity::external_reference::{self, ExternalReference};
use crate::entity::list_total::{self, CountedList};
use crate::entity::membership::GroupRole;
use crate::entity::user::AdminRights;
use crate::entity::{device, group, institution, invitation, license, session, user};
use crate::error::{Error, located};
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::list::{self, loaded_count};
use crate::graphql::loader::{
    AttributesOfUser, DevicesOfUser, GroupMembership, GroupsOfUser, InstitutionById, InvitationOfUser, LicenseById,
    SessionsOfUser, SiteCount, Sites, UserById,
};
use crate::graphql::pagination::{self, Connection, PageArgs, PositionedConnection};
use crate::scalar::{Date, Instant, Url, now};

#[derive(Default)]
pub struct UserQuery;

#[Object]
impl UserQuery {
    /// The signed-in user. For an API key, the user who created it. Null if no user is signed in.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Option<user::Model>> {
        match ctx.viewer()?.signed_in() {
            Ok(viewer) => Ok(ctx.loaders()?.load_one(UserById(viewer.user_id)).await?),
            Err(_) => Ok(None),
        }
    }

    /// The user that `by` identifies. Null if the user does not exist or the viewer cannot see the user. Administrators
    /// also find inactive users.
    async fn user(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The ID, username, email address, external ID or external reference that identifies the user."
        )]
        by: UserBy,
    ) -> NullableField<user::Model> {
        authorized(ctx, async { Ok(by.find(ctx).await?) }).await
    }

    /// The users that the viewer can see, filtered by `filter` and sorted by `orderBy`.
    #[graphql(guard = "RequiresAction")]
    #[expect(clippy::too_many_arguments, reason = "each is an argument of the field")]
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The conditions that the users must meet. By default, there are no conditions.")]
        filter: Option<Box<UserFilter>>,
        #[graphql(
            desc = "The sort fields, the most significant first. At most 9, each field once. Defaults to last name, first name and ID."
        )]
        order_by: Option<Vec<UserOrder>>,
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
    ) -> Result<PositionedConnection<user::Model>> {
        let (db, viewer) = (ctx.db()?, ctx.viewer()?);
        if include_inactive {
            viewer.may(Action::ListInactive)?;
        }
        let order_by = order_by.unwrap_or_default();
        let order = order::read(viewer, &order_by)?;
        let is_filtered = filter.is_some();
        let compiled = CompiledFilter::new(db, ctx.search_index()?, viewer, filter).await?;
        ctx.loaders()?.loader().compare(compiled.comparisons)?;
        let scope = viewer.visibility_scope();
        let name = format!("users {scope} {include_inactive} {} {}", compiled.name, order_by.to_value());
        let page_request = ctx.page_request(PageArgs { first, after, last, before }, &name)?;
        let order = if compiled.is_selective { order.of_few() } else { order };
        let select = user::Entity::find().filter(compiled.among(viewer.listed_users(include_inactive)));
        let lists = [Some(CountedList::ActiveUsers), include_inactive.then_some(CountedList::InactiveUsers)];
        let totals = list_total::of(lists.into_iter().flatten(), viewer.visible_totals());
        let total = list::total_of(&select, is_filtered, totals);
        Ok(list::positioned_connection(ctx, select, &order, &page_request, total).await?)
    }
}

#[ComplexObject]
impl user::Model {
    /// The user's first and last name.
    async fn full_name(&self) -> String {
        self.name()
    }

    /// The user's mobile phone number. Private: null unless the viewer is the user or an administrator.
    async fn mobile(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        Ok(private(self, ctx, self.mobile.as_deref())?)
    }

    /// The user's date of birth. Private: null unless the viewer is the user or an administrator.
    async fn birth_date(&self, ctx: &Context<'_>) -> Result<Option<Date>> {
        Ok(private(self, ctx, self.birth_date)?)
    }

    /// The user's ID in another system, unique within the license. Private: null unless the viewer is the user or an
    /// administrator.
    async fn external_id(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        Ok(private(self, ctx, self.external_id.as_deref())?)
    }

    /// The user's IDs in other systems, sorted by source. At most 20. Private: null unless the viewer is the user or an
    /// administrator.
    async fn external_references(&self, ctx: &Context<'_>) -> Result<Option<Vec<ListItem<ExternalReference>>>> {
        let references = ListItem::list(external_reference::list(self.external_references.as_ref()));
        Ok(private(self, ctx, Some(references))?)
    }

    /// The date and time of the user's last sign-in. Private: null unless the viewer is the user or an administrator.
    async fn last_login(&self, ctx: &Context<'_>) -> Result<Option<Instant>> {
        Ok(private(self, ctx, Instant::optional(self.last_login))?)
    }

    /// The URL of the user's picture, a square PNG or JPEG of at most 512 by 512 pixels. It can be used as the `src` of
    /// an `<img>`: it is signed for the viewer, and valid for at least five minutes while the viewer stays signed in.
    /// Requests with an `Authorization` header need no signature. The URL changes whenever the picture changes. Null if
    /// the user has no picture.
    async fn avatar_url(&self, ctx: &Context<'_>) -> Result<Option<Url>> {
        let links = ctx.avatar_links()?;
        Ok(self.avatar.as_ref().map(|hash| match ctx.viewer().and_then(Viewer::signed_in) {
            Ok(viewer) => links.url(viewer, self.id, hash, now()),
            Err(_) => links.unsigned_url(self.id, hash),
        }))
    }

    /// The institution that the user belongs to.
    async fn institution(&self, ctx: &Context<'_>) -> Result<Option<Arc<institution::Model>>> {
        located(ctx, async {
            match self.institution_id {
                Some(id) => Ok(ctx.loaders()?.load_one(InstitutionById(id)).await?),
                None => Ok(None),
            }
        })
        .await
    }

    /// The license that the user belongs to.
    async fn license(&self, ctx: &Context<'_>) -> Result<license::Model> {
        located(ctx, async {
            let license = ctx.loaders()?.load_one(LicenseById(self.license_id)).await?;
            Ok(license.ok_or_else(|| Error::internal("a user without a license"))?)
        })
        .await
    }

    /// The groups that the user belongs to, sorted by name. At most 200.
    async fn groups(&self, ctx: &Context<'_>) -> Result<Vec<ListItem<Arc<group::Model>>>> {
        memberships(self, ctx, |_| true, |membership| Arc::clone(&membership.group)).await
    }

    /// The groups that the user owns, sorted by name. At most 200.
    async fn groups_owned(&self, ctx: &Context<'_>) -> Result<Vec<ListItem<Arc<group::Model>>>> {
        memberships(self, ctx, |role| role == GroupRole::Owner, |membership| Arc::clone(&membership.group)).await
    }

    /// The groups that the user belongs to, each with the user's role, sorted by the group's name. At most 200.
    async fn memberships(&self, ctx: &Context<'_>) -> Result<Vec<ListItem<GroupMembership>>> {
        memberships(self, ctx, |_| true, GroupMembership::clone).await
    }

    /// The institutions whose data the user can access, sorted by name and ID. With `fullSiteAccess`, these are all
    /// institutions of the license; otherwise, those that were granted. Cursors become invalid when `fullSiteAccess` changes.
    async fn sites(
        &self,
        ctx: &Context<'_>,
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
    ) -> Result<Connection<institution::Model>> {
        located(ctx, async {
            let of = sites_of(self);
            let owner = match of {
                SitesOf::User(id) => format!("person {}", id.0),
                SitesOf::License(id) => format!("license {}", id.0),
            };
            let name = format!("sites of {owner} {}", ctx.viewer()?.visibility_scope());
            let page_request = ctx.page_request(PageArgs { first, after, last, before }, &name)?;
            let page = ctx.loaders()?.load_one(Sites(of, page_request)).await?.unwrap_or_default();
            Ok(page.into_connection(loaded_count(SiteCount(of)), pagination::plain))
        })
        .await
    }

    /// The custom attributes for which the user has a value, sorted by name. At most 100. Attributes that are not `userVisible`
    /// are visible only to the user and to administrators.
    async fn attributes(&self, ctx: &Context<'_>) -> Result<Vec<ListItem<Attribute>>> {
        located(ctx, async {
            let loaders = ctx.loaders()?;
            let attributes = loaders.load_one(AttributesOfUser(self.id)).await?.unwrap_or_default();
            loaders.loader().show_attributes(attributes.len())?;
            Ok(ListItem::list(attributes.iter().cloned()))
        })
        .await
    }

    /// The user's administrator rights. Null unless the viewer is the user or an administrator. Of their own rights, users
    /// who are not administrators see only `isSuperuser`; all others are returned as `false`, even if the user has them.
    async fn admin_rights(&self, ctx: &Context<'_>) -> Result<Option<AdminRights>> {
        Ok(ctx.viewer()?.visible_rights(self))
    }

    /// The viewer's permissions on the user.
    async fn viewer_can(&self, ctx: &Context<'_>) -> Result<UserPermissions> {
        Ok(ctx.viewer()?.can(self))
    }

    /// The status of the user's invitation email. Null if no invitation was requested, or if the viewer is not an
    /// administrator.
    async fn invitation(&self, ctx: &Context<'_>) -> Result<Option<invitation::Model>> {
        located(ctx, async {
            match ctx.viewer()?.may(Action::SeeInvitations) {
                Ok(()) => Ok(ctx.loaders()?.load_one(InvitationOfUser(self.id)).await?),
                Err(_) => Ok(None),
            }
        })
        .await
    }

    /// The user's sessions that have not ended, newest first. At most 20. Null unless the viewer is the user or an
    /// administrator.
    async fn sessions(&self, ctx: &Context<'_>) -> Result<Option<Vec<ListItem<session::Model>>>> {
        located(ctx, async {
            if !ctx.viewer()?.can_see_sessions(self) {
                return Ok(None);
            }
            let sessions = ctx.loaders()?.load_one(SessionsOfUser(self.id)).await?.unwrap_or_default();
            Ok(Some(ListItem::list(sessions)))
        })
        .await
    }

    /// The user's devices that may sign in with a PIN, most recently used first. At most 20. Null unless the viewer is the user
    /// or an administrator.
    async fn devices(&self, ctx: &Context<'_>) -> Result<Option<Vec<ListItem<device::Model>>>> {
        located(ctx, async {
            if !ctx.viewer()?.can_see_sessions(self) {
                return Ok(None);
            }
            let devices = ctx.loaders()?.load_one(DevicesOfUser(self.id)).await?.unwrap_or_default();
            Ok(Some(ListItem::list(devices)))
        })
        .await
    }
}

async fn memberships<T>(
    user: &user::Model,
    ctx: &Context<'_>,
    is_included: fn(GroupRole) -> bool,
    shown: fn(&GroupMembership) -> T,
) -> Result<Vec<ListItem<T>>> {
    located(ctx, async {
        let loaders = ctx.loaders()?;
        let all_memberships = loaders.load_one(GroupsOfUser(user.id)).await?.unwrap_or_default();
        let memberships = all_memberships.iter().filter(|membership| is_included(membership.role));
        loaders.loader().show_groups(memberships.clone().count())?;
        Ok(ListItem::list(memberships.map(shown)))
    })
    .await
}

fn private<T>(user: &user::Model, ctx: &Context<'_>, value: Option<T>) -> Result<Option<T>, Error> {
    Ok(if ctx.viewer()?.can_see_private(user) { value } else { None })
}
