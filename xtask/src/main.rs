//! cargo xtask: test, codegen, bench, tidy, image, kube. Everything that a developer or CI runs in this repository.
mod bench;
mod charts;
mod codegen;
mod image;
mod kube;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "usage: cargo xtask COMMAND

  test [--list] [--suite NAME]... [--against millstream|kafka]
                   runs every test, or the named suites
  tidy             checks the rules of the repository that no compiler knows
  codegen          writes the generated files anew
  bench [SCENARIO]... [--quick]
                   measures Millstream beside Apache Kafka; reports go to bench/reports
  image [--output FILE]
                   writes the container image of Millstream
  kube up|deploy|status|down|load-image
                   a Kubernetes on this machine; see docs/kubernetes-for-development.md";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<bool> {
    match arguments.split_first() {
        Some((command, rest)) if command == "test" => test::run(rest),
        Some((command, rest)) if command == "codegen" => codegen(rest),
        Some((command, [])) if command == "tidy" => tidy::run(),
        Some((command, rest)) if command == "bench" => bench::run(rest),
        Some((command, rest)) if command == "image" => image::run(rest),
        Some((command, rest)) if command == "kube" => kube::run(rest),
        _ => anyhow::bail!("{USAGE}"),
    }
}

fn codegen(arguments: &[String]) -> Result<bool> {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => anyhow::bail!("usage: cargo xtask codegen [--check]"),
    };
    codegen::run(check).map(|()| true)
}
