//! `cargo xtask tidy`: rules of this repository that no compiler knows. Each rule is a function from the tree to a list of problems.
//! Reads only what git tracks or would track; never changes a file.
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{codegen, workspace};

const LONGEST_FILE_LINES: usize = 600;
/// Longer files and why each may be: a table that is easier to read in one piece.
const MAY_BE_LONGER: &[(&str, &str)] = &[];
/// How a generated file says so, within its first lines.
const GENERATED_MARKS: &[&str] = &["@generated", "DO NOT EDIT", "Do not edit"];

/// What one rule found.
#[derive(Debug)]
pub struct Finding {
    pub rule: &'static str,
    pub problems: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.problems.is_empty() {
            return write!(formatter, "ok   {}", self.rule);
        }
        write!(formatter, "FAIL {}", self.rule)?;
        self.problems.iter().try_for_each(|problem| write!(formatter, "\n       {problem}"))
    }
}

/// Prints every rule; true if none found a problem.
pub fn run() -> Result<bool> {
    let findings = check(&workspace::root())?;
    findings.iter().for_each(|finding| println!("{finding}"));
    let failed = findings.iter().filter(|finding| !finding.problems.is_empty()).count();
    println!("tidy: {} passed, {failed} failed", findings.len() - failed);
    Ok(failed == 0)
}

/// Applies every rule.
pub fn check(root: &Path) -> Result<Vec<Finding>> {
    let metadata = workspace::metadata()?;
    let files = tracked_files(root)?;
    let sources = read_sources(root, &files);
    Ok(vec![
        Finding { rule: "planes depend only on api/", problems: plane_dependencies(&metadata)? },
        Finding { rule: "every crate says what it is", problems: crate_headers(&metadata)? },
        Finding { rule: "no file is longer than it can be read", problems: long_files(&sources) },
        Finding { rule: "generated files are current", problems: stale_files()? },
        Finding { rule: "no path of one machine", problems: machine_paths(root, &sources) },
        Finding { rule: "the files a visitor expects exist", problems: expected_files(root) },
    ])
}

/// Generates everything again, in memory.
fn stale_files() -> Result<Vec<String>> {
    let stale = codegen::stale_files()?;
    Ok(stale.iter().map(|path| format!("{}: run `cargo xtask codegen` and commit it", path.display())).collect())
}

/// The three planes never depend on each other; only cli/, bench/, e2e/ and xtask/ may know both.
fn plane_dependencies(metadata: &Value) -> Result<Vec<String>> {
    let packages = metadata.get("packages").and_then(Value::as_array).context("cargo metadata lists no packages")?;
    let plane_of = |name: &str| {
        let package = packages.iter().find(|package| package.get("name").and_then(Value::as_str) == Some(name))?;
        plane(package.get("manifest_path").and_then(Value::as_str)?)
    };
    let mut problems = Vec::new();
    for package in packages {
        let name = package.get("name").and_then(Value::as_str).unwrap_or_default();
        let Some(own) = plane_of(name) else { continue };
        for dependency in package.get("dependencies").and_then(Value::as_array).into_iter().flatten() {
            let other = dependency.get("name").and_then(Value::as_str).unwrap_or_default();
            let forbidden = plane_of(other).is_some_and(|plane| plane != own && plane != Plane::Api);
            if forbidden {
                problems.push(format!("{name} depends on {other}: only api/ may be shared between planes"));
            }
        }
    }
    Ok(problems)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plane {
    Api,
    Control,
    Operator,
    Data,
}

fn plane(manifest_path: &str) -> Option<Plane> {
    let path = Path::new(manifest_path).strip_prefix(workspace::root()).ok()?.to_str()?.to_owned();
    match path.split('/').next()? {
        "api" => Some(Plane::Api),
        "control-plane" => Some(Plane::Control),
        "operator" => Some(Plane::Operator),
        "data-plane" => Some(Plane::Data),
        _ => None,
    }
}

/// The root file of every crate starts with `//!`.
fn crate_headers(metadata: &Value) -> Result<Vec<String>> {
    let packages = metadata.get("packages").and_then(Value::as_array).context("cargo metadata lists no packages")?;
    let mut problems = Vec::new();
    for target in packages.iter().filter_map(|package| package.get("targets")?.as_array()).flatten() {
        let path = target.get("src_path").and_then(Value::as_str).unwrap_or_default();
        let is_build_script = path.ends_with("build.rs");
        if !is_build_script && !std::fs::read_to_string(path)?.starts_with("//!") {
            problems.push(format!("{path} does not start with //!"));
        }
    }
    Ok(problems)
}

fn long_files(sources: &[(PathBuf, String)]) -> Vec<String> {
    let too_long = |(path, text): &&(PathBuf, String)| {
        let lines = text.lines().count();
        let excepted = MAY_BE_LONGER.iter().any(|(exception, _)| path == Path::new(exception));
        is_code(path) && lines > LONGEST_FILE_LINES && !is_generated(text) && !excepted
    };
    let describe = |(path, text): &(PathBuf, String)| format!("{} has {} lines", path.display(), text.lines().count());
    sources.iter().filter(too_long).map(describe).collect()
}

fn is_code(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    ["rs", "java", "go", "py", "sh", "ts", "tsx"].contains(&extension)
}

fn is_generated(text: &str) -> bool {
    text.lines().take(5).any(|line| GENERATED_MARKS.iter().any(|mark| line.contains(mark)))
}

/// A file that names the folder it was written in works nowhere else.
fn machine_paths(root: &Path, sources: &[(PathBuf, String)]) -> Vec<String> {
    let mut needles =
        vec![["/ho", "me/"].concat(), ["/ro", "ot/"].concat(), ["/Us", "ers/"].concat(), ["/wo", "rk/"].concat()];
    needles.push(format!("{}/", root.display()));
    let mut problems = Vec::new();
    for (path, text) in sources {
        for (number, line) in text.lines().enumerate() {
            if needles.iter().any(|needle| line.contains(needle.as_str())) {
                problems.push(format!("{}:{} names a path of one machine", path.display(), number + 1));
            }
        }
    }
    problems
}

fn expected_files(root: &Path) -> Vec<String> {
    let expected =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", ".ci/run", "docs/adr"];
    let missing = expected.iter().filter(|name| !root.join(name).exists());
    missing.map(|name| format!("{name} does not exist")).collect()
}

fn tracked_files(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("cannot run git ls-files")?;
    if !output.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect())
}

/// The text files among them; anything that is not UTF-8 has no lines to check.
fn read_sources(root: &Path, files: &[PathBuf]) -> Vec<(PathBuf, String)> {
    let read = |path: &PathBuf| Some((path.clone(), std::fs::read_to_string(root.join(path)).ok()?));
    files.iter().filter_map(read).collect()
}
