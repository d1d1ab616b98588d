//! Whether an agent is who it says: its certificate names it.
//!
//! The listener has verified the certificate before; here only the name counts. Never decides about tokens.

use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::ParsedCertificate;
use tonic::Status;

use crate::control_plane::AgentCertificates;
use crate::server::PeerCertificate;

/// Lets an agent through whose certificate has its id as a DNS name, or that needs none.
pub fn check(needed: AgentCertificates, agent_id: &str, shown: Option<&PeerCertificate>) -> Result<(), Status> {
    match (needed, shown) {
        (AgentCertificates::NotNeeded, _) => Ok(()),
        (AgentCertificates::Required, None) => Err(Status::unauthenticated(
            "an agent must show a client certificate here: give it one whose DNS name is its id",
        )),
        (AgentCertificates::Required, Some(PeerCertificate(certificate))) => {
            let is_named = ServerName::try_from(agent_id).is_ok_and(|name| {
                matches!(name, ServerName::DnsName(_))
                    && ParsedCertificate::try_from(certificate)
                        .is_ok_and(|certificate| verify_server_name(&certificate, &name).is_ok())
            });
            if is_named {
                return Ok(());
            }
            Err(Status::permission_denied(format!(
                "the client certificate does not have the DNS name {agent_id}, which the agent says is its id"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(agent_id: &str, names: &[&str]) -> Result<(), tonic::Code> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let signed = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let shown = PeerCertificate(signed.cert.der().clone());
        super::check(AgentCertificates::Required, agent_id, Some(&shown)).map_err(|status| status.code())
    }

    #[test]
    fn an_agent_is_who_its_certificate_names() {
        assert_eq!(check("eu-1", &["eu-1"]), Ok(()));
        assert_eq!(check("eu-1.agents.example.com", &["other", "eu-1.agents.example.com"]), Ok(()));
    }

    #[test]
    fn an_agent_cannot_take_the_name_of_another() {
        for (agent_id, names) in [
            ("eu-2", &["eu-1"][..]),
            ("eu-1", &[][..]),
            ("eu_1 x", &["eu-1"]),
            ("10.0.0.1", &["10.0.0.1"]),
            ("", &["eu-1"]),
        ] {
            assert_eq!(check(agent_id, names), Err(tonic::Code::PermissionDenied), "{agent_id}");
        }
    }

    #[test]
    fn without_a_certificate_only_an_agent_that_needs_none_gets_in() {
        let refused = super::check(AgentCertificates::Required, "eu-1", None).map_err(|status| status.code());
        assert_eq!(refused, Err(tonic::Code::Unauthenticated));
        assert!(super::check(AgentCertificates::NotNeeded, "eu-1", None).is_ok());
    }
}
