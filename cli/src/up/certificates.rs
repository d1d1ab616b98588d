//! Certificates for `millstream up --tls`: an authority of this directory, made once, and a server certificate.
//!
//! Promises that clients which trust the authority go on trusting it over restarts: only the server certificate is
//! made anew, at each start, so that it always fits the host names and has not expired. Private keys have mode 0600.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Datelike, Days, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::credentials::write_private_file;

const AUTHORITY_DAYS: u64 = 3_650;
/// Some systems refuse server certificates that are valid for longer.
const SERVER_DAYS: u64 = 397;
/// Clocks differ: certificates are valid from the day before.
const CLOCK_TOLERANCE_DAYS: u64 = 1;
const AUTHORITY_NAME: &str = "Millstream local authority";

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot use the certificate file {path}")]
    File { path: PathBuf, source: io::Error },
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    #[error("cannot use the certificate")]
    Use(#[from] rustls::Error),
}

/// What the Kafka listener needs, and what its clients need.
pub struct Certificates {
    pub server: Arc<ServerConfig>,
    /// PEM file of the authority, for clients.
    pub authority_file: PathBuf,
}

/// Loads or makes the authority in `folder`, and signs a server certificate for `hosts` and this machine.
pub fn prepare(folder: &Path, hosts: &[String], now: DateTime<Utc>) -> Result<Certificates, CertificateError> {
    let authority_file = folder.join("ca.pem");
    let key = load_or_make_key(&folder.join("ca.key"))?;
    let authority = authority_params(now);
    if !authority_file.exists() {
        let certificate = authority.self_signed(&key)?;
        let written = write_private_file(&authority_file, certificate.pem().as_bytes());
        written.map_err(|source| CertificateError::File { path: authority_file.clone(), source })?;
    }
    let issuer = Issuer::new(authority, key);

    let server_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = server_params(hosts, now)?.signed_by(&server_key, &issuer)?;
    let private_key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
    let mut server =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private_key)?;
    server.ignore_client_order = true;
    Ok(Certificates { server: Arc::new(server), authority_file })
}

fn load_or_make_key(path: &Path) -> Result<KeyPair, CertificateError> {
    let failed = |source| CertificateError::File { path: path.to_path_buf(), source };
    match fs::read_to_string(path) {
        Ok(pem) => Ok(KeyPair::from_pem(&pem)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            write_private_file(path, key.serialize_pem().as_bytes()).map_err(failed)?;
            Ok(key)
        }
        Err(source) => Err(failed(source)),
    }
}

/// The same name at every start: a certificate is found by the name of its issuer.
fn authority_params(now: DateTime<Utc>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(AUTHORITY_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, AUTHORITY_DAYS);
    params
}

fn server_params(hosts: &[String], now: DateTime<Utc>) -> Result<CertificateParams, CertificateError> {
    let mut names = vec!["localhost".to_string(), "127.0.0.1".to_string(), "::1".to_string()];
    for host in hosts {
        let unspecified = host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
        if !unspecified && !names.contains(host) {
            names.push(host.clone());
        }
    }
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = name("millstream");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, now, SERVER_DAYS);
    Ok(params)
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn set_validity(params: &mut CertificateParams, now: DateTime<Utc>, days: u64) {
    let day = |date: DateTime<Utc>| rcgen::date_time_ymd(date.year(), date.month() as u8, date.day() as u8);
    params.not_before = day(now.checked_sub_days(Days::new(CLOCK_TOLERANCE_DAYS)).unwrap_or(now));
    params.not_after = day(now.checked_add_days(Days::new(days)).unwrap_or(now));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_authority_is_made_once_and_its_key_is_private() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().expect("folder");
        let first = prepare(folder.path(), &["example.test".into()], Utc::now()).expect("made");
        let pem = fs::read(&first.authority_file).expect("authority");
        prepare(folder.path(), &["other.test".into()], Utc::now()).expect("loaded");
        assert_eq!(fs::read(&first.authority_file).expect("authority"), pem);
        let mode = fs::metadata(folder.path().join("ca.key")).expect("key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_client_that_trusts_the_authority_accepts_the_server_after_a_restart() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().expect("folder");
        let authority_file = prepare(folder.path(), &[], Utc::now()).expect("made").authority_file;
        let restarted = prepare(folder.path(), &["example.test".into()], Utc::now()).expect("loaded");
        for host in ["localhost", "127.0.0.1", "example.test"] {
            handshake(restarted.server.clone(), &authority_file, host);
        }
    }

    fn handshake(server: Arc<ServerConfig>, authority_file: &Path, host: &str) {
        use rustls::pki_types::pem::PemObject;
        let mut roots = rustls::RootCertStore::empty();
        let authority = rustls::pki_types::CertificateDer::from_pem_file(authority_file).expect("PEM");
        roots.add(authority).expect("root");
        let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = host.to_string().try_into().expect("server name");
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).expect("client");
        let mut server = rustls::ServerConnection::new(server).expect("server");
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).expect("client writes");
            server.read_tls(&mut wire.as_slice()).expect("server reads");
            server.process_new_packets().expect("server accepts");
            let mut wire = Vec::new();
            server.write_tls(&mut wire).expect("server writes");
            client.read_tls(&mut wire.as_slice()).expect("client reads");
            client.process_new_packets().unwrap_or_else(|error| panic!("{host}: {error}"));
        }
    }
}
