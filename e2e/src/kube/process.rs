//! A process that outlives the command that started it, remembered in a file by its pid and its start time: a pid may be given to
//! somebody else, a pair may not. A zombie counts as ended, for whoever adopted it may take seconds to collect it; but not while
//! other threads of it are still ending, for they keep its sockets and files open.
use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::command::behind;
use super::layout::Layout;
use crate::process::wait_until;

const KILL_LIMIT: Duration = Duration::from_secs(20);

/// A process of one name.
#[derive(Debug)]
pub struct Remembered {
    name: String,
    file: PathBuf,
    log: PathBuf,
}

impl Remembered {
    pub fn named(layout: &Layout, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            file: layout.run().join(format!("{name}.pid")),
            log: layout.logs().join(format!("{name}.log")),
        }
    }

    /// Starts `command` in a session of its own, so that neither Ctrl-C nor the end of a terminal reaches it.
    pub fn start(&self, command: &Command) -> Result<()> {
        if self.pid().is_some() {
            bail!("{} runs already", self.name);
        }
        let log = self.open_log()?;
        let child = in_new_session(command)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        let started =
            start_time(child.id()).with_context(|| format!("{} ended at once: {}", self.name, self.log_tail()))?;
        std::fs::write(&self.file, format!("{} {started}", child.id()))?;
        Ok(())
    }

    /// The pid while it runs.
    pub fn pid(&self) -> Option<u32> {
        let text = std::fs::read_to_string(&self.file).ok()?;
        let (pid, started) = text.split_once(' ')?;
        let pid = pid.parse().ok()?;
        (start_time(pid).as_deref() == Some(started)).then_some(pid)
    }

    pub fn children(&self) -> Vec<u32> {
        self.pid().map(children).unwrap_or_default()
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().with_context(|| format!("{} does not run", self.name))?;
        send(pid, signal)
    }

    /// Asks it to end and kills it when it does not.
    pub fn stop(&self, limit: Duration) -> Result<()> {
        if let Some(pid) = self.pid() {
            send(pid, Signal::TERM)?;
            wait_until(limit, || self.pid().is_none());
        }
        self.kill()
    }

    /// Ends it at once, and what runs directly below it.
    pub fn kill(&self) -> Result<()> {
        if let Some(pid) = self.pid() {
            let below: Vec<(u32, String)> =
                children(pid).into_iter().filter_map(|child| Some((child, start_time(child)?))).collect();
            // It may have ended by itself in the meantime.
            let _ = send(pid, Signal::KILL);
            let gone = || {
                self.pid().is_none()
                    && below.iter().all(|(child, started)| start_time(*child).as_ref() != Some(started))
            };
            if !wait_until(KILL_LIMIT, gone) {
                bail!("{} (process {pid}) survived SIGKILL for {} s", self.name, KILL_LIMIT.as_secs());
            }
        }
        match std::fs::remove_file(&self.file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The end of what it logged, for an error message.
    pub fn log_tail(&self) -> String {
        const LINES: usize = 5;
        let text =
            std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    fn open_log(&self) -> Result<File> {
        let open = OpenOptions::new().create(true).append(true).open(&self.log);
        open.with_context(|| format!("cannot write {}", self.log.display()))
    }
}

/// The same command behind `setsid`, which keeps the pid.
fn in_new_session(command: &Command) -> Command {
    behind(Command::new("setsid"), command)
}

fn send(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).context("0 is no process")?;
    Ok(kill_process(pid, signal)?)
}

/// When it started, in ticks of the kernel; nothing once it has ended.
pub fn start_time(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    let ended = (state == "Z" || state == "X") && threads(pid) <= 1;
    (!ended).then(|| fields.nth(18).map(str::to_owned)).flatten()
}

/// How many of its threads the kernel still has, the ended first one included.
fn threads(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

fn children(pid: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_another_start_time_is_not_ours() {
        let own = std::process::id();
        let started = start_time(own).unwrap();
        assert!(started.parse::<u64>().unwrap() > 0);
        let directory = tempfile::tempdir().unwrap();
        let remembered = Remembered {
            name: "own".into(),
            file: directory.path().join("own.pid"),
            log: directory.path().join("log"),
        };
        std::fs::write(&remembered.file, format!("{own} {started}")).unwrap();
        assert_eq!(remembered.pid(), Some(own));
        std::fs::write(&remembered.file, format!("{own} {started}0")).unwrap();
        assert_eq!(remembered.pid(), None);
    }

    #[test]
    fn a_process_whose_first_thread_ended_runs_while_another_does() {
        let script = "import ctypes, threading, time\n\
                      threading.Thread(target=lambda: time.sleep(60)).start()\n\
                      ctypes.CDLL(None).pthread_exit(None)";
        let mut child = Command::new("python3").args(["-c", script]).spawn().unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        assert!(wait_until(KILL_LIMIT, || state().contains(") Z ")), "{}", state());
        assert!(start_time(child.id()).is_some());
        send(child.id(), Signal::KILL).unwrap();
        assert!(wait_until(KILL_LIMIT, || start_time(child.id()).is_none()));
        child.wait().unwrap();
    }
}
