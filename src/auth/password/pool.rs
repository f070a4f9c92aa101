//! Hashing threads: few, and with low priority. The system runs them when no thread that answers requests needs the processor.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use crate::background::lower_priority;
use crate::error::Error;

/// The niceness of the threads, from 0 to 19 (POSIX nice). They get about a third of what others get of a busy processor; with
/// less, signing in on a busy machine would take longer than a request may.
const NICENESS: i32 = 5;

type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads, which end when the pool is dropped.
pub(super) struct Pool(Sender<Job>);

impl Pool {
    /// Starts a number of threads.
    pub(super) fn start(threads: usize) -> std::io::Result<Self> {
        let (sender, receiver) = channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..threads {
            let receiver = Arc::clone(&receiver);
            thread::Builder::new().name("hash".to_owned()).spawn(move || work(&receiver))?;
        }
        Ok(Self(sender))
    }

    /// Runs a job on one of the threads.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move || {
            // The caller may have gone; the result is then dropped.
            let _ = sender.send(job());
        });
        self.0.send(job).map_err(|_| Error::internal("the password hashing threads have stopped"))?;
        receiver.await.map_err(Error::internal)?
    }
}

fn work(receiver: &Mutex<Receiver<Job>>) {
    lower_priority(NICENESS);
    loop {
        let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("failed to compute a hash");
        }
    }
}
