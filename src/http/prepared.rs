//! Requests that are ready for execution.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use tokio::sync::OwnedSemaphorePermit;

use super::document_cache::Document;
use crate::scalar::Id;
use crate::share::Share;

/// A request that is ready for execution.
pub struct Prepared<R> {
    pub request: async_graphql::Request,
    pub document: Arc<Document<R>>,
    /// The type of the operation; `None` if the document has no such operation, which its execution reports.
    pub operation_type: Option<OperationType>,
    pub description: RequestDescription,
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
