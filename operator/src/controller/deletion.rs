//! What is done next about a cluster that is being deleted: pods end first, volumes go only when the resource says so
//! and no pod mounts them, then what is in the bucket, everything else goes with the resource.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::core::DynamicObject;

use super::gather::{Gathered, is_ours};
use super::kinds::Kind;
use super::observe::{last_failure, trouble};
use super::report::is_bucket_in_use;
use super::step::Waiting;
use super::validate::missing_object_store_secret;
use crate::crd::DeletionPolicy;
use crate::crd::conditions::Reason;

/// What is done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    DeleteStatefulSet(Box<DynamicObject>),
    DeleteClaim(Box<PersistentVolumeClaim>),
    /// Makes the Job that empties the bucket.
    PurgeBucket,
    /// Deletes that Job, which came to nothing.
    DeletePurge(Box<Job>),
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
    purge_bucket(gathered, all_pods)
}

/// Label that Kubernetes puts on the pods of a Job.
const JOB_LABEL: &str = "batch.kubernetes.io/job-name";
/// What a person can do about a bucket that stays as it is.
const LEAVE_IT: &str = "repair it, or set deletionPolicy to Retain to leave the objects where they are";

fn purge_bucket(gathered: &Gathered, all_pods: &[Pod]) -> Action {
    let Some(store) = gathered.cluster.spec.object_store.as_ref().filter(|_| is_bucket_in_use(gathered)) else {
        return Action::Release;
    };
    let Some(job) = &gathered.bucket_purge else { return Action::PurgeBucket };
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let wait = |reason, message, blocked_by| Action::Wait(Waiting { reason, message, blocked_by });
    if !is_ours(&gathered.cluster, job) {
        return wait(Reason::NameTaken, format!("there is a Job {name} that belongs to somebody else"), Vec::new());
    }
    if job.metadata.deletion_timestamp.is_some() {
        return wait(Reason::PurgingBucket, format!("the Job {name} is ending"), Vec::new());
    }
    if has_condition(job, "Complete") {
        return Action::Release;
    }
    if has_condition(job, "Failed") {
        return Action::DeletePurge(Box::new(job.clone()));
    }
    let what = format!("the Job {name} empties the bucket {}", store.bucket);
    if let Some(missing) = missing_object_store_secret(gathered) {
        return wait(Reason::SecretMissing, what, vec![missing, LEAVE_IT.to_owned()]);
    }
    let is_of_job =
        |pod: &&Pod| pod.metadata.labels.as_ref().and_then(|labels| labels.get(JOB_LABEL)) == Some(&name.to_owned());
    let why = |pod: &Pod| last_failure(pod).or_else(|| trouble(pod).map(|trouble| trouble.message));
    match all_pods.iter().filter(is_of_job).find_map(why) {
        Some(why) => wait(Reason::PurgingBucket, what, vec![why, LEAVE_IT.to_owned()]),
        None => wait(Reason::PurgingBucket, what, Vec::new()),
    }
}

fn has_condition(job: &Job, kind: &str) -> bool {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

fn mounted_claims(pods: &[Pod]) -> BTreeSet<&str> {
    let volumes = pods.iter().filter_map(|pod| pod.spec.as_ref()).flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str())).collect()
}
