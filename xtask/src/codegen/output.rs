//! The generated files before they are written: formats them, compares them with the committed ones, writes them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Path in the repository to content.
#[derive(Debug, Default)]
pub struct Output {
    files: BTreeMap<PathBuf, String>,
}

impl Output {
    pub fn add(&mut self, path: PathBuf, content: String) {
        self.files.insert(path, content);
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Runs everything added so far through rustfmt with the repository's settings.
    pub fn format(&mut self) -> Result<()> {
        for (path, content) in &mut self.files {
            *content = rustfmt(content).with_context(|| format!("format {}", path.display()))?;
        }
        Ok(())
    }

    /// Generated paths whose committed content differs, and files that generation no longer makes.
    pub fn stale_files(&self, root: &Path, owned_directories: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let mut stale = self.leftovers(root, owned_directories)?;
        for (path, content) in &self.files {
            let committed = std::fs::read_to_string(root.join(path)).unwrap_or_default();
            if committed != *content {
                stale.push(path.clone());
            }
        }
        Ok(stale)
    }

    /// Writes what changed and removes files that generation no longer makes.
    pub fn write(&self, root: &Path, owned_directories: &[PathBuf]) -> Result<()> {
        for path in self.leftovers(root, owned_directories)? {
            std::fs::remove_file(root.join(path))?;
        }
        for (path, content) in &self.files {
            let target = root.join(path);
            if std::fs::read_to_string(&target).is_ok_and(|committed| committed == *content) {
                continue;
            }
            let directory = target.parent().context("a generated file lies in a directory")?;
            std::fs::create_dir_all(directory)?;
            std::fs::write(&target, content).with_context(|| format!("write {}", target.display()))?;
        }
        Ok(())
    }

    fn leftovers(&self, root: &Path, owned_directories: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let mut leftovers = Vec::new();
        for directory in owned_directories {
            let Ok(entries) = std::fs::read_dir(root.join(directory)) else { continue };
            for entry in entries {
                let path = directory.join(entry?.file_name());
                if !self.files.contains_key(&path) {
                    leftovers.push(path);
                }
            }
        }
        Ok(leftovers)
    }
}

fn rustfmt(source: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args([
            "--edition",
            "2024",
            "--config",
            "max_width=120,use_small_heuristics=Max,use_field_init_shorthand=true",
            "--emit",
            "stdout",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("run rustfmt: install it with `rustup component add rustfmt`")?;
    let mut stdin = child.stdin.take().context("rustfmt has a standard input")?;
    let text = source.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let finished = child.wait_with_output()?;
    let written = writer.join();
    if !finished.status.success() {
        bail!("rustfmt refused the generated code: {}", finished.status);
    }
    if !matches!(written, Ok(Ok(()))) {
        bail!("rustfmt did not read the whole source");
    }
    String::from_utf8(finished.stdout).context("rustfmt prints UTF-8")
}
