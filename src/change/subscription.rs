//! Subscription `changes`.

use std::option;

use async_graphql::{Context, Result, Subscription};
use futures_util::stream::{self, Iter};

use super::follow::{Execution, Following};
use super::{Change, NodeType, arguments};
use crate::access::RequiresAction;
use crate::error::Error;
use crate::graphql::context::ContextExt;

#[derive(Default)]
pub struct ChangeSubscription;

#[Subscription]
impl ChangeSubscription {
    /// The committed changes of users, groups, institutions and licenses that the viewer can see, in the order of the
    /// commits. Changes after the position `after` that are already committed are sent first, further ones as soon as
    /// they are committed. Each change is sent exactly once, as far as the viewer can see it at that moment. An invalid
    /// argument is `BAD_USER_INPUT`, a selection with a cost of 10,000 or more is `DOCUMENT_TOO_LARGE`, and more than 20
    /// subscriptions of one user at a time are `RATE_LIMITED`.
    #[graphql(guard = "RequiresAction")]
    async fn changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Sends the changes after this position. Defaults to the current position. `SNAPSHOT_REQUIRED` if \
                    the directory does not know the position because it was restored from an older backup: read \
                    everything again, then continue at the `position` in the error's `extensions`."
        )]
        after: Option<String>,
        #[graphql(desc = "The types of the changed objects. At least one and at most 100. Defaults to all types.")]
        types: Option<Vec<NodeType>>,
    ) -> Result<Iter<option::IntoIter<Change>>> {
        let start = match ctx.data::<Execution>()? {
            Execution::Event(change) => return Ok(stream::iter(Some(change.clone()))),
            Execution::Start(start) => start,
        };
        let mut errors = Vec::new();
        let (name, after) = match start.last_event_id.as_deref() {
            Some(id) => ("Last-Event-ID", Some(id)),
            None => ("after", after.as_deref()),
        };
        let after = arguments::position(ctx.cursor_key()?, name, after, &mut errors);
        arguments::check_types(types.as_deref(), &mut errors);
        if !errors.is_empty() {
            return Err(Error::BadInput(errors.join(" ")).into());
        }
        start.record(Following { after, types });
        Ok(stream::iter(None))
    }
}
