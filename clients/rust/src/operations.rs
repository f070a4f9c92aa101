//! The operations, which cynic checks against the schema.

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

// The types of the schema.
#[cynic::schema("roster")]
mod schema {}

cynic::impl_scalar!(DateTime<Utc>, schema::DateTime);
cynic::impl_scalar!(NaiveDate, schema::Date);

/// The ID of an object.
#[derive(cynic::Scalar, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cynic(graphql_type = "ID")]
pub struct Id(pub Uuid);

/// The variables of [`SignIn`].
#[derive(cynic::QueryVariables, Clone, Debug)]
pub struct SignInVariables {
    pub input: LoginInput,
}

/// A login with its password.
#[derive(cynic::InputObject, Clone)]
pub struct LoginInput {
    /// The username or email address.
    pub login: String,
    /// The password.
    pub password: Option<String>,
}

/// Without the password.
impl fmt::Debug for LoginInput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LoginInput").field("login", &self.login).finish_non_exhaustive()
    }
}

/// Signs a user in.
#[derive(cynic::QueryFragment)]
#[cynic(graphql_type = "Mutation", variables = "SignInVariables")]
pub struct SignIn {
    #[arguments(input: $input)]
    pub login: Option<LoginPayload>,
}

/// The result of a sign-in.
#[derive(cynic::QueryFragment)]
pub struct LoginPayload {
    pub errors: Vec<MutationError>,
    pub token: Option<String>,
}

/// The variables of [`Users`].
#[derive(cynic::QueryVariables, Clone, Debug)]
pub struct UsersVariables {
    pub first: Option<i32>,
    pub after: Option<String>,
}

/// Reads a page of users.
#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Query", variables = "UsersVariables")]
pub struct Users {
    #[arguments(first: $first, after: $after)]
    pub users: UserConnection,
}

/// A page of users.
#[derive(cynic::QueryFragment, Clone, Debug)]
pub struct UserConnection {
    /// The number of users on all pages.
    pub total_count: i32,
    /// The users of the page.
    pub nodes: Vec<User>,
    /// Where the next page begins.
    pub page_info: PageInfo,
}

/// Where the next page begins.
#[derive(cynic::QueryFragment, Clone, Debug)]
pub struct PageInfo {
    /// Whether there is a next page.
    pub has_next_page: bool,
    /// The `after` of the next page.
    pub end_cursor: Option<String>,
}

/// A user.
#[derive(cynic::QueryFragment, Clone, Debug)]
pub struct User {
    /// The user's ID.
    pub id: Id,
    /// The version, to pass as `expected_version` of an update.
    pub version: i32,
    /// The user's first and last name.
    pub full_name: String,
    /// The user's position.
    pub position: Option<String>,
    /// The user's email address.
    pub email: Option<String>,
    /// The user's date of birth. Private.
    pub birth_date: Option<NaiveDate>,
    /// The date and time when the user joined the directory.
    pub date_joined: DateTime<Utc>,
}

/// The variables of [`UserById`].
#[derive(cynic::QueryVariables, Clone, Debug)]
pub struct UserVariables {
    pub by: UserBy,
}

/// Identifies a user.
#[derive(cynic::InputObject, Clone, Debug)]
pub struct UserBy {
    pub id: Option<Id>,
}

/// Reads a user.
#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Query", variables = "UserVariables")]
pub struct UserById {
    #[arguments(by: $by)]
    pub user: Option<User>,
}

/// The variables of [`UpdateUser`].
#[derive(cynic::QueryVariables, Clone, Debug)]
pub struct UpdateUserVariables {
    pub input: UpdateUserInput,
}

/// Changes of a user. Fields that are `None` stay as they are.
#[derive(cynic::InputObject, Clone, Debug)]
pub struct UpdateUserInput {
    /// The user's ID.
    pub id: Id,
    /// The version that the caller has read. If the user has another one, nothing is changed.
    #[cynic(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<i32>,
    /// The user's position.
    #[cynic(skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// The user's phone number.
    #[cynic(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The user's date of birth.
    #[cynic(skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<NaiveDate>,
}

impl UpdateUserInput {
    /// Changes nothing yet.
    #[must_use]
    pub fn new(id: Id) -> Self {
        Self { id, expected_version: None, position: None, phone: None, birth_date: None }
    }
}

/// Changes a user.
#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Mutation", variables = "UpdateUserVariables")]
pub struct UpdateUser {
    #[arguments(input: $input)]
    pub update_user: Option<UserPayload>,
}

/// The result of a change.
#[derive(cynic::QueryFragment, Debug)]
pub struct UserPayload {
    pub errors: Vec<MutationError>,
    pub user: Option<User>,
}

/// An error in the input of a mutation.
#[derive(cynic::QueryFragment, Clone, Debug)]
pub struct MutationError {
    /// The code, for programs.
    pub code: ErrorCode,
    /// The path to the value that is wrong, such as `input`, `email`.
    pub path: Vec<String>,
    /// The message, for users.
    pub message: String,
}

/// The code of an error in the input of a mutation.
#[derive(cynic::Enum, Clone, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    Conflict,
    Expired,
    Inactive,
    Invalid,
    InvalidCredentials,
    Locked,
    NotAllowed,
    NotFound,
    NullNotAllowed,
    Required,
    Taken,
    TooLong,
    TooShort,
    /// A code of a newer server.
    #[cynic(fallback)]
    Unknown(String),
}

/// The variables of [`FollowChanges`].
#[derive(cynic::QueryVariables, Clone, Debug)]
pub struct ChangesVariables {
    pub after: Option<String>,
}

/// Follows the changes.
#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Subscription", variables = "ChangesVariables")]
pub struct FollowChanges {
    #[arguments(after: $after)]
    pub changes: Change,
}

/// A committed change.
#[derive(cynic::QueryFragment, Clone, Debug)]
pub struct Change {
    /// The position of the change, to continue with the next one.
    pub position: String,
    /// The kind of change.
    pub kind: ChangeKind,
    /// The type of the object.
    #[cynic(rename = "type")]
    pub object_type: NodeType,
    /// The ID of the object.
    pub node_id: Id,
    /// The names of the changed fields.
    pub changed_fields: Vec<String>,
    /// The date and time of the change.
    pub at: DateTime<Utc>,
}

/// The kind of a change.
#[derive(cynic::Enum, Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Activated,
    Created,
    Deactivated,
    Deleted,
    Removed,
    Updated,
    /// A kind of a newer server.
    #[cynic(fallback)]
    Unknown(String),
}

/// The type of an object that can change.
#[derive(cynic::Enum, Clone, Debug, PartialEq, Eq)]
pub enum NodeType {
    Group,
    Institution,
    License,
    User,
    /// A type of a newer server.
    #[cynic(fallback)]
    Unknown(String),
}
