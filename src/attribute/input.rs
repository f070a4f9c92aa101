//! Input objects of the mutations of custom attributes.

use async_graphql::InputObject;

/// The attribute to be removed.
#[derive(InputObject)]
pub struct RemoveAttributeInput {
    /// Its name.
    pub name: String,
}
