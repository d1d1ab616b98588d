//! Runs the real binary, away from this machine's own settings, and stands in for the service where a test needs one.

pub mod fleet;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The program with an empty home and no MILLSTREAM_… variables.
pub fn millstream(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MILLSTREAM_")) {
        command.env_remove(name);
    }
    command.env("HOME", home).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs a command line, words separated by spaces.
pub fn run(home: &Path, words: &str) -> Output {
    let output = millstream(home).args(words.split_whitespace()).output();
    output.expect("the program was built with these tests")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A request that the stand-in has seen.
#[derive(Clone, Debug)]
pub struct Seen {
    pub line: String,
    pub authorization: String,
    pub body: String,
}

/// An HTTP server that answers with what `answer` says: status and JSON body.
pub struct StandIn {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl StandIn {
    pub fn start(answer: impl Fn(&Seen) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = seen.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let request = read_request(&mut BufReader::new(&stream));
                let (status, body) = answer(&request);
                record.lock().expect("no panic while recording").push(request);
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                let _ = (&stream).write_all(format!("{head}{body}").as_bytes());
            }
        });
        Self { url, seen }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic while recording").clone()
    }
}

fn read_request(reader: &mut impl BufRead) -> Seen {
    let mut line = String::new();
    reader.read_line(&mut line).expect("request line");
    let (mut authorization, mut length) = (String::new(), 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).expect("header");
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = value.to_string(),
            "content-length" => length = value.parse().expect("a length"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("body");
    Seen { line: line.trim().to_string(), authorization, body: String::from_utf8_lossy(&body).into_owned() }
}

/// Sends a POST to the REST API of a service, with the Cloud API key that it printed; fails unless it succeeds.
pub fn post(ready: &serde_json::Value, path: &str, body: &serde_json::Value) {
    let text = |field: &str| ready[field].as_str().unwrap_or_else(|| panic!("no {field} in {ready}"));
    let address = text("rest_url").trim_start_matches("http://");
    let key = STANDARD.encode(format!("{}:{}", text("cloud_api_key"), text("cloud_api_secret")));
    let body = body.to_string();
    let mut stream = TcpStream::connect(address).expect("connected");
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic {key}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status).expect("a status");
    assert!(status.starts_with("HTTP/1.1 2"), "{path}: {status}");
}

/// A running `millstream up`, ended with the test.
pub struct Up {
    pub child: Child,
    /// What it printed when it was ready.
    pub ready: serde_json::Value,
}

impl Up {
    /// Starts on free ports and waits until it is ready.
    pub fn start(data_dir: &Path, more: &[&str]) -> Self {
        let mut command = millstream(data_dir);
        command.args(["up", "--output", "json", "--data-dir"]).arg(data_dir).args(more);
        Self::spawn(command.env("MILLSTREAM_KAFKA_PORT", "0").env("MILLSTREAM_HTTP_PORT", "0"))
    }

    /// Starts any command that serves and waits for the JSON that it prints.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program was built with these tests");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let ready = serde_json::Deserializer::from_reader(stdout).into_iter().next();
        let ready = ready.expect("it prints something").unwrap_or_else(|error| panic!("not ready: {error}"));
        Self { child, ready }
    }

    pub fn text(&self, field: &str) -> String {
        self.ready[field].as_str().unwrap_or_else(|| panic!("no {field} in {}", self.ready)).to_string()
    }

    /// Sends a POST to the REST API; fails unless it succeeds.
    pub fn post(&self, path: &str, body: &serde_json::Value) {
        post(&self.ready, path, body);
    }

    /// Sends SIGTERM or SIGINT and waits for the end.
    pub fn stop(mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args([signal, &pid]).status().expect("kill");
        assert!(killed.success());
        self.child.wait().expect("ended").code()
    }

    /// kill -9.
    pub fn crash(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
