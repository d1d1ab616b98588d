//! Whether the client got the answer to its POST.
//!
//! An answer counts as delivered when its last byte was handed to the connection and the connection then went on, ended
//! cleanly, or stayed whole for a moment. It counts as lost when the client went away before that, when the
//! connection broke, and when the answer was a 5xx, after which clients send their request again.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

use super::call::Call;
use crate::app::App;
use crate::domain::repetition::{AnswerState, REMEMBERED_MICROS};
use crate::domain::timestamp::Timestamp;
use crate::server::Connection;

/// How long a connection must stay whole behind an answer.
const CONFIRM_TIME: Duration = Duration::from_secs(5);
/// Lost answers that one replica knows at most; the database knows them too, a moment later.
const MAX_LOST: usize = 10_000;
/// Answers on their way that one replica watches at most. Of more it learns a moment later that they are lost.
const MAX_OPEN: usize = 10_000;

/// Answers of this replica that are lost or on their way, known before the database knows what became of them.
#[derive(Default)]
pub struct Answers(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// By the id of the request: since when.
    lost: HashMap<String, Timestamp>,
    /// By the id of the request.
    open: HashMap<String, OnItsWay>,
}

struct OnItsWay {
    connection: Connection,
    is_sent: bool,
}

impl Answers {
    /// Whether the answer to the request is lost, as of this moment: also if the client hung up and nobody has noticed.
    pub fn is_lost(&self, request_id: &str) -> bool {
        let known = self.known();
        let is_abandoned = |answer: &OnItsWay| answer.connection.is_abandoned(answer.is_sent);
        known.lost.contains_key(request_id) || known.open.get(request_id).is_some_and(is_abandoned)
    }

    fn begin(&self, request_id: &str, connection: Connection) {
        let mut known = self.known();
        if known.open.len() < MAX_OPEN {
            known.open.insert(request_id.to_owned(), OnItsWay { connection, is_sent: false });
        }
    }

    fn sent(&self, request_id: &str) {
        if let Some(answer) = self.known().open.get_mut(request_id) {
            answer.is_sent = true;
        }
    }

    fn end(&self, request_id: &str) {
        self.known().open.remove(request_id);
    }

    fn lose(&self, request_id: String, now: Timestamp) {
        let lost = &mut self.known().lost;
        if lost.len() >= MAX_LOST {
            lost.retain(|_, at| now.0 - at.0 < REMEMBERED_MICROS);
        }
        if lost.len() < MAX_LOST {
            lost.insert(request_id, now);
        }
    }

    fn find_again(&self, request_id: &str) {
        self.known().lost.remove(request_id);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches the answer to a POST.
pub async fn layer(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response {
    let call = request.extensions().get::<Arc<Call>>().cloned();
    let connection = request.extensions().get::<Connection>().cloned();
    let (Some(call), Some(connection), &Method::POST) = (call, connection, request.method()) else {
        return next.run(request).await;
    };
    app.answers.begin(&call.request_id, connection.clone());
    let outstanding = Outstanding { app, call, connection, is_over: false };
    let response = next.run(request).await;
    if response.status().is_server_error() {
        // Dropping it says that the answer is lost.
        drop(outstanding);
        return response;
    }
    response.map(|body| Body::new(WatchedBody { body, outstanding }))
}

/// An answer that is not delivered yet. Dropped, it is lost.
struct Outstanding {
    app: Arc<App>,
    call: Arc<Call>,
    connection: Connection,
    is_over: bool,
}

impl Outstanding {
    /// The last byte was handed to the connection.
    fn sent(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let Some(post) = self.call.post() else { return self.app.answers.end(&self.call.request_id) };
        self.app.answers.sent(&self.call.request_id);
        let (app, call, mut connection) = (Arc::clone(&self.app), Arc::clone(&self.call), self.connection.clone());
        let post = post.to_owned();
        self.app.tasks.spawn(async move {
            let is_whole = tokio::select! {
                is_whole = connection.outlives_this_answer() => is_whole,
                _ = tokio::time::sleep(CONFIRM_TIME) => true,
                _ = app.shutdown.cancelled() => true,
            };
            match is_whole {
                true => {
                    app.answers.end(&call.request_id);
                    app.answers.find_again(&post);
                    app.audit_log.settle(post, AnswerState::Delivered).await;
                }
                false => lose(&app, &call),
            }
        });
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        if !self.is_over {
            lose(&self.app, &self.call);
        }
    }
}

fn lose(app: &Arc<App>, call: &Call) {
    // First this, then the id: the handler that is about to remember its POST looks the other way round.
    call.set_client_gone();
    let post = call.post().map(str::to_owned);
    if let Some(post) = &post {
        app.answers.lose(post.clone(), app.clock.now());
    }
    app.answers.end(&call.request_id);
    let Some(post) = post else { return };
    let app = Arc::clone(app);
    app.clone().tasks.spawn(async move { app.audit_log.settle(post, AnswerState::Lost).await });
}

struct WatchedBody {
    body: Body,
    outstanding: Outstanding,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            self.outstanding.sent();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
