//! Deliberately broken operators: the simulation has to catch each, or it would not catch a mistake of ours either.

use k8s_openapi::api::core::v1::Pod;

use super::runs::life;
use crate::controller::deletion;
use crate::controller::gather::Gathered;
use crate::controller::reconcile::Decisions;
use crate::controller::step::{self, Action, Answer, Growth, Seen};
use crate::crd::DeletionPolicy;

const SEEDS: u64 = 60;

/// Some life ends with exactly the violation that the mistake leads to, none with another.
async fn check(expected: &str, decisions: Decisions) {
    for seed in 0..SEEDS {
        if let Err(violation) = life(seed, decisions).await {
            assert!(violation.contains(expected), "seed {seed}: {violation}");
            return;
        }
    }
    panic!("nobody noticed");
}

/// Changes what is seen, or decides by itself.
type Change = fn(&mut Seen) -> Option<Action>;

fn members(change: Change) -> Decisions {
    // A function pointer carries no state, so each variant is a function of its own.
    CHANGE.with(|slot| slot.set(Some(change)));
    Decisions { members: changed, ..Decisions::default() }
}

thread_local! {
    static CHANGE: std::cell::Cell<Option<Change>> = const { std::cell::Cell::new(None) };
}

fn changed(seen: &Seen) -> Action {
    let mut seen = seen.clone();
    let decided = CHANGE.with(std::cell::Cell::get).and_then(|change| change(&mut seen));
    decided.unwrap_or_else(|| step::step(&seen))
}

fn deletions(deletion: fn(&Gathered, &[Pod]) -> deletion::Action) -> Decisions {
    Decisions { deletion, ..Decisions::default() }
}

fn each_pod(seen: &mut Seen, change: fn(&mut step::Pod)) -> Option<Action> {
    seen.members.iter_mut().filter_map(|member| member.pod.as_mut()).for_each(change);
    None
}

#[tokio::test]
async fn one_that_does_not_see_pods_that_end() {
    let blind = |seen: &mut Seen| {
        each_pod(seen, |pod| {
            pod.ready |= pod.stopping;
            pod.stopping = false;
        })
    };
    check(" away", members(blind)).await;
}

#[tokio::test]
async fn one_that_does_not_see_members_without_a_pod() {
    let blind = |seen: &mut Seen| {
        seen.members.retain(|member| member.pod.is_some());
        None
    };
    check(" away", members(blind)).await;
}

#[tokio::test]
async fn one_that_takes_every_pod_for_ready() {
    check(" away", members(|seen| each_pod(seen, |pod| pod.ready = true))).await;
}

#[tokio::test]
async fn one_that_asks_nobody_whether_it_may_be_restarted() {
    let rude = |seen: &mut Seen| {
        seen.members.iter_mut().for_each(|member| member.before = Answer::Safe);
        None
    };
    check("although it refused", members(rude)).await;
}

#[tokio::test]
async fn one_that_does_not_wait_until_members_caught_up() {
    let hasty = |seen: &mut Seen| {
        seen.members.iter_mut().for_each(|member| member.after = Answer::Safe);
        None
    };
    check("while a member was behind", members(hasty)).await;
}

#[tokio::test]
async fn one_that_waits_for_broken_members_forever() {
    let patient = |seen: &mut Seen| {
        let now = seen.now;
        seen.members.iter_mut().filter_map(|member| member.pod.as_mut()).for_each(|pod| {
            pod.since = now;
            pod.trouble = None;
        });
        None
    };
    check("it never gets as specified", members(patient)).await;
}

#[tokio::test]
async fn one_that_never_grows_a_volume() {
    let stingy = |seen: &mut Seen| {
        let claims = seen.members.iter_mut().filter_map(|member| member.claim.as_mut());
        claims.for_each(|claim| claim.growth = Growth::Done);
        None
    };
    check("it never gets as specified", members(stingy)).await;
}

#[tokio::test]
async fn one_that_acts_while_paused() {
    let busy = |seen: &mut Seen| {
        seen.paused = false;
        None
    };
    check("while the cluster is paused", members(busy)).await;
}

#[tokio::test]
async fn one_that_never_rolls() {
    let lazy = |seen: &mut Seen| {
        seen.members.iter_mut().for_each(|member| {
            let runs = member.pod.as_ref().map(|pod| pod.revision.clone());
            member.revision = runs.unwrap_or_default();
        });
        None
    };
    check("it never gets as specified", members(lazy)).await;
}

#[tokio::test]
async fn one_that_deletes_volumes_that_are_to_stay() {
    let greedy = |gathered: &Gathered, pods: &[Pod]| {
        let mut gathered = gathered.clone();
        gathered.cluster.spec.deletion_policy = DeletionPolicy::Delete;
        deletion::step(&gathered, pods)
    };
    check("of a member was deleted", deletions(greedy)).await;
}

#[tokio::test]
async fn one_that_deletes_volumes_under_their_pods() {
    let blind = |gathered: &Gathered, _: &[Pod]| {
        let mut gathered = gathered.clone();
        gathered.pods.clear();
        gathered.children.clear();
        deletion::step(&gathered, &[])
    };
    check("of a member was deleted", deletions(blind)).await;
}

#[tokio::test]
async fn one_that_forgets_the_bucket() {
    let forgetful = |gathered: &Gathered, pods: &[Pod]| {
        let mut gathered = gathered.clone();
        gathered.cluster.spec.object_store = None;
        gathered.cluster.status = None;
        deletion::step(&gathered, pods)
    };
    check("are in the bucket after deletion", deletions(forgetful)).await;
}

#[tokio::test]
async fn one_that_empties_a_bucket_that_is_to_stay() {
    let greedy = |gathered: &Gathered, pods: &[Pod]| match deletion::step(gathered, pods) {
        deletion::Action::Release if gathered.bucket_purge.is_none() => deletion::Action::PurgeBucket,
        deletion::Action::Release => {
            let mut gathered = gathered.clone();
            gathered.cluster.spec.deletion_policy = DeletionPolicy::Delete;
            gathered.claims.clear();
            deletion::step(&gathered, pods)
        }
        action => action,
    };
    check("are in the bucket after deletion", deletions(greedy)).await;
}

#[tokio::test]
async fn one_that_empties_the_bucket_under_its_members() {
    let hasty = |gathered: &Gathered, pods: &[Pod]| match gathered.bucket_purge {
        None => deletion::Action::PurgeBucket,
        Some(_) => deletion::step(gathered, pods),
    };
    check("while a member was there", deletions(hasty)).await;
}

#[tokio::test]
async fn one_that_lets_go_at_once() {
    check("are left after deletion", deletions(|_, _| deletion::Action::Release)).await;
}
