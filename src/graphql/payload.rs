//! The typed outcome of a mutation.

/// Declares the payload of a mutation: `success`, `message` and `errors` as the interface `MutationPayload` has them,
/// and what else the mutation returns. Payloads are made by `done` or from an error of the caller's by `of`.
macro_rules! payload {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(async_graphql::SimpleObject)]
        pub struct $name {
            /// Whether the mutation succeeded. If not, nothing has changed.
            pub success: bool,
            /// A message that can be shown to the user.
            pub message: String,
            /// The errors of the input, all at once, at most 100. Empty on success.
            pub errors: Vec<$crate::error::MutationError>,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            /// The payload of what was done.
            pub fn done(message: impl Into<String>, $($field: $type),*) -> Self {
                Self { success: true, message: message.into(), errors: Vec::new(), $($field),* }
            }

            /// The payload of what was not done, for these faults of the input.
            pub fn refused(errors: Vec<$crate::error::MutationError>) -> Self {
                Self {
                    success: false,
                    message: $crate::graphql::payload::summary(&errors),
                    errors,
                    $($field: Default::default()),*
                }
            }

            /// The payload of an outcome: `done` makes it of what was done, the faults of the input make the other.
            ///
            /// # Errors
            /// What the caller cannot mend by another input.
            pub fn of<T>(
                outcome: Result<T, $crate::error::Error>,
                done: impl FnOnce(T) -> Self,
            ) -> async_graphql::Result<Option<Self>> {
                match outcome {
                    Ok(value) => Ok(Some(done(value))),
                    Err($crate::error::Error::Rejected(errors)) => Ok(Some(Self::refused(errors))),
                    Err(error) => Err(error.into()),
                }
            }
        }
    };
}

pub(crate) use payload;

use crate::entity::user;
use crate::error::{ErrorCode, MutationError};

payload! {
    /// Payload of the mutations that create or change a user.
    UserPayload {
        /// The user as it is now. Null if nothing was done.
        user: Option<user::Model>,
    }
}

payload! {
    /// Payload of mutations that return no object.
    ReceiptPayload {}
}

/// What became of a change that may be tried out, and is made for one version of a row.
pub enum Updated<M> {
    /// The row as it is now.
    Saved(M),
    /// It was only tried out, and would have been done; the row as it still is.
    DryRun(M),
    /// The row has changed since the caller read it; as it is now.
    Conflict(M),
}

/// The fault of a change that was made for another version.
#[must_use]
pub fn stale(what: &str) -> Vec<MutationError> {
    let message = format!("This {what} has changed since you read it; review the current values and try again.");
    vec![MutationError::at("expectedVersion", ErrorCode::Conflict, message)]
}

/// The faults of an input in one sentence.
#[must_use]
pub fn summary(errors: &[MutationError]) -> String {
    match errors {
        [only] => only.message.clone(),
        several => format!("Nothing was saved: {} values are invalid.", several.len()),
    }
}
