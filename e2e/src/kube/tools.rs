//! The programs: built once from Go modules, kept in the cache under the hash of what they are made from.
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use super::layout::Layout;

/// How many builds stay in the cache: other clones may be on another commit.
const KEPT_BUILDS: usize = 3;
const KEY_BYTES: usize = 8;

/// A finished build.
#[derive(Debug, Clone)]
pub struct Tools {
    directory: PathBuf,
}

/// A program, the Go module that says its version (a folder of e2e/kube) and its package.
struct Part {
    program: &'static str,
    module: &'static str,
    package: &'static str,
    about: &'static str,
}

/// helm comes after Kubernetes, most of which it shares.
const PARTS: &[Part] = &[
    Part { program: "kube", module: "tools", package: ".", about: "Kubernetes and etcd, 8 minutes on 2 cores" },
    Part { program: "helm", module: "tools", package: "helm.sh/helm/v3/cmd/helm", about: "helm, 1 minute" },
    Part { program: "pause", module: "tools", package: "./pause", about: "the sandbox of pods" },
    Part { program: "coredns", module: "coredns", package: ".", about: "CoreDNS, 1 minute" },
];

impl Tools {
    /// Builds what is not in the cache yet, and says so.
    pub fn build(repository: &Path, layout: &Layout) -> Result<Self> {
        let sources = repository.join("e2e").join("kube");
        let builds = layout.root().join("tools");
        std::fs::create_dir_all(&builds).with_context(|| format!("cannot create {}", builds.display()))?;
        let lock = File::create(builds.join("lock"))?;
        lock.lock().context("cannot lock the cache")?;
        let directory = builds.join(key(&sources)?);
        let tools = Self { directory };
        if !tools.directory.is_dir() {
            tools.build_all(&sources)?;
            forget_old_builds(&builds)?;
        }
        Ok(tools)
    }

    /// Holds `kube`, `kubectl` and `helm`, for a PATH.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn kube(&self) -> PathBuf {
        self.directory.join("kube")
    }

    pub fn coredns(&self) -> PathBuf {
        self.directory.join("coredns")
    }

    pub fn pause(&self) -> PathBuf {
        self.directory.join("pause")
    }

    /// As the administrator of the running Kubernetes. Its own cache goes where all else of a run goes.
    pub fn kubectl(&self, layout: &Layout) -> Command {
        let mut command = Command::new(self.directory.join("kubectl"));
        command.env("KUBECONFIG", layout.kubeconfig()).env("KUBECACHEDIR", layout.run().join("kubectl"));
        command
    }

    /// The same for helm.
    pub fn helm(&self, layout: &Layout) -> Command {
        let mut command = Command::new(self.directory.join("helm"));
        command.env("KUBECONFIG", layout.kubeconfig());
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, layout.run().join("helm"));
        }
        command
    }

    fn build_all(&self, sources: &Path) -> Result<()> {
        let unfinished = self.directory.with_extension("unfinished");
        match std::fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => std::fs::create_dir_all(&unfinished)?,
        }
        for part in PARTS {
            println!("kube: building {}", part.about);
            let start = Instant::now();
            part.build(sources, &unfinished.join(part.program))?;
            println!("kube: built {} in {} s", part.program, start.elapsed().as_secs());
        }
        std::os::unix::fs::symlink("kube", unfinished.join("kubectl"))?;
        std::fs::rename(&unfinished, &self.directory)?;
        Ok(())
    }
}

impl Part {
    fn build(&self, sources: &Path, program: &Path) -> Result<()> {
        let module = sources.join(self.module);
        let mut command = Command::new("go");
        command.current_dir(&module).env("CGO_ENABLED", "0").env("GOFLAGS", "").env("GOWORK", "off");
        command.args(["build", "-trimpath", "-ldflags", &linker_flags(&module)?, "-o"]).arg(program).arg(self.package);
        let output = command.stdin(Stdio::null()).output().context("cannot run go")?;
        if !output.status.success() {
            bail!("go build of {}: {}", self.program, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

/// Kubernetes learns its version from the linker; helm refuses to install into a version that it cannot read.
fn linker_flags(module: &Path) -> Result<String> {
    let requirements = std::fs::read_to_string(module.join("go.mod"))?;
    let Some(version) = required_version(&requirements, "k8s.io/kubernetes") else { return Ok("-s -w".into()) };
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let variable = "-X k8s.io/component-base/version";
    Ok(format!("-s -w {variable}.gitVersion={version} {variable}.gitMajor={major} {variable}.gitMinor={minor}"))
}

fn required_version<'a>(requirements: &'a str, module: &str) -> Option<&'a str> {
    requirements.lines().find_map(|line| line.trim().strip_prefix(module)?.strip_prefix(' '))
}

/// Changes with every file of the sources and with the way they are built.
fn key(sources: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for part in PARTS {
        hash.update(format!("{} {} {}\n", part.program, part.module, part.package));
        hash.update(linker_flags(&sources.join(part.module))?);
    }
    let mut files = Vec::new();
    for module in ["tools", "coredns"] {
        collect_files(&sources.join(module), &mut files)?;
    }
    files.sort();
    for file in files {
        let contents = std::fs::read(&file)?;
        let name = file.strip_prefix(sources)?.display().to_string();
        hash.update(format!("{name} {}\n", contents.len()));
        hash.update(contents);
    }
    let digest = hash.finalize();
    Ok(digest.iter().take(KEY_BYTES).map(|byte| format!("{byte:02x}")).collect())
}

fn collect_files(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect_files(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn forget_old_builds(builds: &Path) -> Result<()> {
    let mut found: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(builds)?.flatten().filter(|entry| entry.path().is_dir()) {
        found.push((entry.metadata()?.modified()?, entry.path()));
    }
    found.sort();
    ensure!(!found.is_empty(), "the build that just ended is gone from {}", builds.display());
    for (_, old) in found.iter().rev().skip(KEPT_BUILDS) {
        std::fs::remove_dir_all(old)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_sources(directory: &Path, program: &str) {
        for (module, requirement) in [("tools", "require k8s.io/kubernetes v1.36.3\n"), ("coredns", "")] {
            std::fs::create_dir_all(directory.join(module)).unwrap();
            std::fs::write(directory.join(module).join("go.mod"), requirement).unwrap();
            std::fs::write(directory.join(module).join("main.go"), program).unwrap();
        }
    }

    #[test]
    fn the_same_sources_have_the_same_key_and_others_another() {
        let [one, same, other] = ["a", "a", "b"].map(|program| {
            let directory = tempfile::tempdir().unwrap();
            write_sources(directory.path(), program);
            key(directory.path()).unwrap()
        });
        assert_eq!(one, same);
        assert_ne!(one, other);
    }

    #[test]
    fn kubernetes_is_told_the_version_that_go_mod_requires() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("go.mod"), "require (\n\tk8s.io/kubernetes v1.36.3\n)\n").unwrap();
        let flags = linker_flags(directory.path()).unwrap();
        assert!(flags.contains("gitVersion=v1.36.3 ") && flags.ends_with("gitMinor=36"), "{flags}");
    }
}
