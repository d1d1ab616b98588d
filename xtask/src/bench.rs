//! `cargo xtask bench [scenario]...`: builds the release binaries and hands over to the millstream-bench program.
use anyhow::Result;

use crate::workspace;

/// True if the benchmark ran to its end.
pub fn run(arguments: &[String]) -> Result<bool> {
    let build = ["build", "--quiet", "--release", "--package", "millstream", "--package", "millstream-bench"];
    let built = workspace::cargo().current_dir(workspace::root()).args(build).status()?.success();
    if !built {
        return Ok(false);
    }
    let program = workspace::target_dir()?.join("release").join("millstream-bench");
    Ok(std::process::Command::new(program).current_dir(workspace::root()).args(arguments).status()?.success())
}
