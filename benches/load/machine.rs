//! What the machine says of itself and of processes. Linux only.

use std::fs;
use std::io;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// The clock tick of /proc, which is 10 ms on every machine whatever the kernel's own is.
const TICK: Duration = Duration::from_millis(10);

/// Processor, cores and how busy they are, in one line.
pub fn description() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |name| processors.lines().find(|line| line.starts_with(name))?.split_once(':').map(|(_, value)| value);
    let model = value("model name").unwrap_or("processor unknown").trim();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores of {model}; load average {}", load_average())
}

/// Of the last one, five and fifteen minutes.
pub fn load_average() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    averages.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Gives the calling thread the processors only while no other thread wants them: it stands for callers that have machines of their
/// own.
pub fn run_only_when_idle() -> Result<()> {
    let thread = fs::read_link("/proc/thread-self")?;
    let thread = thread.file_name().context("the thread has no id")?;
    let status = Command::new("chrt").args(["--idle", "--pid", "0"]).arg(thread).status().context("chrt")?;
    ensure!(status.success(), "chrt: {status}");
    Ok(())
}

/// The processor time that all processes together have taken, user and system.
pub fn cpu_of_all() -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let ticks: Vec<u32> = text.lines().next().unwrap_or_default().split(' ').filter_map(|n| n.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are part of user and nice.
    Ok(ticks.iter().take(8).enumerate().filter(|(n, _)| !matches!(n, 3 | 4)).map(|(_, ticks)| TICK * *ticks).sum())
}

/// The processor time that a process has taken, user and system.
pub fn cpu(pid: u32) -> io::Result<Duration> {
    Ok(times(pid)?.0)
}

/// The processor time of a process and of its children, those that have ended included.
pub fn cpu_of_family(pid: u32) -> io::Result<Duration> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    // A child may end while we look.
    let living = children.split_whitespace().filter_map(|child| times(child.parse().ok()?).ok());
    let (own, ended) = times(pid)?;
    Ok(living.fold(own + ended, |sum, (own, ended)| sum + own + ended))
}

/// Resident memory in MB, at this moment and at its highest.
pub fn memory(pid: u32) -> io::Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let megabytes = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes / 1024)
    };
    Ok((megabytes("VmRSS:").unwrap_or(0), megabytes("VmHWM:").unwrap_or(0)))
}

/// The time of a process itself, and of its children that have ended.
fn times(pid: u32) -> io::Result<(Duration, Duration)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything; utime is the 12th field after it.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    match fields.take(4).filter_map(|field| field.parse::<u32>().ok()).collect::<Vec<_>>().as_slice() {
        [user, system, children_user, children_system] => {
            Ok((TICK * (user + system), TICK * (children_user + children_system)))
        }
        _ => Err(io::Error::other("/proc/PID/stat has another form")),
    }
}
