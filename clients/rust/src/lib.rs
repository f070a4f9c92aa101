//! A client of Roster: signs in, reads and edits users, and follows changes.

mod changes;
mod error;
mod operations;

use std::fmt;

use cynic::{GraphQlResponse, Operation};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::redirect::Policy;
use serde::{Serialize, de::DeserializeOwned};

pub use self::changes::Changes;
use self::error::Extensions;
pub use self::error::{Error, FieldErrors};
pub use self::operations::{
    Change, ChangeKind, ErrorCode, Id, LoginInput, MutationError, NodeType, PageInfo, UpdateUserInput, User,
    UserConnection,
};
use self::operations::{
    SignIn, SignInVariables, UpdateUser, UpdateUserVariables, UserBy, UserById, UserVariables, Users, UsersVariables,
};

const JSON: &str = "application/graphql-response+json, application/json;q=0.9";

/// A client of one server, as one user.
#[derive(Clone)]
pub struct Roster {
    http: reqwest::Client,
    endpoint: String,
    token: Option<String>,
}

impl Roster {
    /// Creates a client of the server at an address, such as `https://roster.example.org`.
    ///
    /// # Panics
    /// As [`reqwest::Client::new`].
    #[must_use]
    pub fn new(url: &str) -> Self {
        let endpoint = format!("{}/graphql", url.trim_end_matches('/'));
        // The server redirects no request. Whoever does would get what it contains, such as a password.
        let http = reqwest::Client::builder().redirect(Policy::none()).build().expect("the system has what HTTP needs");
        Self { http, endpoint, token: None }
    }

    /// Sends the token of a session or an API key with all further requests.
    #[must_use]
    pub fn with_token(self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self }
    }

    /// Signs a user in, and sends the token of the session with all further requests.
    pub async fn sign_in(&mut self, input: LoginInput) -> Result<(), Error> {
        // With the token of a session that has ended, the server would refuse the request.
        let visitor = Self { token: None, ..self.clone() };
        let data = visitor.execute(&Operation::<SignIn, _>::mutation(SignInVariables { input })).await?;
        let payload = data.login.ok_or(Error::NoData)?;
        self.token = Some(payload.token.ok_or_else(|| Error::Invalid(FieldErrors::new(payload.errors)))?);
        Ok(())
    }

    /// Returns a page of users, in the default order.
    pub async fn users(&self, first: i32, after: Option<String>) -> Result<UserConnection, Error> {
        let variables = UsersVariables { first: Some(first), after };
        Ok(self.execute(&Operation::<Users, _>::query(variables)).await?.users)
    }

    /// Returns a user; `None` if the viewer can see no user with this ID.
    pub async fn user(&self, id: Id) -> Result<Option<User>, Error> {
        let variables = UserVariables { by: UserBy { id: Some(id) } };
        Ok(self.execute(&Operation::<UserById, _>::query(variables)).await?.user)
    }

    /// Changes a user, and returns them as they are now. If the input is wrong, nothing is changed, and
    /// [`Error::Invalid`] has all its errors by field.
    pub async fn update_user(&self, input: UpdateUserInput) -> Result<User, Error> {
        let data = self.execute(&Operation::<UpdateUser, _>::mutation(UpdateUserVariables { input })).await?;
        let payload = data.update_user.ok_or(Error::NoData)?;
        if !payload.errors.is_empty() {
            return Err(Error::Invalid(FieldErrors::new(payload.errors)));
        }
        payload.user.ok_or(Error::NoData)
    }

    /// Follows the changes after a position, by default after the current one.
    pub async fn changes(&self, after: Option<String>) -> Result<Changes, Error> {
        Changes::open(self.clone(), after).await
    }

    /// Sends an operation, and returns its data. An error in the response is an [`Error::Refused`].
    pub async fn execute<Data, Variables>(&self, operation: &Operation<Data, Variables>) -> Result<Data, Error>
    where
        Data: DeserializeOwned,
        Variables: Serialize,
    {
        let response = self.post(JSON).json(operation).send().await?;
        data_of(response.json().await?)
    }

    /// A request whose response has one of these media types.
    fn post(&self, accept: &str) -> reqwest::RequestBuilder {
        let request = self.http.post(&self.endpoint).header(ACCEPT, accept);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// Without the token.
impl fmt::Debug for Roster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Roster").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Returns the data of a response without errors.
fn data_of<Data>(response: GraphQlResponse<Data, Extensions>) -> Result<Data, Error> {
    match response.errors.into_iter().flatten().next() {
        Some(error) => Err(Error::from(error)),
        None => response.data.ok_or(Error::NoData),
    }
}

/// Returns the media type of a response; empty if it has none.
fn media_type(response: &reqwest::Response) -> &str {
    response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
