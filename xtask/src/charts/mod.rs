//! What is generated for the Helm charts.

mod values;

use std::path::Path;

use anyhow::{Context as _, Result};
use schemars::generate::SchemaSettings;

use crate::codegen::Output;

const CHART: &str = "charts/millstream";

/// The schema of the chart's values, which Helm checks at every install.
pub fn write(output: &mut Output) -> Result<()> {
    // Helm 3 understands draft 7.
    let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<values::Values>();
    let text = serde_json::to_string_pretty(&schema).context("the schema is JSON")?;
    output.add(Path::new(CHART).join("values.schema.json"), text + "\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_yaml_says_everything_that_may_be_said_and_nothing_else() {
        let path = crate::workspace::root().join(CHART).join("values.yaml");
        let text = std::fs::read_to_string(path).expect("values.yaml");
        let read: Result<values::Values, _> = serde_saphyr::from_str(&text);
        if let Err(error) = read {
            panic!("{error}");
        }
        let unknown: Result<values::Values, _> = serde_saphyr::from_str(&text.replace("replicas:", "replica:"));
        assert!(unknown.is_err());
    }
}
