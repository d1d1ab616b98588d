//! Just enough of an HTTP/1.1 client for the REST API: one connection that stays open, one request at a time, nothing sent twice.
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const LARGEST_BODY_BYTES: usize = 1 << 20;
const LARGEST_LINE_BYTES: u64 = 16 << 10;
const MOST_HEADERS: usize = 100;

/// A connection to a REST API. No `Debug`: it holds a secret.
pub struct Rest {
    stream: BufReader<TcpStream>,
    host: String,
    authorization: String,
}

impl Rest {
    /// `url` is `http://HOST:PORT`.
    pub fn connect(url: &str, key: &str, secret: &str) -> Result<Self> {
        let host = url.strip_prefix("http://").with_context(|| format!("{url} does not begin with http://"))?;
        let host = host.trim_end_matches('/').to_owned();
        let stream = TcpStream::connect(&host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let authorization = format!("Basic {}", STANDARD.encode(format!("{key}:{secret}")));
        Ok(Self { stream: BufReader::new(stream), host, authorization })
    }

    /// One call; the answer's JSON, or null if it has no body. A status outside of 2xx is an error.
    pub fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, answer) = self.ask(method, path, body)?;
        ensure!((200..300).contains(&status), "{method} {path} answered {status}: {answer}");
        Ok(answer)
    }

    /// One call; status and JSON of the answer, whatever the status.
    pub fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let answer = self.send(method, path, &[], body)?;
        Ok((answer.status, answer.body))
    }

    /// One call with more headers. An error means that no answer came.
    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Result<Answer> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            self.host,
            self.authorization,
            body.len()
        );
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n")?;
        }
        request += "\r\n";
        request += &body;
        self.stream.get_mut().write_all(request.as_bytes())?;
        read_answer(&mut self.stream)
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    /// Null if there was none.
    pub body: Value,
}

impl Answer {
    /// The first header of a name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// A text within an answer.
pub fn text_at(value: &Value, pointer: &str) -> Result<String> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.map(str::to_owned).with_context(|| format!("the answer has no {pointer}: {value}"))
}

fn read_answer(stream: &mut impl BufRead) -> Result<Answer> {
    let status_line = read_line(stream)?;
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    let status = status.with_context(|| format!("not an HTTP answer: {status_line}"))?;
    let (mut length, mut is_chunked, mut headers) = (0, false, Vec::new());
    for _ in 0..MOST_HEADERS {
        let line = read_line(stream)?;
        if line.is_empty() {
            let body = if is_chunked { read_chunks(stream)? } else { read_exactly(stream, length)? };
            let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? };
            return Ok(Answer { status, headers, body });
        }
        let (name, value) = line.split_once(':').with_context(|| format!("not a header: {line}"))?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        match name.as_str() {
            "content-length" => length = value.parse()?,
            "transfer-encoding" => is_chunked = value.eq_ignore_ascii_case("chunked"),
            _ => {}
        }
        headers.push((name, value));
    }
    bail!("an answer with more than {MOST_HEADERS} headers")
}

fn read_chunks(stream: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream)?;
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)?;
        body.extend(read_exactly(stream, size)?);
        ensure!(body.len() <= LARGEST_BODY_BYTES, "an answer of more than {LARGEST_BODY_BYTES} bytes");
        read_line(stream)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn read_exactly(stream: &mut impl BufRead, length: usize) -> Result<Vec<u8>> {
    ensure!(length <= LARGEST_BODY_BYTES, "an answer of {length} bytes");
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(body)
}

fn read_line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = Vec::new();
    stream.by_ref().take(LARGEST_LINE_BYTES).read_until(b'\n', &mut line)?;
    ensure!(line.ends_with(b"\n"), "the answer ends within a line");
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(answer: &str) -> Result<(u16, Value)> {
        let answer = read_answer(&mut answer.as_bytes())?;
        Ok((answer.status, answer.body))
    }

    #[test]
    fn bodies_with_a_length_in_chunks_and_without_are_read() {
        assert_eq!(read("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}").unwrap(), (202, json!({})));
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n";
        assert_eq!(read(chunked).unwrap(), (200, json!([1, 2])));
        assert_eq!(read("HTTP/1.1 204 No Content\r\n\r\n").unwrap(), (204, Value::Null));
    }

    #[test]
    fn an_answer_that_is_cut_off_or_too_large_is_an_error() {
        assert!(read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc").is_err());
        assert!(read("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n").is_err());
        assert!(read("SSH-2.0-OpenSSH\r\n").is_err());
    }

    #[test]
    fn a_header_is_found_whatever_its_case() {
        let answer = read_answer(&mut &b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n"[..]).unwrap();
        assert_eq!((answer.header("retry-after"), answer.header("etag")), (Some("1"), None));
    }
}
