//! Work in units that are the same on every machine, for tests that would otherwise measure time.

use std::fs;
use std::sync::OnceLock;

/// The processor time of this thread in nanoseconds, as the kernel counts it. None if not on Linux.
fn spent_by_this_thread() -> Option<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// The processor time of the reference work on this machine in nanoseconds: printing the schema once.
pub fn unit() -> Option<u64> {
    static UNIT: OnceLock<Option<u64>> = OnceLock::new();
    *UNIT.get_or_init(|| {
        let once = || {
            let before = spent_by_this_thread()?;
            assert!(!roster::schema::sdl().is_empty());
            Some(spent_by_this_thread()? - before)
        };
        (0..5).filter_map(|_| once()).min()
    })
}

/// Measures the work of this thread. In most tests, the thread that sends requests also serves them.
pub struct Work(Option<u64>);

impl Work {
    pub fn begin() -> Self {
        unit();
        Self(spent_by_this_thread())
    }

    /// The thousandths of the reference work done since the start. None if unknown.
    pub fn done(&self) -> Option<u64> {
        Some((spent_by_this_thread()? - self.0?) * 1_000 / unit()?.max(1))
    }
}
