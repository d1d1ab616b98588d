//! What a report says about the machine and the programs. A fact that cannot be found is said to be unknown.
use std::path::Path;
use std::process::Command;

use crate::workbench::Workbench;

const UNKNOWN: &str = "unknown";

/// The first value of /proc/loadavg.
pub fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or(UNKNOWN).to_owned()
}

/// Pairs of name and value.
pub fn facts(workbench: &Workbench) -> Vec<(&'static str, String)> {
    vec![
        ("Millstream", millstream_version(workbench)),
        ("Apache Kafka", kafka_version(&workbench.jars)),
        ("Java", output(Command::new("java").arg("--version"))),
        ("Kernel", output(Command::new("uname").args(["-s", "-r", "-m"]))),
        ("Processor", field_of("/proc/cpuinfo", "model name")),
        ("Cores", std::thread::available_parallelism().map_or(UNKNOWN.to_owned(), |cores| cores.to_string())),
        ("Memory", field_of("/proc/meminfo", "MemTotal")),
        (
            "Data disk",
            output(Command::new("findmnt").args(["-n", "-o", "SOURCE,FSTYPE,OPTIONS", "-T"]).arg(std::env::temp_dir())),
        ),
    ]
}

fn millstream_version(workbench: &Workbench) -> String {
    let version = output(Command::new(&workbench.binary).arg("--version"));
    if !workbench.binary.starts_with(&workbench.context.target_dir) {
        return format!("{version}, built elsewhere");
    }
    let repository = &workbench.context.repository;
    let git = |arguments: &[&str]| output(Command::new("git").arg("-C").arg(repository).args(arguments));
    let is_changed = git(&["status", "--porcelain", "--untracked-files=no"]) != UNKNOWN;
    let note = if is_changed { " with uncommitted changes" } else { "" };
    format!("{version}, commit {}{note}", git(&["rev-parse", "--short", "HEAD"]))
}

/// From the name of the broker's jar.
fn kafka_version(jars: &Path) -> String {
    let names = std::fs::read_dir(jars).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut versions =
        names.filter_map(|name| Some(name.strip_prefix("kafka_2.13-")?.strip_suffix(".jar")?.to_owned()));
    versions.next().unwrap_or_else(|| UNKNOWN.to_owned())
}

/// The command line of a running process, without the folders of this machine.
pub fn command_line(pid: u32, workbench: &Workbench) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).trim_end_matches('\0').replace('\0', " ");
    without_folders(&text, workbench)
}

/// Replaces the folders of this machine by names.
pub fn without_folders(text: &str, workbench: &Workbench) -> String {
    let binary = workbench.binary.parent().unwrap_or(&workbench.binary);
    let folders = [
        (binary, "TARGET"),
        (&workbench.context.target_dir, "TARGET"),
        (&workbench.context.cache_dir, "CACHE"),
        (&workbench.context.repository, "."),
        (&std::env::temp_dir(), "DATA"),
    ];
    folders.iter().fold(text.to_owned(), |text, (folder, name)| text.replace(&*folder.to_string_lossy(), name))
}

/// The first line that a command prints.
fn output(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() { UNKNOWN.to_owned() } else { line.split_whitespace().collect::<Vec<_>>().join(" ") }
}

fn field_of(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    line.map_or(UNKNOWN.to_owned(), |value| value.trim().to_owned())
}
