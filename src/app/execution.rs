//! The execution of documents: its context, and the limits on its response.

use std::sync::Arc;

use async_graphql::parser::types::{Field, OperationType};
use async_graphql::{Request, Response};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;

use super::{App, errors};
use crate::access::{self, CurrentViewer, Viewer};
use crate::budget::{Budget, Limit, Size};
use crate::change::follow::Execution;
use crate::client::{Client, client_network};
use crate::db::Db;
use crate::error::Error;
use crate::graphql::batching::{PendingLoads, batch};
use crate::graphql::context::Files;
use crate::graphql::loader::Loaders;
use crate::graphql::position::RequestPosition;
use crate::graphql::projection::SelectedFields;
use crate::http::{self, Caller};
use crate::share::Requester;

impl App {
    /// Adds the data of one request that its resolvers need. Returns also the loads, which must run together with the request.
    pub(super) fn with_context(
        &self,
        mut request: Request,
        caller: Caller,
        viewer: Viewer,
        fields: Arc<SelectedFields>,
        db: Db,
    ) -> (Request, PendingLoads) {
        let viewer = Arc::new(CurrentViewer::new(viewer));
        let client = Client {
            ip_address: Some(caller.address),
            user_agent: caller.user_agent,
            language: caller.language,
            request_id: Some(caller.request_id),
        };
        let files = Files::new(std::mem::take(&mut request.uploads));
        let idle = self.policy.lifetime.idle;
        let (loaders, loads) = batch(Loaders::new(db.clone(), Arc::clone(&viewer), Arc::clone(&fields), idle));
        let request = request.data(viewer).data(client).data(fields).data(loaders).data(files).data(db);
        (request.data(RequestPosition::default()), loads)
    }

    /// Returns the future that executes a request, and measures its response.
    pub(super) fn execution(
        &self,
        request: Request,
        loads: PendingLoads,
        budget: Budget,
    ) -> BoxFuture<'static, (Size, Response)> {
        let (schema, request) = (self.schema.clone(), request.data(budget.clone()));
        Box::pin(async move {
            let response = loads.run(budget.in_turns(schema.execute(request))).await;
            (Size::of(&response.data), response)
        })
    }

    /// Executes the document of a subscription once, with the rights of `viewer` and a budget of its own. `None` if there is no
    /// event, as at the start. Returns also the number of bytes of the response.
    pub(super) async fn execute_event(
        &self,
        document: &mut Request,
        caller: Caller,
        viewer: Viewer,
        fields: Arc<SelectedFields>,
        execution: Execution,
    ) -> Option<(Response, usize)> {
        let budget = Budget::default();
        let db = self.db.within(budget.clone(), who(&viewer, &caller));
        let (request, loads) = self.with_context(without_data(document), caller, viewer, fields, db);
        let mut results = self.schema.execute_stream(request.data(execution).data(budget.clone()));
        let response = loads.run(budget.in_turns(results.next())).await?;
        let size = Size::of(&response.data);
        Some(match check_size(&budget, size, false) {
            Ok(()) => (response, size.bytes),
            Err(error) => (errors::error_response(error), 0),
        })
    }
}

/// Returns another request for the same operation, without data.
fn without_data(request: &mut Request) -> Request {
    let mut other = Request::new(String::new()).variables(request.variables.clone());
    other.operation_name.clone_from(&request.operation_name);
    if let Ok(document) = request.parsed_query() {
        other.set_parsed_query(document.clone());
    }
    other
}

/// Returns the caller that a request counts for.
pub(super) fn who(viewer: &Viewer, caller: &Caller) -> Requester {
    match viewer {
        Viewer::SignedIn(viewer) => Requester::User(viewer.user_id),
        Viewer::Anonymous => Requester::Network(client_network(caller.address)),
    }
}

/// Returns whether a request is a mutation.
pub(super) fn is_mutation(request: &mut Request) -> bool {
    let name = request.operation_name.clone();
    let document = request.parsed_query().ok();
    document.and_then(|document| http::operation_type(document, name.as_deref())) == Some(OperationType::Mutation)
}

/// Returns whether a request may be read from a standby: a query of which every root field reads the directory. The others are about
/// sessions, keys, audit events or changes, which the primary alone has up to the last one. Anonymous callers are refused without a
/// statement, so no server is asked for its position either.
pub(super) fn reads_directory(viewer: &Viewer, request: &mut Request) -> bool {
    if matches!(viewer, Viewer::Anonymous) {
        return false;
    }
    let name = request.operation_name.clone();
    let Ok(document) = request.parsed_query() else { return false };
    let Some((_, operation)) = http::selected_operation(document, name.as_deref()) else { return false };
    let fields = http::selection::fields(document, &operation.selection_set.node);
    let is_of_directory = |field: &&Field| access::may_read_standby(&field.name.node);
    operation.ty == OperationType::Query && !fields.is_empty() && fields.iter().all(is_of_directory)
}

/// Returns whether a request is a mutation of which every root field may be used without signing in.
pub(super) fn is_public_mutation(request: &mut Request) -> bool {
    let name = request.operation_name.clone();
    let Ok(document) = request.parsed_query() else { return false };
    let Some((_, operation)) = http::selected_operation(document, name.as_deref()) else { return false };
    let fields = http::selection::fields(document, &operation.selection_set.node);
    let is_public = |field: &&Field| field.name.node == "__typename" || access::is_public(&field.name.node);
    operation.ty == OperationType::Mutation && fields.iter().all(is_public)
}

/// Checks that a request has not exceeded its budget and that its response is not too large. Otherwise a part of the response is
/// missing, and none of it is sent.
pub(super) fn check_size(budget: &Budget, response: Size, is_mutation: bool) -> Result<(), Error> {
    let charge_rest = |limit, size: usize| budget.charge(limit, size.saturating_sub(budget.used(limit)));
    let checked = budget.check().and_then(|()| charge_rest(Limit::Fields, response.fields));
    checked.and_then(|()| charge_rest(Limit::Bytes, response.bytes)).map_err(|error| match error {
        Error::AnswerTooLarge(message) if is_mutation => {
            Error::AnswerTooLarge(format!("{message} Changes may still have been saved."))
        }
        error => error,
    })
}
