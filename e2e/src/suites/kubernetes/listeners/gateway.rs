//! A Gateway that somebody else wrote: Traefik with the resource definitions of the Gateway API, all from Go modules. Kept in the cache by
//! version.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::image::{Image, Layer};
use crate::kube::command::run;

/// Six minutes of two idle cores.
const BUILD_LIMIT: Duration = Duration::from_secs(1_800);
const IMAGE: &str = "development.local/traefik:1";
const TRAEFIK: &str = "github.com/traefik/traefik/v3";
const GATEWAY_API: &str = "sigs.k8s.io/gateway-api";
/// The last minor version of the Gateway API but two that serves TLSRoute as v1alpha2 only.
const OLD_GATEWAY_API: &str = "sigs.k8s.io/gateway-api@v1.3.0";
/// What Traefik gets its own certificates with.
const LEGO: &str = "github.com/go-acme/lego/v5";

/// Its program and its resource definitions.
pub struct Gateway {
    folder: PathBuf,
    manifest: String,
}

impl Gateway {
    /// Builds what is not in the cache yet.
    pub fn build(context: &Context) -> Result<Self> {
        let sources = context.e2e_dir("gateway");
        let version = list(&sources, "{{.Version}}", TRAEFIK)?;
        let folder = context.cache_dir.join(format!("traefik-{version}"));
        if !folder.is_dir() {
            let unfinished = folder.with_extension("unfinished");
            remove(&unfinished)?;
            build_all(context, &sources, &unfinished)?;
            std::fs::rename(&unfinished, &folder)?;
        }
        let manifest = std::fs::read_to_string(context.e2e_dir("kubernetes").join("gateway.yaml"))?;
        Ok(Self { folder, manifest: manifest.replace("IMAGE", IMAGE) })
    }

    /// The resource definitions that most platforms have.
    pub fn standard_definitions(&self) -> PathBuf {
        self.folder.join("standard")
    }

    /// TLSRoute as it was served before the Gateway API 1.5.
    pub fn old_definition(&self) -> PathBuf {
        self.folder.join("old").join("gateway.networking.k8s.io_tlsroutes.yaml")
    }

    /// Namespace, rights, Deployment and load balancer.
    pub fn manifest(&self) -> &str {
        &self.manifest
    }

    pub fn write_image(&self, archive: &Path) -> Result<()> {
        let layer =
            Layer { files: vec![("/traefik".into(), self.folder.join("traefik"))], folders: vec!["/tmp".into()] };
        let image = Image { name: IMAGE.to_owned(), entrypoint: "/traefik".to_owned(), layers: vec![layer] };
        image.write_archive(archive)
    }
}

fn build_all(context: &Context, sources: &Path, folder: &Path) -> Result<()> {
    let module = folder.join("module");
    copy(sources, &module, |_| true)?;
    // Without lego's DNS providers, of which some cannot be downloaded.
    let lego = list(sources, "{{.Path}}@{{.Version}}", LEGO)?;
    copy(&download(&lego)?, &module.join("lego"), |path| !path.ends_with("providers/dns"))?;
    copy(&sources.join("dns"), &module.join("lego/providers/dns"), |_| true)?;
    run(Command::new("go").current_dir(&module).args(["mod", "edit", "-replace", &format!("{LEGO}=./lego")]))?;
    let mut command = Command::new("go");
    command.current_dir(&module).env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly").env("GOWORK", "off");
    command.args(["build", "-trimpath", "-ldflags", "-s -w", "-o"]).arg(folder.join("traefik"));
    command.arg(format!("{TRAEFIK}/cmd/traefik"));
    context.step("go build of Traefik", &mut command, BUILD_LIMIT)?;
    remove(&module)?;
    let new = list(sources, "{{.Path}}@{{.Version}}", GATEWAY_API)?;
    copy(&download(&new)?.join("config/crd/standard"), &folder.join("standard"), |_| true)?;
    copy(&download(OLD_GATEWAY_API)?.join("config/crd/experimental"), &folder.join("old"), |_| true)
}

/// What go.mod says of a module.
fn list(sources: &Path, format: &str, module: &str) -> Result<String> {
    let mut command = Command::new("go");
    command.current_dir(sources).env("GOFLAGS", "-mod=readonly").args(["list", "-m", "-f", format, module]);
    Ok(run(&mut command)?.trim().to_owned())
}

/// The folder of a module in the module cache.
fn download(module: &str) -> Result<PathBuf> {
    let mut command = Command::new("go");
    let answer = run(command.current_dir("/").args(["mod", "download", "-json", module]))?;
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    Ok(answer["Dir"].as_str().with_context(|| format!("{module} has no folder: {answer}"))?.into())
}

/// Copies the files of a folder and of those below it that are wanted.
fn copy(from: &Path, to: &Path, is_wanted: fn(&Path) -> bool) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let (path, target) = {
            let entry = entry?;
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() && is_wanted(&path) {
            copy(&path, &target, is_wanted)?;
        } else if path.is_file() {
            // Not with its rights: files in the module cache cannot be written to.
            std::fs::write(&target, std::fs::read(&path)?)?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
