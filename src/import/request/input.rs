//! Input objects of `importUsers`.

use async_graphql::{Enum, InputObject, MaybeUndefined};

use crate::entity::attribute_value::AttributeInput;
use crate::entity::user::{UserFields, UserNames};
use crate::import::record::UserRecord;

/// Input of `importUsers`.
#[derive(InputObject)]
pub struct ImportUsersInput {
    /// The rows, one for each user. At most 1,000.
    pub rows: Vec<ImportUserInput>,
    /// The treatment of all other rows if some are refused. Defaults to `STOP`.
    #[graphql(default_with = "ImportOnError::Stop")]
    pub on_error: ImportOnError,
    /// Whether this is a dry run: the rows and the viewer's rights are checked, but nothing is saved. `success` then
    /// states whether the mutation would succeed, and the outcome of each row is what it would be. Defaults to `false`.
    #[graphql(default = false)]
    pub dry_run: bool,
}

/// A row of `importUsers`: a user. It identifies an existing user of the license by `externalId`, then by
/// `externalReferences`, and otherwise by `email` or `username`. With IDs in other systems, it is the user with the same
/// `email` or `username` only if that user has no IDs in these systems yet. A row that identifies no user creates one.
/// Absent fields of an existing user stay unchanged. Null clears an optional value of an existing user, and counts as
/// absent otherwise. Blank text clears a value, too.
#[derive(Clone, InputObject)]
pub struct ImportUserInput {
    /// The user's first name or names. At most 50 characters. Required for a new user. Must not be blank.
    pub first_name: MaybeUndefined<String>,
    /// The user's last name or names. At most 50 characters. Required for a new user. Must not be blank.
    pub last_name: MaybeUndefined<String>,
    /// Whether a new user can sign in. Defaults to `true`. An existing user who is inactive stays so, and one who is
    /// active cannot be deactivated (`NOT_ALLOWED`); see `setActive`.
    pub is_active: MaybeUndefined<bool>,
    #[graphql(flatten)]
    pub fields: UserFields,
    /// The values of custom attributes. At most 100, each attribute at most once. Other attributes of an existing user
    /// stay unchanged. For a new user, required attributes must be included.
    pub attributes: MaybeUndefined<Vec<AttributeInput>>,
}

/// The treatment of all other rows if some rows of `importUsers` are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ImportOnError {
    /// Nothing is saved.
    Stop,
    /// All other rows are saved.
    Skip,
}

impl ImportUserInput {
    /// Returns the record of the row. It has no values that let anyone sign in, and none that only another system can have.
    pub(super) fn into_record(self) -> UserRecord {
        let Self { first_name, last_name, is_active, fields, attributes } = self;
        UserRecord {
            names: UserNames { first_name, last_name },
            fields,
            is_active,
            attribute_list: attributes,
            ..UserRecord::default()
        }
    }
}
