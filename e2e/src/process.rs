//! Child processes that never outlive the test run: each has its own process group, which is killed when its owner is dropped.
//! Output goes to a log file. Nothing here waits without a limit.
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Write as _};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

const POLL: Duration = Duration::from_millis(20);
/// How long a server may take until it says that it serves.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A running process together with everything that it started.
#[derive(Debug)]
pub struct ProcessGroup {
    name: String,
    child: Child,
}

impl ProcessGroup {
    /// Starts `command` in a new process group. The caller has set its standard output and error.
    pub fn spawn(name: &str, command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {name} ({:?})", command.get_program()))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// Starts `command` with both outputs appended to `log`.
    pub fn spawn_logged(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let (out, err) = log_handles(log)?;
        Self::spawn(name, command.stdout(out).stderr(err))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn child_mut(&mut self) -> &mut Child {
        &mut self.child
    }

    pub fn has_exited(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// Waits for the process to end by itself; kills the group and fails once `limit` has passed.
    pub fn wait_at_most(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                self.kill_hard();
                bail!("{} did not end within {} s and was killed", self.name, limit.as_secs());
            }
            std::thread::sleep(POLL);
        }
    }

    /// `kill -9` for the whole group, as a power cut would end it.
    pub fn kill_hard(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }

    /// Ctrl-C for the whole group, then waits for a clean end.
    pub fn interrupt(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::INT);
        self.wait_at_most(limit)
    }

    /// SIGTERM for the whole group, then waits for a clean end.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM);
        self.wait_at_most(limit)
    }

    fn signal(&self, signal: Signal) {
        // The group may be gone already, which is what the caller wants.
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill_hard();
    }
}

/// Runs `command` to its end with its output appended to `log`.
pub fn run_logged(name: &str, command: &mut Command, log: &Path, limit: Duration) -> Result<ExitStatus> {
    ProcessGroup::spawn_logged(name, command, log)?.wait_at_most(limit)
}

/// As `run_logged`, and an exit code that is not 0 is an error.
pub fn run_checked(name: &str, command: &mut Command, log: &Path, limit: Duration) -> Result<()> {
    let status = run_logged(name, command, log, limit)?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

fn log_handles(log: &Path) -> Result<(File, File)> {
    if let Some(directory) = log.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot write {}", log.display()))?;
    Ok((file.try_clone()?, file))
}

/// Starts a server that prints one JSON object once it serves, and waits for that object.
pub fn start_and_wait(name: &str, command: &mut Command, log: &Path) -> Result<(ProcessGroup, Value)> {
    let (_, errors) = log_handles(log)?;
    let mut process = ProcessGroup::spawn(name, command.stdout(Stdio::piped()).stderr(errors))?;
    let output = process.child_mut().stdout.take().with_context(|| format!("{name} has no standard output"))?;
    let document = read_first_document(name, output, log)?;
    Ok((process, document))
}

fn read_first_document(name: &str, output: ChildStdout, log: &Path) -> Result<Value> {
    let (sender, receiver) = mpsc::channel();
    let (log, owner) = (log.to_owned(), name.to_owned());
    std::thread::spawn(move || {
        let mut documents = serde_json::Deserializer::from_reader(BufReader::new(output)).into_iter::<Value>();
        let first = documents.next();
        let _ = sender.send(first);
        // Whatever follows is a mistake of ours; keep the pipe open and let the log show it.
        if let (Some(Ok(second)), Ok(mut file)) = (documents.next(), OpenOptions::new().append(true).open(&log)) {
            let _ = writeln!(file, "{owner} printed a second document: {second}");
        }
    });
    receiver
        .recv_timeout(READY_LIMIT)
        .with_context(|| format!("{name} printed nothing within {} s", READY_LIMIT.as_secs()))?
        .ok_or_else(|| anyhow!("{name} ended before it was ready"))?
        .with_context(|| format!("{name} printed something that is not JSON"))
}

/// Waits until `ready` is true; false once `limit` has passed.
pub fn wait_until(limit: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if ready() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(POLL);
    }
}

/// A TCP port of the loopback interface that nobody listens on.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_over_its_limit_is_killed_with_its_children() {
        let directory = tempfile::tempdir().unwrap();
        let pid_file = directory.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", pid_file.display());
        let mut group = ProcessGroup::spawn("sleeper", Command::new("sh").args(["-c", &script])).unwrap();
        assert!(wait_until(Duration::from_secs(10), || {
            std::fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n'))
        }));
        let grandchild = std::fs::read_to_string(&pid_file).unwrap().trim().to_owned();
        assert!(group.wait_at_most(Duration::ZERO).is_err());
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        assert!(wait_until(Duration::from_secs(10), gone));
    }
}
