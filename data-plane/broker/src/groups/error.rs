//! Why the coordinator refuses a request. Each reason is one of Kafka's error codes; `code` is the mapping.

use std::error::Error;
use std::fmt;

use millstream_protocol::error_code::ErrorCode;

/// Why the coordinator refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// State could not be written, or the coordinator is stopping: try again.
    #[error("the coordinator is not available")]
    CoordinatorNotAvailable,
    /// The generation in the request is not the group's.
    #[error("the generation of the request is not the group's")]
    IllegalGeneration,
    /// No common protocol, or another protocol type than the group's.
    #[error("the member's protocols do not fit the group's")]
    InconsistentGroupProtocol,
    /// The group has no such member.
    #[error("the group has no such member")]
    UnknownMemberId,
    /// Outside of the allowed range.
    #[error("the session timeout is outside of the allowed range")]
    InvalidSessionTimeout,
    /// Members must join again.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// Join again with the id in the answer.
    #[error("the member must join again with the id it was given")]
    MemberIdRequired,
    /// The group takes no more members, or no more bytes of subscriptions.
    #[error("the group has reached its largest size")]
    GroupMaxSizeReached,
    /// Another member has taken over this group instance id.
    #[error("another member has taken over this group instance id")]
    FencedInstanceId,
    /// Empty where a name is needed.
    #[error("the group id is not valid")]
    InvalidGroupId,
    /// No group of that id.
    #[error("there is no such group")]
    GroupIdNotFound,
    /// The group has members.
    #[error("the group is not empty")]
    NonEmptyGroup,
    /// A member subscribes to the topic.
    #[error("the group is subscribed to the topic")]
    GroupSubscribedToTopic,
    /// Longer than the bound.
    #[error("the metadata of the offset is too large")]
    OffsetMetadataTooLarge,
    /// No such topic or partition.
    #[error("there is no such topic or partition")]
    UnknownTopicOrPartition,
    /// A bound of this service is reached.
    #[error("a limit of the service is reached")]
    PolicyViolation,
    /// The request contradicts itself.
    #[error("the request is not valid")]
    InvalidRequest,
    /// The leader's assignment is larger than the group may store.
    #[error("the assignment is too large")]
    AssignmentTooLarge,
}

impl GroupError {
    /// Kafka's code of this error.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::AssignmentTooLarge => ErrorCode::UnknownServerError,
            Self::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
            Self::OffsetMetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
            Self::CoordinatorNotAvailable => ErrorCode::CoordinatorNotAvailable,
            Self::IllegalGeneration => ErrorCode::IllegalGeneration,
            Self::InconsistentGroupProtocol => ErrorCode::InconsistentGroupProtocol,
            Self::InvalidGroupId => ErrorCode::InvalidGroupId,
            Self::UnknownMemberId => ErrorCode::UnknownMemberId,
            Self::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
            Self::RebalanceInProgress => ErrorCode::RebalanceInProgress,
            Self::InvalidRequest => ErrorCode::InvalidRequest,
            Self::PolicyViolation => ErrorCode::PolicyViolation,
            Self::NonEmptyGroup => ErrorCode::NonEmptyGroup,
            Self::GroupIdNotFound => ErrorCode::GroupIdNotFound,
            Self::MemberIdRequired => ErrorCode::MemberIdRequired,
            Self::GroupMaxSizeReached => ErrorCode::GroupMaxSizeReached,
            Self::FencedInstanceId => ErrorCode::FencedInstanceId,
            Self::GroupSubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
        }
    }
}

/// An error with its causes, for a log line.
pub(super) struct ErrorChain<'a>(pub(super) &'a dyn Error);

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(formatter, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
