//! Payloads: the typed results of mutations.

/// Declares the payload of a mutation: `success`, `message` and `errors` as in the interface `MutationPayload`, and the
/// additional fields of the mutation. `done` creates the payload of a success, `of` that of a result.
macro_rules! payload {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(async_graphql::SimpleObject)]
        pub struct $name {
            /// Whether the mutation succeeded. If not, nothing has changed.
            pub success: bool,
            /// A message in English that can be shown to the user.
            pub message: String,
            /// The errors in the input, at most 100. Empty on success.
            pub errors: Vec<$crate::error::MutationError>,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            /// Creates the payload of a success.
            pub fn done(message: impl Into<String>, $($field: $type),*) -> Self {
                Self { success: true, message: message.into(), errors: Vec::new(), $($field),* }
            }

            /// Creates the payload of a mutation that was rejected because of these errors in the input.
            pub fn rejected(errors: Vec<$crate::error::MutationError>) -> Self {
                Self {
                    success: false,
                    message: $crate::graphql::payload::summary(&errors),
                    errors,
                    $($field: Default::default()),*
                }
            }

            /// Creates the payload of a result: by `done` from a success, or from the errors of the input.
            ///
            /// # Errors
            /// Errors that another input would not avoid.
            pub fn of<T>(
                outcome: Result<T, $crate::error::Error>,
                done: impl FnOnce(T) -> Self,
            ) -> async_graphql::Result<Option<Self>> {
                match outcome {
                    Ok(value) => Ok(Some(done(value))),
                    Err($crate::error::Error::Rejected(errors)) => Ok(Some(Self::rejected(errors))),
                    Err(error) => Err(error.into()),
                }
            }
        }
    };
}

pub(crate) use payload;

use crate::entity::user;
use crate::entity::versioned::Versioned;
use crate::error::{ErrorCode, MutationError};

payload! {
    /// Payload of the mutations that create or change a user.
    UserPayload {
        /// The current state of the user. Null if the mutation failed, except with `CONFLICT`. Also null after a dry
        /// run of `createUser`, and after `confirmEmailChange` if the viewer cannot see the user.
        user: Option<user::Model>,
    }
}

payload! {
    /// Payload of the mutations that return no object.
    ReceiptPayload {}
}

/// The result of a change that can be a dry run and expects one version of a row.
pub enum Updated<M> {
    /// The row after the change.
    Saved(M),
    /// Dry run: the change is valid; the unchanged row.
    DryRun(M),
    /// The row has changed since the caller read it; its current state.
    Conflict(M),
}

/// The options of an update.
#[derive(Clone, Copy)]
pub struct UpdateOptions {
    /// The version of the row that the change is based on.
    pub expected_version: Option<i32>,
    /// Whether the change is only validated.
    pub dry_run: bool,
}

impl UpdateOptions {
    /// Returns whether the change is based on another version of the row.
    pub fn is_conflict(self, row: &impl Versioned) -> bool {
        self.expected_version.is_some_and(|version| version != row.version())
    }
}

impl<M: Versioned + PartialEq> Updated<M> {
    /// Returns the result of a valid update that saves nothing: a conflict, a dry run, or no change. `None` if it saves.
    pub fn without_saving(old: &M, new: &M, options: UpdateOptions) -> Option<Self> {
        if options.is_conflict(old) {
            return Some(Self::Conflict(old.clone()));
        }
        if options.dry_run {
            return Some(Self::DryRun(old.clone()));
        }
        (new == old).then(|| Self::Saved(old.clone()))
    }
}

/// Returns the error for a change that expects another version.
#[must_use]
pub fn stale(what: &str) -> Vec<MutationError> {
    let message = format!("This {what} has changed since you read it; review the current values and try again.");
    vec![MutationError::at("expectedVersion", ErrorCode::Conflict, message)]
}

/// Summarizes the errors of an input in one sentence.
#[must_use]
pub fn summary(errors: &[MutationError]) -> String {
    match errors {
        [only] => only.message.clone(),
        several => format!("Nothing was saved: {} values are invalid.", several.len()),
    }
}
