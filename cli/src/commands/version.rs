//! `millstream version`.

use crate::failure::Failure;
use crate::output::Output;

/// Prints the version of this program.
pub fn run(output: &Output) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if output.is_json() {
        return output.json(&serde_json::json!({ "version": version }));
    }
    output.say(&format!("millstream {version}"))
}
