//! Whole lives of a cluster, from many seeds: whatever happens and wherever the operator dies, what must never happen
//! does not, and when it gets calm everything is as the spec says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::world::{BUCKET, CLUSTER, MEMBERS, NAMESPACE, World, WorldBrokers, is_ready};
use crate::controller::reconcile::{Context, Decisions, Done, reconcile};
use crate::controller::report::Outcome;

const SEEDS: u64 = 12;
const EVENTS: usize = 120;
/// Rounds in which everything is as it should be once it is calm.
const CALM_ROUNDS: usize = 150;

#[tokio::test]
async fn a_cluster_lives_through_anything() {
    for seed in 0..SEEDS {
        if let Err(violation) = life(seed, Decisions::default()).await {
            panic!("seed {seed}: {violation}");
        }
    }
}

/// One life: events, calm, deletion. The first thing that must not be.
pub async fn life(seed: u64, decisions: Decisions) -> Result<(), String> {
    let mut world = World::new(seed);
    let clock = world.clock.clone();
    let context = Context {
        client: world.server.client(),
        brokers: WorldBrokers(world.server.clone()),
        clock: Arc::new(move || *clock.lock().expect("no test panics while it holds the clock")),
        max_members: i32::try_from(MEMBERS).expect("few members"),
        decisions,
    };
    let mut ids = BTreeMap::new();
    for _ in 0..EVENTS {
        world.pass();
        operate(&mut world, &context).await?;
        check(&world, &mut ids)?;
    }
    settle(&mut world, &context, &mut ids).await?;
    end(&mut world, &context).await
}

/// One reconciliation, which may be killed at any of its requests.
async fn operate(world: &mut World, context: &Context<WorldBrokers>) -> Result<Option<Done>, String> {
    let dies = !world.calm && world.dice.one_in(3);
    let at = (1 + u32::try_from(world.dice.below(60)).expect("small"), world.dice.one_in(2));
    world.server.state().dies_at = dies.then_some(at);
    let died = world.server.died.clone();
    let done = tokio::select! {
        done = reconcile(NAMESPACE, CLUSTER, context) => Some(done.map_err(|error| format!("{error}: {error:?}"))?),
        () = died.notified() => None,
    };
    world.server.state().dies_at = None;
    if let Some(Done { outcome: Some(outcome), .. }) = &done {
        explained(world, outcome)?;
    }
    Ok(done)
}

/// Whoever waits says for what.
fn explained(world: &World, outcome: &Outcome) -> Result<(), String> {
    match outcome {
        Outcome::Underway(waiting) if waiting.message.is_empty() => Err("a wait has no reason".to_owned()),
        Outcome::Settled => {
            let ready = world.server.state().of("pods").iter().filter(|pod| is_ready(pod)).count();
            let whole = i64::try_from(ready).expect("few pods") == MEMBERS;
            if whole { Ok(()) } else { Err("it is settled, and a member is away".to_owned()) }
        }
        _ => Ok(()),
    }
}

fn check(world: &World, ids: &mut BTreeMap<String, i64>) -> Result<(), String> {
    let state = world.server.state();
    if let Some(violation) = state.violations.first() {
        return Err(violation.clone());
    }
    let nodes = state.of("kafkaclusters").first().map(|cluster| cluster["status"]["nodes"].clone()).unwrap_or_default();
    for node in nodes.as_array().into_iter().flatten() {
        let (pod, id) = (node["pod"].as_str().unwrap_or_default().to_owned(), node["id"].as_i64().unwrap_or(-1));
        if *ids.entry(pod.clone()).or_insert(id) != id {
            return Err(format!("{pod} has another id than before"));
        }
    }
    Ok(())
}

async fn settle(
    world: &mut World,
    context: &Context<WorldBrokers>,
    ids: &mut BTreeMap<String, i64>,
) -> Result<(), String> {
    world.calm = true;
    let spec = {
        let mut state = world.server.state();
        let cluster = state.find("kafkaclusters", CLUSTER).ok_or("the cluster is gone")?;
        cluster["spec"]["maintenance"]["paused"] = json!(false);
        cluster["spec"]["version"] = json!("0.1.99");
        cluster["spec"].clone()
    };
    for _ in 0..CALM_ROUNDS {
        world.pass();
        let done = operate(world, context).await?;
        check(world, ids)?;
        let settled = done.and_then(|done| done.outcome) == Some(Outcome::Settled);
        if settled && is_as_specified(world, &spec) {
            return Ok(());
        }
    }
    let clusters = world.server.state().of("kafkaclusters");
    Err(format!("it never gets as specified: {}", clusters[0]["status"]))
}

fn is_as_specified(world: &World, spec: &Value) -> bool {
    let state = world.server.state();
    let image = json!(format!("millstream:{}", spec["version"].as_str().unwrap_or_default()));
    let size = &spec["nodePools"][0]["storage"]["size"];
    let pods = state.of("pods");
    let services = state.of("services");
    pods.iter().all(|pod| pod["spec"]["containers"][0]["image"] == image)
        && state.of("persistentvolumeclaims").iter().all(|claim| claim["status"]["capacity"]["storage"] == *size)
        && services.iter().all(|service| service["spec"]["selector"]["somebody"].is_null())
        && services.iter().any(|service| service["metadata"]["name"] == json!(format!("{CLUSTER}-bootstrap")))
}

async fn end(world: &mut World, context: &Context<WorldBrokers>) -> Result<(), String> {
    let key = ("kafkaclusters".to_owned(), NAMESPACE.to_owned(), CLUSTER.to_owned());
    let policy = {
        let mut state = world.server.state();
        state.begin_deletion(&key);
        state.objects.get(&key).map(|cluster| cluster["spec"]["deletionPolicy"].clone())
    };
    let had = objects(world);
    for _ in 0..CALM_ROUNDS {
        world.pass();
        operate(world, context).await?;
        let now_has = objects(world);
        let state = world.server.state();
        if let Some(violation) = state.violations.first() {
            return Err(violation.clone());
        }
        if state.objects.contains_key(&key) {
            continue;
        }
        let left = |plural: &str| state.of(plural).len();
        let goes = policy == Some(json!("Delete"));
        let claims = if goes { 0 } else { usize::try_from(MEMBERS).expect("few members") };
        return match (
            left("persistentvolumeclaims") == claims,
            left("statefulsets") + left("services") + left("secrets") - 1 + left("jobs"),
        ) {
            (true, 0) if now_has == if goes { 0 } else { had } => Ok(()),
            (true, 0) => Err(format!("{now_has} objects are in the bucket after deletion, {had} were before")),
            (false, _) => Err(format!("{} volumes are left after deletion", left("persistentvolumeclaims"))),
            (true, _) => Err("children are left after deletion".to_owned()),
        };
    }
    Err("it never goes".to_owned())
}

fn objects(world: &World) -> i64 {
    let mut state = world.server.state();
    state.find("buckets", BUCKET).and_then(|bucket| bucket["objects"].as_i64()).expect("it is there")
}
