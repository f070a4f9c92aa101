//! The documents that a caller may execute, and the callers who may read the schema.

use async_graphql::Request;

use super::{App, DocumentInfo};
use crate::access::{Action, SignedIn, Viewer};
use crate::error::{Error, TopLevelCode};
use crate::http::{self, Caller, HttpError};
use crate::session::TokenUse;
use crate::web::{pages, playground};

/// The callers who may read the schema, by introspection and as a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntrospectionPolicy {
    #[default]
    Everyone,
    Administrators,
    Nobody,
}

impl App {
    /// Sets the callers who may read the schema. Defaults to everyone.
    #[must_use]
    pub fn with_introspection(self, introspection: IntrospectionPolicy) -> Self {
        Self { introspection, ..self }
    }

    /// Checks that a viewer may execute a document: an API key that is bound to a set only the documents of the set, and
    /// introspection only who may read the schema.
    pub(super) fn check_document(
        &self,
        viewer: &Viewer,
        request: &Request,
        info: &DocumentInfo,
    ) -> Result<(), HttpError> {
        if let Some(set) = set_of(viewer) {
            let trusted = http::trusted_document(request);
            if !trusted.is_some_and(|trusted| trusted.sets.iter().any(|name| name == set)) {
                return Err(HttpError::document_not_trusted());
            }
        }
        let introspects = info.introspection.as_ref().map_or(true, |size| size.fields > 0);
        if introspects { self.check_introspection(viewer) } else { Ok(()) }
    }

    /// Checks that the document of a subscription may still be executed. `hash` is that of a trusted document, `None` of any other.
    ///
    /// # Errors
    /// `DocumentNotTrusted` if it was withdrawn, or is no longer in the set to which an API key is bound.
    pub(super) async fn check_still_trusted(&self, viewer: &SignedIn, hash: Option<&str>) -> Result<(), Error> {
        let Some(hash) = hash else { return Ok(()) };
        let document = self.documents.find(hash).await?.ok_or(Error::DocumentNotTrusted)?;
        match &viewer.document_set {
            Some(set) if !document.sets.contains(set) => Err(Error::DocumentNotTrusted),
            _ => Ok(()),
        }
    }

    fn check_introspection(&self, viewer: &Viewer) -> Result<(), HttpError> {
        let is_allowed = match self.introspection {
            IntrospectionPolicy::Everyone => true,
            IntrospectionPolicy::Administrators => viewer.may(Action::UseDeveloperTools).is_ok(),
            IntrospectionPolicy::Nobody => false,
        };
        if is_allowed {
            return Ok(());
        }
        Err(HttpError::bad_document(TopLevelCode::Forbidden, "You may not read the schema of this server"))
    }

    /// Checks that a caller may read the schema as a file.
    pub(super) async fn check_reader(&self, caller: &Caller) -> Result<(), HttpError> {
        if self.introspection == IntrospectionPolicy::Everyone {
            return Ok(());
        }
        let viewer = self.viewer(caller, TokenUse::Request).await?;
        check_unbound(&viewer)?;
        self.check_introspection(&viewer)
            .map_err(|_| HttpError::forbidden("You may not read the schema of this server"))
    }

    /// Checks that a caller may send a document that is not trusted: one of the pages of emailed links, which work on every
    /// server. If the settings allow it for the playground, also its own documents, with which users sign in, and what a
    /// signed-in administrator writes.
    pub(super) async fn authorize_untrusted(
        &self,
        caller: &Caller,
        text: &str,
        for_playground: bool,
    ) -> Result<(), HttpError> {
        if pages::is_document(text) || (for_playground && playground::DOCUMENTS.contains(&text)) {
            return Ok(());
        }
        if !for_playground {
            return Err(HttpError::document_not_trusted());
        }
        let is_allowed = match self.viewer(caller, TokenUse::Request).await? {
            Viewer::Anonymous => false,
            viewer @ Viewer::SignedIn(_) => viewer.may_send_documents(),
        };
        if is_allowed { Ok(()) } else { Err(HttpError::document_not_trusted()) }
    }
}

/// Returns the set of documents to which a viewer is limited, if there is one.
fn set_of(viewer: &Viewer) -> Option<&str> {
    viewer.signed_in().ok().and_then(|viewer| viewer.document_set.as_deref())
}

/// Checks that a viewer may read something without a document: not with an API key that is bound to a set of documents.
pub(super) fn check_unbound(viewer: &Viewer) -> Result<(), HttpError> {
    match set_of(viewer) {
        None => Ok(()),
        Some(_) => Err(HttpError::forbidden("This API key may only execute the documents of its set")),
    }
}
