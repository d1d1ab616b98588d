//! `cargo xtask kube`: a Kubernetes on this machine for development. What it is made of lies in `e2e/src/kube`.
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use millstream_e2e::kube::command::run as run_command;
use millstream_e2e::kube::control_plane::Component;
use millstream_e2e::kube::layout::Layout;
use millstream_e2e::kube::{self, Kubernetes, Logs, Owner, node, platform};

use crate::{image, workspace};

const USAGE: &str = "usage: cargo xtask kube COMMAND

  up [--nodes N] [--bare] starts a Kubernetes with 1 to 9 nodes and, unless --bare, Millstream on it; needs root
  deploy                  builds Millstream as it is now and puts it there, in place of an earlier one
  down [--keep-logs]      ends it and removes everything of it
  status                  says what runs
  load-image [FILE]       imports an image archive into every node; without FILE, builds Millstream's";
const DEFAULT_NODES: u8 = 1;

/// True if the command did what it was asked for.
pub fn run(arguments: &[String]) -> Result<bool> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["up", options @ ..] => up(UpOptions::parse(options)?)?,
        ["deploy"] => deploy(&Kubernetes::running(&workspace::root())?)?,
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

#[derive(Debug, PartialEq, Eq)]
struct UpOptions {
    nodes: u8,
    with_millstream: bool,
}

impl UpOptions {
    fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self { nodes: DEFAULT_NODES, with_millstream: true };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--bare" => options.with_millstream = false,
                "--nodes" => {
                    let count = words.next().and_then(|count| count.parse().ok());
                    options.nodes = count.context("--nodes wants a number from 1 to 9")?;
                }
                _ => bail!("{USAGE}"),
            }
        }
        Ok(options)
    }
}

fn up(options: UpOptions) -> Result<()> {
    note(&format!("starting {} node(s)", options.nodes));
    let kubernetes = Kubernetes::start(&workspace::root(), options.nodes, Owner::Developer)?;
    if options.with_millstream {
        deploy(&kubernetes)?;
    }
    print_next_steps(&kubernetes);
    Ok(())
}

fn deploy(kubernetes: &Kubernetes) -> Result<()> {
    note("building Millstream");
    platform::deploy(kubernetes, &workspace::root(), &image::program()?, &workspace::target_dir()?, note)
}

fn note(what: &str) {
    eprintln!("kube: {what}");
}

fn print_next_steps(kubernetes: &Kubernetes) {
    println!("For this shell:");
    println!("  export KUBECONFIG={}", kubernetes.layout().kubeconfig().display());
    println!("  export PATH={}:$PATH", kubernetes.tools().directory().display());
    print!("{}", platform::next_steps(kubernetes).unwrap_or_default());
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
    print_next_steps(&kubernetes);
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_up_come_in_any_order() {
        for words in [["--nodes", "3", "--bare"], ["--bare", "--nodes", "3"]] {
            assert_eq!(UpOptions::parse(&words).unwrap(), UpOptions { nodes: 3, with_millstream: false });
        }
        assert_eq!(UpOptions::parse(&[]).unwrap(), UpOptions { nodes: DEFAULT_NODES, with_millstream: true });
    }

    #[test]
    fn options_that_up_does_not_have_are_refused() {
        for words in [&["--nodes"][..], &["--nodes", "many"], &["--bar"], &["3"]] {
            assert!(UpOptions::parse(words).is_err(), "{words:?}");
        }
    }
}
