//! Input objects of the mutations of site access.

use async_graphql::{ID, InputObject};

/// Input of `grantSiteAccess` and `revokeSiteAccess`: the user and the institution.
#[derive(InputObject)]
pub struct SiteAccessInput {
    /// The ID of the user.
    pub user_id: ID,
    /// The ID of the institution, which must be in the user's license (`NOT_FOUND` otherwise).
    pub institution_id: ID,
}
