//! Why a command failed, as a person or a script sees it: a message, what to do next, and an exit code.
//!
//! Promises that the same kind of failure always has the same exit code. Never holds a secret.

use std::fmt;
use std::process::ExitCode;

/// What kind of failure it is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Anything that no other kind says better.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// Something that the command names does not exist.
    NotFound,
    /// No credentials, wrong credentials, or not allowed.
    NotAuthorized,
    /// The service does not answer.
    Unreachable,
}

impl FailureKind {
    /// The exit code, as documented in docs/cli.md.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::NotAuthorized => 4,
            Self::Unreachable => 5,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::NotAuthorized => "not_authorized",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    pub kind: FailureKind,
    /// What went wrong: lower case, no full stop.
    pub message: String,
    /// What to do next, usually a command.
    pub suggestion: Option<String>,
}

impl Failure {
    /// A failure of a kind, without a suggestion yet.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), suggestion: None }
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Failed, message)
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Usage, message)
    }

    pub fn not_authorized(message: impl Into<String>) -> Self {
        Self::new(FailureKind::NotAuthorized, message)
    }

    /// Says what to do next, unless something more exact was said before.
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion.get_or_insert_with(|| suggestion.into());
        self
    }

    /// Says where to look, if the failure is that something does not exist.
    pub fn when_not_found(self, suggestion: &str) -> Self {
        if self.kind == FailureKind::NotFound { self.suggest(suggestion) } else { self }
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind.exit_code())
    }

    /// The failure as one JSON object.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "error": {
                "kind": self.kind.name(),
                "message": self.message,
                "suggestion": self.suggestion,
                "exit_code": self.kind.exit_code(),
            }
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Error: {}", self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(formatter, "\nSuggestion: {suggestion}")?;
        }
        Ok(())
    }
}

/// An error and all its sources in one line: `a: b: c`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line
}
