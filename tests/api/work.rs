//! Work in units that are the same on every machine, where a test would otherwise read a clock.

use std::fs;
use std::sync::OnceLock;

/// The processor time that one thread has spent, in nanoseconds, as the kernel counts it; none where it is not Linux.
fn spent_by_this_thread() -> Option<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// The processor time of the reference work on this machine, in nanoseconds: the schema, written out once.
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

/// Work of this thread, begun. A directory of a test is served by the thread that asks it, unless the test has several.
pub struct Work(Option<u64>);

impl Work {
    pub fn begin() -> Self {
        unit();
        Self(spent_by_this_thread())
    }

    /// How many thousandths of the reference work were done since; none where it cannot be told.
    pub fn done(&self) -> Option<u64> {
        Some((spent_by_this_thread()? - self.0?) * 1_000 / unit()?.max(1))
    }
}
