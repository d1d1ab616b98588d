//! A certificate of the user's own, presented by the external listener: whether clients would accept it, and when it ends.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::certificates::{self, ReadCertificate};
use super::gather::Gathered;
use super::names::Names;
use super::validate::{Rejection, reject};
use crate::crd::conditions::Reason;
use crate::crd::listeners::ExternalKind;

/// Rejects what a broker could not load or a client would not accept, before any pod gets it.
///
/// # Errors
///
/// The first thing that is wrong, for a person.
pub fn validate(gathered: &Gathered, names: &Names, now: Timestamp) -> Result<(), Rejection> {
    let Some((secret_name, secret)) = given(gathered) else { return Ok(()) };
    let invalid = |reason, words: String| reject(reason, format!("tls.externalCertificate: {words}"));
    let Ok(certificate) = read(secret_name, secret) else {
        return invalid(Reason::SecretInvalid, format!("tls.crt of the Secret {secret_name} is not a certificate"));
    };
    if !is_pair(secret) {
        let words = format!("tls.key of the Secret {secret_name} is not the private key of its tls.crt");
        return invalid(Reason::SecretInvalid, words);
    }
    let brokers = gathered.nodes.iter().map(|node| names.external_broker_host(node.id));
    for host in [names.external_bootstrap_host()].into_iter().chain(brokers) {
        if !certificate.covers(&host) {
            return invalid(Reason::CertificateInvalid, format!("the certificate in {secret_name} is not for {host}"));
        }
    }
    if certificate.ends <= now {
        let words = format!("the certificate in {secret_name} ended at {}", certificate.ends);
        return invalid(Reason::CertificateInvalid, words);
    }
    if now < certificate.starts {
        let words = format!("the certificate in {secret_name} is not valid before {}", certificate.starts);
        return invalid(Reason::CertificateInvalid, words);
    }
    Ok(())
}

/// When it ends. Absent if there is none, or none that can be read.
pub fn ends(gathered: &Gathered) -> Option<Timestamp> {
    let (secret_name, secret) = given(gathered)?;
    Some(read(secret_name, secret).ok()?.ends)
}

/// The name and the entries of the Secret, if there is an external listener that presents it.
pub fn given(gathered: &Gathered) -> Option<(&str, &BTreeMap<String, String>)> {
    let spec = &gathered.cluster.spec;
    let has_external = spec.listeners.external.kind != ExternalKind::None;
    let external = spec.tls.external_certificate.as_ref().filter(|_| has_external)?;
    Some((&external.secret_name, gathered.referenced_secrets.get(&external.secret_name)?))
}

fn read(secret_name: &str, secret: &BTreeMap<String, String>) -> Result<ReadCertificate, certificates::Error> {
    certificates::read(secret_name, secret.get("tls.crt").map_or("", String::as_str))
}

/// Asked in the way in which brokers load the files.
fn is_pair(secret: &BTreeMap<String, String>) -> bool {
    let pem = |key: &str| secret.get(key).map(String::as_bytes).unwrap_or_default();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem("tls.crt")).collect();
    let (Ok(chain), Ok(key)) = (chain, PrivateKeyDer::from_pem_slice(pem("tls.key"))) else { return false };
    CertifiedKey::from_der(chain, key, &rustls::crypto::aws_lc_rs::default_provider()).is_ok()
}
