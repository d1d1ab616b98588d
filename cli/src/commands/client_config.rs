//! `millstream client-config create`: configuration for Kafka clients, from templates inside this program.

use serde_json::json;

use super::Context;
use crate::client_config::{ClientConfig, render};
use crate::command_line::ClientConfigVerb;
use crate::failure::Failure;
use crate::login::Encryption;
use crate::output::write_line;

/// Runs one verb.
pub async fn run(context: &Context, verb: ClientConfigVerb) -> Result<(), Failure> {
    let ClientConfigVerb::Create { language } = verb;
    let mut target = context.login.kafka_target().await?;
    if let Encryption::TrustPem(pem) = &target.encryption {
        target.encryption = Encryption::TrustFile(context.login.keep_authority(pem)?);
    }
    let text = render(language, &ClientConfig::new(&target)?);
    if context.output.is_json() {
        return context.output.json(&json!({ "configuration": text }));
    }
    write_line(text.trim_end())
}
