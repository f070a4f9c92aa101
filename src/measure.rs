//! Tools to measure with: a gauge of what is under way, and the buckets of durations.

use prometheus_client::metrics::{gauge::Gauge, histogram::Histogram};

/// The upper bounds of the buckets, in seconds: from a cached answer to the usual deadline of a request.
const DURATIONS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The upper bounds of the buckets of a histogram that exists once for each of many names, in seconds.
const COARSE_DURATIONS: [f64; 5] = [0.01, 0.05, 0.25, 1.0, 5.0];

/// Returns a histogram of durations in seconds.
#[must_use]
pub fn durations() -> Histogram {
    Histogram::new(DURATIONS)
}

/// Returns a histogram of durations in seconds with few buckets.
#[must_use]
pub fn coarse_durations() -> Histogram {
    Histogram::new(COARSE_DURATIONS)
}

/// Returns a number as the value of a gauge.
#[must_use]
pub fn gauge_value(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// Something that a gauge counts until it is dropped.
#[derive(Debug)]
pub struct UnderWay(Gauge);

impl UnderWay {
    /// Counts one more in a gauge.
    #[must_use]
    pub fn in_gauge(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_counts_what_is_under_way() {
        let gauge = Gauge::default();
        let [first, second] = [UnderWay::in_gauge(&gauge), UnderWay::in_gauge(&gauge)];
        assert_eq!(gauge.get(), 2);
        drop(first);
        assert_eq!(gauge.get(), 1);
        drop(second);
        assert_eq!(gauge.get(), 0);
    }
}
