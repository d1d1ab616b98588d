//! Messages between the voters of a metadata group.
//!
//! The broker supplies the transport: it carries opaque messages to a peer and brings back the answer. A group of one
//! voter sends none. What is inside is raft's business:
//!
//! ```text
//! u8 version, u8 call, u32 length of the head, head as JSON, tail
//! ```
//!
//! Heads hold votes and positions; tails hold what may be large: log entries (each u32 length, u64 index, entry) or a
//! piece of a snapshot.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use openraft::error::{InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};
use openraft::{BasicNode, LogId, Raft, SnapshotMeta, Vote};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::raft::entry::{self, MAX_ENTRY_BYTES};
use crate::raft::{TypeConfig, VoterId};

/// The most bytes of a message: one entry of the largest size fits.
pub const MAX_MESSAGE_BYTES: usize = MAX_ENTRY_BYTES + 1024 * 1024;
/// The most entries in one message.
pub(crate) const MAX_MESSAGE_ENTRIES: u64 = 256;
/// Bytes of a snapshot in one message.
pub(crate) const SNAPSHOT_PIECE_BYTES: u64 = 1024 * 1024;
const MESSAGE_VERSION: u8 = 1;
const HEADER_BYTES: usize = 6;
/// The most bytes of a head: positions and a membership.
const MAX_HEAD_BYTES: usize = 128 * 1024;

const CALL_APPEND: u8 = 1;
const CALL_VOTE: u8 = 2;
const CALL_INSTALL_SNAPSHOT: u8 = 3;

/// Another voter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its number.
    pub voter_id: VoterId,
    /// Its address, as it was given when it was added.
    pub address: String,
}

/// Why a peer gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// It cannot be reached now: raft waits before it tries again.
    #[error("peer cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection broke: raft tries again at once.
    #[error("connection to the peer broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The answer that a transport brings.
pub type TransportAnswer<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, TransportError>> + Send + 'a>>;

/// Carries messages between voters.
///
/// An implementation delivers a message at most once, to [`answer_peer`](crate::raft::MetadataGroup::answer_peer)
/// of exactly the voter that `peer` names, and returns its answer; it may fail at any time. It checks that the other
/// side is a voter of the same physical cluster, refuses messages above [`MAX_MESSAGE_BYTES`], and gives up on its
/// own when a peer does not answer for some seconds.
pub trait RaftTransport: Send + Sync + 'static {
    /// Sends one message and waits for the answer.
    fn call<'a>(&'a self, peer: &'a Peer, message: Vec<u8>) -> TransportAnswer<'a>;
}

/// The transport of a group that has one voter: there is nobody to talk to.
#[derive(Debug, Default)]
pub struct NoPeers;

impl RaftTransport for NoPeers {
    fn call<'a>(&'a self, peer: &'a Peer, _message: Vec<u8>) -> TransportAnswer<'a> {
        let reason = format!("no transport to voter {} is configured", peer.voter_id);
        Box::pin(std::future::ready(Err(TransportError::Unreachable(reason.into()))))
    }
}

/// Why a message of a peer is refused.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Too short, too long, or lengths inside that do not add up.
    #[error("peer message has a wrong length")]
    Length,
    /// Of another release.
    #[error("peer message has version {version}, this release reads {MESSAGE_VERSION}")]
    UnknownVersion {
        /// The version found.
        version: u8,
    },
    /// A call this release does not know.
    #[error("peer message has unknown call {call}")]
    UnknownCall {
        /// The call found.
        call: u8,
    },
    /// What is inside does not decode.
    #[error("peer message holds a bad {part}")]
    Content {
        /// Which part.
        part: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[derive(Serialize, Deserialize)]
struct AppendHead {
    vote: Vote<VoterId>,
    prev_log_id: Option<LogId<VoterId>>,
    leader_commit: Option<LogId<VoterId>>,
}

#[derive(Serialize, Deserialize)]
struct SnapshotHead {
    vote: Vote<VoterId>,
    meta: SnapshotMeta<VoterId, BasicNode>,
    offset: u64,
    done: bool,
}

/// Makes a connection to each peer.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) transport: Arc<dyn RaftTransport>,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = PeerConnection;

    async fn new_client(&mut self, target: VoterId, node: &BasicNode) -> Self::Network {
        let peer = Peer { voter_id: target, address: node.addr.clone() };
        PeerConnection { transport: Arc::clone(&self.transport), peer }
    }
}

pub(crate) struct PeerConnection {
    transport: Arc<dyn RaftTransport>,
    peer: Peer,
}

type CallError<E> = RPCError<VoterId, BasicNode, RaftError<VoterId, E>>;

impl PeerConnection {
    async fn call<T, E>(&self, message: Result<Vec<u8>, MessageError>) -> Result<T, CallError<E>>
    where
        T: DeserializeOwned,
        E: std::error::Error + DeserializeOwned + 'static,
    {
        let message = message.map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        let answer = match self.transport.call(&self.peer, message).await {
            Ok(answer) => answer,
            Err(error @ TransportError::Unreachable(_)) => {
                return Err(RPCError::Unreachable(Unreachable::new(&error)));
            }
            Err(error @ TransportError::Broken(_)) => return Err(RPCError::Network(NetworkError::new(&error))),
        };
        let answer: Result<T, RaftError<VoterId, E>> =
            serde_json::from_slice(&answer).map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        answer.map_err(|error| RPCError::RemoteError(RemoteError::new(self.peer.voter_id, error)))
    }
}

impl RaftNetwork<TypeConfig> for PeerConnection {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<VoterId>, RPCError<VoterId, BasicNode, RaftError<VoterId>>> {
        self.call(encode_append(&request)).await
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<InstallSnapshotResponse<VoterId>, CallError<InstallSnapshotError>> {
        let head = SnapshotHead { vote: request.vote, meta: request.meta, offset: request.offset, done: request.done };
        self.call(encode(CALL_INSTALL_SNAPSHOT, &head, &request.data)).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<VoterId>,
        _option: RPCOption,
    ) -> Result<VoteResponse<VoterId>, RPCError<VoterId, BasicNode, RaftError<VoterId>>> {
        self.call(encode(CALL_VOTE, &request, &[])).await
    }
}

/// Lets the local voter answer a message that a peer sent.
pub(crate) async fn answer(raft: &Raft<TypeConfig>, message: &[u8]) -> Result<Vec<u8>, MessageError> {
    if message.len() < HEADER_BYTES || message.len() > MAX_MESSAGE_BYTES {
        return Err(MessageError::Length);
    }
    if message[0] != MESSAGE_VERSION {
        return Err(MessageError::UnknownVersion { version: message[0] });
    }
    let (head, tail) = split(&message[2..])?;
    match message[1] {
        CALL_APPEND => {
            let head: AppendHead = decode_head(head)?;
            let request = AppendEntriesRequest {
                vote: head.vote,
                prev_log_id: head.prev_log_id,
                entries: decode_entries(tail)?,
                leader_commit: head.leader_commit,
            };
            encode_answer(&raft.append_entries(request).await)
        }
        CALL_VOTE => encode_answer(&raft.vote(decode_head(head)?).await),
        CALL_INSTALL_SNAPSHOT => {
            let head: SnapshotHead = decode_head(head)?;
            let request = InstallSnapshotRequest {
                vote: head.vote,
                meta: head.meta,
                offset: head.offset,
                data: tail.to_vec(),
                done: head.done,
            };
            encode_answer(&raft.install_snapshot(request).await)
        }
        call => Err(MessageError::UnknownCall { call }),
    }
}

fn encode(call: u8, head: &impl Serialize, tail: &[u8]) -> Result<Vec<u8>, MessageError> {
    let head = serde_json::to_vec(head).map_err(content("head"))?;
    let mut message = Vec::with_capacity(HEADER_BYTES + head.len() + tail.len());
    message.extend_from_slice(&[MESSAGE_VERSION, call]);
    message.extend_from_slice(&(head.len() as u32).to_be_bytes());
    message.extend_from_slice(&head);
    message.extend_from_slice(tail);
    Ok(message)
}

fn encode_append(request: &AppendEntriesRequest<TypeConfig>) -> Result<Vec<u8>, MessageError> {
    let mut tail = Vec::new();
    for entry in &request.entries {
        let bytes = entry::encode(entry).map_err(content("entry"))?;
        tail.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        tail.extend_from_slice(&entry.log_id.index.to_be_bytes());
        tail.extend_from_slice(&bytes);
    }
    let head =
        AppendHead { vote: request.vote, prev_log_id: request.prev_log_id, leader_commit: request.leader_commit };
    encode(CALL_APPEND, &head, &tail)
}

fn decode_entries(mut tail: &[u8]) -> Result<Vec<openraft::Entry<TypeConfig>>, MessageError> {
    let mut entries = Vec::new();
    while !tail.is_empty() {
        let (length, rest) = tail.split_at_checked(4).ok_or(MessageError::Length)?;
        let (index, rest) = rest.split_at_checked(8).ok_or(MessageError::Length)?;
        let (bytes, rest) = rest.split_at_checked(be(length) as usize).ok_or(MessageError::Length)?;
        entries.push(entry::decode(be(index), bytes).map_err(content("entry"))?);
        tail = rest;
    }
    Ok(entries)
}

fn encode_answer(answer: &impl Serialize) -> Result<Vec<u8>, MessageError> {
    serde_json::to_vec(answer).map_err(content("answer"))
}

fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), MessageError> {
    let (length, rest) = bytes.split_at_checked(4).ok_or(MessageError::Length)?;
    let length = be(length) as usize;
    if length > MAX_HEAD_BYTES {
        return Err(MessageError::Length);
    }
    rest.split_at_checked(length).ok_or(MessageError::Length)
}

fn decode_head<T: DeserializeOwned>(head: &[u8]) -> Result<T, MessageError> {
    serde_json::from_slice(head).map_err(content("head"))
}

fn content<E: std::error::Error + Send + Sync + 'static>(part: &'static str) -> impl FnOnce(E) -> MessageError {
    move |error| MessageError::Content { part, source: Box::new(error) }
}

fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte))
}
