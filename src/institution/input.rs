//! Input objects of the mutations of institutions.

use crate::entity::institution::{InstitutionFields, InstitutionKind};
use async_graphql::{ID, InputObject, MaybeUndefined};

/// An institution to be entered.
#[derive(InputObject)]
pub struct CreateInstitutionInput {
    /// Its name; at most 200 characters.
    pub name: String,
    /// What kind of house it is.
    pub kind: InstitutionKind,
    /// The country it lies in, as ISO 3166-1 alpha-2 has it, such as `AU`.
    pub country: String,
    #[graphql(flatten)]
    pub fields: InstitutionFields,
}

/// What is to change of an institution: what is absent stays as it is, null clears a field that is optional.
#[derive(InputObject)]
pub struct UpdateInstitutionInput {
    /// The institution.
    pub id: ID,
    /// The version of the institution that the change was made for: if it is not the present one, nothing is changed, the
    /// fault is CONFLICT, and the payload has the institution as it is now.
    pub expected_version: Option<i32>,
    /// Its name; at most 200 characters.
    pub name: MaybeUndefined<String>,
    /// What kind of house it is.
    pub kind: MaybeUndefined<InstitutionKind>,
    /// The country it lies in, as ISO 3166-1 alpha-2 has it, such as `AU`.
    pub country: MaybeUndefined<String>,
    #[graphql(flatten)]
    pub fields: InstitutionFields,
    /// Whether only to try it out: everything is checked, and nothing changed.
    #[graphql(default = false)]
    pub dry_run: bool,
}

/// The institution to be deleted.
#[derive(InputObject)]
pub struct DeleteInstitutionInput {
    /// The institution.
    pub id: ID,
}
