//! One reconciliation of one cluster: gather → validate → build → apply → step → report.
//!
//! Everything is read anew and one action is taken, so an operator that dies anywhere in between goes on where it was.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use super::apply;
use super::brokers::Brokers;
use super::build::{self, CertificateFiles, Inputs};
use super::certificates::{self, Certificates};
use super::deletion;
use super::external_certificate;
use super::gather::{Gathered, gather};
use super::kinds::Kind;
use super::names::{FIELD_MANAGER, FINALIZER, Names};
use super::observe::{Answers, answer_key, observe, pod_of};
use super::report::{Outcome, report};
use super::routes;
use super::step::{self, Action, Answer, Question, Seen, Waiting};
use super::validate::{Rejection, validate};
use crate::crd::KafkaCluster;
use crate::crd::conditions::Reason;
use crate::crd::listeners::ExternalKind;
use crate::crd::status::KafkaClusterStatus;
use crate::kubernetes::{Kubernetes, words_of};

/// After an action: its effect is seen soon.
const SOON: Duration = Duration::from_secs(1);
/// While something is waited for that no watch tells of, such as the answer of a broker.
const WAITING: Duration = Duration::from_secs(5);
/// A spec that cannot work is looked at again: what it lacks may have been made.
const REJECTED: Duration = Duration::from_secs(30);
/// When there is nothing to do: hand-edited children are repaired, certificates replaced.
const SETTLED: Duration = Duration::from_secs(300);

/// The same with a certificate of a user's own: it may be replaced, and no watch tells of Secrets.
const SETTLED_WITH_CERTIFICATE: Duration = Duration::from_secs(60);

/// What a reconciliation needs besides the cluster.
pub struct Context<B> {
    pub client: Client,
    pub brokers: B,
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Members of one physical cluster at most.
    pub max_members: i32,
    pub decisions: Decisions,
}

/// The pure functions that decide. Tests put broken ones here, to see that they would be noticed.
#[derive(Clone, Copy)]
pub struct Decisions {
    pub members: fn(&Seen) -> Action,
    pub deletion: fn(&Gathered, &[Pod]) -> deletion::Action,
}

impl Default for Decisions {
    fn default() -> Self {
        Self { members: step::step, deletion: deletion::step }
    }
}

/// Why a reconciliation did not come to its end. Nothing is lost: the next one begins anew.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the API server does not do what is asked")]
    Kubernetes(#[from] kube::Error),
}

/// What a reconciliation did, for logs and Events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// When to look again if nothing changes before.
    pub again: Option<Duration>,
    /// What was changed, for a person. Absent when nothing was.
    pub action: Option<(Reason, String)>,
    /// How it ended. Absent when the resource is gone or going.
    pub outcome: Option<Outcome>,
}

/// Reconciles the cluster of this name.
///
/// # Errors
///
/// When the API server cannot be asked; the status is as it was.
pub async fn reconcile<B: Brokers>(namespace: &str, name: &str, context: &Context<B>) -> Result<Done, Error> {
    let kubernetes = Kubernetes::new(context.client.clone(), namespace);
    // Not from a cache: what is decided here may end a pod or delete a volume.
    let Some(cluster) = kubernetes.api::<KafkaCluster>().get_opt(name).await? else {
        return Ok(Done { again: None, action: None, outcome: None });
    };
    let now = (context.clock)();
    let domain = cluster.spec.listeners.external.domain.clone().unwrap_or_default();
    let names = Names::new(namespace, name, &cluster.spec.physical_cluster_id, &domain);
    if cluster.metadata.deletion_timestamp.is_some() {
        return delete(&kubernetes, cluster, &names, context.decisions).await;
    }
    if !cluster.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        add_finalizer(&kubernetes, &cluster).await?;
    }
    let mut gathered = gather(&kubernetes, cluster, &names).await?;
    let known = gathered.cluster.status.clone().unwrap_or_default();
    let (outcome, certificates, action) = match validate(&gathered, &names, context.max_members, now) {
        Err(Rejection { reason, message }) => {
            // Members that are not made get no id.
            gathered.nodes.clone_from(&known.nodes);
            (Outcome::Rejected { reason, message }, None, None)
        }
        Ok(()) => {
            if gathered.nodes.len() != known.nodes.len() {
                // Ids are written down before anything carries one.
                let with_nodes = KafkaClusterStatus { nodes: gathered.nodes.clone(), ..known.clone() };
                write_status(&kubernetes, &gathered.cluster, &with_nodes).await?;
            }
            act(&kubernetes, &gathered, &names, context, now).await?
        }
    };
    let status = report(&gathered, &names, certificates.as_ref(), &outcome, now);
    if status != known {
        write_status(&kubernetes, &gathered.cluster, &status).await?;
    }
    let again = match (&outcome, &action) {
        (_, Some(_)) => SOON,
        (Outcome::Rejected { .. } | Outcome::Failed { .. }, None) => REJECTED,
        (Outcome::Underway(_), None) => WAITING,
        (Outcome::Settled, None) if external_certificate::given(&gathered).is_some() => SETTLED_WITH_CERTIFICATE,
        (Outcome::Settled, None) => SETTLED,
    };
    Ok(Done { again: Some(again), action, outcome: Some(outcome) })
}

type Acted = (Outcome, Option<Certificates>, Option<(Reason, String)>);

async fn act<B: Brokers>(
    kubernetes: &Kubernetes,
    gathered: &Gathered,
    names: &Names,
    context: &Context<B>,
    now: Timestamp,
) -> Result<Acted, Error> {
    let certificates = match plan_certificates(gathered, names, now) {
        Ok(certificates) => certificates,
        Err(error) => {
            let message = format!("{}: {error}", names.certificate_authority());
            return Ok((Outcome::Failed { reason: Reason::SecretInvalid, message }, None, None));
        }
    };
    let node_ports = gathered.node_ports();
    let objects = build::build(&Inputs {
        cluster: &gathered.cluster,
        names,
        nodes: &gathered.nodes,
        node_ports: &node_ports,
        certificates: &certificates.files,
        external_certificate: external_certificate::given(gathered).map(|(_, secret)| secret),
        served: &gathered.served,
    });
    let seen = observe(gathered, &objects, names, &Answers::new(), now);
    if !seen.paused
        && let Err(error) = apply::apply(kubernetes, gathered, &objects, &seen.outgrown_stateful_sets).await
    {
        let outcome = match error {
            apply::Error::Unreachable(error) => return Err(error.into()),
            apply::Error::NameTaken { .. } => Outcome::Failed { reason: Reason::NameTaken, message: error.to_string() },
            apply::Error::Refused { ref source, .. } => {
                Outcome::Failed { reason: Reason::ApplyFailed, message: format!("{error}: {}", words_of(source)) }
            }
        };
        return Ok((outcome, None, None));
    }
    // What was planned and not applied is another certificate the next time: a status that told of it would change for ever.
    let certificates = (!seen.paused).then_some(certificates);
    if objects.stateful_sets.is_empty() && !seen.paused {
        let outcome = underway(Reason::WaitingForNodePort, "Kubernetes has not chosen a node port yet");
        return Ok((outcome, certificates, None));
    }
    let decided = decide(gathered, &objects, names, context, now).await;
    let (outcome, action) = take(kubernetes, gathered, names, decided).await?;
    Ok((outcome, certificates, action))
}

fn plan_certificates(gathered: &Gathered, names: &Names, now: Timestamp) -> Result<Certificates, certificates::Error> {
    let authority = gathered.own_secret(&names.certificate_authority());
    let brokers = gathered.own_secret(&names.broker_certificate());
    let has_external = gathered.cluster.spec.listeners.external.kind != ExternalKind::None;
    let hosts = names.certificate_hosts(&gathered.nodes, has_external);
    certificates::plan(&authority, &brokers, names.cluster(), &hosts, now)
}

/// Decides, asking brokers as long as the decision depends on them: twice each at most.
async fn decide<B: Brokers>(
    gathered: &Gathered,
    objects: &build::Objects,
    names: &Names,
    context: &Context<B>,
    now: Timestamp,
) -> Action {
    let mut answers = Answers::new();
    loop {
        let action = (context.decisions.members)(&observe(gathered, objects, names, &answers, now));
        let Action::Ask { id, question } = action else { return action };
        answers.insert(answer_key(id, question), ask(gathered, id, question, &context.brokers).await);
    }
}

async fn ask<B: Brokers>(gathered: &Gathered, id: i32, question: Question, brokers: &B) -> Answer {
    let node = gathered.nodes.iter().find(|node| node.id == id);
    let pod = node.and_then(|node| pod_of(gathered, node));
    let address = pod.and_then(|pod| pod.status.as_ref()?.pod_ip.as_deref());
    match address {
        Some(address) => brokers.ask(address, question).await,
        None => Answer::Unanswered { error: "its pod has no address".to_owned() },
    }
}

type Taken = (Outcome, Option<(Reason, String)>);

async fn take(kubernetes: &Kubernetes, gathered: &Gathered, names: &Names, action: Action) -> Result<Taken, Error> {
    Ok(match action {
        Action::Nothing => (settled(gathered, names), None),
        Action::Wait(waiting) => (Outcome::Underway(waiting), None),
        Action::Ask { id, .. } => (underway(Reason::ProbeUnanswered, &format!("broker {id} is asked")), None),
        Action::GrowClaim { claim, size } => {
            let change = json!({ "spec": { "resources": { "requests": { "storage": size } } } });
            kubernetes.merge::<PersistentVolumeClaim>(&claim, &change).await?;
            done(Reason::ExpandingVolume, format!("volume claim {claim} grows to {size}"))
        }
        Action::ReplaceStatefulSet { name } => {
            if let Some(object) = gathered.child(Kind::StatefulSet, &name) {
                kubernetes.delete_and_orphan(object).await?;
            }
            done(Reason::ExpandingVolume, format!("StatefulSet {name} is made anew for larger volumes; its pods stay"))
        }
        Action::EvictPod { pod, uid, message } => match kubernetes.evict(&pod, &uid).await? {
            true => done(Reason::Rolling, message),
            false => {
                let blocked_by = vec![format!("the PodDisruptionBudget does not allow to evict {pod} now")];
                (Outcome::Underway(Waiting { reason: Reason::RestartUnsafe, message, blocked_by }), None)
            }
        },
    })
}

fn settled(gathered: &Gathered, names: &Names) -> Outcome {
    if super::report::endpoints(gathered, names).external.is_some() {
        return Outcome::Settled;
    }
    match gathered.cluster.spec.listeners.external.kind {
        ExternalKind::LoadBalancer => underway(Reason::WaitingForLoadBalancer, "a load balancer has no address yet"),
        ExternalKind::TlsRoute => underway(Reason::WaitingForGateway, &routes::waits_for(gathered, names)),
        ExternalKind::None | ExternalKind::NodePort => Outcome::Settled,
    }
}

fn done(reason: Reason, message: String) -> Taken {
    (underway(reason, &message), Some((reason, message)))
}

fn underway(reason: Reason, message: &str) -> Outcome {
    Outcome::Underway(Waiting { reason, message: message.to_owned(), blocked_by: Vec::new() })
}

async fn delete(
    kubernetes: &Kubernetes,
    cluster: KafkaCluster,
    names: &Names,
    decisions: Decisions,
) -> Result<Done, Error> {
    if !cluster.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        return Ok(Done { again: None, action: None, outcome: None });
    }
    let mut gathered = gather(kubernetes, cluster, names).await?;
    remember_bucket(kubernetes, &mut gathered).await?;
    let all_pods = kubernetes.all_pods().await?;
    let (again, action) = match (decisions.deletion)(&gathered, &all_pods) {
        deletion::Action::DeleteStatefulSet(object) => {
            kubernetes.delete_kind(&gathered.served.resource(Kind::StatefulSet), &object).await?;
            (Some(SOON), Some((Reason::Deleting, format!("StatefulSet {} is deleted", object.name_any()))))
        }
        deletion::Action::DeleteClaim(claim) => {
            kubernetes.delete(claim.as_ref()).await?;
            (Some(SOON), Some((Reason::Deleting, format!("volume claim {} is deleted", claim.name_any()))))
        }
        deletion::Action::PurgeBucket => match purge_bucket(kubernetes, &gathered, names).await {
            Ok(()) => (Some(SOON), Some((Reason::PurgingBucket, "the bucket is being emptied".to_owned()))),
            // Nothing can be made here any more, and the namespace waits for this resource.
            Err(error) if is_namespace_ending(&error) => {
                remove_finalizer(kubernetes, &gathered.cluster).await?;
                let message = "the namespace is being deleted: what the cluster has put into its bucket stays there";
                (None, Some((Reason::PurgingBucket, message.to_owned())))
            }
            Err(error) => return Err(error.into()),
        },
        deletion::Action::DeletePurge(job) => {
            kubernetes.delete(job.as_ref()).await?;
            (
                Some(SOON),
                Some((Reason::PurgingBucket, format!("Job {} came to nothing and is made anew", job.name_any()))),
            )
        }
        deletion::Action::Wait(waiting) => {
            let known = gathered.cluster.status.clone().unwrap_or_default();
            let operation = Some(format!("{}: {}: {}", Reason::Deleting, waiting.reason, waiting.message));
            let status = KafkaClusterStatus { operation, blocked_by: waiting.blocked_by, ..known.clone() };
            if status != known {
                write_status(kubernetes, &gathered.cluster, &status).await?;
            }
            (Some(WAITING), None)
        }
        deletion::Action::Release => {
            remove_finalizer(kubernetes, &gathered.cluster).await?;
            (None, Some((Reason::Deleting, "nothing is left".to_owned())))
        }
    };
    Ok(Done { again, action, outcome: None })
}

/// Pods say whether they have run only as long as they are there.
async fn remember_bucket(kubernetes: &Kubernetes, gathered: &mut Gathered) -> kube::Result<()> {
    let known = gathered.cluster.status.clone().unwrap_or_default();
    let bucket_in_use = super::report::is_bucket_in_use(gathered);
    if bucket_in_use == known.bucket_in_use {
        return Ok(());
    }
    let status = KafkaClusterStatus { bucket_in_use, ..known };
    write_status(kubernetes, &gathered.cluster, &status).await?;
    gathered.cluster.status = Some(status);
    Ok(())
}

async fn purge_bucket(kubernetes: &Kubernetes, gathered: &Gathered, names: &Names) -> kube::Result<()> {
    let node_ports = gathered.node_ports();
    let inputs = Inputs {
        cluster: &gathered.cluster,
        names,
        nodes: &gathered.nodes,
        node_ports: &node_ports,
        certificates: &CertificateFiles::default(),
        external_certificate: None,
        served: &gathered.served,
    };
    let Some((pool, node)) = gathered.pools_with_nodes().next() else { return Ok(()) };
    for (kind, object) in build::bucket_purge::build(&inputs, pool, node) {
        kubernetes.apply(&gathered.served.resource(kind), &object).await?;
    }
    Ok(())
}

fn is_namespace_ending(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 403 && causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

async fn add_finalizer(kubernetes: &Kubernetes, cluster: &KafkaCluster) -> kube::Result<()> {
    let mut finalizers = cluster.finalizers().to_vec();
    finalizers.push(FINALIZER.to_owned());
    write_finalizers(kubernetes, cluster, &finalizers).await
}

async fn remove_finalizer(kubernetes: &Kubernetes, cluster: &KafkaCluster) -> kube::Result<()> {
    let others = cluster.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).cloned();
    write_finalizers(kubernetes, cluster, &others.collect::<Vec<_>>()).await
}

/// The version makes sure that nobody else's finalizer is lost in between.
async fn write_finalizers(kubernetes: &Kubernetes, cluster: &KafkaCluster, finalizers: &[String]) -> kube::Result<()> {
    let version = &cluster.metadata.resource_version;
    let change = json!({ "metadata": { "finalizers": finalizers, "resourceVersion": version } });
    kubernetes.merge::<KafkaCluster>(&cluster.name_any(), &change).await
}

async fn write_status(
    kubernetes: &Kubernetes,
    cluster: &KafkaCluster,
    status: &KafkaClusterStatus,
) -> kube::Result<()> {
    let object = json!({
        "apiVersion": "millstream.dev/v1alpha1",
        "kind": "KafkaCluster",
        "metadata": { "name": cluster.name_any() },
        "status": status,
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    kubernetes
        .api::<KafkaCluster>()
        .patch_status(&cluster.name_any(), &parameters, &Patch::Apply(object))
        .await
        .map(drop)
}
