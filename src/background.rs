//! Threads for work that takes long, at a low priority: the system runs them while no other thread needs the processor, and for a
//! small part of the time otherwise.

use std::panic::resume_unwind;
use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tracing::Instrument;

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
    task.spawn_on(work.in_current_span(), threads.handle());
    match task.join_next().await {
        Some(Ok(output)) => output,
        Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
        // The threads end with the process.
        _ => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
}
