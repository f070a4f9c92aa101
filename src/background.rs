//! Threads for work that takes long, at a low priority: the system runs them while no other thread needs the processor, and for a
//! small part of the time otherwise.

use std::panic::resume_unwind;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::Instrument;

use crate::trace;

/// The niceness of the threads, from 0 to 19 (POSIX nice). On a processor that other threads use all the time, they get a tenth.
/// Threads that they start, such as those of SQLite connections, inherit it.
const NICENESS: i32 = 10;

/// `None` if the system cannot start threads.
static THREADS: LazyLock<Option<Runtime>> = LazyLock::new(|| match start() {
    Ok(threads) => Some(threads),
    Err(error) => {
        tracing::warn!(%error, "failed to start background threads; expensive requests run at normal priority");
        None
    }
});

/// Returns the number of threads: half of the processors, at least one. The other half is left to all other requests.
#[must_use]
pub fn threads() -> usize {
    (std::thread::available_parallelism().map_or(1, usize::from) / 2).max(1)
}

fn start() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads())
        .thread_name("background")
        .on_thread_start(|| lower_priority(NICENESS))
        .enable_all()
        .build()
}

/// Increases the niceness of the calling thread by this much.
pub fn lower_priority(niceness: i32) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(niceness) {
        let thread = std::thread::current();
        tracing::warn!(%error, thread = thread.name(), "failed to lower the priority of a thread");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = niceness;
}

/// Runs `work` on these threads; it is canceled when the returned future is dropped. A panic of `work` continues in the caller.
pub async fn run<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let Some(threads) = &*THREADS else { return work.await };
    let mut task = JoinSet::new();
    task.spawn_on(trace::inherit(work.in_current_span()), threads.handle());
    match task.join_next().await {
        Some(Ok(output)) => output,
        Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
        // The threads end with the process.
        _ => std::future::pending().await,
    }
}

/// Runs a task at the ordinary priority until it returns. If it panics, it is started again after a delay. It is canceled when the
/// returned future is dropped.
pub async fn supervise<F>(what: &str, delay: Duration, task: impl Fn() -> F + Send)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let mut running = JoinSet::new();
        running.spawn(task());
        match running.join_next().await {
            Some(Err(error)) if error.is_panic() => tracing::error!(%error, "{what} failed; starting it again"),
            _ => return,
        }
        sleep(delay).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn work_runs_at_low_priority_and_is_canceled_with_its_caller() {
        let name = run(async { std::thread::current().name().map(str::to_owned) }).await;
        assert_eq!(name.as_deref(), Some("background"));
        #[cfg(target_os = "linux")]
        assert_eq!(run(async { rustix::process::getpriority_process(None) }).await.ok(), Some(NICENESS));

        let original = Arc::new(());
        let clone = Arc::clone(&original);
        let work = run(async move {
            std::future::pending::<()>().await;
            drop(clone);
        });
        assert!(tokio::time::timeout(std::time::Duration::ZERO, work).await.is_err());
        while Arc::strong_count(&original) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    #[should_panic(expected = "of the work")]
    async fn a_panic_continues_in_the_caller() {
        run(async { panic!("a panic of the work") }).await;
    }

    #[tokio::test]
    async fn a_supervised_task_is_started_again_after_a_panic_and_not_after_its_end() {
        let starts = Arc::new(AtomicUsize::new(0));
        let task = || {
            let starts = Arc::clone(&starts);
            async move { assert_eq!(starts.fetch_add(1, Ordering::Relaxed), 2, "a panic of the task") }
        };
        supervise("the task", Duration::ZERO, task).await;
        assert_eq!(starts.load(Ordering::Relaxed), 3);
    }
}
