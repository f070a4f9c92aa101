//! institution, institutions; and an institution's people.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, ID, Object, Result};
use futures_util::FutureExt;
use sea_orm::{EntityTrait, QueryFilter};

use crate::access::RequiresAction;
use crate::entity::{institution, license, user};
use crate::error::{Error, located};
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::loader::{InstitutionById, LicenseById, UserCountOfInstitution, UsersOfInstitution};
use crate::graphql::pagination::{self, Connection, LazyCount, Order, PageArgs};
use crate::scalar::Id;

#[derive(Default)]
pub struct InstitutionQuery;

#[Object]
impl InstitutionQuery {
    /// One institution; null where there is none, or none that the viewer can see.
    async fn institution(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The institution's id.")] id: ID,
    ) -> NullableField<Arc<institution::Model>> {
        authorized(ctx, async { Ok(ctx.loaders()?.load_one(InstitutionById(Id::given("id", &id)?)).await?) }).await
    }

    /// Institutions by name and id.
    #[graphql(guard = "RequiresAction")]
    async fn institutions(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Only institutions with this in their name, whatever the case and accents; at most 200 characters."
        )]
        name_contains: Option<String>,
        #[graphql(desc = "How many, from the beginning: 1 to 100; 50 where nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many, from the end: 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Connection<institution::Model>> {
        let (db, viewer) = (ctx.db()?, ctx.viewer()?);
        let name_has = pagination::name_has(name_contains.as_deref(), institution::Column::NameKey, db.is_postgres())?;
        let name = format!("institutions {} {}", viewer.visibility_scope(), name_contains.unwrap_or_default());
        let window = ctx.page_request(PageArgs { first, after, last, before }, &name)?;
        let select = institution::Entity::find().filter(viewer.visible_institutions()).filter(name_has);
        let page =
            pagination::read(db.read(), select.clone(), &ctx.selected_fields()?.columns(), &Order::default(), &window)
                .await?;
        Ok(page.into_connection(LazyCount::of_list(select), pagination::plain))
    }
}

#[ComplexObject]
impl institution::Model {
    /// The name with the city, as sites are told apart: `St George Hospital / Kogarah`.
    async fn display_name(&self) -> String {
        match &self.city {
            Some(city) => format!("{} / {city}", self.name),
            None => self.name.clone(),
        }
    }

    /// The license that the institution belongs to.
    async fn license(&self, ctx: &Context<'_>) -> Result<license::Model> {
        located(ctx, async {
            let license = ctx.loaders()?.load_one(LicenseById(self.license_id)).await?;
            Ok(license.ok_or_else(|| Error::internal("an institution without a license"))?)
        })
        .await
    }

    /// The people who belong to the institution, by last name, first name and id. Inactive people are left out.
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from the beginning: 1 to 100; 50 where nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many, from the end: 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Connection<user::Model>> {
        located(ctx, async {
            let name = format!("people of institution {} {}", self.id.0, ctx.viewer()?.visibility_scope());
            let window = ctx.page_request(PageArgs { first, after, last, before }, &name)?;
            let page = ctx.loaders()?.load_one(UsersOfInstitution(self.id, window)).await?.unwrap_or_default();
            let id = self.id;
            let total = LazyCount::of(move |ctx| {
                async move { Ok(ctx.loaders()?.load_one(UserCountOfInstitution(id)).await?.unwrap_or(0)) }.boxed()
            });
            Ok(page.into_connection(total, pagination::plain))
        })
        .await
    }
}
