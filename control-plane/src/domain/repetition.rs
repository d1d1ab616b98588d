//! Whether a POST is the repetition of one whose answer was lost.
//!
//! Pure. A client whose connection broke cannot know whether its POST took effect, and sends it again. A client that got
//! its answer and sends the same again means it, unless the object is one of which there can be only one.

use super::timestamp::Timestamp;

/// For how long a repetition is recognized, in microseconds.
pub const REMEMBERED_MICROS: i64 = 60 * 1_000_000;
/// How long another replica may take to say what became of an answer, in microseconds. After that it is dead.
pub const OTHER_REPLICA_MICROS: i64 = 8 * 1_000_000;

/// What became of the answer to a POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerState {
    /// On its way.
    Open,
    /// The client has it.
    Delivered,
    /// The client went away before it had it, or got a 5xx.
    Lost,
}

/// An earlier POST of the same caller with the same path and body, whose object still exists.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// What became of its answer.
    pub state: AnswerState,
    /// Whether it was sent to this replica, since this replica started.
    pub is_of_this_replica: bool,
    /// When it was sent.
    pub at: Timestamp,
}

/// What to do with a POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It makes an object of its own.
    New,
    /// It repeats the earlier one at this place in the list.
    Repeats(usize),
    /// Another replica has not said yet what became of an answer.
    Wait,
}

/// Decides about a POST.
pub fn judge(earlier: &[Earlier], may_be_made_twice: bool, other_replicas_exist: bool, now: Timestamp) -> Verdict {
    let is_recent = |post: &Earlier| now.0 - post.at.0 < REMEMBERED_MICROS;
    let repeated = earlier
        .iter()
        .position(|post| is_recent(post) && (!may_be_made_twice || is_lost(post, other_replicas_exist, now)));
    if let Some(place) = repeated {
        return Verdict::Repeats(place);
    }
    let is_undecided = |post: &Earlier| post.state == AnswerState::Open && !post.is_of_this_replica;
    if earlier.iter().any(|post| is_recent(post) && is_undecided(post)) { Verdict::Wait } else { Verdict::New }
}

fn is_lost(post: &Earlier, other_replicas_exist: bool, now: Timestamp) -> bool {
    let is_dead = |post: &Earlier| !other_replicas_exist || now.0 - post.at.0 >= OTHER_REPLICA_MICROS;
    match post.state {
        AnswerState::Lost => true,
        AnswerState::Delivered => false,
        AnswerState::Open => !post.is_of_this_replica && is_dead(post),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AnswerState::{Delivered, Lost, Open};

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn post(state: AnswerState, is_of_this_replica: bool, age_micros: i64) -> Earlier {
        Earlier { state, is_of_this_replica, at: Timestamp(NOW.0 - age_micros) }
    }

    /// For objects of which there can be many alike, on a shared database.
    fn check(earlier: &[Earlier], expected: Verdict) {
        assert_eq!(judge(earlier, true, true, NOW), expected, "{earlier:?}");
    }

    #[test]
    fn only_a_lost_answer_makes_a_repetition_of_what_may_be_made_twice() {
        check(&[], Verdict::New);
        check(&[post(Delivered, true, 1)], Verdict::New);
        check(&[post(Open, true, 1)], Verdict::New);
        check(&[post(Lost, true, 1)], Verdict::Repeats(0));
        check(&[post(Delivered, true, 2), post(Lost, false, 1)], Verdict::Repeats(1));
        check(&[post(Lost, true, REMEMBERED_MICROS)], Verdict::New);
    }

    #[test]
    fn the_answer_of_a_replica_that_died_is_lost() {
        check(&[post(Open, false, 1)], Verdict::Wait);
        check(&[post(Open, false, OTHER_REPLICA_MICROS)], Verdict::Repeats(0));
        // Nobody else can have the database: whoever sent it is gone.
        assert_eq!(judge(&[post(Open, false, 1)], true, false, NOW), Verdict::Repeats(0));
    }

    #[test]
    fn what_can_be_there_once_only_is_found_again_in_any_state() {
        for state in [Open, Delivered, Lost] {
            for is_of_this_replica in [false, true] {
                let young = [post(state, is_of_this_replica, 1)];
                assert_eq!(judge(&young, false, true, NOW), Verdict::Repeats(0), "{young:?}");
                let old = [post(state, is_of_this_replica, REMEMBERED_MICROS)];
                assert_eq!(judge(&old, false, true, NOW), Verdict::New, "{old:?}");
            }
        }
    }
}
