//! `cargo xtask kube`: a Kubernetes on this machine for development. What it is made of lies in `e2e/src/kube`.
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use millstream_e2e::kube::command::run as run_command;
use millstream_e2e::kube::control_plane::Component;
use millstream_e2e::kube::layout::Layout;
use millstream_e2e::kube::{self, Kubernetes, Logs, Owner, node};

use crate::{image, workspace};

const USAGE: &str = "usage: cargo xtask kube COMMAND

  up [--nodes N]          starts a Kubernetes with 1 to 9 nodes; needs root
  down [--keep-logs]      ends it and removes everything of it
  status                  says what runs
  load-image [FILE]       imports an image archive into every node; without FILE, builds Millstream's";
const DEFAULT_NODES: u8 = 1;

/// True if the command did what it was asked for.
pub fn run(arguments: &[String]) -> Result<bool> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["up"] => up(DEFAULT_NODES)?,
        ["up", "--nodes", count] => up(count.parse().context("--nodes wants a number from 1 to 9")?)?,
        ["down"] => kube::stop(Logs::Removed)?,
        ["down", "--keep-logs"] => {
            kube::stop(Logs::Kept)?;
            println!("logs are in {}", Layout::of_this_machine().last_logs().display());
        }
        ["status"] => return status(),
        ["load-image"] => load_image(image::build_archive()?)?,
        ["load-image", file] => load_image(PathBuf::from(file))?,
        _ => bail!("{USAGE}"),
    }
    Ok(true)
}

fn up(nodes: u8) -> Result<()> {
    let kubernetes = Kubernetes::start(&workspace::root(), nodes, Owner::Developer)?;
    println!("kube: {nodes} node(s) ready; for kubectl and helm:");
    println!("  export KUBECONFIG={}", kubernetes.layout().kubeconfig().display());
    println!("  export PATH={}:$PATH", kubernetes.tools().directory().display());
    Ok(())
}

fn load_image(archive: PathBuf) -> Result<()> {
    Kubernetes::running(&workspace::root())?.load_image(&archive)
}

/// True if all of it runs.
fn status() -> Result<bool> {
    let layout = Layout::of_this_machine();
    if !layout.run().exists() {
        println!("no Kubernetes runs");
        return Ok(false);
    }
    let kubernetes = Kubernetes::running(&workspace::root())?;
    let control_plane = Component::ALL.map(|component| (component.name().to_owned(), component.process(&layout)));
    let nodes = kubernetes.nodes().iter().map(|node| (node.name(), node::process(&layout, *node)));
    let mut whole = true;
    for (name, process) in control_plane.into_iter().chain(nodes) {
        match process.pid() {
            Some(pid) => println!("{name:20} process {pid}"),
            None => {
                println!("{name:20} does not run");
                whole = false;
            }
        }
    }
    print!("{}", run_command(kubernetes.kubectl().args(["get", "nodes,pods", "--all-namespaces", "--output=wide"]))?);
    Ok(whole)
}
