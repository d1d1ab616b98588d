//! The commands of README.md, as a reader would type them. Blocks fenced as `console` are checked against the program: each line that
//! starts with `$ ` must name something that exists. Nothing is downloaded.
use anyhow::Result;
use millstream_e2e::context::Context;
use millstream_e2e::outcome::Outcome;
use millstream_e2e::suites::Suite;

pub const SUITE: Suite = Suite { name: "docs", about: "links and files that the documents name", needs: &[], run };

fn run(context: &Context) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for document in documents(context)? {
        let text = std::fs::read_to_string(&document)?;
        for target in relative_links(&text) {
            let path = document.parent().unwrap_or(&context.repository).join(target);
            let exists = path.exists();
            if !exists {
                context.note(&format!("FAIL {} links to {target}, which does not exist", document.display()));
            }
            outcome.count(exists);
        }
    }
    Ok(outcome)
}

fn documents(context: &Context) -> Result<Vec<std::path::PathBuf>> {
    let mut open = vec![context.repository.clone()];
    let mut found = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                if !name.starts_with('.') && name != "target" && name != "node_modules" {
                    open.push(entry.path());
                }
            } else if name.ends_with(".md") {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The targets of `[text](target)` that are files of this repository.
fn relative_links(text: &str) -> Vec<&str> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    links
        .map(|target| target.split(['#', ' ']).next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_to_files_are_followed() {
        let text = "[a](docs/a.md) [b](https://example.org/x) [c](#here) [d](docs/d.md#part \"title\")";
        assert_eq!(relative_links(text), ["docs/a.md", "docs/d.md"]);
    }
}
