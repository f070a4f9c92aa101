//! Queries: `institution` and `institutions`, and the users of an institution.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, ID, Object, Result};
use sea_orm::{EntityTrait, QueryFilter};

use crate::access::RequiresAction;
use crate::budget::ListItem;
use crate::entity::external_reference::{self, ExternalReference};
use crate::entity::list_total::{self, CountedList};
use crate::entity::{institution, license, user};
use crate::error::{Error, located};
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::list::{self, loaded_count};
use crate::graphql::loader::{InstitutionById, LicenseById, UserCountOfInstitution, UsersOfInstitution};
use crate::graphql::pagination::{self, Connection, CountAndPosition, Order, PageArgs, PositionedConnection};
use crate::scalar::Id;

#[derive(Default)]
pub struct InstitutionQuery;

#[Object]
impl InstitutionQuery {
    /// An institution by its ID. Null if it does not exist or the viewer cannot see it.
    async fn institution(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The institution's ID.")] id: ID,
    ) -> NullableField<Arc<institution::Model>> {
        authorized(ctx, async { Ok(ctx.loaders()?.load_one(InstitutionById(Id::given("id", &id)?)).await?) }).await
    }

    /// The institutions that the viewer can see, sorted by name and ID.
    #[graphql(guard = "RequiresAction")]
    async fn institutions(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Returns only institutions whose name contains this text, ignoring case and accents. At most 200 characters."
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
    ) -> Result<Connection<institution::Model>> {
        let (db, viewer) = (ctx.db()?, ctx.viewer()?);
        let matches_name =
            pagination::name_contains(name_contains.as_deref(), institution::Column::NameKey, db.is_postgres())?;
        let is_filtered = name_contains.is_some();
        let name = format!("institutions {} {}", viewer.visibility_scope(), name_contains.unwrap_or_default());
        let page_request = ctx.page_request(PageArgs { first, after, last, before }, &name)?;
        let select = institution::Entity::find().filter(viewer.visible_institutions()).filter(matches_name);
        let totals = list_total::of([CountedList::Institutions], viewer.visible_totals());
        let total = list::total_of(&select, is_filtered, totals);
        Ok(list::connection(ctx, select, &Order::default(), &page_request, total).await?)
    }
}

#[ComplexObject]
impl institution::Model {
    /// The institution's name and city, such as `St George Hospital / Kogarah`, which distinguish it from others. Only
    /// the name if it has no city.
    async fn display_name(&self) -> String {
        match &self.city {
            Some(city) => format!("{} / {city}", self.name),
            None => self.name.clone(),
        }
    }

    /// The institution's IDs in other systems, sorted by source. At most 20.
    async fn external_references(&self) -> Vec<ListItem<ExternalReference>> {
        ListItem::list(external_reference::list(self.external_references.as_ref()))
    }

    /// The license that the institution belongs to.
    async fn license(&self, ctx: &Context<'_>) -> Result<license::Model> {
        located(ctx, async {
            let license = ctx.loaders()?.load_one(LicenseById(self.license_id)).await?;
            Ok(license.ok_or_else(|| Error::internal("an institution without a license"))?)
        })
        .await
    }

    /// The users who belong to the institution, sorted by last name, first name and ID. Inactive users are omitted.
    async fn users(
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
    ) -> Result<PositionedConnection<user::Model>> {
        located(ctx, async {
            let name = format!("people of institution {} {}", self.id.0, ctx.viewer()?.visibility_scope());
            let page_request = ctx.page_request(PageArgs { first, after, last, before }, &name)?;
            let total = CountAndPosition::read(ctx, loaded_count(UserCountOfInstitution(self.id))).await?;
            let page = ctx.loaders()?.load_one(UsersOfInstitution(self.id, page_request)).await?.unwrap_or_default();
            Ok(page.into_connection(total, pagination::plain))
        })
        .await
    }
}
