//! A certificate for a whole domain from an authority of its own, as a user would bring one.
use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::super::release::Release;

pub struct Wildcard {
    authority: String,
    certificate: String,
    key: String,
}

impl Wildcard {
    /// For the names below a domain.
    pub fn new(domain: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Unlike that of what it signs: OpenSSL takes a certificate whose subject is its issuer for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([format!("*.{domain}")])?;
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &authority)?;
        Ok(Self { authority: authority.pem(), certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// Who signed it, as PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Makes it the content of a Secret.
    pub fn put_into(&self, release: &Release<'_>, secret: &str) -> Result<()> {
        let manifest = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": { "name": secret },
            "stringData": { "tls.crt": self.certificate, "tls.key": self.key },
        });
        release.namespace.apply(&manifest.to_string())
    }
}
