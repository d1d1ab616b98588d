//! One client connection: frames in, responses out, in request order.
//!
//! Promises: one request is processed at a time, so responses leave in request order; an unauthenticated peer
//! gets small frames and little time; a connection closes when its key is revoked; one whose tenant spent more than
//! its rate is not read until that is paid; one that sends many requests at once takes turns with others; one whose
//! client hung up does not count against its tenant, however long it waits. Never holds a lock while it waits for the socket.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use millstream_protocol::frame::{MAX_FRAME_BYTES, MAX_UNAUTHENTICATED_FRAME_BYTES};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::frames::{FrameBuffer, FrameError};
use super::output::Output;
use super::socket::Socket;
use crate::api::{self, Answer, Answered, RequestError};
use crate::broker::Broker;
use crate::connections::Admission;
use crate::quotas::in_flight::{Room, SMALL_REQUEST_BYTES};
use crate::quotas::tenant::ConnectionPlace;
use crate::session::{Client, Session};

/// How often a connection looks whether it is idle.
const IDLE_CHECK: Duration = Duration::from_secs(10);
/// Checks without a request until the connection is closed: ten minutes, as Kafka's `connections.max.idle.ms`.
const MAX_IDLE_CHECKS: u32 = 60;
/// Checks until a peer that did not authenticate is closed.
const MAX_UNAUTHENTICATED_CHECKS: u32 = 3;
/// A failed login is answered this much later, as Kafka's `connection.failed.authentication.delay.ms`.
const FAILED_AUTHENTICATION_DELAY: Duration = Duration::from_millis(100);

/// How long the request that is being answered when the broker stops may take. A fetch that waits for records would take
/// longer, but has nothing to lose.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum CloseReason {
    #[error("the peer sent what is not a frame: {0}")]
    Frame(#[from] FrameError),
    #[error("the request cannot be answered: {0}")]
    Request(#[from] RequestError),
    #[error("cannot write to the socket: {0}")]
    Write(std::io::Error),
    #[error("authentication failed")]
    AuthenticationFailed,
    #[error("idle for too long")]
    Idle,
    #[error("the peer hung up before everything was answered, and so did too many others of its tenant")]
    HungUp,
}

/// Serves one connection until it ends.
pub(crate) async fn serve<S>(
    broker: Arc<Broker>,
    socket: S,
    client: Client,
    admission: Admission,
    shutdown: CancellationToken,
) where
    S: Socket,
{
    let revoked = admission.closed().clone();
    let peer = client.peer;
    let mut session = Session::new(Arc::clone(&broker), client, admission);
    let stopping = AtomicBool::new(false);
    let mut running = pin!(run(&broker, socket, &mut session, &stopping));
    let ended = tokio::select! {
        biased;
        () = shutdown.cancelled() => {
            // What is being answered is answered: a producer that hears nothing would have to send it again.
            stopping.store(true, Ordering::Relaxed);
            tokio::time::timeout(DRAIN_TIMEOUT, running).await.unwrap_or(Ok(()))
        }
        () = revoked.cancelled() => {
            debug!(peer = %peer, "closed a connection: its key or its cluster is gone");
            return;
        }
        ended = &mut running => ended,
    };
    match ended {
        Ok(()) => {}
        // What a client sends is its own affair; a response that cannot be encoded is a bug of ours.
        Err(reason @ CloseReason::Request(RequestError::Encode(_))) => {
            error!(peer = %peer, %reason, "closed a connection");
        }
        Err(reason) => debug!(peer = %peer, %reason, "closed a connection"),
    }
}

/// Answers requests until the client is gone, or until there is none while `stopping` is set. Whoever sets it polls this
/// again, so that nobody else needs to wake it.
async fn run(
    broker: &Arc<Broker>,
    mut socket: impl Socket,
    session: &mut Session,
    stopping: &AtomicBool,
) -> Result<(), CloseReason> {
    let mut frames = FrameBuffer::new();
    let mut output = Output::new();
    let mut idle = IdleWatch::new();
    // Of its own, because answering a request needs the whole session.
    let mut place = None;
    loop {
        let limit = frame_limit(session);
        // Room for what is large, held until it is answered.
        let mut room = None;
        while !frames.take_complete(limit)? {
            if room.is_none() && frames.announced() > SMALL_REQUEST_BYTES {
                output.flush(&mut socket).await.map_err(CloseReason::Write)?;
                room = unless_left(pin!(enter(session, frames.announced())), &socket, place.as_deref()).await?;
            }
            let filled = tokio::select! {
                biased;
                () = is_set(stopping) => return Ok(()),
                filled = frames.fill(&mut socket) => filled?,
                () = idle.check() => {
                    idle.count_check(session.is_authenticated())?;
                    frames.shrink();
                    output.shrink();
                    continue;
                }
            };
            if !filled {
                return Ok(());
            }
        }
        // Before authentication requests buy no time: a peer has to log in, not to keep talking.
        if session.is_authenticated() {
            idle.reset();
        }
        // Requests that came together are worked on without waiting for the socket: now and then others have their turn.
        tokio::task::coop::consume_budget().await;
        let inherited = api::inherited_wait(session, frames.frame());
        if !inherited.is_zero() {
            output.flush(&mut socket).await.map_err(CloseReason::Write)?;
            unless_left(pin!(wait(session, inherited)), &socket, place.as_deref()).await?;
        }
        let answered =
            unless_left(pin!(api::answer(broker, session, frames.frame())), &socket, place.as_deref()).await?;
        let Answered { answer, wait: owed } = match answered {
            Ok(answered) => answered,
            Err(error) => {
                // The answers before it were given: what was acknowledged must reach the client.
                output.flush(&mut socket).await.map_err(CloseReason::Write)?;
                return Err(error.into());
            }
        };
        frames.consume();
        drop(room);
        if place.is_none() {
            place = session.place().cloned();
        }
        let closes = match answer {
            Answer::Pieces(pieces) => {
                output.push(&mut socket, pieces).await.map_err(CloseReason::Write)?;
                false
            }
            Answer::Nothing => false,
            Answer::LastPieces(pieces) => {
                tokio::time::sleep(FAILED_AUTHENTICATION_DELAY).await;
                output.push(&mut socket, pieces).await.map_err(CloseReason::Write)?;
                true
            }
        };
        // An answer may wait for the next one only if that one comes without waiting.
        let next_is_quick = frames.complete_next(frame_limit(session)).is_some_and(api::is_quick);
        let must_leave = closes || !next_is_quick || !owed.is_zero() || output.is_corked_full();
        if must_leave {
            output.flush(&mut socket).await.map_err(CloseReason::Write)?;
        }
        if closes {
            return Err(CloseReason::AuthenticationFailed);
        }
        if !owed.is_zero() {
            let paid = pin!(wait(session, owed));
            tokio::select! {
                biased;
                () = is_set(stopping) => return Ok(()),
                waited = unless_left(paid, &socket, place.as_deref()) => waited?,
            }
        }
    }
}

/// Ready while it is set. Wakes nobody.
async fn is_set(flag: &AtomicBool) {
    std::future::poll_fn(|_| if flag.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Does what takes a while without reading the socket. If the client hangs up meanwhile, its connection stops counting
/// against its tenant at once. What it sent before is still answered: a producer with acks=0 waits for no answer.
async fn unless_left<T>(
    mut work: Pin<&mut impl Future<Output = T>>,
    socket: &impl Socket,
    place: Option<&ConnectionPlace>,
) -> Result<T, CloseReason> {
    tokio::select! {
        biased;
        done = &mut work => return Ok(done),
        () = socket.hung_up() => {}
    }
    let may_stay = place.is_none_or(ConnectionPlace::leave);
    if may_stay { Ok(work.await) } else { Err(CloseReason::HungUp) }
}

/// Does not read the socket for so long: what holds a client that ignores the throttle time of a response.
async fn wait(session: &mut Session, owed: Duration) {
    if let Some(quota) = session.quota() {
        quota.wait(owed).await;
    }
}

async fn enter(session: &mut Session, request_bytes: usize) -> Option<Room> {
    session.quota()?.enter(request_bytes).await
}

fn frame_limit(session: &Session) -> usize {
    if session.is_authenticated() { MAX_FRAME_BYTES } else { MAX_UNAUTHENTICATED_FRAME_BYTES }
}

/// One timer for the life of a connection: it is not re-armed for every request, which would cost more than
/// many requests do.
struct IdleWatch {
    timer: std::pin::Pin<Box<tokio::time::Sleep>>,
    checks_without_request: u32,
}

impl IdleWatch {
    fn new() -> Self {
        Self { timer: Box::pin(tokio::time::sleep(IDLE_CHECK)), checks_without_request: 0 }
    }

    async fn check(&mut self) {
        self.timer.as_mut().await;
        self.timer.as_mut().reset(tokio::time::Instant::now() + IDLE_CHECK);
    }

    fn reset(&mut self) {
        self.checks_without_request = 0;
    }

    fn count_check(&mut self, is_authenticated: bool) -> Result<(), CloseReason> {
        self.checks_without_request += 1;
        let allowed = if is_authenticated { MAX_IDLE_CHECKS } else { MAX_UNAUTHENTICATED_CHECKS };
        if self.checks_without_request >= allowed {
            return Err(CloseReason::Idle);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
