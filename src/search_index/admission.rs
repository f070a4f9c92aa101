//! Admission of searches: how many long ones run at once, of one caller and of all callers together.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::request::{Found, SearchRequest};
use super::snapshot::Snapshot;
use crate::background;
use crate::error::Error;
use crate::share::{Requester, ShareLimits, Shares};

/// The work of a search, in users times words, from which it is long: it may take so much time that it runs on another thread.
const LONG: usize = 400_000;

/// The long searches that run or wait.
pub(super) struct Admission {
    long: usize,
    callers: Shares<Requester>,
    /// A permit for each processor: more searches at once would only take more memory.
    processors: Arc<Semaphore>,
}

impl Default for Admission {
    fn default() -> Self {
        let limits =
            ShareLimits { at_once: background::threads(), waiting: 64, max_wait: Duration::from_secs(3), rest: 0 };
        let processors = Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from)));
        Self { long: LONG, callers: Shares::new(limits), processors }
    }
}

impl Admission {
    /// Searches a snapshot for a caller: at once, or as soon as the caller's share and a processor are free if it is long.
    ///
    /// # Errors
    /// `RateLimited` if too many long searches of the caller wait already, or for too long.
    pub(super) async fn search(
        &self,
        snapshot: Arc<Snapshot>,
        who: Requester,
        request: SearchRequest,
    ) -> Result<Found, Error> {
        if snapshot.len().saturating_mul(request.words.len()) < self.long {
            return Ok(snapshot.search(&request));
        }
        let share = self.callers.take(who).await.ok_or_else(too_many_searches)?;
        let processor = Arc::clone(&self.processors).acquire_owned().await.map_err(Error::internal)?;
        let search = move || {
            // Held until the search ends, even if the caller has left.
            let _slots = (share, processor);
            snapshot.search(&request)
        };
        spawn_blocking(search).await.map_err(Error::internal)
    }
}

fn too_many_searches() -> Error {
    Error::RateLimited("Too many of your searches are running; wait until some of them have finished.".to_owned())
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;
    use crate::scalar::Id;

    fn request() -> SearchRequest {
        SearchRequest {
            words: vec!["ada".to_owned()],
            license_id: None,
            include_inactive: false,
            among: None,
            always_with_typos: false,
            after: None,
            limit: 1,
        }
    }

    #[tokio::test]
    async fn long_searches_of_one_caller_are_limited_and_wait_for_a_processor() {
        let limits = ShareLimits { at_once: 1, waiting: 0, max_wait: Duration::ZERO, rest: 0 };
        let processors = Arc::new(Semaphore::new(1));
        let admission = Admission { long: 0, callers: Shares::new(limits), processors: Arc::clone(&processors) };
        let search = |who| admission.search(Arc::default(), who, request());
        let (ada, bob) = (Requester::User(Id::new()), Requester::User(Id::new()));
        let busy = processors.acquire().await.unwrap();
        let (mut first, mut second) = (pin!(search(ada)), pin!(search(bob)));
        for mut waiting in [first.as_mut(), second.as_mut()] {
            assert!(poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending())).await);
        }
        assert!(matches!(search(ada).await, Err(Error::RateLimited(_))));
        drop(busy);
        assert_eq!((first.await.unwrap().total, second.await.unwrap().total), (0, 0));
        assert_eq!(search(ada).await.unwrap().total, 0, "the slots are free again");
    }

    #[tokio::test]
    async fn a_short_search_needs_no_slot() {
        let admission = Admission { processors: Arc::new(Semaphore::new(0)), ..Admission::default() };
        assert_eq!(admission.search(Arc::default(), Requester::User(Id::new()), request()).await.unwrap().total, 0);
    }
}
