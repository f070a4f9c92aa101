//! Input objects of the mutations of site access.

use async_graphql::{ID, InputObject};

/// Who, and the data of which institution.
#[derive(InputObject)]
pub struct SiteAccessInput {
    /// The person.
    pub user_id: ID,
    /// The institution, of the person's license.
    pub institution_id: ID,
}
