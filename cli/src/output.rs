//! Printing of results: tables for people, JSON for programs.
//!
//! Promises that JSON output is nothing but JSON and that text from the service cannot send control sequences to a
//! terminal. Colours appear only on a terminal. Never prints errors or progress to stdout.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
use serde_json::Value;

use crate::command_line::OutputFormat;
use crate::failure::Failure;

/// A column of a list, or a line of a description: its title and where its value is in the JSON object.
#[derive(Clone, Copy)]
pub struct Column {
    pub title: &'static str,
    pub pointer: &'static str,
}

/// Spaces before and after a cell.
const BETWEEN_COLUMNS: (u16, u16) = (0, 2);

/// Shorthand for a column.
pub const fn column(title: &'static str, pointer: &'static str) -> Column {
    Column { title, pointer }
}

/// Where results go and in which form.
#[derive(Clone, Copy)]
pub struct Output {
    format: OutputFormat,
    styled: bool,
}

impl Output {
    pub fn new(format: OutputFormat) -> Self {
        let styled = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { format, styled }
    }

    pub fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Prints a list of objects; as JSON the objects go out as the API gave them.
    pub fn list(&self, columns: &[Column], objects: &[Value], when_empty: &str) -> Result<(), Failure> {
        if self.is_json() {
            return self.json(&Value::Array(objects.to_vec()));
        }
        if objects.is_empty() {
            return write_line(when_empty);
        }
        let mut table = self.empty_table();
        table.set_header(columns.iter().map(|column| self.heading(column.title)));
        for object in objects {
            table.add_row(columns.iter().map(|column| cell_text(object, column.pointer)));
        }
        write_line(&lines_of(table))
    }

    /// Prints one object; lines whose value is absent are left out.
    pub fn object(&self, columns: &[Column], object: &Value) -> Result<(), Failure> {
        if self.is_json() {
            return self.json(object);
        }
        let mut table = self.empty_table();
        for column in columns {
            let value = cell_text(object, column.pointer);
            if !value.is_empty() {
                table.add_row(vec![self.heading(column.title), Cell::new(value)]);
            }
        }
        write_line(&lines_of(table))
    }

    /// Prints a sentence for people; programs get nothing.
    pub fn say(&self, text: &str) -> Result<(), Failure> {
        if self.is_json() {
            return Ok(());
        }
        write_line(text)
    }

    /// Prints one JSON value.
    pub fn json(&self, value: &Value) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Failure::failed(error.to_string()))?;
        write_line(&text)
    }

    /// Text that stands out on a terminal.
    pub fn bold(&self, text: &str) -> String {
        if self.styled { format!("\x1b[1m{text}\x1b[0m") } else { text.to_string() }
    }

    fn heading(&self, title: &str) -> Cell {
        let cell = Cell::new(title);
        if self.styled { cell.add_attribute(Attribute::Bold) } else { cell }
    }

    fn empty_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        if !self.styled {
            table.force_no_tty();
        }
        table
    }
}

fn lines_of(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding(BETWEEN_COLUMNS);
    }
    table.trim_fmt()
}

/// Prints text and a line end. A reader that went away is not a failure: `| head` ends the command quietly.
pub fn write_line(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    written.map_err(write_failure)
}

/// Prints text and a line end for whoever still reads; that nobody does is no failure and ends nothing.
pub fn write_line_for_listener(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(write_failure(error)),
        _ => Ok(()),
    }
}

/// What a failed write to stdout means for the command.
pub fn write_failure(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    Failure::failed(format!("cannot write the result to stdout: {error}"))
}

fn cell_text(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => printable(text),
        Some(Value::Bool(true)) => "yes".to_string(),
        Some(Value::Bool(false)) => "no".to_string(),
        Some(other) => printable(&other.to_string()),
    }
}

/// The text with control characters shown as `?`.
pub fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_service_cannot_control_the_terminal() {
        let object = serde_json::json!({"name": "a\u{1b}[31mred\nline"});
        assert_eq!(cell_text(&object, "/name"), "a?[31mred?line");
    }

    #[test]
    fn absent_values_are_empty_cells() {
        let object = serde_json::json!({"a": null, "c": 7, "d": true});
        let texts = ["/a", "/b", "/c", "/d"].map(|pointer| cell_text(&object, pointer));
        assert_eq!(texts, ["", "", "7", "yes"]);
    }
}
