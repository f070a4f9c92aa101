//! The identification of a user in the query `user`.

use async_graphql::{Context, ID, OneofObject};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use crate::access::of_license;
use crate::entity::external_reference::ExternalReferenceKey;
use crate::entity::{user, user_reference};
use crate::error::Error;
use crate::graphql::context::ContextExt;
use crate::graphql::loader::UserById;
use crate::scalar::Id;
use crate::text;

/// Identifies a user. Exactly one field must be set.
#[derive(OneofObject)]
pub enum UserBy {
    /// The user's ID.
    Id(ID),
    /// The user's username, ignoring case. At most 250 characters.
    Username(String),
    /// The user's email address, ignoring case. At most 250 characters.
    Email(String),
    /// The user's ID in another system, within the viewer's license. At most 250 characters. Private: administrators only.
    ExternalId(String),
    /// The user's ID in another system, with its source, within the viewer's license. Private: administrators only.
    ExternalReference(ExternalReferenceKey),
}

impl UserBy {
    /// Returns the user if the viewer can see them.
    ///
    /// # Errors
    /// `BadInput` for an invalid ID or a text that is too long; `Forbidden` for an external ID.
    pub async fn find(self, ctx: &Context<'_>) -> Result<Option<user::Model>, Error> {
        let (db, viewer) = (ctx.db()?.read(), ctx.viewer()?);
        let condition = match self {
            Self::Id(id) => return ctx.loaders()?.load_one(UserById(Id::given("by.id", &id)?)).await,
            Self::Username(name) => user::Column::UsernameKey.eq(text::canonical_login(checked("by.username", &name)?)),
            Self::Email(address) => user::Column::EmailKey.eq(text::canonical_login(checked("by.email", &address)?)),
            Self::ExternalId(id) => {
                viewer.may_filter(user::Column::ExternalId)?;
                let of_license = of_license(user::Column::LicenseId, viewer.signed_in()?.license_id);
                user::Column::ExternalId.eq(checked("by.externalId", &id)?).and(of_license)
            }
            Self::ExternalReference(ExternalReferenceKey { source, id }) => {
                viewer.may_filter(user::Column::ExternalReferences)?;
                let id = checked("by.externalReference.id", &id)?.to_owned();
                let source = checked("by.externalReference.source", &source)?;
                let license_id = viewer.signed_in()?.license_id;
                user_reference::with_one_of(db.get_database_backend(), license_id, source, vec![id])
            }
        };
        let found = user::Entity::find().filter(condition).filter(viewer.visible_users()).one(db).await;
        Ok(found?)
    }
}

/// Maximum number of characters of a text that identifies a user.
const MAX_KEY_LENGTH: usize = 250;

/// Returns the text of an argument without spaces around it, unless it is too long.
fn checked<'a>(argument: &str, text: &'a str) -> Result<&'a str, Error> {
    let text = text.trim();
    if text.chars().count() > MAX_KEY_LENGTH {
        return Err(Error::BadInput(format!("{argument}: must be at most {MAX_KEY_LENGTH} characters.")));
    }
    Ok(text)
}
