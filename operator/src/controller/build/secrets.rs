//! Certificates: the Secrets of the authority, of the brokers and of the external listener, and the ConfigMap that clients
//! trust.

use kube::core::DynamicObject;
use serde_json::json;

use super::Inputs;
use crate::controller::kinds::Kind;

/// The authority with its key, which is mounted nowhere, and the certificates that brokers present.
pub fn build(inputs: &Inputs<'_>) -> Vec<DynamicObject> {
    let certificates = inputs.certificates;
    let authority = json!({ "type": "Opaque", "data": encoded(certificates.authority.iter()) });
    let brokers = json!({
        "type": "kubernetes.io/tls",
        "data": encoded([("tls.crt", &certificates.certificate), ("tls.key", &certificates.key)]),
    });
    let mut secrets = vec![
        inputs.object(Kind::Secret, &inputs.names.certificate_authority(), authority),
        inputs.object(Kind::Secret, &inputs.names.broker_certificate(), brokers),
    ];
    secrets.extend(inputs.external_certificate.map(|given| {
        let files = given.iter().filter(|(name, _)| ["tls.crt", "tls.key"].contains(&name.as_str()));
        let external = json!({ "type": "kubernetes.io/tls", "data": encoded(files) });
        inputs.object(Kind::Secret, &inputs.names.external_certificate(), external)
    }));
    secrets
}

/// What clients trust; it grows before a certificate is signed by somebody else.
pub fn trusted_certificates(inputs: &Inputs<'_>) -> DynamicObject {
    let body = json!({ "data": { "ca.crt": inputs.certificates.trusted } });
    inputs.object(Kind::ConfigMap, &inputs.names.certificate_authority(), body)
}

fn encoded<K: ToString, V: AsRef<[u8]>>(entries: impl IntoIterator<Item = (K, V)>) -> serde_json::Value {
    use base64::Engine as _;
    let encode = |(name, text): (K, V)| (name.to_string(), json!(base64::prelude::BASE64_STANDARD.encode(text)));
    serde_json::Value::Object(entries.into_iter().map(encode).collect())
}
