//! What is done next to the members of a cluster: a pure function from what was seen to one action.
//!
//! Promises: never two members away on purpose at the same time; a member that is broken already can always be
//! replaced; whoever waits says for what. Called again and again, so an action that was lost is found again.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::crd::conditions::Reason;

/// A member that runs something else than it should and is not ready may still be recovering its log: it is left alone
/// for this long before it counts as broken.
const BROKEN_AFTER: SignedDuration = SignedDuration::from_secs(120);

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub now: Timestamp,
    pub paused: bool,
    pub members: Vec<Member>,
    /// StatefulSets whose volume claims are smaller than the spec says; they cannot be changed, only made anew.
    pub outgrown_stateful_sets: Vec<String>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: i32,
    /// Whether it holds the cluster metadata log; these are restarted last.
    pub controller: bool,
    /// What it has to run.
    pub revision: String,
    pub pod: Option<Pod>,
    pub claim: Option<Claim>,
    /// What it says to the question whether it may be restarted.
    pub before: Answer,
    /// What it says to the question whether it has caught up.
    pub after: Answer,
}

/// The pod of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub name: String,
    pub uid: String,
    /// What it runs.
    pub revision: String,
    pub ready: bool,
    pub stopping: bool,
    /// Since when `ready` is what it is.
    pub since: Timestamp,
    /// Why it does not get ready by itself: it cannot be scheduled, its image cannot be pulled, it ends again and again.
    pub trouble: Option<Trouble>,
}

/// Why a pod does not get ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub reason: Reason,
    pub message: String,
}

/// The volume claim of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub name: String,
    pub growth: Growth,
}

/// Whether a volume is as large as the spec says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Growth {
    Done,
    /// The claim asks for less than the spec.
    Asked {
        size: String,
    },
    /// The volume is smaller than the claim asks for.
    Growing,
}

/// What a broker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    NotAsked,
    Unanswered { error: String },
    Unsafe { reasons: Vec<String> },
    Safe,
}

/// A question to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// May you be restarted now?
    Before,
    /// Have you caught up?
    After,
}

/// What is done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Asks a member and decides again.
    Ask { id: i32, question: Question },
    /// Makes a claim ask for more.
    GrowClaim { claim: String, size: String },
    /// Deletes a StatefulSet and leaves its pods; it is applied again with claims of the new size.
    ReplaceStatefulSet { name: String },
    /// Evicts a pod; its StatefulSet makes it anew.
    EvictPod { pod: String, uid: String, message: String },
    /// Nothing can be done now.
    Wait(Waiting),
    /// There is nothing to do.
    Nothing,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub reason: Reason,
    pub message: String,
    pub blocked_by: Vec<String>,
}

/// Decides.
pub fn step(seen: &Seen) -> Action {
    if seen.paused {
        return wait(Reason::Paused, "maintenance.paused is true".to_owned());
    }
    if let Some(action) = grow(seen) {
        return action;
    }
    if let Some(action) = finish_disruption(seen) {
        return action;
    }
    if let Some(action) = replace_broken(seen) {
        return action;
    }
    if let Some(waiting) = wait_for_members(seen) {
        return Action::Wait(waiting);
    }
    if let Some(action) = roll(seen) {
        return action;
    }
    let growing = claims(seen).find(|claim| claim.growth == Growth::Growing);
    match growing {
        Some(claim) => wait(Reason::ExpandingVolume, format!("volume claim {} grows", claim.name)),
        None => Action::Nothing,
    }
}

/// Volumes grow first: a member whose disk is full cannot do anything else. Nothing is disrupted by it.
fn grow(seen: &Seen) -> Option<Action> {
    if let Some(name) = seen.outgrown_stateful_sets.first() {
        return Some(Action::ReplaceStatefulSet { name: name.clone() });
    }
    claims(seen).find_map(|claim| match &claim.growth {
        Growth::Asked { size } => Some(Action::GrowClaim { claim: claim.name.clone(), size: size.clone() }),
        Growth::Done | Growth::Growing => None,
    })
}

/// A pod that is ending or not made yet is a disruption under way: no other is begun.
fn finish_disruption(seen: &Seen) -> Option<Action> {
    seen.members.iter().find_map(|member| match &member.pod {
        None => Some(wait(Reason::Starting, format!("broker {} has no pod yet", member.id))),
        Some(pod) if pod.stopping => Some(wait(Reason::Stopping, format!("pod {} is ending", pod.name))),
        Some(_) => None,
    })
}

/// A member that is down disrupts nothing when it is replaced: it is not asked, for it cannot answer.
fn replace_broken(seen: &Seen) -> Option<Action> {
    let is_broken =
        |pod: &&Pod| !pod.ready && (pod.trouble.is_some() || seen.now.duration_since(pod.since) >= BROKEN_AFTER);
    let broken = seen.members.iter().filter(|member| differs(member)).filter_map(|member| member.pod.as_ref());
    broken.into_iter().find(is_broken).map(|pod| evict(pod, "is not ready and differs from the spec"))
}

fn wait_for_members(seen: &Seen) -> Option<Waiting> {
    let pod = seen.members.iter().filter_map(|member| member.pod.as_ref()).find(|pod| !pod.ready)?;
    Some(match &pod.trouble {
        Some(trouble) => Waiting {
            reason: trouble.reason,
            message: format!("pod {} is not ready", pod.name),
            blocked_by: vec![trouble.message.clone()],
        },
        None => Waiting {
            reason: Reason::NotReady,
            message: format!("pod {} is not ready yet", pod.name),
            blocked_by: Vec::new(),
        },
    })
}

/// Every member is ready here. Replaces the next one that differs, if the members say that it can be spared.
fn roll(seen: &Seen) -> Option<Action> {
    let rank = |member: &&Member| (member.controller, std::cmp::Reverse(member.id));
    let next = seen.members.iter().filter(|member| differs(member)).min_by_key(rank)?;
    for member in &seen.members {
        match &member.after {
            Answer::NotAsked => return Some(Action::Ask { id: member.id, question: Question::After }),
            Answer::Safe => {}
            answer => return Some(Action::Wait(not_safe(Reason::CatchingUp, member.id, answer))),
        }
    }
    Some(match &next.before {
        Answer::NotAsked => Action::Ask { id: next.id, question: Question::Before },
        Answer::Safe => evict(next.pod.as_ref()?, "differs from the spec"),
        answer => Action::Wait(not_safe(Reason::RestartUnsafe, next.id, answer)),
    })
}

fn not_safe(unsafe_reason: Reason, id: i32, answer: &Answer) -> Waiting {
    let (reason, message, blocked_by) = match answer {
        Answer::Unsafe { reasons } => (unsafe_reason, format!("broker {id} says no"), reasons.clone()),
        Answer::Unanswered { error } => {
            (Reason::ProbeUnanswered, format!("broker {id} does not answer"), vec![error.clone()])
        }
        Answer::NotAsked | Answer::Safe => (unsafe_reason, format!("broker {id} was not asked"), Vec::new()),
    };
    Waiting { reason, message, blocked_by }
}

fn evict(pod: &Pod, why: &str) -> Action {
    Action::EvictPod { pod: pod.name.clone(), uid: pod.uid.clone(), message: format!("pod {} {why}", pod.name) }
}

fn differs(member: &Member) -> bool {
    member.pod.as_ref().is_some_and(|pod| pod.revision != member.revision)
}

fn claims(seen: &Seen) -> impl Iterator<Item = &Claim> {
    seen.members.iter().filter_map(|member| member.claim.as_ref())
}

fn wait(reason: Reason, message: String) -> Action {
    Action::Wait(Waiting { reason, message, blocked_by: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    fn member(id: i32) -> Member {
        let pod = Pod {
            name: format!("pod-{id}"),
            uid: format!("uid-{id}"),
            revision: "new".to_owned(),
            ready: true,
            stopping: false,
            since: now() - SignedDuration::from_secs(10),
            trouble: None,
        };
        Member {
            id,
            controller: id == 0,
            revision: "new".to_owned(),
            pod: Some(pod),
            claim: Some(Claim { name: format!("claim-{id}"), growth: Growth::Done }),
            before: Answer::NotAsked,
            after: Answer::NotAsked,
        }
    }

    fn three() -> Seen {
        Seen {
            now: now(),
            paused: false,
            members: vec![member(0), member(1), member(2)],
            outgrown_stateful_sets: vec![],
        }
    }

    fn pod(seen: &mut Seen, id: usize) -> &mut Pod {
        seen.members[id].pod.as_mut().unwrap()
    }

    fn check(change: impl FnOnce(&mut Seen), expected: impl FnOnce(&Action) -> bool) {
        let mut seen = three();
        change(&mut seen);
        let action = step(&seen);
        assert!(expected(&action), "{action:?}");
    }

    fn waits(action: &Action, reason: Reason) -> bool {
        matches!(action, Action::Wait(waiting) if waiting.reason == reason && !waiting.message.is_empty())
    }

    fn evicts(action: &Action, expected: &str) -> bool {
        matches!(action, Action::EvictPod { pod, .. } if pod == expected)
    }

    fn all_differ_and_caught_up(seen: &mut Seen) {
        for id in 0..3 {
            pod(seen, id).revision = "old".to_owned();
            seen.members[id].after = Answer::Safe;
        }
    }

    #[test]
    fn nothing_is_done_when_everything_is_as_specified() {
        check(|_| {}, |action| *action == Action::Nothing);
    }

    #[test]
    fn a_roll_asks_everybody_whether_it_caught_up_and_the_next_one_whether_it_may_go() {
        check(
            |seen| pod(seen, 1).revision = "old".to_owned(),
            |action| *action == Action::Ask { id: 0, question: Question::After },
        );
        check(all_differ_and_caught_up, |action| *action == Action::Ask { id: 2, question: Question::Before });
    }

    #[test]
    fn controllers_are_restarted_last() {
        let only_controller_left = |seen: &mut Seen| {
            all_differ_and_caught_up(seen);
            for id in [1, 2] {
                pod(seen, id).revision = "new".to_owned();
            }
            seen.members[0].before = Answer::Safe;
        };
        check(only_controller_left, |action| evicts(action, "pod-0"));
        let highest_first = |seen: &mut Seen| {
            all_differ_and_caught_up(seen);
            seen.members[2].before = Answer::Safe;
        };
        check(highest_first, |action| evicts(action, "pod-2"));
    }

    #[test]
    fn a_broker_that_says_no_is_not_restarted_and_its_reasons_are_passed_on() {
        let says_no = |seen: &mut Seen| {
            all_differ_and_caught_up(seen);
            seen.members[2].before = Answer::Unsafe { reasons: vec!["a snapshot runs".to_owned()] };
        };
        check(says_no, |action| {
            matches!(action, Action::Wait(waiting) if waiting.reason == Reason::RestartUnsafe
                && waiting.blocked_by == ["a snapshot runs"])
        });
    }

    #[test]
    fn a_broker_that_does_not_answer_is_not_restarted() {
        let silent = |seen: &mut Seen| {
            all_differ_and_caught_up(seen);
            seen.members[2].before = Answer::Unanswered { error: "connection refused".to_owned() };
        };
        check(silent, |action| waits(action, Reason::ProbeUnanswered));
    }

    #[test]
    fn nobody_is_restarted_while_another_catches_up() {
        let behind = |seen: &mut Seen| {
            all_differ_and_caught_up(seen);
            seen.members[1].after = Answer::Unsafe { reasons: vec!["recovering".to_owned()] };
            seen.members[2].before = Answer::Safe;
        };
        check(behind, |action| waits(action, Reason::CatchingUp));
    }

    #[test]
    fn nobody_is_restarted_while_another_is_away() {
        let ending = |seen: &mut Seen| {
            all_differ_and_caught_up(seen);
            pod(seen, 1).stopping = true;
            seen.members[2].before = Answer::Safe;
        };
        check(ending, |action| waits(action, Reason::Stopping));
        let absent = |seen: &mut Seen| {
            all_differ_and_caught_up(seen);
            seen.members[1].pod = None;
            seen.members[2].before = Answer::Safe;
        };
        check(absent, |action| waits(action, Reason::Starting));
        let unready = |seen: &mut Seen| {
            all_differ_and_caught_up(seen);
            pod(seen, 1).revision = "new".to_owned();
            pod(seen, 1).ready = false;
            seen.members[2].before = Answer::Safe;
        };
        check(unready, |action| waits(action, Reason::NotReady));
    }

    #[test]
    fn a_broken_member_is_replaced_without_being_asked() {
        let broken = |seen: &mut Seen| {
            pod(seen, 1).revision = "old".to_owned();
            pod(seen, 1).ready = false;
            let trouble = Trouble { reason: Reason::ImagePullFailed, message: "no such image".to_owned() };
            pod(seen, 1).trouble = Some(trouble);
        };
        check(broken, |action| evicts(action, "pod-1"));
    }

    #[test]
    fn a_member_that_starts_slowly_is_left_alone_for_a_while() {
        let slow = |seconds: i64| {
            move |seen: &mut Seen| {
                pod(seen, 1).revision = "old".to_owned();
                pod(seen, 1).ready = false;
                pod(seen, 1).since = now() - SignedDuration::from_secs(seconds);
            }
        };
        check(slow(119), |action| waits(action, Reason::NotReady));
        check(slow(120), |action| evicts(action, "pod-1"));
    }

    #[test]
    fn a_broken_member_that_is_as_specified_is_waited_for_with_its_trouble() {
        let broken = |seen: &mut Seen| {
            pod(seen, 1).ready = false;
            pod(seen, 1).since = Timestamp::UNIX_EPOCH;
            let trouble = Trouble { reason: Reason::Unschedulable, message: "no node has room".to_owned() };
            pod(seen, 1).trouble = Some(trouble);
        };
        check(broken, |action| waits(action, Reason::Unschedulable));
    }

    #[test]
    fn volumes_grow_before_anything_else_even_when_a_member_is_down() {
        let full = |seen: &mut Seen| {
            all_differ_and_caught_up(seen);
            seen.members[1].pod = None;
            seen.members[1].claim.as_mut().unwrap().growth = Growth::Asked { size: "20Gi".to_owned() };
        };
        check(full, |action| matches!(action, Action::GrowClaim { claim, .. } if claim == "claim-1"));
    }

    #[test]
    fn a_volume_that_grows_holds_no_roll_back() {
        let growing = |seen: &mut Seen| {
            all_differ_and_caught_up(seen);
            seen.members[1].claim.as_mut().unwrap().growth = Growth::Growing;
            seen.members[2].before = Answer::Safe;
        };
        check(growing, |action| evicts(action, "pod-2"));
        let only_growing = |seen: &mut Seen| seen.members[1].claim.as_mut().unwrap().growth = Growth::Growing;
        check(only_growing, |action| waits(action, Reason::ExpandingVolume));
    }

    #[test]
    fn nothing_is_done_while_paused() {
        let paused = |seen: &mut Seen| {
            all_differ_and_caught_up(seen);
            seen.paused = true;
            seen.outgrown_stateful_sets.push("set".to_owned());
        };
        check(paused, |action| waits(action, Reason::Paused));
    }
}
