//! The authority of a physical cluster on Kubernetes, from where the operator keeps it: a ConfigMap beside the bootstrap Service.
//!
//! For pods that may read ConfigMaps of that namespace. Reads nothing else.

use serde_json::Value;

use crate::failure::{Failure, FailureKind, chain};

/// The PEM of the authority that signs for `<name>-bootstrap.<namespace>.svc:port`.
pub async fn read(bootstrap_server: &str) -> Result<String, Failure> {
    let path = config_map(bootstrap_server).ok_or_else(|| {
        Failure::usage(format!("{bootstrap_server} is not the name of a Service that the operator made"))
            .suggest("name the authority with --tls-ca instead of --tls-ca-from-kubernetes")
    })?;
    let cannot = |error: &dyn std::error::Error| {
        Failure::new(FailureKind::Unreachable, format!("cannot read {path} of Kubernetes: {}", chain(error)))
            .suggest("--tls-ca-from-kubernetes is for a pod whose ServiceAccount may get ConfigMaps")
    };
    let client = kube::Client::try_default().await.map_err(|error| cannot(&error))?;
    let request = http::Request::get(&path).body(Vec::new()).expect("names of Services are valid in a path");
    let found: Value = client.request(request).await.map_err(|error| cannot(&error))?;
    let pem = found.pointer("/data/ca.crt").and_then(Value::as_str);
    pem.map(str::to_owned).ok_or_else(|| Failure::failed(format!("{path} has no ca.crt")))
}

fn config_map(bootstrap_server: &str) -> Option<String> {
    let (name, rest) = bootstrap_server.split_once("-bootstrap.")?;
    let (namespace, _) = rest.split_once(".svc")?;
    let is_label =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (is_label(name) && is_label(namespace)).then(|| format!("/api/v1/namespaces/{namespace}/configmaps/{name}-ca"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_service_says_where_the_authority_is() {
        let path = config_map("pkc-a1-bootstrap.millstream.svc:9092");
        assert_eq!(path.as_deref(), Some("/api/v1/namespaces/millstream/configmaps/pkc-a1-ca"));
    }

    #[test]
    fn a_name_that_is_no_service_of_the_operator_leads_nowhere() {
        for name in ["127.0.0.1:9092", "pkc-a.kafka.example.com:9092", "a/../b-bootstrap.x.svc:1", "-bootstrap..svc"] {
            assert_eq!(config_map(name), None, "{name}");
        }
    }
}
