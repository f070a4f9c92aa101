//! Fair shares: a limit on what each caller may have under way at once, so that a caller with many requests waits for their own,
//! and no other caller does.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::scalar::Id;

/// The maximum time that a slot rests.
const MAX_REST: Duration = Duration::from_secs(1);

/// The caller that requests are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Requester {
    /// A user, whichever sessions and API keys they use.
    User(Id),
    /// All anonymous clients of a network.
    Network(IpNet),
}

/// The shares of all callers, by key; cheap to clone.
#[derive(Clone)]
pub struct Shares<K> {
    limits: ShareLimits,
    /// The number of tasks that needed no slot.
    passed: Arc<AtomicU64>,
    queues: Arc<Mutex<HashMap<K, Arc<Queue>>>>,
}

/// The limits of each caller.
#[derive(Clone, Copy, Debug)]
pub struct ShareLimits {
    /// Maximum number of tasks under way at once.
    pub at_once: usize,
    /// Maximum number of tasks that wait for a slot; more are refused at once.
    pub waiting: usize,
    /// Maximum time that a task waits for a slot.
    pub max_wait: Duration,
    /// How many times as long as its task took a slot rests afterwards, at most a second, if other tasks passed meanwhile. So a
    /// caller with much work leaves the processors to others for most of the time.
    pub rest: u32,
}

/// The slots of one caller, in first-in, first-out order.
struct Queue {
    under_way: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

/// A slot of a caller, freed when it is dropped, or after its rest.
pub struct Share<K: Eq + Hash + Send + 'static> {
    slot: Option<Slot<K>>,
    taken_at: Instant,
    passed_before: u64,
}

struct Slot<K: Eq + Hash> {
    _under_way: OwnedSemaphorePermit,
    _admitted: OwnedSemaphorePermit,
    entry: QueueEntry<K>,
}

/// The entry of a caller in the map, removed with the caller's last slot.
struct QueueEntry<K: Eq + Hash> {
    key: K,
    queue: Option<Arc<Queue>>,
    shares: Shares<K>,
}

impl<K: Eq + Hash + Clone + Send + 'static> Shares<K> {
    /// Creates shares with the same limits for each caller.
    #[must_use]
    pub fn new(limits: ShareLimits) -> Self {
        Self { limits, passed: Arc::default(), queues: Arc::default() }
    }

    /// Creates shares with limits of their own. The tasks that pass are the same.
    #[must_use]
    pub fn sibling(&self, limits: ShareLimits) -> Self {
        Self { limits, passed: Arc::clone(&self.passed), queues: Arc::default() }
    }

    /// Waits in order for a slot of a caller. Returns `None` if too many tasks wait already, or if no slot becomes free in time.
    pub async fn take(&self, key: K) -> Option<Share<K>> {
        let entry = self.entry(key);
        let queue = entry.queue.clone()?;
        let admitted = Arc::clone(&queue.admitted).try_acquire_owned().ok()?;
        let under_way = timeout(self.limits.max_wait, Arc::clone(&queue.under_way).acquire_owned()).await.ok()?.ok()?;
        let passed_before = self.passed.load(Ordering::Relaxed);
        let slot = Slot { _under_way: under_way, _admitted: admitted, entry };
        Some(Share { slot: Some(slot), taken_at: Instant::now(), passed_before })
    }

    /// Notes a task that needs no slot.
    pub fn pass(&self) {
        self.passed.fetch_add(1, Ordering::Relaxed);
    }

    fn entry(&self, key: K) -> QueueEntry<K> {
        let ShareLimits { at_once, waiting, .. } = self.limits;
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(key.clone()).or_insert_with(|| {
            let [under_way, admitted] = [at_once, at_once + waiting].map(|permits| Arc::new(Semaphore::new(permits)));
            Arc::new(Queue { under_way, admitted })
        });
        QueueEntry { key, queue: Some(Arc::clone(queue)), shares: self.clone() }
    }
}

impl<K: Eq + Hash + Send + 'static> Drop for Share<K> {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        let Shares { limits, passed, .. } = &slot.entry.shares;
        if limits.rest == 0 || passed.load(Ordering::Relaxed) == self.passed_before {
            return;
        }
        // Without a runtime, nobody waits for the slot any more.
        let Ok(runtime) = Handle::try_current() else { return };
        let rest = self.taken_at.elapsed().saturating_mul(limits.rest).min(MAX_REST);
        runtime.spawn(async move {
            sleep(rest).await;
            drop(slot);
        });
    }
}

impl<K: Eq + Hash> Drop for QueueEntry<K> {
    fn drop(&mut self) {
        let mut queues = self.shares.queues.lock().unwrap_or_else(PoisonError::into_inner);
        self.queue = None;
        // No other task uses the entry: the map holds the last reference.
        if queues.get(&self.key).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn a_caller_beyond_the_limit_waits_and_others_do_not() {
        let shares = Shares::new(ShareLimits { at_once: 2, waiting: 3, max_wait: Duration::ZERO, rest: 0 });
        let two = (shares.take("ada").await.unwrap(), shares.take("ada").await.unwrap());
        assert!(join_all((0..9).map(|_| shares.take("ada"))).await.iter().all(Option::is_none), "none comes in time");
        let other = shares.take("bob").await;
        assert!(other.is_some(), "somebody else does not wait");

        let shares = Shares { limits: ShareLimits { max_wait: Duration::from_mins(1), ..shares.limits }, ..shares };
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let shares = shares.clone();
                tokio::spawn(async move { shares.take("ada").await.is_some() })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(shares.take("ada").await.is_none(), "no more wait");
        drop(two);
        assert!(join_all(waiting).await.into_iter().all(Result::unwrap), "whoever waits is next");
        drop(other);
        assert!(shares.queues.lock().unwrap().is_empty(), "callers are forgotten");
    }

    #[tokio::test]
    async fn a_slot_rests_only_if_others_passed_meanwhile() {
        let limits = ShareLimits { at_once: 1, waiting: 0, max_wait: Duration::ZERO, rest: 1_000_000 };
        let shares = Shares::new(limits);
        drop(shares.take("ada").await);
        let again = shares.take("ada").await;
        assert!(again.is_some(), "nobody passed");
        shares.pass();
        drop(again);
        assert!(shares.take("ada").await.is_none(), "the slot rests");
        assert!(shares.take("bob").await.is_some(), "the slots of others do not");
        while !shares.queues.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(shares.take("ada").await.is_some(), "it rests for a second at most");
    }

    #[tokio::test]
    async fn no_task_waits_if_the_limit_of_waiting_is_zero() {
        let shares = Shares::new(ShareLimits { at_once: 1, waiting: 0, max_wait: Duration::from_mins(1), rest: 0 });
        let one = shares.take("ada").await;
        assert!(shares.take("ada").await.is_none());
        drop(one);
        assert!(shares.take("ada").await.is_some());
    }
}
