//! Runs the loaders of a request inside the request itself: each as soon as every resolver has said what it needs.
//!
//! A loader that waits for a timer or on another thread may start while resolvers are still asking, and then needs
//! another statement for the late ones; and it would go on for a caller who has left.

use std::pin::pin;
use std::time::Duration;

use async_graphql::dataloader::DataLoader;
use async_graphql::runtime::Timer;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, Either, FutureExt, ready, select};
use futures_util::stream::FuturesUnordered;
use futures_util::task::{FutureObj, Spawn, SpawnError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::loader::Links;

/// How many keys one statement takes; SQLite has 32,766 places for values, and the keys are padded to a power of two.
const MOST_KEYS: usize = 16_384;

/// The loads that a request has begun.
pub struct Loads(UnboundedReceiver<FutureObj<'static, ()>>);

/// The loaders of a request, and the loads that they begin, to be [run](Loads::run) beside the request.
#[must_use]
pub fn gather(links: Links) -> (DataLoader<Links>, Loads) {
    let (sender, receiver) = unbounded_channel();
    let loader = DataLoader::new(links, Within(sender), AtOnce).max_batch_size(MOST_KEYS);
    (loader, Loads(receiver))
}

impl Loads {
    /// Runs `request` to its end and, whenever it waits, the loads that it has begun.
    pub async fn run<T>(mut self, request: impl Future<Output = T>) -> T {
        let mut request = pin!(request);
        let mut running = FuturesUnordered::new();
        loop {
            let progress = async {
                tokio::select! {
                    Some(load) = self.0.recv() => Some(load),
                    Some(()) = running.next() => None,
                    else => std::future::pending().await,
                }
            };
            // The request goes first: what it asks for in one turn is loaded together.
            let begun = match select(request.as_mut(), pin!(progress)).await {
                Either::Left((done, _)) => return done,
                Either::Right((begun, _)) => begun,
            };
            running.extend(begun);
        }
    }
}

/// Hands what is spawned to the request.
struct Within(UnboundedSender<FutureObj<'static, ()>>);

impl Spawn for Within {
    fn spawn_obj(&self, load: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.0.send(load).map_err(|_| SpawnError::shutdown())
    }
}

/// Does not wait: loads begin when the request itself has to wait.
struct AtOnce;

impl Timer for AtOnce {
    fn delay(&self, _: Duration) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }
}
