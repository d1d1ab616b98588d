//! Deletion of several things: ask once, delete one by one, report each.
//!
//! Promises to ask on a terminal unless forced, and to go on after a failure so that one wrong id does not hide the
//! rest. Never deletes without a terminal and without `--force`.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::command_line::DeleteArgs;
use crate::failure::Failure;
use crate::output::{Output, printable};

/// Asks whether to delete; `Ok(false)` if the answer was no.
fn confirmed(noun: &str, args: &DeleteArgs) -> Result<bool, Failure> {
    if args.force {
        return Ok(true);
    }
    let someone_can_answer = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !someone_can_answer {
        return Err(Failure::usage("nobody can be asked whether to delete: this is not a terminal")
            .suggest("add --force to delete without being asked"));
    }
    let names = args.ids.iter().map(|id| printable(id)).collect::<Vec<_>>().join(", ");
    eprint!("Delete {noun} {names}? [y/N] ");
    let _ = io::stderr().flush();
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::failed(format!("cannot read the answer: {error}")))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Deletes each id with `delete_one` and prints what happened. The first failure decides the exit code.
pub async fn delete_each<F>(output: &Output, noun: &str, args: &DeleteArgs, delete_one: F) -> Result<(), Failure>
where
    F: AsyncFn(&str) -> Result<(), Failure>,
{
    if !confirmed(noun, args)? {
        return output.say("Nothing was deleted");
    }
    let mut deleted = Vec::new();
    let mut first_failure: Option<Failure> = None;
    for id in &args.ids {
        match delete_one(id).await {
            Ok(()) => {
                output.say(&format!("Deleted {noun} {}", printable(id)))?;
                deleted.push(id.as_str());
            }
            Err(failure) => {
                let several = args.ids.len() > 1;
                let named = Failure {
                    message: format!("cannot delete {noun} {}: {}", printable(id), failure.message),
                    ..failure
                };
                match first_failure {
                    None => first_failure = Some(named),
                    Some(_) if several => eprintln!("Error: {}", named.message),
                    Some(_) => {}
                }
            }
        }
    }
    if output.is_json() {
        output.json(&serde_json::json!({ "deleted": deleted }))?;
    }
    first_failure.map_or(Ok(()), Err)
}
