//! Certificates of a listener, from files that may change while it serves.
//!
//! Promises: a certificate that was replaced in its files is used by the next handshake after a look at the files,
//! without a restart and without touching connections that exist; files that do not fit together, such as a new
//! certificate beside an old key, change nothing. Private keys never reach a log.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use tracing::{info, warn};

use crate::failure::{Failure, chain};

/// How often the files are looked at. Kubernetes itself takes up to a minute to bring a changed Secret into a pod.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// The TLS of one listener.
pub struct ServerTls {
    files: Files,
    loaded: Contents,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// What is in the files. Has no `Debug`: it holds a private key.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
enum TlsError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not what it should be, as PEM")]
    Pem { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{path} holds no certificate")]
    Empty { path: PathBuf },
    #[error("the certificate {certificate} and the key {key} cannot be used together")]
    Pair { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("{path} holds an authority that cannot be used")]
    Authority { path: PathBuf, source: rustls::Error },
    #[error("the authorities of {path} cannot be used")]
    Verifier { path: PathBuf, source: rustls::server::VerifierBuilderError },
}

impl ServerTls {
    /// Without client certificates.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Failure> {
        Self::load_files(Files { certificate: certificate.into(), key: key.into(), client_ca: None })
    }

    /// Clients may show a certificate, which must then be of one of these authorities.
    pub fn load_with_client_ca(certificate: &Path, key: &Path, client_ca: &Path) -> Result<Self, Failure> {
        Self::load_files(Files { certificate: certificate.into(), key: key.into(), client_ca: Some(client_ca.into()) })
    }

    fn load_files(files: Files) -> Result<Self, Failure> {
        let loaded = files.read().and_then(|contents| Ok((files.parse(&contents)?, contents)));
        let (state, contents) = loaded.map_err(|error| {
            Failure::failed(chain(&error))
                .suggest("give a PEM certificate chain and the PEM private key that belongs to it")
        })?;
        let current = Arc::new(Current(RwLock::new(state)));
        let builder = ServerConfig::builder();
        let mut config = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(_) => builder.with_client_cert_verifier(Arc::clone(&current) as Arc<dyn ClientCertVerifier>),
        }
        .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        if files.client_ca.is_some() {
            // A session that is resumed would not be asked whether its authority is still one.
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
        Ok(Self { files, loaded: contents, current, config: Arc::new(config) })
    }

    /// What the listener needs. Changes of the files come into it by themselves.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Looks at the files now and then. Never ends.
    pub async fn follow_files(mut self) {
        let mut last_failure = String::new();
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let looked = tokio::task::spawn_blocking(move || {
                let changed = self.look();
                (self, changed)
            });
            let Ok((this, changed)) = looked.await else { return };
            self = this;
            let failure = match changed {
                Ok(false) => continue,
                Ok(true) => {
                    info!("using the new certificate of {}", self.files.certificate.display());
                    String::new()
                }
                Err(error) => chain(&error),
            };
            let is_news = !failure.is_empty() && failure != last_failure;
            if is_news {
                warn!("going on with the certificate that was loaded before: {failure}");
            }
            last_failure = failure;
        }
    }

    /// Uses what is in the files now. Says whether that is something else than before.
    fn look(&mut self) -> Result<bool, TlsError> {
        let contents = self.files.read()?;
        if contents == self.loaded {
            return Ok(false);
        }
        let state = self.files.parse(&contents)?;
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = state;
        self.loaded = contents;
        Ok(true)
    }
}

impl Files {
    fn read(&self) -> Result<Contents, TlsError> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|source| TlsError::Read { path: path.clone(), source });
        Ok(Contents {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
            client_ca: self.client_ca.as_ref().map(read).transpose()?,
        })
    }

    fn parse(&self, contents: &Contents) -> Result<State, TlsError> {
        let certificates = parse_certificates(&self.certificate, &contents.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|source| TlsError::Pem { path: self.key.clone(), source })?;
        let pair = |source| TlsError::Pair { certificate: self.certificate.clone(), key: self.key.clone(), source };
        let certified = CertifiedKey::from_der(certificates, key, &provider()).map_err(pair)?;
        let clients = match self.client_ca.as_ref().zip(contents.client_ca.as_ref()) {
            None => None,
            Some((path, pem)) => Some(client_verifier(path, pem)?),
        };
        Ok(State { certified: Arc::new(certified), clients })
    }
}

fn parse_certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = parsed.map_err(|source| TlsError::Pem { path: path.into(), source })?;
    if certificates.is_empty() {
        return Err(TlsError::Empty { path: path.into() });
    }
    Ok(certificates)
}

fn client_verifier(path: &Path, pem: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in parse_certificates(path, pem)? {
        roots.add(authority).map_err(|source| TlsError::Authority { path: path.into(), source })?;
    }
    let built = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build();
    built.map_err(|source| TlsError::Verifier { path: path.into(), source })
}

fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

/// What handshakes use now.
struct State {
    certified: Arc<CertifiedKey>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

struct Current(RwLock<State>);

impl Current {
    fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).certified)
    }

    fn clients(&self) -> Result<Arc<dyn ClientCertVerifier>, rustls::Error> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        state.clients.clone().ok_or_else(|| rustls::Error::General("no authority of clients is known".into()))
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Current")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certified())
    }
}

impl ClientCertVerifier for Current {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.clients()?.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.clients()?.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.clients()?.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, Issuer, KeyPair};
    use rustls::{ClientConfig, ClientConnection, ServerConnection};

    use super::*;

    /// An authority that signs certificates into files.
    struct Authority(CertifiedIssuer<'static, KeyPair>);

    impl Authority {
        fn new() -> Self {
            let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().expect("a key");
            Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
        }

        fn sign(&self, name: &str) -> (String, String) {
            let key = KeyPair::generate().expect("a key");
            let issuer: &Issuer<'_, KeyPair> = &self.0;
            let signed = CertificateParams::new(vec![name.into()]).expect("params").signed_by(&key, issuer);
            (signed.expect("signed").pem(), key.serialize_pem())
        }
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("folder"))
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, (certificate, key): &(String, String)) {
            std::fs::write(self.path("cert"), certificate).expect("written");
            std::fs::write(self.path("key"), key).expect("written");
        }

        fn load(&self) -> ServerTls {
            ServerTls::load(&self.path("cert"), &self.path("key")).unwrap_or_else(|failure| panic!("{failure}"))
        }
    }

    /// A handshake of a client that trusts `authority`; the certificate that the server showed.
    fn handshake(
        tls: &ServerTls,
        authority: &Authority,
        client: Option<&(String, String)>,
    ) -> Result<CertificateDer<'static>, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.0.der().clone()).expect("a root");
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let config = match client {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
                builder.with_client_auth_cert(vec![certificate], key).expect("a client")
            }
        };
        let name = "server.test".to_string().try_into().expect("a name");
        let mut client = ClientConnection::new(Arc::new(config), name)?;
        let mut server = ServerConnection::new(tls.config())?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).expect("client writes");
            server.read_tls(&mut wire.as_slice()).expect("server reads");
            server.process_new_packets()?;
            let mut wire = Vec::new();
            server.write_tls(&mut wire).expect("server writes");
            client.read_tls(&mut wire.as_slice()).expect("client reads");
            client.process_new_packets()?;
        }
        let shown = client.peer_certificates().and_then(|chain| chain.first());
        Ok(shown.expect("a server shows its certificate").clone().into_owned())
    }

    fn der((certificate, _): &(String, String)) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")
    }

    #[test]
    fn a_certificate_that_is_replaced_in_its_files_is_shown_at_the_next_handshake() {
        let (authority, folder) = (Authority::new(), Folder::new());
        let (first, second) = (authority.sign("server.test"), authority.sign("server.test"));
        folder.write(&first);
        let mut tls = folder.load();
        assert_eq!(handshake(&tls, &authority, None).expect("trusted"), der(&first));
        assert!(!tls.look().expect("unchanged"));
        folder.write(&second);
        assert!(tls.look().expect("changed"));
        assert_eq!(handshake(&tls, &authority, None).expect("trusted"), der(&second));
    }

    #[test]
    fn files_that_do_not_fit_together_change_nothing() {
        let (authority, folder) = (Authority::new(), Folder::new());
        let (first, second) = (authority.sign("server.test"), authority.sign("server.test"));
        folder.write(&first);
        let mut tls = folder.load();
        for (certificate, key) in [(second.0.as_str(), first.1.as_str()), ("", &first.1), (&second.0, "nonsense")] {
            folder.write(&(certificate.into(), key.into()));
            assert!(tls.look().is_err(), "{certificate:?}");
            assert_eq!(handshake(&tls, &authority, None).expect("trusted"), der(&first));
        }
        std::fs::remove_file(folder.path("key")).expect("removed");
        assert!(tls.look().is_err());
        folder.write(&second);
        assert!(tls.look().expect("both are new"));
    }

    #[test]
    fn clients_may_show_a_certificate_of_the_authority_and_no_other() {
        let (authority, other, folder) = (Authority::new(), Authority::new(), Folder::new());
        folder.write(&authority.sign("server.test"));
        std::fs::write(folder.path("ca"), authority.0.pem()).expect("written");
        let loaded = ServerTls::load_with_client_ca(&folder.path("cert"), &folder.path("key"), &folder.path("ca"));
        let mut tls = loaded.unwrap_or_else(|failure| panic!("{failure}"));
        let (known, foreign) = (authority.sign("agent.test"), other.sign("agent.test"));
        assert!(handshake(&tls, &authority, None).is_ok());
        assert!(handshake(&tls, &authority, Some(&known)).is_ok());
        assert!(handshake(&tls, &authority, Some(&foreign)).is_err());
        // Another authority takes the place of the first.
        std::fs::write(folder.path("ca"), other.0.pem()).expect("written");
        assert!(tls.look().expect("changed"));
        assert!(handshake(&tls, &authority, Some(&known)).is_err());
        assert!(handshake(&tls, &authority, Some(&foreign)).is_ok());
    }
}
