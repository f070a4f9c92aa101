//! Batching: runs the loaders of a request inside the request itself, each as soon as every resolver has asked for what it needs.
//!
//! A loader that waits for a timer or on another thread may start while resolvers are still asking, and then needs another
//! statement for the late ones; it would also go on after the caller has disconnected.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use async_graphql::dataloader::DataLoader;
use async_graphql::runtime::Timer;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt, ready};
use futures_util::stream::FuturesUnordered;
use futures_util::task::{FutureObj, Spawn, SpawnError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::graphql::loader::Loaders;

/// Maximum number of keys in one statement: SQLite has 32,766 bind parameters, and the number of keys is padded to a power of
/// two.
const MAX_KEYS: usize = 16_384;

/// The loads that a request has begun.
pub struct PendingLoads(UnboundedReceiver<FutureObj<'static, ()>>);

/// Creates the data loader of a request, and its pending loads, which must be [run](PendingLoads::run) together with the request.
#[must_use]
pub fn batch(loaders: Loaders) -> (DataLoader<Loaders>, PendingLoads) {
    let (sender, receiver) = unbounded_channel();
    let loader = DataLoader::new(loaders, RequestSpawner(sender), ImmediateTimer).max_batch_size(MAX_KEYS);
    (loader, PendingLoads(receiver))
}

impl PendingLoads {
    /// Runs `request` to its end and, whenever it waits, the loads that it has begun. A request that merely yields does not wait:
    /// everything that it asks for before it waits is loaded together.
    pub async fn run<T>(mut self, request: impl Future<Output = T>) -> T {
        let mut request = pin!(request);
        let mut running = FuturesUnordered::new();
        poll_fn(|context| {
            let turn = Arc::new(Turn { waker: context.waker().clone(), is_next: AtomicBool::new(false) });
            if let Poll::Ready(done) = request.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&turn))))
            {
                return Poll::Ready(done);
            }
            if !turn.is_next.load(Ordering::Acquire) {
                while let Poll::Ready(Some(load)) = self.0.poll_recv(context) {
                    running.push(load);
                }
            }
            while let Poll::Ready(Some(())) = running.poll_next_unpin(context) {}
            Poll::Pending
        })
        .await
    }
}

/// One poll of a request; records whether the request has already woken itself for the next one.
struct Turn {
    waker: Waker,
    is_next: AtomicBool,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_next.store(true, Ordering::Release);
        self.waker.wake_by_ref();
    }
}

/// Spawns loads into the request.
struct RequestSpawner(UnboundedSender<FutureObj<'static, ()>>);

impl Spawn for RequestSpawner {
    fn spawn_obj(&self, load: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.0.send(load).map_err(|_| SpawnError::shutdown())
    }
}

/// A timer that does not wait: loads begin when the request itself has to wait.
struct ImmediateTimer;

impl Timer for ImmediateTimer {
    fn delay(&self, _: Duration) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }
}
