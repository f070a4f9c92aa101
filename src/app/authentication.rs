//! The viewer of a request: by its token, or by the signature of its URL.

use async_graphql::Request;
use poem::http::StatusCode;

use super::documents::check_unbound;
use super::execution::is_public_mutation;
use super::{App, errors};
use crate::access::{SignedIn, Viewer};
use crate::error::{Error, unavailability};
use crate::http::{Caller, HttpError};
use crate::scalar::{Id, now};
use crate::session::TokenUse;

impl App {
    /// Returns the viewer, read from the database for each request.
    pub(super) async fn viewer(&self, caller: &Caller, token_use: TokenUse) -> Result<Viewer, HttpError> {
        let Some(token) = &caller.token else { return Ok(Viewer::Anonymous) };
        let request_id = Some(caller.request_id.clone());
        match self.authenticator.authenticate(token, token_use, request_id).await {
            // Every open connection would log it again and again.
            Err(Error::Unavailable(cause)) if token_use == TokenUse::OpenConnection => {
                tracing::debug!(%cause, "{}", unavailability(&*cause));
                Err(HttpError::overloaded(1))
            }
            viewer => signed_in(viewer, caller),
        }
    }

    /// Returns the viewer of an operation. If it consists of public mutations, a token that is not valid counts as none: a page
    /// whose session has ended must be able to sign in. If anything else is in it, all of it fails with 401, so that no part of
    /// it runs for a caller who believes to be signed in.
    pub(super) async fn viewer_of(&self, caller: &Caller, request: &mut Request) -> Result<Viewer, HttpError> {
        match self.viewer(caller, TokenUse::Request).await {
            Err(error) if error.status == StatusCode::UNAUTHORIZED && is_public_mutation(request) => {
                Ok(Viewer::Anonymous)
            }
            viewer => viewer,
        }
    }

    /// Returns the viewer of the picture of a user, and the hash of the picture to which a signed URL is limited. The signature is
    /// read only without a token.
    pub(super) async fn avatar_viewer(
        &self,
        caller: &Caller,
        user_id: Option<Id>,
        query: &str,
    ) -> Result<(Viewer, Option<String>), HttpError> {
        if caller.token.is_some() {
            let viewer = self.viewer(caller, TokenUse::Request).await?;
            check_unbound(&viewer)?;
            return Ok((viewer, None));
        }
        let link = user_id.and_then(|id| self.avatar_links.verify(id, query, now()));
        let link = link.ok_or_else(HttpError::unauthenticated)?;
        let request_id = Some(caller.request_id.clone());
        let viewer = self.authenticator.authenticate_link(link.viewer, request_id).await;
        Ok((signed_in(viewer, caller)?, Some(link.hash)))
    }
}

fn signed_in(viewer: Result<SignedIn, Error>, caller: &Caller) -> Result<Viewer, HttpError> {
    match viewer {
        Ok(viewer) => Ok(Viewer::SignedIn(viewer)),
        Err(Error::Unauthenticated) => Err(HttpError::unauthenticated()),
        Err(error) => Err(errors::log(error, caller, "failed to look up an access token")),
    }
}
