//! The process: health and metrics over HTTP at once, everything else while it holds the Lease.

use std::collections::HashMap;
use std::future::Future;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::agent::Agent;
use crate::agent::settings::AgentSettings;
use crate::controller::brokers::{Brokers, HttpBrokers};
use crate::controller::names::{CLUSTER_LABEL, FIELD_MANAGER, MANAGED_BY_LABEL};
use crate::controller::reconcile::{self, Context, Decisions, Done, reconcile};
use crate::controller::report::Outcome;
use crate::controller::validate::MAX_MEMBERS;
use crate::crd::KafkaCluster;
use crate::crd::conditions::Reason;
use crate::definition;
use crate::kubernetes::words_of;
use crate::lease::Election;
use crate::metrics::Metrics;

/// Name of the Lease.
const LEASE: &str = "millstream-operator";
/// Clusters that are reconciled at the same time.
const CONCURRENCY: u16 = 8;
/// After the first failure of a cluster, doubled at each more.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// A cluster that fails again and again is tried this often.
const LAST_RETRY: Duration = Duration::from_secs(300);

/// What an operator needs to be told.
pub struct Options {
    /// The namespace whose clusters it takes care of, and where its Lease is.
    pub namespace: String,
    /// Unlike that of every other process.
    pub identity: String,
    /// Bound listener for health and metrics.
    pub http_listener: TcpListener,
}

/// Why an operator ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot serve health and metrics")]
    Http(#[from] std::io::Error),
    #[error("cannot make a client for brokers")]
    Client(#[from] reqwest::Error),
    #[error("the Lease was lost: another operator acts now")]
    LeaseLost,
}

/// Runs until `stop` is ready or the Lease is lost. Whoever loses it ends, and is started anew.
///
/// # Errors
///
/// When it cannot serve, or the Lease is lost.
pub async fn run(client: Client, options: Options, stop: impl Future<Output = ()>) -> Result<(), Error> {
    start(client, options, std::future::pending(), stop).await
}

/// The same with an agent, which is at work while this process holds the Lease: two would fence each other.
///
/// # Errors
///
/// When it cannot serve, or the Lease is lost.
pub async fn run_with_agent(
    client: Client,
    options: Options,
    settings: AgentSettings,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let agent = Agent::new(settings, client.clone(), &options.namespace);
    start(client, options, agent.run(), stop).await
}

async fn start(
    client: Client,
    options: Options,
    agent: impl Future<Output = ()>,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let metrics = Arc::new(Metrics::default());
    options.http_listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(options.http_listener)?;
    let http = axum::serve(listener, pages(metrics.clone())).into_future();
    let mut election = Election::new(client.clone(), &options.namespace, LEASE, &options.identity);
    let work = work(client, &options.namespace, agent, &mut election, &metrics);
    let ended = tokio::select! {
        served = http => served.map_err(Error::Http),
        ended = work => ended,
        () = stop => Ok(()),
    };
    election.release().await;
    ended
}

fn pages(metrics: Arc<Metrics>) -> Router {
    // A replica that waits for the Lease is ready: it is there to take over.
    let of_readiness = metrics.clone();
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(move || std::future::ready(readiness(&of_readiness))))
        .route("/metrics", get(move || std::future::ready(metrics.render())))
}

fn readiness(metrics: &Metrics) -> (StatusCode, &'static str) {
    match metrics.is_definition_missing() {
        true => (StatusCode::SERVICE_UNAVAILABLE, definition::MISSING),
        false => (StatusCode::OK, "ok"),
    }
}

async fn work(
    client: Client,
    namespace: &str,
    agent: impl Future<Output = ()>,
    election: &mut Election,
    metrics: &Arc<Metrics>,
) -> Result<(), Error> {
    let brokers = HttpBrokers::new()?;
    election.won().await;
    metrics.set_acts(true);
    let act = async {
        definition::wait(&client, metrics).await;
        tokio::select! {
            () = control_always(client, namespace, brokers, metrics) => {}
            () = agent => {}
        }
    };
    // Dropping the controller drops its reconciliations: nothing is begun after the Lease is lost.
    tokio::select! {
        () = act => {}
        () = election.lost() => {}
    }
    metrics.set_acts(false);
    Err(Error::LeaseLost)
}

struct Controlled<B> {
    context: Context<B>,
    metrics: Arc<Metrics>,
    recorder: Recorder,
    /// Failures in a row, by cluster; forgotten at a success.
    failures: Mutex<HashMap<String, u32>>,
    /// What was last said about a cluster, so that an Event is sent once.
    said: Mutex<HashMap<String, String>>,
}

/// Begins anew when the definition of the resource went away and came back.
async fn control_always<B: Brokers + Clone>(client: Client, namespace: &str, brokers: B, metrics: &Arc<Metrics>) {
    loop {
        control(client.clone(), namespace, brokers.clone(), metrics.clone()).await;
        definition::wait(&client, metrics).await;
    }
}

/// Controls as long as the definition of the resource is there.
async fn control<B: Brokers>(client: Client, namespace: &str, brokers: B, metrics: Arc<Metrics>) {
    let ours = || watcher::Config::default().labels(&format!("{MANAGED_BY_LABEL}={FIELD_MANAGER}"));
    let controller =
        Controller::new(Api::<KafkaCluster>::namespaced(client.clone(), namespace), watcher::Config::default())
            .owns(Api::<StatefulSet>::namespaced(client.clone(), namespace), ours())
            .owns(Api::<Service>::namespaced(client.clone(), namespace), ours())
            .owns(Api::<ConfigMap>::namespaced(client.clone(), namespace), ours())
            .owns(Api::<ServiceAccount>::namespaced(client.clone(), namespace), ours())
            .owns(Api::<NetworkPolicy>::namespaced(client.clone(), namespace), ours())
            .owns(Api::<PodDisruptionBudget>::namespaced(client.clone(), namespace), ours())
            .owns(Api::<Job>::namespaced(client.clone(), namespace), ours())
            .watches(Api::<Pod>::namespaced(client.clone(), namespace), ours(), |pod| cluster_of(&pod))
            .watches(Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace), ours(), |claim| {
                cluster_of(&claim)
            })
            .with_config(kube::runtime::controller::Config::default().concurrency(CONCURRENCY));
    let context = Context {
        client: client.clone(),
        brokers,
        clock: Arc::new(Timestamp::now),
        max_members: MAX_MEMBERS,
        decisions: Decisions::default(),
    };
    let controlled = Controlled {
        context,
        metrics,
        recorder: Recorder::new(client, Reporter::from(FIELD_MANAGER)),
        failures: Mutex::default(),
        said: Mutex::default(),
    };
    let mut run = pin!(controller.run(one, retry, Arc::new(controlled)));
    let mut said = None;
    while let Some(done) = run.next().await {
        let trouble = match done {
            Ok(_) => None,
            // It was deleted while it waited for its turn.
            Err(controller::Error::ObjectNotFound(_)) => continue,
            Err(controller::Error::QueueError(error)) if is_without_definition(&error) => return,
            Err(controller::Error::ReconcilerFailed(error, cluster)) => {
                Some(format!("cannot reconcile {}: {}", cluster.name, innermost(&error)))
            }
            Err(error) => Some(format!("a watch failed: {}", innermost(&error))),
        };
        // The same again and again is one trouble.
        if let Some(trouble) = trouble.as_ref().filter(|_| said != trouble) {
            warn!("{trouble}");
        }
        said = trouble;
    }
}

fn is_without_definition(error: &watcher::Error) -> bool {
    let status = match error {
        watcher::Error::WatchError(status) => status,
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status,
        _ => return false,
    };
    status.code == StatusCode::NOT_FOUND.as_u16()
}

fn cluster_of<K: kube::Resource>(object: &K) -> Option<ObjectRef<KafkaCluster>> {
    let name = object.labels().get(CLUSTER_LABEL)?;
    Some(ObjectRef::new(name).within(object.meta().namespace.as_deref()?))
}

async fn one<B: Brokers>(
    cluster: Arc<KafkaCluster>,
    controlled: Arc<Controlled<B>>,
) -> Result<Action, reconcile::Error> {
    let name = cluster.name_any();
    let namespace = cluster.namespace().unwrap_or_default();
    let begun = Instant::now();
    let done = reconcile(&namespace, &name, &controlled.context).await?;
    controlled.metrics.reconciled(begun.elapsed());
    controlled.failures.lock().expect("no count panics").remove(&name);
    controlled.tell(&cluster, &done).await;
    Ok(done.again.map_or_else(Action::await_change, Action::requeue))
}

/// Waits twice as long after each failure in a row.
fn retry<B>(cluster: Arc<KafkaCluster>, _: &reconcile::Error, controlled: Arc<Controlled<B>>) -> Action {
    controlled.metrics.failed();
    let mut failures = controlled.failures.lock().expect("no count panics");
    let count = failures.entry(cluster.name_any()).or_default();
    *count = count.saturating_add(1);
    Action::requeue(retry_delay(*count))
}

fn retry_delay(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    (FIRST_RETRY * 2_u32.pow(doublings)).min(LAST_RETRY)
}

impl<B> Controlled<B> {
    /// Logs, counts and Events: once for each change of what there is to say.
    async fn tell(&self, cluster: &KafkaCluster, done: &Done) {
        let name = cluster.name_any();
        if done.again.is_none() {
            self.metrics.forget_cluster(&name);
            self.said.lock().expect("no note panics").remove(&name);
        } else {
            self.metrics.set_cluster(&name, waits_for(done.outcome.as_ref()));
        }
        if let Some((reason, message)) = &done.action {
            info!(cluster = %name, %reason, "{message}");
            self.metrics.acted(*reason);
            self.publish(cluster, EventType::Normal, *reason, message).await;
        }
        let trouble = match &done.outcome {
            Some(Outcome::Rejected { reason, message } | Outcome::Failed { reason, message }) => {
                Some((*reason, message.clone()))
            }
            Some(Outcome::Underway(waiting)) if !waiting.blocked_by.is_empty() => {
                Some((waiting.reason, format!("{}: {}", waiting.message, waiting.blocked_by.join("; "))))
            }
            _ => None,
        };
        let words = trouble.as_ref().map(|(reason, message)| format!("{reason}: {message}")).unwrap_or_default();
        let before = self.said.lock().expect("no note panics").insert(name.clone(), words.clone());
        if let Some((reason, message)) = trouble
            && before.as_ref() != Some(&words)
        {
            warn!(cluster = %name, %reason, "{message}");
            self.publish(cluster, EventType::Warning, reason, &message).await;
        }
    }

    async fn publish(&self, cluster: &KafkaCluster, type_: EventType, reason: Reason, message: &str) {
        let event = Event {
            type_,
            reason: reason.as_str().to_owned(),
            note: Some(message.to_owned()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &cluster.object_ref(&())).await {
            warn!(%error, cluster = %cluster.name_any(), "cannot write an Event");
        }
    }
}

fn waits_for(outcome: Option<&Outcome>) -> Option<Reason> {
    match outcome {
        Some(Outcome::Rejected { reason, .. } | Outcome::Failed { reason, .. }) => Some(*reason),
        Some(Outcome::Underway(waiting)) => Some(waiting.reason),
        Some(Outcome::Settled) => None,
        None => Some(Reason::Deleting),
    }
}

/// What is at the bottom of an error; the layers above it repeat its words.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    match (error.downcast_ref::<kube::Error>(), error.source()) {
        (Some(error @ kube::Error::Api(_)), _) => words_of(error),
        (_, Some(source)) => innermost(source),
        (_, None) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_that_fails_is_tried_less_and_less_often_and_never_given_up() {
        assert_eq!(retry_delay(1), Duration::from_secs(1));
        assert_eq!(retry_delay(4), Duration::from_secs(8));
        assert_eq!(retry_delay(u32::MAX), LAST_RETRY);
    }
}
