//! The certificate authority of a cluster, and the certificate of its brokers.
//!
//! Promises that a client which trusts what the ConfigMap says is never refused: what is trusted grows before anything
//! is signed by a new authority, and shrinks only after the old one has ended. Everything follows from the stored
//! certificates and the time, so an operator that dies at any moment goes on where it was.

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::build::CertificateFiles;

/// An authority is good for this long.
const AUTHORITY_DAYS: i64 = 3_650;
/// Some systems refuse server certificates that are valid for longer than 398 days.
const BROKER_DAYS: i64 = 90;
/// Clocks differ: certificates are valid from a while before.
const CLOCK_TOLERANCE_DAYS: i64 = 1;
/// The next authority is trusted for this long before it signs, so that clients have time to learn of it.
const OVERLAP_DAYS: i64 = 30;
/// The next authority is made when this much of the current one is left.
const AUTHORITY_RENEWAL_DAYS: i64 = 365;
/// The brokers' certificate is replaced when this much of it is left.
const BROKER_RENEWAL_DAYS: i64 = 30;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    #[error("the certificate in {name} cannot be read")]
    Unreadable { name: String },
}

/// What the certificates are, besides their files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    pub files: CertificateFiles,
    /// When the authority that signs now ends.
    pub authority_ends: Timestamp,
    /// When the certificate of the brokers ends.
    pub broker_ends: Timestamp,
    /// Whether a next authority is trusted already and does not sign yet.
    pub rotating: bool,
}

/// Entries of the authority's Secret.
const CURRENT_CERTIFICATE: &str = "ca.crt";
const CURRENT_KEY: &str = "ca.key";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
const PREVIOUS_CERTIFICATE: &str = "previous.crt";

/// What the certificates have to be at `now`, from what is stored. `hosts` are the names of bootstrap and brokers.
///
/// # Errors
///
/// When something stored cannot be read: it is never replaced silently, for clients trust it.
pub fn plan(
    stored_authority: &BTreeMap<String, String>,
    stored_broker: &BTreeMap<String, String>,
    cluster: &str,
    hosts: &[String],
    now: Timestamp,
) -> Result<Certificates, Error> {
    let authority = plan_authority(stored_authority, cluster, now)?;
    let broker = plan_broker(stored_broker, &authority, hosts, now)?;
    let trusted = [CURRENT_CERTIFICATE, NEXT_CERTIFICATE, PREVIOUS_CERTIFICATE];
    let trusted = trusted.into_iter().filter_map(|name| authority.get(name)).cloned().collect();
    Ok(Certificates {
        authority_ends: read(CURRENT_CERTIFICATE, &authority[CURRENT_CERTIFICATE])?.ends,
        broker_ends: read("tls.crt", &broker.0)?.ends,
        rotating: authority.contains_key(NEXT_CERTIFICATE),
        files: CertificateFiles { authority, trusted, certificate: broker.0, key: broker.1 },
    })
}

fn plan_authority(
    stored: &BTreeMap<String, String>,
    cluster: &str,
    now: Timestamp,
) -> Result<BTreeMap<String, String>, Error> {
    let mut entries = stored.clone();
    let (Some(current), Some(_)) = (stored.get(CURRENT_CERTIFICATE), stored.get(CURRENT_KEY)) else {
        let (certificate, key) = make_authority(cluster, now)?;
        return Ok([(CURRENT_CERTIFICATE.to_owned(), certificate), (CURRENT_KEY.to_owned(), key)].into());
    };
    let current_ends = read(CURRENT_CERTIFICATE, current)?.ends;
    if let Some(previous) = stored.get(PREVIOUS_CERTIFICATE)
        && read(PREVIOUS_CERTIFICATE, previous)?.ends <= now
    {
        entries.remove(PREVIOUS_CERTIFICATE);
    }
    match (stored.get(NEXT_CERTIFICATE), stored.get(NEXT_KEY)) {
        (Some(next), Some(next_key)) => {
            let trusted_since = read(NEXT_CERTIFICATE, next)?.starts + days(CLOCK_TOLERANCE_DAYS);
            // Whoever has not learned of the next one by the time the current one ends is refused either way.
            if trusted_since + days(OVERLAP_DAYS) <= now || current_ends <= now {
                entries.insert(PREVIOUS_CERTIFICATE.to_owned(), current.clone());
                entries.insert(CURRENT_CERTIFICATE.to_owned(), next.clone());
                entries.insert(CURRENT_KEY.to_owned(), next_key.clone());
                entries.remove(NEXT_CERTIFICATE);
                entries.remove(NEXT_KEY);
            }
        }
        _ if current_ends <= now + days(AUTHORITY_RENEWAL_DAYS) => {
            let (certificate, key) = make_authority(cluster, now)?;
            entries.insert(NEXT_CERTIFICATE.to_owned(), certificate);
            entries.insert(NEXT_KEY.to_owned(), key);
        }
        _ => {}
    }
    Ok(entries)
}

fn plan_broker(
    stored: &BTreeMap<String, String>,
    authority: &BTreeMap<String, String>,
    hosts: &[String],
    now: Timestamp,
) -> Result<(String, String), Error> {
    let issuer_pem = &authority[CURRENT_CERTIFICATE];
    if let (Some(certificate), Some(key)) = (stored.get("tls.crt"), stored.get("tls.key")) {
        let read_certificate = read("tls.crt", certificate);
        // Only we read and write this one, and nobody trusts it by itself: what cannot be read is replaced.
        let fits = read_certificate.is_ok_and(|read| {
            let fresh = now + days(BROKER_RENEWAL_DAYS) < read.ends;
            fresh && is_signed_by(certificate, issuer_pem) && hosts.iter().all(|host| read.hosts.contains(host))
        });
        if fits {
            return Ok((certificate.clone(), key.clone()));
        }
    }
    let issuer_key = KeyPair::from_pem(&authority[CURRENT_KEY])?;
    let issuer = Issuer::from_ca_cert_pem(issuer_pem, issuer_key)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(hosts.to_vec())?;
    params.distinguished_name = common_name("millstream");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, now, BROKER_DAYS);
    let certificate = params.signed_by(&key, &issuer)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn make_authority(cluster: &str, now: Timestamp) -> Result<(String, String), Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    // The year tells two authorities of one cluster apart, for people; software goes by the key.
    params.distinguished_name = common_name(&format!("Millstream {cluster} {}", now.strftime("%Y-%m-%d")));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, AUTHORITY_DAYS);
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

fn set_validity(params: &mut CertificateParams, now: Timestamp, valid_days: i64) {
    let moment =
        |time: Timestamp| OffsetDateTime::from_unix_timestamp(time.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = moment(now - days(CLOCK_TOLERANCE_DAYS));
    params.not_after = moment(now + days(valid_days));
}

fn days(number: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * number)
}

/// What a certificate says.
pub struct ReadCertificate {
    pub starts: Timestamp,
    pub ends: Timestamp,
    /// Names that it is for.
    pub hosts: Vec<String>,
}

impl ReadCertificate {
    /// Whether a client that connects to `host` accepts it, wildcards included.
    pub fn covers(&self, host: &str) -> bool {
        let parent = host.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        self.hosts.iter().any(|name| name == host || Some(name) == parent.as_ref())
    }
}

/// Reads the first certificate of a PEM text; `name` says where it is from.
///
/// # Errors
///
/// When it is not a certificate.
pub fn read(name: &str, pem: &str) -> Result<ReadCertificate, Error> {
    let unreadable = || Error::Unreadable { name: name.to_owned() };
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| unreadable())?;
    let (_, certificate) = X509Certificate::from_der(&block.contents).map_err(|_| unreadable())?;
    let moment = |seconds: i64| Timestamp::from_second(seconds).map_err(|_| unreadable());
    let names = certificate.subject_alternative_name().map_err(|_| unreadable())?;
    let names = names.iter().flat_map(|extension| &extension.value.general_names);
    let hosts = names.filter_map(|name| match name {
        GeneralName::DNSName(host) => Some((*host).to_owned()),
        _ => None,
    });
    Ok(ReadCertificate {
        starts: moment(certificate.validity().not_before.timestamp())?,
        ends: moment(certificate.validity().not_after.timestamp())?,
        hosts: hosts.collect(),
    })
}

fn is_signed_by(certificate: &str, issuer: &str) -> bool {
    let (Ok((_, certificate)), Ok((_, issuer))) =
        (x509_parser::pem::parse_x509_pem(certificate.as_bytes()), x509_parser::pem::parse_x509_pem(issuer.as_bytes()))
    else {
        return false;
    };
    let (Ok(certificate), Ok(issuer)) = (certificate.parse_x509(), issuer.parse_x509()) else { return false };
    certificate.verify_signature(Some(issuer.public_key())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "2026-01-01T00:00:00Z";

    fn at(day: i64) -> Timestamp {
        START.parse::<Timestamp>().unwrap() + days(day)
    }

    fn hosts() -> Vec<String> {
        vec!["b0.example.com".to_owned()]
    }

    fn first() -> Certificates {
        plan(&BTreeMap::new(), &BTreeMap::new(), "pkc-abc12", &hosts(), at(0)).unwrap()
    }

    fn later(stored: &Certificates, day: i64) -> Certificates {
        let broker = [("tls.crt", &stored.files.certificate), ("tls.key", &stored.files.key)];
        let broker = broker.map(|(name, text)| (name.to_owned(), text.clone())).into();
        plan(&stored.files.authority, &broker, "pkc-abc12", &hosts(), at(day)).unwrap()
    }

    fn trusts(trusted: &str, certificate: &str) -> bool {
        let end = "-----END CERTIFICATE-----\n";
        trusted.split_inclusive(end).any(|authority| is_signed_by(certificate, authority))
    }

    #[test]
    fn nothing_changes_from_one_look_to_the_next() {
        let stored = first();
        assert!(later(&stored, 1) == stored);
    }

    #[test]
    fn a_certificate_that_lacks_a_name_is_replaced_under_the_same_authority() {
        let stored = first();
        let broker = [("tls.crt", &stored.files.certificate), ("tls.key", &stored.files.key)];
        let broker = broker.map(|(name, text)| (name.to_owned(), text.clone())).into();
        let more = ["b0.example.com".to_owned(), "b1.example.com".to_owned()];
        let replaced = plan(&stored.files.authority, &broker, "pkc-abc12", &more, at(1)).unwrap();
        assert_ne!(replaced.files.certificate, stored.files.certificate);
        assert_eq!(replaced.files.trusted, stored.files.trusted);
        assert!(read("", &replaced.files.certificate).unwrap().covers("b1.example.com"));
    }

    #[test]
    fn over_thirty_years_every_certificate_is_trusted_by_whoever_looked_a_month_before() {
        let mut stored = first();
        let mut trusted = vec![stored.files.trusted.clone()];
        let mut authorities = std::collections::BTreeSet::new();
        for week in 1..30 * 52 {
            stored = later(&stored, week * 7);
            authorities.insert(stored.files.authority[CURRENT_CERTIFICATE].clone());
            trusted.push(stored.files.trusted.clone());
            let a_month_ago = &trusted[trusted.len().saturating_sub(5)];
            assert!(trusts(a_month_ago, &stored.files.certificate), "week {week}");
            assert!(at(week * 7) < stored.broker_ends && at(week * 7) < stored.authority_ends, "week {week}");
        }
        assert!(authorities.len() >= 3, "the authority was replaced {} times", authorities.len());
    }

    #[test]
    fn an_authority_that_cannot_be_read_is_not_replaced_silently() {
        let stored = [(CURRENT_CERTIFICATE, "garbage"), (CURRENT_KEY, "garbage")];
        let stored = stored.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let planned = plan(&stored, &BTreeMap::new(), "pkc-abc12", &hosts(), at(0));
        assert!(matches!(planned, Err(Error::Unreadable { .. })));
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        let read = ReadCertificate { starts: at(0), ends: at(1), hosts: vec!["*.kafka.example.com".to_owned()] };
        assert!(read.covers("pkc-1.kafka.example.com"));
        assert!(!read.covers("b0.pkc-1.kafka.example.com") && !read.covers("kafka.example.com"));
    }
}
