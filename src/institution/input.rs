//! Input objects of the mutations of institutions.

use crate::entity::institution::{InstitutionFields, InstitutionKind};
use async_graphql::{ID, InputObject, MaybeUndefined};

/// Input of `createInstitution`. Optional fields can be omitted, but not null (`NULL_NOT_ALLOWED`). Blank text
/// counts as omitted.
#[derive(InputObject)]
pub struct CreateInstitutionInput {
    /// The institution's name. At most 200 characters. Must not be blank.
    pub name: String,
    /// The kind of institution.
    pub kind: InstitutionKind,
    /// The country of the institution, as an ISO 3166-1 alpha-2 code such as `AU`.
    pub country: String,
    #[graphql(flatten)]
    pub fields: InstitutionFields,
}

/// Input of `updateInstitution`. Omitted fields stay unchanged. Null and blank text clear a value. For `name`,
/// `kind` and `country`, null is an error (`NULL_NOT_ALLOWED`), as is blank text (`REQUIRED`).
#[derive(InputObject)]
pub struct UpdateInstitutionInput {
    /// The ID of the institution to update.
    pub id: ID,
    /// The version of the institution that the change is based on. If it is not the current version, nothing is changed,
    /// the error is `CONFLICT`, and the payload contains the current institution. By default, the version is not checked.
    pub expected_version: Option<i32>,
    /// The institution's name. At most 200 characters. Must not be blank.
    pub name: MaybeUndefined<String>,
    /// The kind of institution.
    pub kind: MaybeUndefined<InstitutionKind>,
    /// The country of the institution, as an ISO 3166-1 alpha-2 code such as `AU`.
    pub country: MaybeUndefined<String>,
    #[graphql(flatten)]
    pub fields: InstitutionFields,
    /// Whether this is a dry run: the input and the viewer's rights are checked, but nothing is saved. `success` then
    /// states whether the mutation would succeed. Defaults to `false`.
    #[graphql(default = false)]
    pub dry_run: bool,
}

/// Input of `deleteInstitution`.
#[derive(InputObject)]
pub struct DeleteInstitutionInput {
    /// The ID of the institution to delete.
    pub id: ID,
}
