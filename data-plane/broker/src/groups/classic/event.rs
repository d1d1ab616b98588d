//! What happens to a group, and what follows from it.

use bytes::Bytes;

use crate::groups::error::GroupError;

/// Names one waiting request; chosen by the caller, unique while the request waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// One protocol a member offers, with the bytes it wants the leader to see, unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// The assignor's name.
    pub name: String,
    /// The member's subscription in the assignor's own encoding.
    pub metadata: Bytes,
}

/// A member wants in, or back in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The client's own name.
    pub client_id: String,
    /// The address the client comes from.
    pub client_host: String,
    /// Empty for a member that has no id yet.
    pub member_id: String,
    /// Names a static member across restarts.
    pub group_instance_id: Option<String>,
    /// The id to use if this request makes a new member: unique and not guessable.
    pub new_member_id: String,
    /// `consumer`, `connect` and the like.
    pub protocol_type: String,
    /// In the member's order of preference.
    pub protocols: Vec<Protocol>,
    /// How long the member may be silent.
    pub session_timeout_ms: i32,
    /// How long the member needs to come back when the group rebalances.
    pub rebalance_timeout_ms: i32,
    /// The client understands that it must join twice: once for an id, once with it.
    pub knows_two_step_join: bool,
    /// The client understands an answer that tells the leader not to assign.
    pub knows_skip_assignment: bool,
}

/// A member asks for its assignment; the leader brings everybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// The member.
    pub member_id: String,
    /// Names a static member across restarts.
    pub group_instance_id: Option<String>,
    /// The generation the member joined.
    pub generation_id: i32,
    /// What the member believes the group's protocol type to be, if it says so.
    pub protocol_type: Option<String>,
    /// What the member believes the chosen protocol to be, if it says so.
    pub protocol_name: Option<String>,
    /// Member id and assignment; only the leader's count.
    pub assignments: Vec<(String, Bytes)>,
}

/// A member is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The member.
    pub member_id: String,
    /// Names a static member across restarts.
    pub group_instance_id: Option<String>,
    /// The generation the member believes in.
    pub generation_id: i32,
}

/// One member of a leave request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaver {
    /// Empty when an administrator removes a static member by its instance id.
    pub member_id: String,
    /// Names a static member across restarts.
    pub group_instance_id: Option<String>,
}

/// What happens to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A JoinGroup request.
    Join(Join),
    /// A SyncGroup request.
    Sync(Sync),
    /// A Heartbeat request.
    Heartbeat(Heartbeat),
    /// A LeaveGroup request.
    Leave(Vec<Leaver>),
    /// The connection of the waiting request is gone; nobody would read its answer.
    Abandon,
}

/// One member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// The member.
    pub member_id: String,
    /// Names a static member across restarts.
    pub group_instance_id: Option<String>,
    /// Its subscription for the chosen protocol.
    pub metadata: Bytes,
}

/// The generation a member has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The member that is answered.
    pub member_id: String,
    /// The generation.
    pub generation_id: i32,
    /// `consumer`, `connect` and the like.
    pub protocol_type: Option<String>,
    /// The protocol most members prefer among those that all know.
    pub protocol_name: Option<String>,
    /// Who assigns.
    pub leader: String,
    /// Tells a leader that came back unchanged to keep the assignment as it is.
    pub skip_assignment: bool,
    /// Everybody, for the leader; empty for others.
    pub members: Vec<JoinedMember>,
}

/// A join that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRefused {
    /// The id to come back with, where the error asks for that.
    pub member_id: String,
    /// Why.
    pub error: GroupError,
}

/// A member's assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// `consumer`, `connect` and the like.
    pub protocol_type: Option<String>,
    /// The chosen protocol.
    pub protocol_name: Option<String>,
    /// The leader's bytes for this member, unchanged.
    pub assignment: Bytes,
}

/// The outcome for one member of a leave request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// As in the request.
    pub leaver: Leaver,
    /// Why it could not leave.
    pub error: Option<GroupError>,
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To a join.
    Join(Result<Joined, JoinRefused>),
    /// To a sync.
    Sync(Result<Synced, GroupError>),
    /// To a heartbeat.
    Heartbeat(Result<(), GroupError>),
    /// To a leave.
    Leave(Result<Vec<Left>, GroupError>),
}

impl Reply {
    /// The same kind of answer, refused.
    pub fn refused(&self, error: GroupError) -> Self {
        match self {
            Self::Join(Ok(joined)) => Self::Join(Err(JoinRefused { member_id: joined.member_id.clone(), error })),
            Self::Join(Err(refused)) => Self::Join(Err(JoinRefused { member_id: refused.member_id.clone(), error })),
            Self::Sync(_) => Self::Sync(Err(error)),
            Self::Heartbeat(_) => Self::Heartbeat(Err(error)),
            Self::Leave(_) => Self::Leave(Err(error)),
        }
    }
}

/// What follows from one step.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Answers, at most one for each waiting request.
    pub replies: Vec<(Token, Reply)>,
    /// The group must be written down before the answers leave.
    pub persist: bool,
    /// `on_time` is wanted at this monotonic instant or earlier; nothing new if absent.
    pub wake_at_ms: Option<u64>,
}

impl Effects {
    pub(super) fn reply(&mut self, token: Token, reply: Reply) {
        self.replies.push((token, reply));
    }

    pub(super) fn wake_at(&mut self, deadline_ms: u64) {
        self.wake_at_ms = Some(self.wake_at_ms.map_or(deadline_ms, |known| known.min(deadline_ms)));
    }
}
