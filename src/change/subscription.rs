//! Subscriptions `changes` and `userChanged`.

use std::option;

use async_graphql::{Context, Object, Result, Subscription};
use futures_util::stream::{self, Iter};

use super::follow::{Execution, Following};
use super::{Change, ChangeFilter, ChangeKind, NodeType, arguments};
use crate::access::RequiresAction;
use crate::entity::user;
use crate::error::{Error, located};
use crate::graphql::context::ContextExt;
use crate::graphql::loader::UserById;
use crate::scalar::{Id, Instant};

/// The event of one execution; none at the start.
type Events<T> = Iter<option::IntoIter<T>>;

#[derive(Default)]
pub struct ChangeSubscription;

#[Subscription]
impl ChangeSubscription {
    /// The committed changes to users, groups, institutions and licenses that the viewer can see, in the order of the
    /// commits. Changes after the position `after` that are already committed are sent first, further ones as soon as
    /// they are committed. Each change is sent exactly once, if the viewer can see it at that moment. An invalid
    /// argument is `BAD_USER_INPUT`, a selection with a cost of 10,000 or more is `DOCUMENT_TOO_LARGE`, and more than
    /// 20 subscriptions of one user at a time are `RATE_LIMITED`.
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
    ) -> Result<Events<Change>> {
        let filter = ChangeFilter { types, ids: None };
        events(ctx, after.as_deref(), filter, |change| change)
    }

    /// The committed changes to users that the viewer can see: those that `changes` sends with the type `USER`, in the
    /// same order, with the same positions, errors and limits.
    #[graphql(guard = "RequiresAction")]
    async fn user_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The IDs of the users. At least one and at most 100. Defaults to all users that the viewer can see. \
                    It is not an error if a user does not exist or the viewer cannot see them."
        )]
        ids: Option<Vec<Id>>,
        #[graphql(
            desc = "Sends the changes after this position. Defaults to the current position. `SNAPSHOT_REQUIRED` if \
                    the directory does not know the position because it was restored from an older backup: read \
                    everything again, then continue at the `position` in the error's `extensions`."
        )]
        after: Option<String>,
    ) -> Result<Events<UserChange>> {
        let filter = ChangeFilter { types: Some(vec![NodeType::User]), ids };
        events(ctx, after.as_deref(), filter, UserChange)
    }
}

/// Returns the event of an execution, made from its change. At the start, checks the arguments and records what is followed.
fn events<T>(
    ctx: &Context<'_>,
    after: Option<&str>,
    filter: ChangeFilter,
    event: fn(Change) -> T,
) -> Result<Events<T>> {
    let start = match ctx.data::<Execution>()? {
        Execution::Event(change) => return Ok(stream::iter(Some(event(change.clone())))),
        Execution::Start(start) => start,
    };
    let mut errors = Vec::new();
    let (name, after) = match start.last_event_id.as_deref() {
        Some(id) => ("Last-Event-ID", Some(id)),
        None => ("after", after),
    };
    let after = arguments::position(&ctx.cursor_key()?, name, after, &mut errors);
    arguments::check_filter(&filter, &mut errors);
    if !errors.is_empty() {
        return Err(Error::BadInput(errors.join(" ")).into());
    }
    start.record(Following { after, filter });
    Ok(stream::iter(None))
}

/// A change to a user, as far as a viewer can see it.
pub struct UserChange(Change);

/// A committed change to a user.
#[Object]
impl UserChange {
    /// The position of the change, to pass as `after` to continue with the next one.
    async fn position(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(self.0.position.encode(&ctx.cursor_key()?))
    }

    /// The kind of change.
    async fn kind(&self) -> ChangeKind {
        self.0.kind
    }

    /// The current state of the user. Null if the user no longer exists or the viewer cannot see them.
    async fn user(&self, ctx: &Context<'_>) -> Result<Option<user::Model>> {
        located(ctx, async {
            if self.0.kind.is_gone() {
                return Ok(None);
            }
            Ok(ctx.loaders()?.load_one(UserById(self.0.id)).await?)
        })
        .await
    }

    /// The ID of the changed user, a UUID.
    async fn user_id(&self) -> Id {
        self.0.id
    }

    /// The names of the changed fields that the viewer can see, such as `position`, `adminRights.isAdmin` or
    /// `attributes.birthplace`, at most 200. Empty if `kind` is `DELETED` or `REMOVED`.
    async fn changed_fields(&self) -> &[String] {
        &self.0.changed_fields
    }

    /// The date and time of the change.
    async fn at(&self) -> Instant {
        self.0.at.into()
    }
}
