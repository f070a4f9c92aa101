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
    /// Each change that is committed after a position, in the order of the commits: of users, groups, institutions and
    /// licenses that the viewer can see. First the changes that were missed, then every other one as soon as it is committed.
    /// Each change is sent exactly once, with the rights that the viewer has then. A wrong argument is `BAD_USER_INPUT`, and
    /// an event with a cost of 10,000 or more `DOCUMENT_TOO_LARGE`. At most 20 subscriptions of a user at a time.
    #[graphql(guard = "RequiresAction")]
    async fn changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Sends the changes after this position. Defaults to the current position. The error \
                    `SNAPSHOT_REQUIRED` means that the directory was restored from an older backup.")]
        after: Option<String>,
        #[graphql(desc = "The types of the objects. At most 100, and at least one. Defaults to all types.")]
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
