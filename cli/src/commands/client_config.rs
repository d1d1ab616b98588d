//! `millstream client-config create`: configuration for Kafka clients, from templates inside this program.

use serde_json::json;

use super::Context;
use crate::client_config::{ClientConfig, render};
use crate::command_line::ClientConfigVerb;
use crate::failure::Failure;
use crate::output::write_line;

/// Runs one verb.
pub async fn run(context: &Context, verb: ClientConfigVerb) -> Result<(), Failure> {
    let ClientConfigVerb::Create { language } = verb;
    let target = context.login.kafka_target().await?;
    let text = render(language, &ClientConfig::new(&target)?);
    if context.output.is_json() {
        return context.output.json(&json!({ "configuration": text }));
    }
    write_line(text.trim_end())
}
