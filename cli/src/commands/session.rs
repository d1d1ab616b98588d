//! `millstream login` and `millstream logout`: a session of a user, begun with a password.
//!
//! Promises that a password is neither shown nor kept, and that after a logout the token is worth nothing.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;

use chrono::DateTime;
use reqwest::StatusCode;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::{Value, json};

use crate::command_line::{ConnectionArgs, LoginArgs, LogoutArgs};
use crate::failure::Failure;
use crate::login::Login;
use crate::output::{Column, Output, column, printable};
use crate::rest_client::RestError;
use crate::session::Session;

/// Longer than any password.
const MAX_PASSWORD_LINE_BYTES: u64 = 1024;
const COLUMNS: &[Column] = &[
    column("Logged in as", "/email"),
    column("Organization", "/organization_id"),
    column("At", "/rest_url"),
    column("Until", "/expires_at"),
];

/// Begins a session and keeps its token; it takes the place of an earlier one.
pub async fn log_in(args: LoginArgs, data_dir: &Path, output: &Output) -> Result<(), Failure> {
    let connection = ConnectionArgs { url: args.url, tls_ca: args.tls_ca, ..ConnectionArgs::default() };
    let (url, api) = Login::resolve(&connection, data_dir)?.without_credentials()?;
    let password = match args.password {
        Some(password) => password,
        None => ask_for_password(&args.email)?,
    };
    let mut body = json!({ "email": args.email, "password": password });
    if let Some(organization) = args.organization {
        body["organization_id"] = organization.into();
    }
    let answer = match api.post(&["iam", "v2", "sessions"], &[], &body).await {
        Err(RestError::Refused { status: StatusCode::UNAUTHORIZED, detail }) => {
            return Err(Failure::not_authorized(detail).suggest(
                "`millstream up` keeps the first user's login in the credentials file; an administrator sets passwords",
            ));
        }
        answer => answer?,
    };
    let text = |field: &str| {
        let value = answer.get(field).and_then(Value::as_str).map(str::to_string);
        value.ok_or_else(|| Failure::failed(format!("the service answered with a session that has no {field}")))
    };
    let expires_at = DateTime::parse_from_rfc3339(&text("expires_at")?)
        .map_err(|_| Failure::failed("the service answered with a session whose end cannot be read"))?;
    let session = Session {
        rest_url: url,
        session_id: text("id")?,
        organization_id: text("organization_id")?,
        email: args.email,
        token: text("token")?,
        expires_at: expires_at.into(),
    };
    session.save(data_dir)?;
    let shown = json!({
        "rest_url": session.rest_url, "email": session.email, "organization_id": session.organization_id,
        "user_id": text("user_id")?, "session_id": session.session_id, "expires_at": session.expires_at,
    });
    output.object(COLUMNS, &shown)
}

/// Ends the session at the service and forgets its token.
pub async fn log_out(args: LogoutArgs, data_dir: &Path, output: &Output) -> Result<(), Failure> {
    let Some(session) = Session::load(data_dir)? else { return output.say("Nobody is logged in") };
    if !session.is_over() {
        let api = session.api(args.tls_ca.as_deref())?;
        match api.delete(&["iam", "v2", "sessions", &session.session_id], &[]).await {
            Ok(()) => {}
            // It was ended elsewhere, by another password or by the user's end.
            Err(RestError::Refused { status: StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND, .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Session::forget(data_dir)?;
    output.say(&format!("Logged out {}", printable(&session.email)))
}

/// One line of stdin; on a terminal, asked for and not shown.
fn ask_for_password(email: &str) -> Result<String, Failure> {
    let unreadable = |error: io::Error| Failure::failed(format!("cannot read the password: {error}"));
    let is_terminal = io::stdin().is_terminal();
    let hidden = if is_terminal { Some(HiddenInput::begin().map_err(unreadable)?) } else { None };
    if is_terminal {
        eprint!("Password of {}: ", printable(email));
        let _ = io::stderr().flush();
    }
    let mut line = String::new();
    let read = io::stdin().lock().take(MAX_PASSWORD_LINE_BYTES).read_line(&mut line);
    if hidden.is_some() {
        eprintln!();
    }
    read.map_err(unreadable)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::usage("no password was given")
            .suggest("type it when asked, give it as a line of stdin, or set MILLSTREAM_PASSWORD"));
    }
    Ok(password.to_string())
}

/// While it lives, the terminal does not show what is typed.
struct HiddenInput {
    before: Termios,
}

impl HiddenInput {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self { before })
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
