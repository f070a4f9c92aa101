//! Messages of the log whose cause recurs, such as a database that cannot be reached: each is logged at most once a minute, with the
//! number of times that it occurred.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The minimum time between two messages with the same cause.
const INTERVAL: Duration = Duration::from_mins(1);

/// The occurrences of one cause.
pub struct Repeated(Mutex<Occurrences>);

struct Occurrences {
    logged_at: Option<Instant>,
    /// The number of occurrences since then.
    count: u64,
}

impl Repeated {
    /// Creates a cause that has not occurred yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Occurrences { logged_at: None, count: 0 }))
    }

    /// Counts an occurrence. If it is to be logged, returns the number of occurrences since the last one that was logged, this one
    /// included; otherwise `None`.
    pub fn count(&self) -> Option<u64> {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> Option<u64> {
        let mut occurrences = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        occurrences.count += 1;
        if occurrences.logged_at.is_some_and(|logged_at| now.duration_since(logged_at) < INTERVAL) {
            return None;
        }
        occurrences.logged_at = Some(now);
        Some(std::mem::take(&mut occurrences.count))
    }
}

impl Default for Repeated {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_logged_once_a_minute_with_its_number() {
        let (cause, begin) = (Repeated::new(), Instant::now());
        assert_eq!(cause.count_at(begin), Some(1));
        for seconds in [0, 1, 59] {
            assert_eq!(cause.count_at(begin + Duration::from_secs(seconds)), None, "{seconds}");
        }
        assert_eq!(cause.count_at(begin + INTERVAL), Some(4));
        assert_eq!(cause.count_at(begin + INTERVAL), None);
        assert_eq!(cause.count_at(begin + 3 * INTERVAL), Some(2));
        assert_eq!(cause.count_at(begin + 4 * INTERVAL), Some(1));
    }
}
