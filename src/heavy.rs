//! Turns for requests that cost much: a caller has only a few of them under way at once, so that one who sends many waits for
//! their own, and nobody else does.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::scalar::Id;

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many requests of a caller wait at once; more are refused at once.
const MOST_WAITING: usize = 16;

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// A user, whichever sessions and keys they use.
    User(Id),
    /// Everybody who comes from an address without signing in.
    Address(IpAddr),
}

/// The turns of all callers; cheap to clone.
#[derive(Clone)]
pub struct HeavyRequests {
    at_once: usize,
    patience: Duration,
    callers: Arc<Mutex<HashMap<Who, Arc<Queue>>>>,
}

/// The turns of one caller. Who waits longest is next.
struct Queue {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// A turn, until it is dropped.
pub struct Turn {
    _turn: OwnedSemaphorePermit,
    _guest: Guest,
}

/// The part of a caller in the map, who is forgotten with the last request.
struct Guest {
    who: Who,
    queue: Option<Arc<Queue>>,
    of: HeavyRequests,
}

/// That a caller has too many requests under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl HeavyRequests {
    /// Each caller has so many under way at once, and the others wait so long.
    #[must_use]
    pub fn new(at_once: usize, patience: Duration) -> Self {
        Self { at_once, patience, callers: Arc::default() }
    }

    /// On half of the processors, so that one caller never keeps all of them busy.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new((processors / 2).max(1), PATIENCE)
    }

    /// A turn of a caller, waited for in order.
    ///
    /// # Errors
    /// `TooMany` where too many wait already, or none comes in time.
    pub async fn turn(&self, who: Who) -> Result<Turn, TooMany> {
        let guest = self.guest(who);
        let queue = guest.queue.as_ref().ok_or(TooMany)?;
        let _place = Arc::clone(&queue.places).try_acquire_owned().map_err(|_| TooMany)?;
        let turn = timeout(self.patience, Arc::clone(&queue.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| TooMany)?.map_err(|_| TooMany)?;
        Ok(Turn { _turn: turn, _guest: guest })
    }

    fn guest(&self, who: Who) -> Guest {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = callers.entry(who).or_insert_with(|| {
            let [turns, places] =
                [self.at_once, self.at_once + MOST_WAITING].map(|most| Arc::new(Semaphore::new(most)));
            Arc::new(Queue { turns, places })
        });
        Guest { who, queue: Some(Arc::clone(queue)), of: self.clone() }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut callers = self.of.callers.lock().unwrap_or_else(PoisonError::into_inner);
        self.queue = None;
        // Nobody else: the map itself holds the last part.
        if callers.get(&self.who).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            callers.remove(&self.who);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn a_caller_has_so_many_under_way_and_waits_for_the_rest() {
        let heavy = HeavyRequests::new(2, Duration::ZERO);
        let ann = Who::User(Id::new());
        let turns = (heavy.turn(ann).await.ok().unwrap(), heavy.turn(ann).await.ok().unwrap());
        let waiting = (0..MOST_WAITING + 2).map(|_| heavy.turn(ann));
        assert!(join_all(waiting).await.into_iter().all(|turn| turn.is_err()), "none comes in time");
        let other = heavy.turn(Who::Address([127, 0, 0, 1].into())).await;
        assert!(other.is_ok(), "somebody else does not wait");
        let heavy = HeavyRequests { patience: PATIENCE, ..heavy };
        let third = tokio::spawn({
            let heavy = heavy.clone();
            async move { heavy.turn(ann).await.is_ok() }
        });
        tokio::task::yield_now().await;
        drop(turns);
        assert!(third.await.unwrap(), "whoever waits is next");
        drop(other);
        assert!(heavy.callers.lock().unwrap().is_empty(), "callers are forgotten");
    }
}
