//! The turns of a request: other tasks run in between, however long its lists are.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;
use tokio::task::unconstrained;

/// Number of list items that are resolved in one turn, before other tasks run.
const ITEMS_PER_TURN: usize = 128;

/// The turns of one request.
#[derive(Debug)]
pub(super) struct Turns {
    /// A permit for each item that may still begin in this turn.
    permits: Semaphore,
    /// The number of permits that are not used yet, though an item may have acquired one already.
    unused: AtomicUsize,
}

impl Default for Turns {
    fn default() -> Self {
        Self { permits: Semaphore::new(0), unused: AtomicUsize::new(0) }
    }
}

impl Turns {
    /// Runs a request in turns of [`ITEMS_PER_TURN`] items; between them other tasks run and the deadline of the request is
    /// checked. At the end of each turn but the last, the request wakes itself during the turn. Code that waits until the request
    /// needs something, such as the [loaders](crate::graphql::batching), can tell from this that it needs nothing yet.
    pub(super) async fn run<T>(&self, request: impl Future<Output = T>) -> T {
        let mut request = pin!(request);
        poll_fn(|context| {
            let left = self.unused.swap(ITEMS_PER_TURN, Ordering::Relaxed);
            self.permits.add_permits(ITEMS_PER_TURN.saturating_sub(left));
            let polled = request.as_mut().poll(context);
            if polled.is_pending() && self.unused.load(Ordering::Relaxed) == 0 {
                context.waker().wake_by_ref();
            }
            polled
        })
        .await
    }

    /// Begins an item of a list, in this turn or a later one.
    pub(super) async fn begin_item(&self) {
        // With Tokio's own budget for a turn, every item of a list would wake the task by itself.
        if let Ok(permit) = unconstrained(self.permits.acquire()).await {
            permit.forget();
            self.unused.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::{Context as Turn, Poll, Waker};

    use async_graphql::{Context, EmptyMutation, EmptySubscription, Object, Request, Result, Schema};

    use super::*;
    use crate::budget::{Budget, ListItem};

    /// Counts the items that are resolved.
    struct Counted(Arc<AtomicUsize>);

    #[Object]
    impl Counted {
        async fn number(&self) -> usize {
            self.0.fetch_add(1, Ordering::Relaxed)
        }

        async fn items(&self, count: usize) -> Vec<ListItem<Self>> {
            items(&self.0, count)
        }
    }

    fn items(resolved: &Arc<AtomicUsize>, count: usize) -> Vec<ListItem<Counted>> {
        ListItem::list((0..count).map(|_| Counted(Arc::clone(resolved))))
    }

    struct Query;

    #[Object]
    impl Query {
        async fn items(&self, context: &Context<'_>, count: usize) -> Result<Vec<ListItem<Counted>>> {
            Ok(items(context.data()?, count))
        }
    }

    /// Returns the largest number of items that are resolved in one turn, and the number of all items.
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
    fn other_tasks_run_during_a_long_list() {
        for (document, count) in [
            ("{ items(count: 20000) { number } }", 20_000),
            ("{ items(count: 100) { items(count: 200) { number } } }", 20_000),
            ("{ items(count: 200) { number items(count: 1) { items(count: 100) { number } } } }", 20_200),
            ("{ a: items(count: 10000) { number } b: items(count: 10000) { number } }", 20_000),
        ] {
            let (most, all) = resolved_in_one_turn(document);
            assert_eq!(all, count, "{document}");
            assert!(most <= ITEMS_PER_TURN, "{most} of {document}");
        }
    }
}
