//! Figures of the machine and of processes. Linux only.

use std::fs;
use std::io;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// The clock tick of /proc: 10 ms on every machine, whatever the kernel's own is.
const TICK: Duration = Duration::from_millis(10);

/// Returns the processor, the cores and the load average, in one line.
pub fn description() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |name| processors.lines().find(|line| line.starts_with(name))?.split_once(':').map(|(_, value)| value);
    let model = value("model name").unwrap_or("processor unknown").trim();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores of {model}; load average {}", load_average())
}

/// Returns the load average of the last one, five and fifteen minutes.
pub fn load_average() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    averages.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Runs the calling thread only while the processors are idle: it simulates callers with machines of their own.
pub fn run_only_when_idle() -> Result<()> {
    let thread = fs::read_link("/proc/thread-self")?;
    let thread = thread.file_name().context("the thread has no id")?;
    let status = Command::new("chrt").args(["--idle", "--pid", "0"]).arg(thread).status().context("chrt")?;
    ensure!(status.success(), "chrt: {status}");
    Ok(())
}

/// Returns the processor time of all processes together, user and system.
pub fn cpu_of_all() -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let ticks: Vec<u32> = text.lines().next().unwrap_or_default().split(' ').filter_map(|n| n.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are part of user and nice.
    Ok(ticks.iter().take(8).enumerate().filter(|(n, _)| !matches!(n, 3 | 4)).map(|(_, ticks)| TICK * *ticks).sum())
}

/// Returns the processor time of a process, user and system.
pub fn cpu(pid: u32) -> io::Result<Duration> {
    Ok(times(pid)?.0)
}

/// Returns the processor time of a process and its children, including those that have ended.
pub fn cpu_of_family(pid: u32) -> io::Result<Duration> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    // A child may end meanwhile.
    let living = children.split_whitespace().filter_map(|child| times(child.parse().ok()?).ok());
    let (own, ended) = times(pid)?;
    Ok(living.fold(own + ended, |sum, (own, ended)| sum + own + ended))
}

/// Returns the resident memory of a process in MB, now and at its highest.
pub fn memory(pid: u32) -> io::Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let megabytes = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes / 1024)
    };
    Ok((megabytes("VmRSS:").unwrap_or(0), megabytes("VmHWM:").unwrap_or(0)))
}

/// Returns the processor time of a process itself, and of its children that have ended.
fn times(pid: u32) -> io::Result<(Duration, Duration)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may contain anything; utime is the 12th field after it.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    match fields.take(4).filter_map(|field| field.parse::<u32>().ok()).collect::<Vec<_>>().as_slice() {
        [user, system, children_user, children_system] => {
            Ok((TICK * (user + system), TICK * (children_user + children_system)))
        }
        _ => Err(io::Error::other("/proc/PID/stat has another form")),
    }
}
