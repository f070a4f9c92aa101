//! viewer, user, users; and a person's links.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, ID, Object, OneofObject, Result};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::filter::UserFilter;
use super::filter_sql::CompiledFilter;
use super::order::{self, UserOrder};
use crate::access::{Action, RequiresAction, SitesOf, UserPermissions, of_license, sites_of};
use crate::avatar;
use crate::budget::ListItem;
use crate::entity::attribute_value::Attribute;
use crate::entity::membership::GroupRole;
use crate::entity::user::AdminRights;
use crate::entity::{device, group, institution, invitation, license, session, user};
use crate::error::{Error, located};
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::loader::{
    AttributesOfUser, DevicesOfUser, GroupsOfUser, InstitutionById, InvitationOfUser, LicenseById, SessionsOfUser,
    SiteCount, Sites, UserById,
};
use crate::graphql::pagination::{self, Connection, LazyCount, PageArgs};
use crate::scalar::{Date, Id, Url};
use crate::text;

/// By what a person is looked up: exactly one of these.
#[derive(OneofObject)]
pub enum UserBy {
    /// The person's id.
    Id(ID),
    /// The username, in any case; at most 250 characters.
    Username(String),
    /// The e-mail address, in any case; at most 250 characters.
    Email(String),
    /// The id in another system, within the viewer's license; at most 250 characters. Administrators only, for it is
    /// private.
    ExternalId(String),
}

#[derive(Default)]
pub struct UserQuery;

#[Object]
impl UserQuery {
    /// Who is asking; null where nobody is signed in.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Option<user::Model>> {
        match ctx.viewer()?.signed_in() {
            Ok(viewer) => Ok(ctx.loaders()?.load_one(UserById(viewer.user_id)).await?),
            Err(_) => Ok(None),
        }
    }

    /// One person; null where there is none, or none that the viewer can see. Administrators find inactive people too.
    async fn user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "By what the person is looked up.")] by: UserBy,
    ) -> NullableField<user::Model> {
        authorized(ctx, async {
            let viewer = ctx.viewer()?;
            let condition = match by {
                UserBy::Id(id) => return Ok(ctx.loaders()?.load_one(UserById(Id::given("by.id", &id)?)).await?),
                UserBy::Username(name) => {
                    user::Column::UsernameKey.eq(text::canonical_login(short("by.username", &name)?))
                }
                UserBy::Email(address) => {
                    user::Column::EmailKey.eq(text::canonical_login(short("by.email", &address)?))
                }
                UserBy::ExternalId(id) => {
                    viewer.may_filter(user::Column::ExternalId)?;
                    let of_license = of_license(user::Column::LicenseId, viewer.signed_in()?.license_id);
                    user::Column::ExternalId.eq(short("by.externalId", &id)?).and(of_license)
                }
            };
            let found =
                user::Entity::find().filter(condition).filter(viewer.visible_users()).one(ctx.db()?.read()).await;
            Ok(found.map_err(Error::from)?)
        })
        .await
    }

    /// People who meet a filter, in an order: by last name, first name and id where nothing is said.
    #[graphql(guard = "RequiresAction")]
    #[expect(clippy::too_many_arguments, reason = "each is an argument of the field")]
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which; everybody whom the viewer sees where nothing is said.")] filter: Option<
            Box<UserFilter>,
        >,
        #[graphql(
            desc = "By what they are sorted, the first one first: at most 9, each field once. By last name, first \
                    name and id where nothing is said."
        )]
        order_by: Option<Vec<UserOrder>>,
        #[graphql(default = false, desc = "Whether inactive people are listed too. Administrators only.")]
        include_inactive: bool,
        #[graphql(desc = "How many, from the beginning: 1 to 100; 50 where nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many, from the end: 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Connection<user::Model>> {
        let (db, viewer) = (ctx.db()?, ctx.viewer()?);
        if include_inactive {
            viewer.may(Action::ListInactive)?;
        }
        let order_by = order_by.unwrap_or_default();
        let order = order::read(viewer, &order_by)?;
        let wanted = CompiledFilter::new(db, viewer, filter).await?;
        ctx.loaders()?.loader().compare(wanted.comparisons)?;
        let name = format!("users {} {include_inactive} {} {order_by:?}", viewer.visibility_scope(), wanted.name);
        let window = ctx.page_request(PageArgs { first, after, last, before }, &name)?;
        let select = user::Entity::find().filter(wanted.among(viewer.listed_users(include_inactive)));
        let page =
            pagination::read(db.read(), select.clone(), &ctx.selected_fields()?.columns(), &order, &window).await?;
        Ok(page.into_connection(LazyCount::of_list(select), pagination::plain))
    }
}

#[ComplexObject]
impl user::Model {
    /// First and last name.
    async fn full_name(&self) -> String {
        self.name()
    }

    /// A mobile telephone number. Private: shown to the person and to administrators, null for everybody else.
    async fn mobile(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        Ok(private(self, ctx, self.mobile.as_deref())?)
    }

    /// The date of birth. Private: shown to the person and to administrators, null for everybody else.
    async fn birth_date(&self, ctx: &Context<'_>) -> Result<Option<Date>> {
        Ok(private(self, ctx, self.birth_date)?)
    }

    /// The person's id in another system, unique within the license. Private: shown to the person and to
    /// administrators, null for everybody else.
    async fn external_id(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        Ok(private(self, ctx, self.external_id.as_deref())?)
    }

    /// When the person last signed in. Private: shown to the person and to administrators, null for everybody else.
    async fn last_login(&self, ctx: &Context<'_>) -> Result<Option<DateTime<Utc>>> {
        Ok(private(self, ctx, self.last_login)?)
    }

    /// Where the person's picture is: PNG or JPEG, a square of at most 512 pixels, for whoever asks with the token he asks
    /// with here. Another address after each change; null where there is none.
    async fn avatar_url(&self, ctx: &Context<'_>) -> Result<Option<Url>> {
        let public_url = ctx.public_url()?;
        Ok(self.avatar.as_ref().map(|hash| avatar::url(public_url, self.id, hash)))
    }

    /// The institution that the person belongs to.
    async fn institution(&self, ctx: &Context<'_>) -> Result<Option<Arc<institution::Model>>> {
        located(ctx, async {
            match self.institution_id {
                Some(id) => Ok(ctx.loaders()?.load_one(InstitutionById(id)).await?),
                None => Ok(None),
            }
        })
        .await
    }

    /// The license that the person belongs to.
    async fn license(&self, ctx: &Context<'_>) -> Result<license::Model> {
        located(ctx, async {
            let license = ctx.loaders()?.load_one(LicenseById(self.license_id)).await?;
            Ok(license.ok_or_else(|| Error::internal("a person without a license"))?)
        })
        .await
    }

    /// The groups that the person belongs to, by name; at most 200.
    async fn groups(&self, ctx: &Context<'_>) -> Result<Vec<ListItem<Arc<group::Model>>>> {
        groups(self, ctx, |_| true).await
    }

    /// The groups that the person owns, by name; at most 200.
    async fn groups_owned(&self, ctx: &Context<'_>) -> Result<Vec<ListItem<Arc<group::Model>>>> {
        groups(self, ctx, |role| role == GroupRole::Owner).await
    }

    /// The institutions whose data the person may access, by name and id: with `fullSiteAccess` all of the license, else
    /// those that were granted. A cursor is of no use any more once that changes.
    async fn sites(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from the beginning: 1 to 100; 50 where nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many, from the end: 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Connection<institution::Model>> {
        located(ctx, async {
            let of = sites_of(self);
            let whose = match of {
                SitesOf::Person(id) => format!("person {}", id.0),
                SitesOf::License(id) => format!("license {}", id.0),
            };
            let name = format!("sites of {whose} {}", ctx.viewer()?.visibility_scope());
            let window = ctx.page_request(PageArgs { first, after, last, before }, &name)?;
            let page = ctx.loaders()?.load_one(Sites(of, window)).await?.unwrap_or_default();
            let total = LazyCount::of(move |ctx| {
                async move { Ok(ctx.loaders()?.load_one(SiteCount(of)).await?.unwrap_or(0)) }.boxed()
            });
            Ok(page.into_connection(total, pagination::plain))
        })
        .await
    }

    /// The custom attributes of which the person has a value, by name; at most 100. Those that are not userVisible are
    /// shown to the person and to administrators only.
    async fn attributes(&self, ctx: &Context<'_>) -> Result<Vec<ListItem<Attribute>>> {
        located(ctx, async {
            let links = ctx.loaders()?;
            let attributes = links.load_one(AttributesOfUser(self.id)).await?.unwrap_or_default();
            links.loader().show_attributes(attributes.len())?;
            Ok(ListItem::list(attributes.iter().cloned()))
        })
        .await
    }

    /// The rights of administrators. Shown to administrators; to the person, only whether he is a superuser; null for
    /// everybody else.
    async fn admin_rights(&self, ctx: &Context<'_>) -> Result<Option<AdminRights>> {
        Ok(ctx.viewer()?.visible_rights(self))
    }

    /// What the viewer may do to the person.
    async fn viewer_can(&self, ctx: &Context<'_>) -> Result<UserPermissions> {
        Ok(ctx.viewer()?.can(self))
    }

    /// How the mail stands by which the person is to take the account into use; null where none was asked for. Shown to
    /// administrators, null for everybody else.
    async fn invitation(&self, ctx: &Context<'_>) -> Result<Option<invitation::Model>> {
        located(ctx, async {
            match ctx.viewer()?.may(Action::SeeInvitations) {
                Ok(()) => Ok(ctx.loaders()?.load_one(InvitationOfUser(self.id)).await?),
                Err(_) => Ok(None),
            }
        })
        .await
    }

    /// The person's sessions that have not ended, newest first; at most 20. Shown to the person and to administrators,
    /// null for everybody else.
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

    /// The user's devices that may sign in with a PIN, last used first; at most 20. Null unless the viewer is the user or an
    /// administrator.
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

async fn groups(
    person: &user::Model,
    ctx: &Context<'_>,
    is_meant: fn(GroupRole) -> bool,
) -> Result<Vec<ListItem<Arc<group::Model>>>> {
    located(ctx, async {
        let links = ctx.loaders()?;
        let belongings = links.load_one(GroupsOfUser(person.id)).await?.unwrap_or_default();
        let meant = belongings.iter().filter(|belonging| is_meant(belonging.role));
        links.loader().show_groups(meant.clone().count())?;
        Ok(ListItem::list(meant.map(|belonging| Arc::clone(&belonging.group))))
    })
    .await
}

/// The most characters of a text by which a person is looked up.
const LONGEST_KEY: usize = 250;

fn short<'a>(argument: &str, text: &'a str) -> Result<&'a str, Error> {
    let text = text.trim();
    if text.chars().count() > LONGEST_KEY {
        return Err(Error::BadInput(format!("{argument}: at most {LONGEST_KEY} characters.")));
    }
    Ok(text)
}

fn private<T>(person: &user::Model, ctx: &Context<'_>, value: Option<T>) -> Result<Option<T>, Error> {
    Ok(if ctx.viewer()?.can_see_private(person) { value } else { None })
}
