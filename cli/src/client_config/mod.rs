//! Ready-made configuration for Kafka clients, from templates that are part of this program.
//!
//! Promises that the result can be used as it is: the address, the key and its secret are in it. Refuses values that
//! would need quoting somewhere, so that one check serves every language.

use std::path::PathBuf;

use crate::command_line::ClientLanguage;
use crate::failure::Failure;
use crate::login::{Encryption, KafkaTarget};

const JAVA: &str = include_str!("java.properties");
const LIBRDKAFKA: &str = include_str!("librdkafka.config");
const PYTHON: &str = include_str!("python.py");
const GO: &str = include_str!("go.go");
const NODEJS: &str = include_str!("nodejs.js");
const RUST: &str = include_str!("rust.rs");

/// What goes into a template. Has no `Debug`: it holds a secret.
pub struct ClientConfig {
    bootstrap_server: String,
    key: String,
    secret: String,
    encrypted: bool,
    ca_file: Option<PathBuf>,
}

impl ClientConfig {
    /// Checks that every value can stand in every template.
    pub fn new(target: &KafkaTarget) -> Result<Self, Failure> {
        let ca_file = match &target.encryption {
            Encryption::TrustFile(path) => Some(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
            Encryption::Plain | Encryption::TrustSystem | Encryption::TrustPem(_) => None,
        };
        let named_values = [
            ("the bootstrap server", target.bootstrap_server.as_str()),
            ("the Kafka API key", target.credentials.key.as_str()),
            ("the Kafka API secret", target.credentials.secret.as_str()),
            (
                "the path of the certificate authority",
                ca_file.as_ref().map_or("-", |path| path.to_str().unwrap_or("\"")),
            ),
        ];
        for (name, value) in named_values {
            if !is_plain(value) {
                return Err(Failure::usage(format!("{name} has characters that cannot stand in a configuration"))
                    .suggest("use letters, digits and + - . / : = _"));
            }
        }
        Ok(Self {
            bootstrap_server: target.bootstrap_server.clone(),
            key: target.credentials.key.clone(),
            secret: target.credentials.secret.clone(),
            encrypted: target.encryption != Encryption::Plain,
            ca_file,
        })
    }

    fn protocol(&self) -> &'static str {
        if self.encrypted { "SASL_SSL" } else { "SASL_PLAINTEXT" }
    }
}

/// Needs quoting neither in shells nor in any language of the templates.
fn is_plain(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-./:=_[],@".contains(&byte))
}

/// The configuration for one client.
pub fn render(language: ClientLanguage, config: &ClientConfig) -> String {
    match language {
        ClientLanguage::Java => java_properties(config),
        ClientLanguage::Librdkafka => fill(LIBRDKAFKA, config, |path| format!("ssl.ca.location={path}\n")),
        ClientLanguage::Python => fill(PYTHON, config, |path| format!("    \"ssl.ca.location\": \"{path}\",\n")),
        ClientLanguage::Go => go_program(config),
        ClientLanguage::Nodejs => fill(NODEJS, config, |path| format!("  'ssl.ca.location': '{path}',\n")),
        ClientLanguage::Rust => fill(RUST, config, |path| format!("        .set(\"ssl.ca.location\", \"{path}\")\n")),
    }
}

/// The properties that Apache Kafka's Java clients and tools read.
pub fn java_properties(config: &ClientConfig) -> String {
    fill(JAVA, config, |path| format!("ssl.truststore.type=PEM\nssl.truststore.location={path}\n"))
}

/// A kcat command that lists what the cluster has.
pub fn kcat_line(config: &ClientConfig) -> String {
    let ca = config.ca_file.as_ref().map_or(String::new(), |path| format!(" -X ssl.ca.location={}", path.display()));
    format!(
        "kcat -b {} -X security.protocol={} -X sasl.mechanisms=PLAIN -X sasl.username={} -X sasl.password={}{ca}",
        config.bootstrap_server,
        config.protocol(),
        config.key,
        config.secret,
    )
}

fn go_program(config: &ClientConfig) -> String {
    let (tls_imports, os_import, dial) = match (&config.ca_file, config.encrypted) {
        (_, false) => ("", "", ""),
        (None, true) => ("\t\"crypto/tls\"\n", "", "\t\tkgo.DialTLSConfig(new(tls.Config)),\n"),
        (Some(_), true) => (
            "\t\"crypto/tls\"\n\t\"crypto/x509\"\n",
            "\t\"os\"\n",
            "\t\tkgo.DialTLSConfig(&tls.Config{RootCAs: authority}),\n",
        ),
    };
    let authority = config.ca_file.as_ref().map_or(String::new(), |path| {
        format!(
            "\tpem, err := os.ReadFile(\"{}\")\n\tif err != nil {{\n\t\tlog.Fatal(err)\n\t}}\n\
             \tauthority := x509.NewCertPool()\n\tauthority.AppendCertsFromPEM(pem)\n\n",
            path.display()
        )
    });
    fill(GO, config, |_| String::new())
        .replace("{{tls_imports}}", tls_imports)
        .replace("{{os_import}}", os_import)
        .replace("{{authority}}", &authority)
        .replace("{{dial}}", dial)
}

fn fill(template: &str, config: &ClientConfig, ca_lines: impl Fn(&str) -> String) -> String {
    let ca = config.ca_file.as_ref().map_or(String::new(), |path| ca_lines(&path.display().to_string()));
    template
        .replace("{{bootstrap_server}}", &config.bootstrap_server)
        .replace("{{protocol}}", config.protocol())
        .replace("{{key}}", &config.key)
        .replace("{{secret}}", &config.secret)
        .replace("{{ca}}", &ca)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest_client::KeyPair;
    use clap::ValueEnum;

    fn target(encryption: Encryption) -> KafkaTarget {
        let credentials = KeyPair { key: "ABCDEFGHIJKLMNOP".into(), secret: "s3cret+/".into() };
        KafkaTarget { bootstrap_server: "127.0.0.1:9092".into(), credentials, encryption }
    }

    fn all(encryption: Encryption) -> Vec<String> {
        let config = ClientConfig::new(&target(encryption)).unwrap_or_else(|failure| panic!("{failure}"));
        ClientLanguage::value_variants().iter().map(|language| render(*language, &config)).collect()
    }

    #[test]
    fn every_client_gets_address_key_and_secret_and_no_leftover_placeholder() {
        for encryption in [Encryption::Plain, Encryption::TrustSystem, Encryption::TrustFile("/ca.pem".into())] {
            for text in all(encryption.clone()) {
                for value in ["127.0.0.1:9092", "ABCDEFGHIJKLMNOP", "s3cret+/"] {
                    assert!(text.contains(value), "{value} is missing in {text}");
                }
                assert!(!text.contains("{{"), "{text}");
            }
        }
    }

    #[test]
    fn the_authority_is_named_only_with_tls() {
        assert!(all(Encryption::TrustFile("/ca.pem".into())).iter().all(|text| text.contains("/ca.pem")));
        assert!(all(Encryption::Plain).iter().all(|text| !text.contains("ssl.ca") && !text.contains("truststore")));
    }

    #[test]
    fn values_that_need_quoting_are_refused() {
        for wrong in ["a\"b", "a'b", "a b", "a\\b", "a\nb", "a$b", "a`b", "a;b", ""] {
            let mut target = target(Encryption::Plain);
            target.credentials.secret = wrong.into();
            assert!(ClientConfig::new(&target).is_err(), "{wrong:?} was accepted");
        }
    }
}
