//! Work in units that are the same on every machine, for tests that would otherwise measure time.

use std::sync::OnceLock;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time of this thread in nanoseconds.
fn spent_by_this_thread() -> u64 {
    let spent = Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    u64::try_from(spent.as_nanos()).unwrap()
}

/// The processor time of the reference work on this machine in nanoseconds: printing the schema once.
pub fn unit() -> u64 {
    static UNIT: OnceLock<u64> = OnceLock::new();
    *UNIT.get_or_init(|| {
        let once = || {
            let before = spent_by_this_thread();
            assert!(!roster::schema::sdl().is_empty());
            spent_by_this_thread() - before
        };
        (0..5).map(|_| once()).min().unwrap_or_default().max(1)
    })
}

/// Measures the work of this thread. In most tests, the thread that sends requests also serves them.
pub struct Work(u64);

impl Work {
    pub fn begin() -> Self {
        unit();
        Self(spent_by_this_thread())
    }

    /// The thousandths of the reference work done since the start.
    pub fn done(&self) -> u64 {
        (spent_by_this_thread() - self.0) * 1_000 / unit()
    }
}
