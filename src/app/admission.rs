//! The cost of requests, and the limits on what one caller has under way at once.

use std::time::Duration;

use async_graphql::Request;

use super::{App, DocumentInfo};
use crate::background;
use crate::budget::{Budget, Limit};
use crate::error::Error;
use crate::graphql::cost;
use crate::http::{self, HttpError};
use crate::share::{Requester, Share, ShareLimits};

/// Returns the limits for the expensive requests of one caller.
pub(super) fn expensive_requests() -> ShareLimits {
    ShareLimits { at_once: background::threads(), waiting: 64, max_wait: Duration::from_secs(3), rest: 4 }
}

/// Returns the limits for the subscriptions of one caller that catch up with changes they missed.
pub(super) fn catching_up() -> ShareLimits {
    ShareLimits { at_once: background::threads(), waiting: 400, max_wait: Duration::from_secs(10), rest: 4 }
}

/// The long responses that one caller has under way: each is kept in memory until the caller has read it.
pub(super) const LONG_RESPONSES: ShareLimits =
    ShareLimits { at_once: 4, waiting: 8, max_wait: Duration::from_secs(3), rest: 0 };

impl App {
    /// Returns the cost of a request unless it is too high, and charges its introspection to the budget.
    pub(super) fn cost(&self, request: &mut Request, info: &DocumentInfo, budget: &Budget) -> Result<usize, Error> {
        let schema = info.introspection.clone()?;
        budget.charge(Limit::Fields, schema.fields)?;
        budget.charge(Limit::Bytes, schema.bytes)?;
        let (name, variables) = (request.operation_name.clone(), request.variables.clone());
        // A document that cannot be parsed or has no such operation is rejected when it is executed.
        let Ok(document) = request.parsed_query() else { return Ok(0) };
        let Some((_, operation)) = http::selected_operation(document, name.as_deref()) else { return Ok(0) };
        let cost = self.costs.cost(document, operation, &variables).saturating_add(cost::of_introspection(schema));
        cost::check(cost).map(|()| cost)
    }

    /// Waits for a slot of the caller if a request is expensive; other requests need none.
    pub(super) async fn admit_expensive(
        &self,
        who: Requester,
        cost: usize,
    ) -> Result<Option<Share<Requester>>, HttpError> {
        if cost < cost::EXPENSIVE {
            self.expensive_requests.pass();
            return Ok(None);
        }
        self.expensive_requests.take(who).await.map(Some).ok_or_else(HttpError::too_many_expensive_requests)
    }

    /// Returns the permit of a long response, which is held until the caller has read it.
    pub(super) async fn admit_long_response(
        &self,
        who: Requester,
        bytes: usize,
        is_mutation: bool,
    ) -> Result<Option<Share<Requester>>, HttpError> {
        if bytes <= http::LONG_RESPONSE {
            return Ok(None);
        }
        self.long_responses.take(who).await.map(Some).ok_or_else(|| HttpError::unread_responses(is_mutation))
    }
}
