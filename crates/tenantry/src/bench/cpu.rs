//! CPU seconds and memory of processes, from `/proc`. Zero where that does not exist.

use std::fs;
use std::pin::pin;
use std::time::Duration;

use serde::Serialize;

/// Clock ticks a second, as Linux counts them for user space on every architecture.
const TICKS: f64 = 100.0;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    /// CPU seconds, its children that ended included.
    pub(super) cpu_s: f64,
    /// Resident memory in MiB.
    pub(super) rss_mib: f64,
}

struct Stat {
    parent: u32,
    ticks: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command may hold spaces; the fields after its closing bracket do not.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Some(Stat { parent: number(1) as u32, ticks: (11..15).map(number).sum() })
}

fn rss(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// What a process has used, with `family` also its living descendants (PostgreSQL has one for each connection).
pub(super) fn used(pid: u32, family: bool) -> Used {
    let mut used = Used { cpu_s: stat(pid).map_or(0.0, |stat| stat.ticks / TICKS), rss_mib: rss(pid) };
    if !family {
        return used;
    }
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let stats: Vec<(u32, Stat)> = pids.filter_map(|pid| Some((pid, stat(pid)?))).collect();
    let mut family = vec![pid];
    while let Some(parent) = family.pop() {
        for (child, stat) in stats.iter().filter(|(_, stat)| stat.parent == parent) {
            used.cpu_s += stat.ticks / TICKS;
            family.push(*child);
        }
    }
    used
}

/// How often memory is looked at.
const SAMPLED_EVERY: Duration = Duration::from_millis(200);

/// The resident memory of a process while something went on, in MiB.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Memory {
    pub(super) name: String,
    pub(super) before_mib: f64,
    pub(super) peak_mib: f64,
    pub(super) end_mib: f64,
}

/// Does something, and looks at the memory of these processes meanwhile.
pub(super) async fn sampled<F: Future>(processes: &[(String, u32)], work: F) -> (F::Output, Vec<Memory>) {
    let look = |(name, pid): &(String, u32)| {
        let mib = rss(*pid);
        Memory { name: name.clone(), before_mib: mib, peak_mib: mib, end_mib: mib }
    };
    let mut all: Vec<Memory> = processes.iter().map(look).collect();
    let mut look_again = || {
        for (one, (_, pid)) in all.iter_mut().zip(processes) {
            one.end_mib = rss(*pid);
            one.peak_mib = one.peak_mib.max(one.end_mib);
        }
    };
    let mut work = pin!(work);
    let mut tick = tokio::time::interval(SAMPLED_EVERY);
    loop {
        tokio::select! {
            done = &mut work => {
                look_again();
                return (done, all);
            }
            _ = tick.tick() => look_again(),
        }
    }
}
