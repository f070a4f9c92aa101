//! What one request may take, counted while it is answered: whatever its document is, and however much there is of what it
//! asks for, it ends soon after it is over a limit.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{
    ContainerType, ContextSelectionSet, Error as GraphQlError, OutputType, Positioned, ServerResult, Value,
};

use tokio::sync::Semaphore;
use tokio::task::unconstrained;

use crate::error::Error;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Statements that read.
    Statements,
    /// Values of the rows that these statements return.
    Values,
    /// Fields of the answer.
    Fields,
    /// Bytes of the answer.
    Bytes,
}

impl Limit {
    const ALL: [Self; 4] = [Self::Statements, Self::Values, Self::Fields, Self::Bytes];

    /// The most of it that one request may take.
    #[must_use]
    pub const fn most(self) -> usize {
        match self {
            // Ten root fields with ten links each.
            Self::Statements => 100,
            // A value takes up to 150 bytes of memory while its statement is read.
            Self::Values => 300_000,
            // A hundred users with everything, each in the most groups that a user may have, are 130,000.
            Self::Fields => 200_000,
            // Such a page is 6 MiB, the introspection of the schema a half.
            Self::Bytes => 8 * 1024 * 1024,
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Statements => "SQL statements for one request",
            Self::Values => "values read from the database for one request",
            Self::Fields => "fields in one answer",
            Self::Bytes => "bytes in one answer",
        }
    }
}

/// The items of lists that are resolved before other tasks get their turn.
const ITEMS_OF_A_TURN: usize = 128;

/// What one request has taken so far; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Budget(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    counters: [AtomicUsize; 4],
    /// A permit for each item that may still be begun in this turn.
    turn: Semaphore,
    /// The permits that are not used yet, though an item may have one already.
    unused: AtomicUsize,
}

impl Default for Taken {
    fn default() -> Self {
        Self { counters: Default::default(), turn: Semaphore::new(0), unused: AtomicUsize::new(0) }
    }
}

impl Budget {
    /// Takes from it.
    ///
    /// # Errors
    /// `AnswerTooLarge` once more was taken than there is; from then on always.
    pub fn charge(&self, limit: Limit, count: usize) -> Result<(), Error> {
        self.counter(limit).fetch_add(count, Ordering::Relaxed);
        self.check()
    }

    /// Whether the request is within its limits still.
    ///
    /// # Errors
    /// `AnswerTooLarge` where it is not, naming the limit.
    pub fn check(&self) -> Result<(), Error> {
        let exceeded = |limit: &Limit| self.taken(*limit) > limit.most();
        match Limit::ALL.iter().find(|limit| exceeded(limit)) {
            None => Ok(()),
            Some(limit) => Err(Error::AnswerTooLarge(format!(
                "The answer is too large: at most {} {} are allowed; ask for less at once.",
                limit.most(),
                limit.name()
            ))),
        }
    }

    /// How much was taken.
    #[must_use]
    pub fn taken(&self, limit: Limit) -> usize {
        self.counter(limit).load(Ordering::Relaxed)
    }

    /// Runs a request in turns of so many items, between which other tasks run and the deadline of the request holds. At the end
    /// of a turn that is not its last one the request asks for the next while it still has this one: what waits for it to need
    /// something, such as the [loaders](crate::gather), can tell by that that it needs nothing.
    pub async fn in_turns<T>(&self, request: impl Future<Output = T>) -> T {
        let mut request = pin!(request);
        let Taken { turn, unused, .. } = &*self.0;
        poll_fn(|context| {
            turn.add_permits(ITEMS_OF_A_TURN.saturating_sub(unused.swap(ITEMS_OF_A_TURN, Ordering::Relaxed)));
            let polled = request.as_mut().poll(context);
            if polled.is_pending() && unused.load(Ordering::Relaxed) == 0 {
                context.waker().wake_by_ref();
            }
            polled
        })
        .await
    }

    /// Begins an item of a list, in this turn or a later one.
    ///
    /// # Errors
    /// As [`Budget::check`].
    async fn begin_item(&self) -> Result<(), Error> {
        // Tokio's own budget for a turn would have every item of a list ask for the next one by itself.
        if let Ok(permit) = unconstrained(self.0.turn.acquire()).await {
            permit.forget();
            self.0.unused.fetch_sub(1, Ordering::Relaxed);
        }
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

/// How large a part of an answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub fields: usize,
    /// As JSON, about: what is escaped counts once.
    pub bytes: usize,
}

impl Size {
    /// The size of a whole value.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        let mut size = Self::default();
        size.add(value, true);
        size
    }

    /// The size of an item of a list, without the items of the lists in it.
    #[must_use]
    fn of_item(value: &Value) -> Self {
        let mut size = Self::default();
        size.add(value, false);
        size
    }

    fn add(&mut self, value: &Value, with_items: bool) {
        self.bytes += match value {
            Value::Object(fields) => {
                self.fields += fields.len();
                for (name, value) in fields {
                    self.bytes += name.len() + 4;
                    self.add(value, with_items);
                }
                2
            }
            Value::List(items) if with_items || !matches!(items.first(), Some(Value::Object(_))) => {
                for item in items {
                    self.bytes += 1;
                    self.add(item, with_items);
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

/// An item of a list in an answer. It is counted once it is resolved, and none is resolved any more once the request has taken
/// too much.
#[derive(Clone, Debug)]
pub struct Item<T>(pub T);

impl<T> Item<T> {
    /// A list whose items are counted.
    pub fn list(items: impl IntoIterator<Item = T>) -> Vec<Self> {
        items.into_iter().map(Self).collect()
    }
}

impl<T: OutputType> OutputType for Item<T> {
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
        let failed = |error: Error| ctx.set_error_path(GraphQlError::from(error).into_server_error(field.pos));
        let budget = ctx.data_opt::<Budget>();
        if let Some(budget) = budget {
            budget.begin_item().await.map_err(failed)?;
        }
        let value = self.0.resolve(ctx, field).await?;
        if let Some(budget) = budget {
            let size = Size::of_item(&value);
            budget.charge(Limit::Fields, size.fields).map_err(failed)?;
            budget.charge(Limit::Bytes, size.bytes).map_err(failed)?;
        }
        Ok(value)
    }
}

impl<T: ContainerType> ContainerType for Item<T> {
    async fn resolve_field(&self, ctx: &async_graphql::Context<'_>) -> ServerResult<Option<Value>> {
        self.0.resolve_field(ctx).await
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context as Turn, Poll, Waker};

    use async_graphql::{Context, EmptyMutation, EmptySubscription, Object, Request, Result, Schema};

    use super::*;

    /// Counts the items that are resolved.
    struct Counted(Arc<AtomicUsize>);

    #[Object]
    impl Counted {
        async fn number(&self) -> usize {
            self.0.fetch_add(1, Ordering::Relaxed)
        }

        async fn items(&self, count: usize) -> Vec<Item<Self>> {
            items(&self.0, count)
        }
    }

    fn items(resolved: &Arc<AtomicUsize>, count: usize) -> Vec<Item<Counted>> {
        Item::list((0..count).map(|_| Counted(Arc::clone(resolved))))
    }

    struct Query;

    #[Object]
    impl Query {
        async fn items(&self, context: &Context<'_>, count: usize) -> Result<Vec<Item<Counted>>> {
            Ok(items(context.data()?, count))
        }
    }

    /// The most items that are resolved before others get their turn, and all of them.
    fn resolved_in_one_turn(document: &str) -> (usize, usize) {
        let resolved = Arc::new(AtomicUsize::new(0));
        let schema = Schema::build(Query, EmptyMutation, EmptySubscription).data(Arc::clone(&resolved)).finish();
        let budget = Budget::default();
        let mut answer = pin!(budget.in_turns(schema.execute(Request::new(document).data(budget.clone()))));
        let (mut most, mut before) = (0, 0);
        loop {
            let turn = answer.as_mut().poll(&mut Turn::from_waker(Waker::noop()));
            let all = resolved.load(Ordering::Relaxed);
            most = most.max(all - before);
            before = all;
            if let Poll::Ready(answer) = turn {
                assert_eq!(answer.errors, []);
                return (most, all);
            }
        }
    }

    #[test]
    fn others_get_their_turn_during_a_long_list() {
        for (document, count) in [
            ("{ items(count: 20000) { number } }", 20_000),
            ("{ items(count: 100) { items(count: 200) { number } } }", 20_000),
            ("{ items(count: 200) { number items(count: 1) { items(count: 100) { number } } } }", 20_200),
            ("{ a: items(count: 10000) { number } b: items(count: 10000) { number } }", 20_000),
        ] {
            let (most, all) = resolved_in_one_turn(document);
            assert_eq!(all, count, "{document}");
            assert!(most <= ITEMS_OF_A_TURN, "{most} of {document}");
        }
    }
}
