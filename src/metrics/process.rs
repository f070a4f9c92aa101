//! The metrics of the process, under the names that all programs give them
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use prometheus_client::registry::Registry;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::measure::gauge_value;

/// Gauges that are set by each scrape.
#[derive(Default)]
pub(super) struct ProcessMetrics {
    cpu: Counter<f64, AtomicU64>,
    resident_memory: Gauge,
    virtual_memory: Gauge,
    open_descriptors: Gauge,
    max_descriptors: Gauge,
}

impl ProcessMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("process_cpu_seconds", "Processor time", self.cpu.clone());
        registry.register("process_resident_memory_bytes", "Resident memory", self.resident_memory.clone());
        registry.register("process_virtual_memory_bytes", "Virtual memory", self.virtual_memory.clone());
        registry.register("process_open_fds", "Open file descriptors", self.open_descriptors.clone());
        registry.register("process_max_fds", "Maximum number of open file descriptors", self.max_descriptors.clone());
    }

    /// Sets the gauges to the state of this moment. Values that cannot be read stay as they were.
    pub(super) fn update(&self) {
        if let Ok(cpu) = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)) {
            self.cpu.inner().store(cpu.as_secs_f64().to_bits(), Ordering::Relaxed);
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            for (name, gauge) in [("VmRSS:", &self.resident_memory), ("VmSize:", &self.virtual_memory)] {
                if let Some(bytes) = bytes_of(&status, name) {
                    gauge.set(bytes);
                }
            }
        }
        if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
            // One of them is that of the directory itself.
            self.open_descriptors.set(gauge_value(descriptors.count().saturating_sub(1)));
        }
        let limit = getrlimit(Resource::Nofile).current;
        self.max_descriptors.set(limit.map_or(i64::MAX, gauge_value));
    }
}

/// Returns the value of a line such as `VmRSS:   1234 kB`, in bytes.
fn bytes_of(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: i64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_measures_itself() {
        let metrics = ProcessMetrics::default();
        metrics.update();
        assert!(metrics.cpu.get() > 0.0);
        for gauge in [&metrics.resident_memory, &metrics.virtual_memory] {
            assert!(gauge.get() > 1 << 20, "{}", gauge.get());
        }
        assert!((3..=metrics.max_descriptors.get()).contains(&metrics.open_descriptors.get()));
        assert_eq!(bytes_of("VmSize:\t 20 kB\nVmRSS:\t  2 kB\n", "VmRSS:"), Some(2048));
        assert_eq!(bytes_of("VmRSS:\t  x kB\n", "VmRSS:"), None);
    }
}
