//! Audit event queries: `auditEvents` and the fields of an event.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, InputType, MaybeUndefined, Object, Result, SimpleObject};
use chrono::{DateTime, Datelike, Utc};
use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::Value;

use crate::access::RequiresAction;
use crate::audit::{Change, sealer};
use crate::budget::ListItem;
use crate::db::conditions::no_index_hint;
use crate::entity::audit_event::{self, AuditAction, MAX_CHANGES, SubjectType};
use crate::entity::list_total::{self, CountedList};
use crate::entity::{api_key, user};
use crate::error::{Error, located};
use crate::graphql::context::ContextExt;
use crate::graphql::filter::NULL;
use crate::graphql::list;
use crate::graphql::loader::{ApiKeyById, AttributeDefinitionById, GroupById, InstitutionById, LicenseById, UserById};
use crate::graphql::node::Node;
use crate::graphql::pagination::{Connection, LazyCount, Order, PageArgs};
use crate::scalar::{Id, Instant, Json};

/// Maximum number of actions in a filter.
const MAX_ACTIONS: usize = 100;

/// A filter for audit events. An event must match every field that is set. Null is an error.
#[derive(InputObject)]
pub struct AuditFilter {
    /// The ID of the user, group, institution, license, API key or attribute definition on which the action was performed,
    /// even if it no longer exists.
    subject: MaybeUndefined<ID>,
    /// The ID of the user who performed the action.
    actor: MaybeUndefined<ID>,
    /// The actions to include. At most 100. An empty list matches no event.
    action: MaybeUndefined<Vec<AuditAction>>,
    /// The time at or after which the action was performed.
    since: MaybeUndefined<Instant>,
    /// The time before which the action was performed. Must be later than `since`.
    until: MaybeUndefined<Instant>,
}

/// A change to a field, with the values before and after.
#[derive(SimpleObject)]
pub struct FieldChange {
    /// The name of the field, such as `birthDate`, `adminRights.isAdmin` or `attributes.birthplace`.
    field: String,
    /// The previous value. Null if it was empty, or is secret or not visible to the viewer.
    before: Option<Json>,
    /// The new value. Null if it is empty, secret or not visible to the viewer.
    after: Option<Json>,
}

#[derive(Default)]
pub struct AuditQuery;

#[Object]
impl AuditQuery {
    /// The audit events, newest first. Users see the events about themselves. Administrators see all events in their license,
    /// and superusers those of all licenses.
    #[graphql(guard = "RequiresAction")]
    async fn audit_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The conditions that the events must meet. By default, there are no conditions.")]
        filter: Option<AuditFilter>,
        #[graphql(
            desc = "The number of items to return from the beginning of the list, from 1 to 100. Defaults to `50`."
        )]
        first: Option<i32>,
        #[graphql(desc = "Returns the elements in the list that come after this cursor.")] after: Option<String>,
    ) -> Result<Connection<audit_event::Model>> {
        let viewer = ctx.viewer()?;
        let name = format!("audit events {} {}", viewer.audit_visibility_scope(), filter.to_value());
        let is_filtered = filter.is_some();
        let compiled = filter.map(CompiledFilter::new).transpose()?.unwrap_or_default();
        let page_request = ctx.page_request(PageArgs { first, after, last: None, before: None }, &name)?;
        let visible = viewer.visible_audit_events();
        // One subject or actor has few events, a license has many.
        let visible = if compiled.is_selective() { no_index_hint(visible).into() } else { visible };
        let select = audit_event::Entity::find().filter(visible).filter(compiled.condition());
        // A client that writes and then reads the trail finds the event.
        sealer::try_to_seal(ctx.db()?).await;
        let total = match viewer.visible_audit_totals() {
            _ if is_filtered => LazyCount::of_filtered_list(select.clone()),
            Some(visible) => LazyCount::of_totals(list_total::of([CountedList::AuditEvents], visible)),
            None => LazyCount::of_list(select.clone()),
        };
        Ok(list::connection(ctx, select, &Order::default(), &page_request, total).await?)
    }
}

/// A validated filter.
#[derive(Default)]
struct CompiledFilter {
    subject: Option<Id>,
    actor: Option<Id>,
    actions: Option<Vec<AuditAction>>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

impl CompiledFilter {
    fn new(filter: AuditFilter) -> Result<Self, Error> {
        let AuditFilter { subject, actor, action, since, until } = filter;
        let mut errors = Vec::new();
        let subject = non_null("subject", subject, &mut errors);
        let actor = non_null("actor", actor, &mut errors);
        let action = non_null("action", action, &mut errors);
        let since = non_null("since", since, &mut errors).map(|Instant(instant)| instant);
        let until = non_null("until", until, &mut errors).map(|Instant(instant)| instant);
        let mut id = |name: &str, given: Option<ID>| {
            let id = Id::parse(&given?);
            if id.is_none() {
                errors.push(format!("filter.{name}: must be a valid ID (a UUID)."));
            }
            id
        };
        let (subject, actor) = (id("subject", subject), id("actor", actor));
        if action.as_ref().is_some_and(|actions| actions.len() > MAX_ACTIONS) {
            errors.push(format!("filter.action: must contain at most {MAX_ACTIONS} actions."));
        }
        for (name, instant) in [("since", since), ("until", until)] {
            if instant.is_some_and(|instant| !(1..10_000).contains(&instant.year())) {
                errors.push(format!("filter.{name}: must be a time from the year 1 to the year 9999."));
            }
        }
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            errors.push("filter.until: must be later than filter.since.".to_owned());
        }
        if !errors.is_empty() {
            return Err(Error::BadInput(errors.join(" ")));
        }
        Ok(Self { subject, actor, actions: action, since, until })
    }

    /// Returns whether the filter is for the events of one object or actor.
    fn is_selective(&self) -> bool {
        self.subject.is_some() || self.actor.is_some()
    }

    fn condition(&self) -> Condition {
        let actions = self.actions.as_ref();
        Condition::all()
            .add_option(self.subject.map(|id| audit_event::Column::SubjectId.eq(id)))
            .add_option(self.actor.map(|id| audit_event::Column::ActorId.eq(id)))
            .add_option(actions.map(|actions| audit_event::Column::Action.is_in(actions.iter().copied())))
            .add_option(self.since.map(|since| audit_event::Column::At.gte(since)))
            .add_option(self.until.map(|until| audit_event::Column::At.lt(until)))
    }
}

/// An action recorded in the audit trail. Events are never changed, except that the values of an erased user are removed.
#[Object(name = "AuditEvent")]
impl audit_event::Model {
    /// The ID of the event, a UUID.
    pub async fn id(&self) -> Id {
        self.id
    }

    /// The date and time of the action.
    async fn at(&self) -> Instant {
        self.at.into()
    }

    /// The action that was performed.
    async fn action(&self) -> AuditAction {
        self.action
    }

    /// The user who performed the action. Null if the action was not performed by a user, such as on the command line,
    /// if the user has been erased, or if the viewer cannot see the user.
    async fn actor(&self, ctx: &Context<'_>) -> Result<Option<user::Model>> {
        located(ctx, async {
            match self.actor_id {
                Some(id) => Ok(ctx.loaders()?.load_one(UserById(id)).await?),
                None => Ok(None),
            }
        })
        .await
    }

    /// The API key with which the actor performed the action. Null if no API key was used, it was revoked, or the
    /// viewer cannot see it.
    async fn api_key(&self, ctx: &Context<'_>) -> Result<Option<api_key::Model>> {
        located(ctx, async {
            match self.api_key_id {
                Some(id) => Ok(ctx.loaders()?.load_one(ApiKeyById(id)).await?),
                None => Ok(None),
            }
        })
        .await
    }

    /// The object on which the action was performed. Null if the object no longer exists or the viewer cannot see it.
    async fn subject(&self, ctx: &Context<'_>) -> Result<Option<Node>> {
        located(ctx, async {
            let (loaders, id) = (ctx.loaders()?, self.subject_id);
            Ok(match self.subject_type {
                SubjectType::User => loaders.load_one(UserById(id)).await?.map(Node::User),
                SubjectType::Group => loaders.load_one(GroupById(id)).await?.map(Node::Group),
                SubjectType::Institution => {
                    loaders.load_one(InstitutionById(id)).await?.map(Arc::unwrap_or_clone).map(Node::Institution)
                }
                SubjectType::License => loaders.load_one(LicenseById(id)).await?.map(Node::License),
                SubjectType::ApiKey => loaders.load_one(ApiKeyById(id)).await?.map(Node::ApiKey),
                SubjectType::Attribute => {
                    loaders.load_one(AttributeDefinitionById(id)).await?.map(Node::AttributeDefinition)
                }
            })
        })
        .await
    }

    /// The ID of the object on which the action was performed, even if the object no longer exists.
    async fn subject_id(&self) -> Id {
        self.subject_id
    }

    /// The fields that changed, at most 200. Empty if the subject is a user who has been erased, except that
    /// `USER_DELETED` of a user who was never active has `wasActive`, which was `false`.
    async fn changes(&self, ctx: &Context<'_>) -> Result<Vec<ListItem<FieldChange>>> {
        located(ctx, async {
            let viewer = ctx.viewer()?;
            let changes = self.changes.as_deref().map(serde_json::from_str::<Vec<Change>>).transpose();
            let changes = changes.map_err(Error::internal)?.unwrap_or_default();
            let shown = changes.into_iter().take(MAX_CHANGES).map(|Change { field, before, after }| {
                let is_visible = viewer.can_see_change(self.license_id, self.subject_type, self.subject_id, &field);
                let value = |value: Option<Value>| value.filter(|_| is_visible).map(Json);
                FieldChange { before: value(before), after: value(after), field }
            });
            Ok(ListItem::list(shown))
        })
        .await
    }

    /// The ID of the request that performed the action: the `X-Request-Id` header of its response. Null if the action
    /// was not performed by a request, such as on the command line.
    async fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

/// Returns the value of a filter's field; null adds an error.
fn non_null<T: InputType>(field: &str, given: MaybeUndefined<T>, errors: &mut Vec<String>) -> Option<T> {
    if given.is_null() {
        errors.push(format!("filter.{field}: {NULL}"));
    }
    given.take()
}
