//! The status: what is, what is being done, and what is waited for. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::certificates::Certificates;
use super::external_certificate;
use super::gather::Gathered;
use super::kinds::Kind;
use super::names::{INTERNAL_PORT, Names};
use super::observe::{has_run, node_state, pod_of};
use super::routes;
use super::step::Waiting;
use crate::crd::conditions::{ConditionType, Reason};
use crate::crd::listeners::ExternalKind;
use crate::crd::status::{CertificateAuthorityStatus, Endpoints, KafkaClusterStatus, Node, NodeState};

/// A certificate that ends this soon should have been replaced long ago.
const CERTIFICATE_WARNING: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Reasons of one status at most.
const MAX_BLOCKED_BY: usize = 10;
/// Characters of a message at most: the API server takes 32,768, and people read less.
const MAX_MESSAGE_CHARS: usize = 1_024;

/// How a reconciliation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The spec cannot be acted upon.
    Rejected { reason: Reason, message: String },
    /// An object could not be made.
    Failed { reason: Reason, message: String },
    /// Something was done, or is waited for.
    Underway(Waiting),
    /// There is nothing to do.
    Settled,
}

/// The status after a reconciliation.
pub fn report(
    gathered: &Gathered,
    names: &Names,
    certificates: Option<&Certificates>,
    outcome: &Outcome,
    now: Timestamp,
) -> KafkaClusterStatus {
    let nodes: Vec<Node> = gathered.nodes.iter().map(|node| report_node(gathered, node)).collect();
    let endpoints = endpoints(gathered, names);
    let known = gathered.cluster.status.clone().unwrap_or_default();
    let bucket_in_use = is_bucket_in_use(gathered);
    let mut status = KafkaClusterStatus {
        observed_generation: gathered.cluster.metadata.generation.unwrap_or_default(),
        conditions: known.conditions,
        nodes,
        endpoints,
        operation: None,
        blocked_by: Vec::new(),
        bucket_in_use,
        certificate_authority: certificates.map(|certificates| CertificateAuthorityStatus {
            config_map: names.certificate_authority(),
            certificates: certificates.files.trusted.clone(),
            not_after: certificates.authority_ends.to_string(),
        }),
    };
    if certificates.is_none() {
        status.certificate_authority = known.certificate_authority;
    }
    let mut say = |kind, holds: bool, reason, message: &str| {
        set_condition(&mut status.conditions, kind, holds, reason, message, status.observed_generation, now);
    };
    let ready = !status.nodes.is_empty() && status.nodes.iter().all(|node| node.state == NodeState::Ready);
    match outcome {
        Outcome::Rejected { reason, message } => {
            say(ConditionType::Accepted, false, *reason, message);
            say(ConditionType::Progressing, false, *reason, "");
            say(ConditionType::Degraded, true, *reason, message);
        }
        Outcome::Failed { reason, message } => {
            say(ConditionType::Accepted, true, Reason::Valid, "");
            say(ConditionType::Progressing, true, *reason, message);
            say(ConditionType::Degraded, true, *reason, message);
        }
        Outcome::Underway(waiting) => {
            say(ConditionType::Accepted, true, Reason::Valid, "");
            say(ConditionType::Progressing, true, waiting.reason, &waiting.message);
            let (degraded, reason) =
                if is_trouble(waiting.reason) { (true, waiting.reason) } else { (false, Reason::AsSpecified) };
            say(ConditionType::Degraded, degraded, reason, &waiting.blocked_by.join("; "));
        }
        Outcome::Settled => {
            say(ConditionType::Accepted, true, Reason::Valid, "");
            say(ConditionType::Progressing, false, Reason::AsSpecified, "");
            say(ConditionType::Degraded, false, Reason::AsSpecified, "");
        }
    }
    let (unready_reason, unready_message) = match outcome {
        Outcome::Rejected { reason, message } | Outcome::Failed { reason, message } => (*reason, message.as_str()),
        Outcome::Underway(waiting) => (waiting.reason, waiting.message.as_str()),
        Outcome::Settled => (Reason::NotReady, "a member does not serve"),
    };
    match ready {
        true => say(ConditionType::Ready, true, Reason::AsSpecified, ""),
        false => say(ConditionType::Ready, false, unready_reason, unready_message),
    }
    if let Some(certificates) = certificates {
        let (holds, reason, message) = certificates_condition(certificates, external_certificate::ends(gathered), now);
        say(ConditionType::CertificatesValid, holds, reason, &message);
    }
    let waiting = match outcome {
        Outcome::Rejected { reason, message } | Outcome::Failed { reason, message } => {
            Some(Waiting { reason: *reason, message: message.clone(), blocked_by: vec![message.clone()] })
        }
        Outcome::Underway(waiting) => Some(waiting.clone()),
        Outcome::Settled => None,
    };
    status.operation = waiting.as_ref().map(|waiting| cut(&format!("{}: {}", waiting.reason, waiting.message)));
    status.blocked_by =
        waiting.iter().flat_map(|waiting| &waiting.blocked_by).take(MAX_BLOCKED_BY).map(|text| cut(text)).collect();
    status
}

fn is_trouble(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Unschedulable
            | Reason::ImagePullFailed
            | Reason::CrashLooping
            | Reason::ProbeUnanswered
            | Reason::VolumeInUse
            | Reason::ApplyFailed
    )
}

fn certificates_condition(
    certificates: &Certificates,
    external_ends: Option<Timestamp>,
    now: Timestamp,
) -> (bool, Reason, String) {
    if let Some(ends) = external_ends.filter(|ends| *ends <= now + CERTIFICATE_WARNING) {
        let message = format!("the certificate of tls.externalCertificate ends at {ends}: replace it in its Secret");
        return (false, Reason::CertificateExpiring, message);
    }
    let ends = certificates.authority_ends.min(certificates.broker_ends);
    if ends <= now + CERTIFICATE_WARNING {
        return (false, Reason::CertificateExpiring, format!("a certificate ends at {ends}"));
    }
    if certificates.rotating {
        return (true, Reason::RotatingCertificates, "the next authority is trusted and does not sign yet".to_owned());
    }
    (true, Reason::AsSpecified, String::new())
}

fn report_node(gathered: &Gathered, node: &Node) -> Node {
    let pod = pod_of(gathered, node);
    let labels = pod.and_then(|pod| pod.metadata.labels.as_ref());
    let zone = labels.and_then(|labels| labels.get("topology.kubernetes.io/zone")).cloned();
    Node { state: node_state(gathered, node), zone: zone.or_else(|| node.zone.clone()), ..node.clone() }
}

/// Whether a member has ever run with an object store: one that never ran has put nothing there.
pub fn is_bucket_in_use(gathered: &Gathered) -> bool {
    let was_in_use = gathered.cluster.status.as_ref().is_some_and(|status| status.bucket_in_use);
    was_in_use || (gathered.cluster.spec.object_store.is_some() && gathered.pods.iter().any(has_run))
}

/// Where clients bootstrap, as far as it is known.
pub fn endpoints(gathered: &Gathered, names: &Names) -> Endpoints {
    let listener = &gathered.cluster.spec.listeners.external;
    let bootstrap_service = gathered.child(Kind::Service, &names.bootstrap_service());
    let internal = bootstrap_service.map(|_| format!("{}:{INTERNAL_PORT}", names.internal_bootstrap_host()));
    let mut endpoints = Endpoints { internal, external: None, addresses: BTreeMap::new() };
    let host = names.external_bootstrap_host();
    let with_port = |port: u16| Some(format!("{host}:{port}"));
    match listener.kind {
        ExternalKind::None => {}
        ExternalKind::NodePort => {
            let port = gathered.node_ports().get(&names.external_service()).copied();
            endpoints.external = port.and_then(with_port);
        }
        ExternalKind::TlsRoute => {
            endpoints.external = routes::are_accepted(gathered, names).then(|| with_port(listener.port)).flatten();
        }
        ExternalKind::LoadBalancer => {
            let address = load_balancer_address(gathered, &names.external_service());
            endpoints.addresses.extend(address.map(|address| (host.clone(), address)));
            for node in &gathered.nodes {
                let address = load_balancer_address(gathered, &names.external_broker_service(node.id));
                endpoints.addresses.extend(address.map(|address| (names.external_broker_host(node.id), address)));
            }
            let all_known = endpoints.addresses.len() == gathered.nodes.len() + 1;
            endpoints.external = all_known.then(|| with_port(listener.port)).flatten();
        }
    }
    endpoints
}

fn load_balancer_address(gathered: &Gathered, service: &str) -> Option<String> {
    let object = gathered.child(Kind::Service, service)?;
    let ingress = object.data.pointer("/status/loadBalancer/ingress/0")?;
    let address = ingress.get("ip").or_else(|| ingress.get("hostname"))?;
    Some(address.as_str()?.to_owned())
}

/// Sets a condition; its time changes only when its status does.
fn set_condition(
    conditions: &mut Vec<Condition>,
    kind: ConditionType,
    holds: bool,
    reason: Reason,
    message: &str,
    generation: i64,
    now: Timestamp,
) {
    let status = if holds { "True" } else { "False" };
    let known = conditions.iter().position(|condition| condition.type_ == kind.as_str());
    let since = known.map(|index| &conditions[index]).filter(|condition| condition.status == status);
    let condition = Condition {
        type_: kind.as_str().to_owned(),
        status: status.to_owned(),
        reason: reason.as_str().to_owned(),
        message: cut(message),
        observed_generation: Some(generation),
        last_transition_time: since.map_or(Time(now), |condition| condition.last_transition_time.clone()),
    };
    match known {
        Some(index) => conditions[index] = condition,
        None => conditions.push(condition),
    }
    let place = |condition: &Condition| ConditionType::ALL.iter().position(|kind| kind.as_str() == condition.type_);
    conditions.sort_by_key(place);
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_MESSAGE_CHARS).collect()
}
