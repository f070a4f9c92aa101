//! Input objects of the mutations of custom attributes.

use async_graphql::InputObject;

/// Input of `removeAttribute`.
#[derive(InputObject)]
pub struct RemoveAttributeInput {
    /// The name of the attribute to remove.
    pub name: String,
}
