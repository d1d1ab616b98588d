//! From what was gathered to what `step` decides upon.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ContainerStatus, PersistentVolumeClaim, Pod};
use k8s_openapi::jiff::Timestamp;

use super::build::Objects;
use super::gather::Gathered;
use super::kinds::Kind;
use super::names::{Names, REVISION_ANNOTATION};
use super::quantity;
use super::step::{self, Answer, Claim, Growth, Member, Question, Seen, Trouble};
use crate::crd::conditions::Reason;
use crate::crd::node_pool::{NodePool, Role};
use crate::crd::status::{Node, NodeState};

/// Answers of brokers by node id.
pub type Answers = BTreeMap<(i32, &'static str), Answer>;

/// The key of an answer.
pub fn answer_key(id: i32, question: Question) -> (i32, &'static str) {
    let word = match question {
        Question::Before => "before",
        Question::After => "after",
    };
    (id, word)
}

/// What `step` decides upon.
pub fn observe(gathered: &Gathered, objects: &Objects, names: &Names, answers: &Answers, now: Timestamp) -> Seen {
    let members = gathered.pools_with_nodes().map(|(pool, node)| {
        let answer = |question| answers.get(&answer_key(node.id, question)).cloned().unwrap_or(Answer::NotAsked);
        Member {
            id: node.id,
            controller: pool.roles.contains(&Role::Controller),
            revision: objects.revisions.get(&pool.name).cloned().unwrap_or_default(),
            pod: pod_of(gathered, node).map(|pod| observe_pod(pod, now)),
            claim: claim_of(gathered, node).map(|claim| observe_claim(claim, &pool.storage.size)),
            before: answer(Question::Before),
            after: answer(Question::After),
        }
    });
    Seen {
        now,
        paused: gathered.cluster.spec.maintenance.paused,
        members: members.collect(),
        outgrown_stateful_sets: outgrown(gathered, names),
    }
}

/// The pod of a member.
pub fn pod_of<'a>(gathered: &'a Gathered, node: &Node) -> Option<&'a Pod> {
    gathered.pods.iter().find(|pod| pod.metadata.name.as_deref() == Some(&node.pod))
}

fn claim_of<'a>(gathered: &'a Gathered, node: &Node) -> Option<&'a PersistentVolumeClaim> {
    gathered.claims.iter().find(|claim| claim.metadata.name.as_deref() == Some(&node.claim))
}

/// The state of a member for the status.
pub fn node_state(gathered: &Gathered, node: &Node) -> NodeState {
    match pod_of(gathered, node) {
        None => NodeState::Absent,
        Some(pod) if pod.metadata.deletion_timestamp.is_some() => NodeState::Stopping,
        Some(pod) if ready_condition(pod).0 => NodeState::Ready,
        Some(_) => NodeState::Starting,
    }
}

fn observe_pod(pod: &Pod, now: Timestamp) -> step::Pod {
    let (ready, since) = ready_condition(pod);
    let annotations = pod.metadata.annotations.as_ref();
    let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    step::Pod {
        name: pod.metadata.name.clone().unwrap_or_default(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        revision: annotations.and_then(|all| all.get(REVISION_ANNOTATION)).cloned().unwrap_or_default(),
        ready,
        stopping: pod.metadata.deletion_timestamp.is_some(),
        since: since.or(created).unwrap_or(now),
        trouble: if ready { None } else { trouble(pod) },
    }
}

fn ready_condition(pod: &Pod) -> (bool, Option<Timestamp>) {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
    let since = ready.and_then(|condition| condition.last_transition_time.as_ref());
    (ready.is_some_and(|condition| condition.status == "True"), since.map(|time| time.0))
}

/// Whether its container has ever run.
pub fn has_run(pod: &Pod) -> bool {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let runs = |container: &ContainerStatus| {
        let state = container.state.as_ref();
        state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    };
    containers.into_iter().any(|container| runs(container) || container.restart_count > 0)
}

/// Why a pod does not get ready by itself.
pub fn trouble(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let unschedulable =
        status.conditions.iter().flatten().find(|condition| {
            condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("Unschedulable")
        });
    if let Some(condition) = unschedulable {
        let message = condition.message.clone().unwrap_or_default();
        return Some(Trouble { reason: Reason::Unschedulable, message });
    }
    status.container_statuses.iter().flatten().find_map(container_trouble)
}

fn container_trouble(container: &ContainerStatus) -> Option<Trouble> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let word = waiting.reason.as_deref()?;
    let reason = match word {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => Reason::ImagePullFailed,
        "CrashLoopBackOff" | "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Reason::CrashLooping
        }
        _ => return None,
    };
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let last_words = ended.and_then(|ended| ended.message.as_deref()).map(last_line);
    let message = last_words.or(waiting.message.as_deref()).unwrap_or_default();
    Some(Trouble { reason, message: format!("{word}: {message}") })
}

/// What a container that has failed said last, also while it is between two tries.
pub fn last_failure(pod: &Pod) -> Option<String> {
    let mut containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    containers.find_map(|container| {
        let states = [container.state.as_ref(), container.last_state.as_ref()];
        let ended = states.into_iter().flatten().filter_map(|state| state.terminated.as_ref());
        let failed = ended.into_iter().find(|ended| ended.exit_code != 0)?;
        Some(failed.message.as_deref().map(last_line).unwrap_or_default().to_owned())
    })
}

/// A container that ends says why in its last line; a condition has room for no more.
fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default()
}

fn observe_claim(claim: &PersistentVolumeClaim, size: &str) -> Claim {
    let name = claim.metadata.name.clone().unwrap_or_default();
    let amount = |amounts: Option<&BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>>| {
        amounts.and_then(|amounts| quantity::bytes(&amounts.get("storage")?.0))
    };
    let spec = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let asked = amount(spec.and_then(|resources| resources.requests.as_ref()));
    let capacity = amount(claim.status.as_ref().and_then(|status| status.capacity.as_ref()));
    // A claim may be larger than the spec says: somebody grew it, and nothing shrinks.
    let growth = if asked < quantity::bytes(size) {
        Growth::Asked { size: size.to_owned() }
    } else if capacity.is_some() && capacity < asked {
        Growth::Growing
    } else {
        Growth::Done
    };
    Claim { name, growth }
}

/// The claims in a StatefulSet cannot be changed.
fn outgrown(gathered: &Gathered, names: &Names) -> Vec<String> {
    let is_outgrown = |pool: &&NodePool| {
        let stateful_set = gathered.child(Kind::StatefulSet, &names.stateful_set(&pool.name));
        let size = stateful_set.and_then(|object| {
            object.data.pointer("/spec/volumeClaimTemplates/0/spec/resources/requests/storage")?.as_str()
        });
        size.is_some_and(|size| quantity::bytes(size) < quantity::bytes(&pool.storage.size))
    };
    let outgrown = gathered.cluster.spec.node_pools.iter().filter(is_outgrown);
    outgrown.map(|pool| names.stateful_set(&pool.name)).collect()
}
