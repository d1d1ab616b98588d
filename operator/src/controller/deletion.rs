//! What is done next about a cluster that is being deleted: pods end first, volumes go only when the resource says so
//! and no pod mounts them, everything else goes with the resource.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::core::DynamicObject;

use super::gather::Gathered;
use super::kinds::Kind;
use super::step::Waiting;
use crate::crd::DeletionPolicy;
use crate::crd::conditions::Reason;

/// What is done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    DeleteStatefulSet(Box<DynamicObject>),
    DeleteClaim(Box<PersistentVolumeClaim>),
    Wait(Waiting),
    /// Nothing is left that would not go with the resource.
    Release,
}

/// Decides. `all_pods` is every pod of the namespace, whosoever: what mounts a volume is known by its volumes alone.
pub fn step(gathered: &Gathered, all_pods: &[Pod]) -> Action {
    let wait = |reason, message: String| Action::Wait(Waiting { reason, message, blocked_by: Vec::new() });
    let stateful_set = gathered.children.iter().find(|(kind, _)| *kind == Kind::StatefulSet);
    if let Some((_, object)) = stateful_set {
        return match object.metadata.deletion_timestamp {
            None => Action::DeleteStatefulSet(Box::new(object.clone())),
            Some(_) => wait(Reason::Stopping, "a StatefulSet is ending".to_owned()),
        };
    }
    if let Some(pod) = gathered.pods.first() {
        let name = pod.metadata.name.clone().unwrap_or_default();
        return wait(Reason::Stopping, format!("pod {name} is ending"));
    }
    if gathered.cluster.spec.deletion_policy == DeletionPolicy::Retain {
        return Action::Release;
    }
    let mounted = mounted_claims(all_pods);
    let members: BTreeSet<&str> = gathered.nodes.iter().map(|node| node.claim.as_str()).collect();
    for claim in &gathered.claims {
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        if !members.contains(name) {
            continue;
        }
        if mounted.contains(name) {
            return wait(Reason::VolumeInUse, format!("a pod mounts the volume claim {name}"));
        }
        return match claim.metadata.deletion_timestamp {
            None => Action::DeleteClaim(Box::new(claim.clone())),
            Some(_) => wait(Reason::Stopping, format!("the volume claim {name} is ending")),
        };
    }
    Action::Release
}

fn mounted_claims(pods: &[Pod]) -> BTreeSet<&str> {
    let volumes = pods.iter().filter_map(|pod| pod.spec.as_ref()).flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str())).collect()
}
