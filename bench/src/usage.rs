//! What a process costs, as the kernel counts it: CPU time in ticks (mostly 10 ms) and resident memory.
use std::time::Duration;

use anyhow::{Context as _, Result};

/// How long after the load the CPU time is read, so that work put off by the server is its own.
pub const AFTERMATH: Duration = Duration::from_secs(1);

/// Cost of one run.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub cpu_seconds: f64,
    pub peak_rss_mib: f64,
    /// CPU time of this program and of the load programs that it started meanwhile.
    pub generator_cpu_seconds: f64,
}

/// Runs `load` and says what it cost the process `pid`, from before its start to one second after its end.
pub fn measure<T>(pid: u32, load: impl FnOnce() -> Result<T>) -> Result<(T, Usage)> {
    reset_peak_rss(pid)?;
    let (server_before, generator_before) = (cpu_seconds(pid)?, own_cpu_seconds()?);
    let outcome = load()?;
    let generator_after = own_cpu_seconds()?;
    std::thread::sleep(AFTERMATH);
    let usage = Usage {
        cpu_seconds: cpu_seconds(pid)? - server_before,
        peak_rss_mib: peak_rss_mib(pid)?,
        generator_cpu_seconds: generator_after - generator_before,
    };
    Ok((outcome, usage))
}

/// User and system time of the process so far.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    stat_seconds(&stat, 2).with_context(|| format!("/proc/{pid}/stat has not the usual form"))
}

/// User and system time of this process and of its children that have ended.
fn own_cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    stat_seconds(&stat, 4).context("/proc/self/stat has not the usual form")
}

pub fn rss_mib(pid: u32) -> Result<f64> {
    status_mib(pid, "VmRSS:")
}

pub fn peak_rss_mib(pid: u32) -> Result<f64> {
    status_mib(pid, "VmHWM:")
}

/// User and system time of a process, of its children that run and of those that have ended.
pub fn family_cpu_seconds(pid: u32) -> Result<f64> {
    let time_of = |pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A child that has just ended is counted with its parent.
        stat_seconds(&stat, 2).unwrap_or(0.0)
    };
    let own = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let own = stat_seconds(&own, 4).with_context(|| format!("/proc/{pid}/stat has not the usual form"))?;
    Ok(own + children(pid)?.into_iter().map(time_of).sum::<f64>())
}

/// Resident memory of a process and of its children; what they share is counted for each of them.
pub fn family_rss_mib(pid: u32) -> Result<f64> {
    let of_children = children(pid)?.into_iter().map(|child| rss_mib(child).unwrap_or(0.0)).sum::<f64>();
    Ok(rss_mib(pid)? + of_children)
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let processes = std::fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(processes.filter(|process| parent_of(*process) == Some(pid)).collect())
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}

/// Sets the peak to what is resident now.
fn reset_peak_rss(pid: u32) -> Result<()> {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").context("cannot reset the peak RSS")
}

/// The sum of `count` fields from utime on: utime, stime, cutime, cstime.
fn stat_seconds(stat: &str, count: usize) -> Option<f64> {
    // The name in parentheses may itself hold spaces; state, the field after it, is number 3, utime number 14.
    let (_, fields) = stat.rsplit_once(')')?;
    let times = fields.split_whitespace().skip(11).take(count);
    let ticks = times.map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn status_mib(pid: u32, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    Ok(kib.with_context(|| format!("/proc/{pid}/status has no {field}"))? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_spaces_and_parentheses() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 10 20 30 40 150 50 300 100 20 0";
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(stat_seconds(stat, 2), Some(200.0 / per_second));
        assert_eq!(stat_seconds(stat, 4), Some(600.0 / per_second));
        assert_eq!(stat_seconds("nonsense", 2), None);
    }

    #[test]
    fn a_family_is_a_process_and_its_children() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let own = std::process::id();
        assert_eq!(parent_of(child.id()), Some(own));
        assert!(family_rss_mib(own).unwrap() > rss_mib(child.id()).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn this_process_has_memory_and_time() {
        let pid = std::process::id();
        assert!(rss_mib(pid).unwrap() > 0.1 && peak_rss_mib(pid).unwrap() >= rss_mib(pid).unwrap() * 0.5);
        assert!(cpu_seconds(pid).unwrap() >= 0.0);
    }
}
