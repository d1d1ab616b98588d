//! From the status of a resource to what the control plane hears, as a pure function.

use millstream_api::fleet::observed_physical_cluster::Phase;
use millstream_api::fleet::{Capacity, ObservedPhysicalCluster};

use super::desired::GENERATION;
use super::settings::SharedCapacity;
use crate::crd::KafkaCluster;
use crate::crd::conditions::ConditionType;
use crate::crd::listeners::ExternalKind;

/// Bytes of a message at most; the control plane cuts longer ones.
const MAX_MESSAGE_CHARS: usize = 1_000;

/// What is to be said of a resource. None before the controller has looked at what it is now.
pub fn observe(cluster: &KafkaCluster, capacity: SharedCapacity) -> Option<ObservedPhysicalCluster> {
    let annotations = cluster.metadata.annotations.as_ref();
    let generation = annotations.and_then(|annotations| annotations.get(GENERATION))?.parse().ok()?;
    let status = cluster.status.as_ref()?;
    if Some(status.observed_generation) != cluster.metadata.generation {
        return None;
    }
    let endpoint = match cluster.spec.listeners.external.kind {
        ExternalKind::None => status.endpoints.internal.clone(),
        _ => status.endpoints.external.clone(),
    };
    let condition = |kind: ConditionType| status.conditions.iter().find(|condition| condition.type_ == kind.as_str());
    let is = |kind, value: &str| condition(kind).is_some_and(|condition| condition.status == value);
    let phase = match endpoint {
        Some(_) if is(ConditionType::Ready, "True") => Phase::Ready,
        _ if is(ConditionType::Accepted, "False") => Phase::Failed,
        _ => Phase::Provisioning,
    };
    let because = match phase {
        Phase::Failed => condition(ConditionType::Accepted),
        Phase::Ready => None,
        _ => condition(ConditionType::Ready),
    };
    let message = because.map(|condition| {
        let waits_for = match status.blocked_by.is_empty() {
            true => String::new(),
            false => format!(" (waits for {})", status.blocked_by.join(", ")),
        };
        let message = format!("{}: {}{waits_for}", condition.reason, condition.message);
        message.chars().take(MAX_MESSAGE_CHARS).collect()
    });
    Some(ObservedPhysicalCluster {
        physical_cluster_id: cluster.spec.physical_cluster_id.clone(),
        observed_generation: generation,
        phase: phase.into(),
        message: message.unwrap_or_default(),
        kafka_bootstrap_endpoint: endpoint.unwrap_or_default(),
        capacity: Some(Capacity {
            partitions: capacity.partitions,
            ingress_bytes_per_second: capacity.ingress_bytes_per_second,
            connections: capacity.connections,
        }),
        kafka_ca_certificate: certificates_to_trust(cluster),
    })
}

/// Empty where somebody else's certificate is presented: whoever gave it knows who has signed it.
fn certificates_to_trust(cluster: &KafkaCluster) -> String {
    let is_external = cluster.spec.listeners.external.kind != ExternalKind::None;
    let is_given = is_external && cluster.spec.tls.external_certificate.is_some();
    let authority = cluster.status.as_ref().and_then(|status| status.certificate_authority.as_ref());
    authority.filter(|_| !is_given).map(|authority| authority.certificates.clone()).unwrap_or_default()
}

/// Whether the controller is through with what the resource is now, and every member serves.
pub fn is_settled(cluster: &KafkaCluster) -> bool {
    let Some(status) = &cluster.status else { return false };
    let is_true = |kind: ConditionType| {
        let mut conditions = status.conditions.iter();
        conditions.any(|condition| condition.type_ == kind.as_str() && condition.status == "True")
    };
    let is_current = Some(status.observed_generation) == cluster.metadata.generation;
    is_current && is_true(ConditionType::Ready) && !is_true(ConditionType::Progressing)
}

/// What is to be said of one that cannot be written.
pub fn failed(physical_cluster_id: &str, generation: u64, message: String) -> ObservedPhysicalCluster {
    ObservedPhysicalCluster {
        physical_cluster_id: physical_cluster_id.to_owned(),
        observed_generation: generation,
        phase: Phase::Failed.into(),
        message: message.chars().take(MAX_MESSAGE_CHARS).collect(),
        ..ObservedPhysicalCluster::default()
    }
}

/// What is to be said of one that is gone.
pub fn deleted(physical_cluster_id: &str, generation: u64) -> ObservedPhysicalCluster {
    ObservedPhysicalCluster {
        physical_cluster_id: physical_cluster_id.to_owned(),
        observed_generation: generation,
        phase: Phase::Deleted.into(),
        ..ObservedPhysicalCluster::default()
    }
}
