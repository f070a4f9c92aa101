//! auditEvents, and what an event says.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, InputType, Json, MaybeUndefined, Object, Result, SimpleObject};
use chrono::{DateTime, Datelike, Utc};
use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::Value;

use crate::access::RequiresAction;
use crate::audit::Change;
use crate::budget::ListItem;
use crate::db::conditions::no_index_hint;
use crate::entity::audit_event::{self, AuditAction, MOST_CHANGES, SubjectType};
use crate::entity::{api_key, user};
use crate::error::{Error, located};
use crate::graphql::context::ContextExt;
use crate::graphql::filter::NULL;
use crate::graphql::loader::{ApiKeyById, AttributeDefinitionById, GroupById, InstitutionById, LicenseById, UserById};
use crate::graphql::node::Node;
use crate::graphql::pagination::{self, Connection, LazyCount, Order, PageArgs};
use crate::scalar::{Id, Instant};

/// How many actions a filter names at most.
const MOST_ACTIONS: usize = 100;

/// Which audit events: those that meet every condition. A field that is null is an error.
#[derive(InputObject)]
pub struct AuditFilter {
    /// Only what was done to the person, group, institution, license, API key or definition of an attribute of this id, even
    /// if it is gone.
    subject: MaybeUndefined<ID>,
    /// Only what the person of this id did.
    actor: MaybeUndefined<ID>,
    /// Only these actions, at most 100.
    action: MaybeUndefined<Vec<AuditAction>>,
    /// Only what was done at this instant or later.
    since: MaybeUndefined<Instant>,
    /// Only what was done before this instant.
    until: MaybeUndefined<Instant>,
}

/// A field as it was and as it is.
#[derive(SimpleObject)]
pub struct FieldChange {
    /// The field, such as `birthDate`, `adminRights.isAdmin` or `attributes.birthplace`.
    field: String,
    /// What it was; null where it was empty, is a secret, or is not for the viewer to see.
    before: Option<Json<Value>>,
    /// What it became; null where it was emptied, is a secret, or is not for the viewer to see.
    after: Option<Json<Value>>,
}

#[derive(Default)]
pub struct AuditQuery;

#[Object]
impl AuditQuery {
    /// What was done, newest first. Everybody sees what was done to himself, administrators everything in their license.
    #[graphql(guard = "RequiresAction")]
    async fn audit_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which; all that the viewer sees where nothing is said.")] filter: Option<AuditFilter>,
        #[graphql(desc = "How many, from the newest: 1 to 100; 50 where nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor, which is older.")] after: Option<String>,
    ) -> Result<Connection<audit_event::Model>> {
        let (db, viewer) = (ctx.db()?, ctx.viewer()?);
        let wanted = filter.map(CompiledFilter::new).transpose()?.unwrap_or_default();
        let name = format!("audit events {} {wanted:?}", viewer.audit_visibility_scope());
        let window = ctx.page_request(PageArgs { first, after, last: None, before: None }, &name)?;
        let seen = viewer.visible_audit_events();
        // Of one thing or person there are few events, of the license many.
        let seen = if wanted.is_of_one() { no_index_hint(seen).into() } else { seen };
        let select = audit_event::Entity::find().filter(seen).filter(wanted.condition());
        let page =
            pagination::read(db.read(), select.clone(), &ctx.selected_fields()?.columns(), &Order::default(), &window)
                .await?;
        Ok(page.into_connection(LazyCount::of_list(select), pagination::plain))
    }
}

/// A filter that was found good. Its text is a part of the list's name.
#[derive(Debug, Default)]
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
        let mut faults = Vec::new();
        let subject = given("subject", subject, &mut faults);
        let actor = given("actor", actor, &mut faults);
        let action = given("action", action, &mut faults);
        let since = given("since", since, &mut faults).map(|Instant(instant)| instant);
        let until = given("until", until, &mut faults).map(|Instant(instant)| instant);
        let mut id = |name: &str, given: Option<ID>| {
            let id = Id::parse(&given?);
            if id.is_none() {
                faults.push(format!("filter.{name}: this is not an id."));
            }
            id
        };
        let (subject, actor) = (id("subject", subject), id("actor", actor));
        if action.as_ref().is_some_and(|actions| actions.len() > MOST_ACTIONS) {
            faults.push(format!("filter.action: at most {MOST_ACTIONS}."));
        }
        for (name, instant) in [("since", since), ("until", until)] {
            if instant.is_some_and(|instant| !(1..10_000).contains(&instant.year())) {
                faults.push(format!("filter.{name}: an instant from the year 1 to the year 9999."));
            }
        }
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            faults.push("filter.until: an instant after filter.since.".to_owned());
        }
        if !faults.is_empty() {
            return Err(Error::BadInput(faults.join(" ")));
        }
        Ok(Self { subject, actor, actions: action, since, until })
    }

    fn is_of_one(&self) -> bool {
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

/// Something that was done. Events are never changed; of a person who is erased only the values go.
#[Object(name = "AuditEvent")]
impl audit_event::Model {
    /// The event's id, a UUID.
    pub async fn id(&self) -> Id {
        self.id
    }

    /// When it was done.
    async fn at(&self) -> DateTime<Utc> {
        self.at
    }

    /// What was done.
    async fn action(&self) -> AuditAction {
        self.action
    }

    /// Who did it; null for the command line, for who was not signed in, and for whom the viewer cannot see.
    async fn actor(&self, ctx: &Context<'_>) -> Result<Option<user::Model>> {
        located(ctx, async {
            match self.actor_id {
                Some(id) => Ok(ctx.loaders()?.load_one(UserById(id)).await?),
                None => Ok(None),
            }
        })
        .await
    }

    /// The API key by which the actor did it; null where it was none, was revoked, or is not for the viewer to see.
    async fn api_key(&self, ctx: &Context<'_>) -> Result<Option<api_key::Model>> {
        located(ctx, async {
            match self.api_key_id {
                Some(id) => Ok(ctx.loaders()?.load_one(ApiKeyById(id)).await?),
                None => Ok(None),
            }
        })
        .await
    }

    /// What it was done to; null where that is gone, or the viewer cannot see it.
    async fn subject(&self, ctx: &Context<'_>) -> Result<Option<Node>> {
        located(ctx, async {
            let (links, id) = (ctx.loaders()?, self.subject_id);
            Ok(match self.subject_type {
                SubjectType::User => links.load_one(UserById(id)).await?.map(Node::User),
                SubjectType::Group => links.load_one(GroupById(id)).await?.map(Node::Group),
                SubjectType::Institution => {
                    links.load_one(InstitutionById(id)).await?.map(Arc::unwrap_or_clone).map(Node::Institution)
                }
                SubjectType::License => links.load_one(LicenseById(id)).await?.map(Node::License),
                SubjectType::ApiKey => links.load_one(ApiKeyById(id)).await?.map(Node::ApiKey),
                SubjectType::Attribute => {
                    links.load_one(AttributeDefinitionById(id)).await?.map(Node::AttributeDefinition)
                }
            })
        })
        .await
    }

    /// The id of what it was done to, even if that is gone.
    async fn subject_id(&self) -> Id {
        self.subject_id
    }

    /// The fields that changed, at most 200; none where the person has been erased.
    async fn changes(&self, ctx: &Context<'_>) -> Result<Vec<ListItem<FieldChange>>> {
        located(ctx, async {
            let viewer = ctx.viewer()?;
            let changes = self.changes.as_deref().map(serde_json::from_str::<Vec<Change>>).transpose();
            let changes = changes.map_err(Error::internal)?.unwrap_or_default();
            let subject = (self.subject_type, self.subject_id);
            let shown = changes.into_iter().take(MOST_CHANGES).map(|Change { field, before, after }| {
                let is_seen = viewer.can_see_change(self.license_id, subject, &field);
                let value = |value: Option<Value>| value.filter(|_| is_seen).map(Json);
                FieldChange { before: value(before), after: value(after), field }
            });
            Ok(ListItem::list(shown))
        })
        .await
    }

    /// The id of the request by which it was done, as its response and the log have it; null for the command line.
    async fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

/// What is given for a field of the filter; null is a fault.
fn given<T: InputType>(field: &str, given: MaybeUndefined<T>, faults: &mut Vec<String>) -> Option<T> {
    if given.is_null() {
        faults.push(format!("filter.{field}: {NULL}"));
    }
    given.take()
}
