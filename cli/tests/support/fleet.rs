//! What tests of control plane, agent and brokers as processes of their own have in common.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;

use super::{Up, millstream, stderr, stdout};

/// Writes an authority, `ca.pem`, and a certificate of it for these names, `cert.pem` and `key.pem`.
pub fn write_certificates(folder: &Path, names: &[&str]) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|name| (*name).to_string()).collect();
    let signed = CertificateParams::new(names).expect("params").signed_by(&key, &authority).expect("signed");
    fs::write(folder.join("ca.pem"), authority.pem()).expect("written");
    fs::write(folder.join("cert.pem"), signed.pem()).expect("written");
    fs::write(folder.join("key.pem"), key.serialize_pem()).expect("written");
}

/// Runs commands as the first user of an organization.
pub struct Customer<'a> {
    pub home: &'a Path,
    pub control_plane: &'a Up,
}

impl Customer<'_> {
    pub fn run(&self, words: &str) -> Value {
        let output = self.try_run(words, "");
        assert!(output.status.success(), "{words}: {}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap_or(Value::Null)
    }

    pub fn try_run(&self, words: &str, input: &str) -> Output {
        let mut command = millstream(self.home);
        command.args(words.split_whitespace()).args(["-o", "json"]);
        command.env("MILLSTREAM_URL", self.control_plane.text("rest_url"));
        command.env("MILLSTREAM_CLOUD_API_KEY", self.control_plane.text("cloud_api_key"));
        command.env("MILLSTREAM_CLOUD_API_SECRET", self.control_plane.text("cloud_api_secret"));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ran");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
        child.wait_with_output().expect("ended")
    }
}
