//! Input object of the mutation of licenses.

use async_graphql::{ID, InputObject};

/// Input of `renameLicense`.
#[derive(InputObject)]
pub struct RenameLicenseInput {
    /// The ID of the license to rename.
    pub id: ID,
    /// The new holder of the license. At most 200 characters. Must not be blank. Emails are written in this name.
    pub holder: String,
}
