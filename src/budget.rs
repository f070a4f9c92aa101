//! The budget of one request, counted during execution: whatever the document is, and however much data it selects, the request
//! ends soon after it exceeds a limit.

mod turns;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{
    ContainerType, ContextSelectionSet, Error as GraphQlError, OutputType, Positioned, ServerResult, Value,
};

use self::turns::Turns;
use crate::error::Error;

/// The quantities that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// SQL statements that read.
    Statements,
    /// Values in the rows that these statements return.
    Values,
    /// Fields in the response.
    Fields,
    /// Bytes in the response.
    Bytes,
}

impl Limit {
    const ALL: [Self; 4] = [Self::Statements, Self::Values, Self::Fields, Self::Bytes];

    /// Returns the maximum for one request.
    #[must_use]
    pub const fn maximum(self) -> usize {
        match self {
            // Ten root fields with ten relations each.
            Self::Statements => 100,
            // A value takes up to 150 bytes of memory while its statement is read.
            Self::Values => 300_000,
            // A page of 100 users with all fields, each user in as many groups as allowed, has 130,000.
            Self::Fields => 200_000,
            // Such a page has 6 MiB, the introspection of the schema half a MiB.
            Self::Bytes => 8 * 1024 * 1024,
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Statements => "SQL statements per request",
            Self::Values => "values read from the database per request",
            Self::Fields => "fields per response",
            Self::Bytes => "bytes per response",
        }
    }
}

/// The usage of one request so far; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Budget(Arc<Usage>);

#[derive(Debug, Default)]
struct Usage {
    counters: [AtomicUsize; 4],
    turns: Turns,
}

impl Budget {
    /// Adds to the usage.
    ///
    /// # Errors
    /// `AnswerTooLarge` once a limit is exceeded, and on every later call.
    pub fn charge(&self, limit: Limit, count: usize) -> Result<(), Error> {
        self.counter(limit).fetch_add(count, Ordering::Relaxed);
        self.check()
    }

    /// Checks that the request is still within its limits.
    ///
    /// # Errors
    /// `AnswerTooLarge` if not; the message names the limit.
    pub fn check(&self) -> Result<(), Error> {
        let exceeded = |limit: &Limit| self.used(*limit) > limit.maximum();
        match Limit::ALL.iter().find(|limit| exceeded(limit)) {
            None => Ok(()),
            Some(limit) => Err(Error::AnswerTooLarge(format!(
                "The response is too large: at most {} {} are allowed; request less data at once.",
                limit.maximum(),
                limit.name()
            ))),
        }
    }

    /// Returns the usage so far.
    #[must_use]
    pub fn used(&self, limit: Limit) -> usize {
        self.counter(limit).load(Ordering::Relaxed)
    }

    /// Runs a request in turns; between them other tasks run and the deadline of the request is checked.
    pub fn in_turns<T>(&self, request: impl Future<Output = T>) -> impl Future<Output = T> {
        self.0.turns.run(request)
    }

    /// Begins an item of a list, in this turn or a later one.
    ///
    /// # Errors
    /// As [`Budget::check`].
    async fn begin_item(&self) -> Result<(), Error> {
        self.0.turns.begin_item().await;
        self.check()
    }

    fn counter(&self, limit: Limit) -> &AtomicUsize {
        let [statements, values, fields, bytes] = &self.0.counters;
        match limit {
            Limit::Statements => statements,
            Limit::Values => values,
            Limit::Fields => fields,
            Limit::Bytes => bytes,
        }
    }
}

/// The size of a part of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub fields: usize,
    /// Approximate length as JSON: an escaped character counts as one.
    pub bytes: usize,
}

impl Size {
    /// Returns the size of a whole value.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        let mut size = Self::default();
        size.add(value, true);
        size
    }

    /// Returns the size of a list item, without the items of lists inside it.
    #[must_use]
    fn of_item(value: &Value) -> Self {
        let mut size = Self::default();
        size.add(value, false);
        size
    }

    fn add(&mut self, value: &Value, include_items: bool) {
        self.bytes += match value {
            Value::Object(fields) => {
                self.fields += fields.len();
                for (name, value) in fields {
                    self.bytes += name.len() + 4;
                    self.add(value, include_items);
                }
                2
            }
            Value::List(items) if include_items || !matches!(items.first(), Some(Value::Object(_))) => {
                for item in items {
                    self.bytes += 1;
                    self.add(item, include_items);
                }
                2
            }
            Value::String(text) => text.len() + 2,
            Value::Enum(name) => name.len() + 2,
            Value::List(_) => 2,
            Value::Null | Value::Boolean(_) | Value::Number(_) => 5,
            Value::Binary(bytes) => 4 * bytes.len(),
        };
    }
}

/// A list item in a response. It is counted once it is resolved; after the request has exceeded its budget, no more items are
/// resolved.
#[derive(Clone, Debug)]
pub struct ListItem<T>(pub T);

impl<T> ListItem<T> {
    /// Makes a list whose items are counted.
    pub fn list(items: impl IntoIterator<Item = T>) -> Vec<Self> {
        items.into_iter().map(Self).collect()
    }
}

impl<T: OutputType> OutputType for ListItem<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn qualified_type_name() -> String {
        T::qualified_type_name()
    }

    fn introspection_type_name(&self) -> Cow<'static, str> {
        self.0.introspection_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        let located_error = |error: Error| ctx.set_error_path(GraphQlError::from(error).into_server_error(field.pos));
        let budget = ctx.data_opt::<Budget>();
        if let Some(budget) = budget {
            budget.begin_item().await.map_err(located_error)?;
        }
        let value = self.0.resolve(ctx, field).await?;
        if let Some(budget) = budget {
            let size = Size::of_item(&value);
            budget.charge(Limit::Fields, size.fields).map_err(located_error)?;
            budget.charge(Limit::Bytes, size.bytes).map_err(located_error)?;
        }
        Ok(value)
    }
}

impl<T: ContainerType> ContainerType for ListItem<T> {
    async fn resolve_field(&self, ctx: &async_graphql::Context<'_>) -> ServerResult<Option<Value>> {
        self.0.resolve_field(ctx).await
    }
}
