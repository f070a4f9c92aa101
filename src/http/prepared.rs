//! Requests that are ready for execution.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::parser::types::OperationType;
use poem::Request;
use tokio::sync::OwnedSemaphorePermit;

use super::document_cache::Document;
use super::document_source::TrustedDocument;
use crate::scalar::Id;
use crate::share::Share;

/// A request that is ready for execution.
pub struct Prepared<R> {
    pub request: async_graphql::Request,
    pub document: Arc<Document<R>>,
    /// The type of the operation; `None` if the document has no such operation, which its execution reports.
    pub operation_type: Option<OperationType>,
    /// Held until a request with a file has been executed; `None` without a file.
    pub upload_permit: Option<UploadPermit>,
}

/// The description of a request in the log and the metrics.
#[derive(Clone, Debug, Default)]
pub struct RequestDescription {
    /// The type of the operation; `None` if there is no operation.
    pub operation_type: Option<OperationType>,
    /// The name of the operation or, without one, that of the trusted document.
    pub operation: Option<String>,
    /// The ID of the trusted document.
    pub document: Option<String>,
}

/// The description of a request under way, as far as it is known; cheap to clone. It is not part of the response,
/// because a request may end without one.
#[derive(Clone, Debug, Default)]
pub struct SharedDescription(Arc<Mutex<RequestDescription>>);

impl SharedDescription {
    /// Returns the description that the middleware has added to a request.
    pub fn of(request: &Request) -> Self {
        request.data::<Self>().cloned().unwrap_or_default()
    }

    /// Returns what is known by now.
    pub fn get(&self) -> RequestDescription {
        self.lock().clone()
    }

    /// Adds the trusted document.
    pub fn set_document(&self, document: &TrustedDocument) {
        let mut description = self.lock();
        description.operation.clone_from(&document.name);
        description.document = Some(document.id.clone());
    }

    /// Adds the operation. Its name replaces that of the document.
    pub fn set_operation(&self, operation_type: OperationType, name: Option<&str>) {
        let mut description = self.lock();
        description.operation_type = Some(operation_type);
        if let Some(name) = name {
            description.operation = Some(name.to_owned());
        }
    }

    fn lock(&self) -> MutexGuard<'_, RequestDescription> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slots of a request with a file, released when it is dropped.
pub struct UploadPermit {
    _user_share: Share<Id>,
    _permit: OwnedSemaphorePermit,
}

impl UploadPermit {
    /// Combines the slot of the user with a slot among all users.
    pub fn new(user_share: Share<Id>, permit: OwnedSemaphorePermit) -> Self {
        Self { _user_share: user_share, _permit: permit }
    }
}
