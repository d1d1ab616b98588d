//! Lets a request that may change something run to its end, even if the client goes away meanwhile.
//!
//! Without it the handler would be dropped at any await, for instance between a commit and the announcement of it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::error::ApiError;
use crate::app::App;

/// Requests that may change something and are in progress at one replica at most, with or without their client.
pub const MAX_CHANGES_IN_PROGRESS: usize = 4_096;

/// The permits of one replica.
pub fn permits() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_CHANGES_IN_PROGRESS))
}

/// Runs what may change something in a task of its own.
pub async fn layer(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response {
    if is_safe(request.method()) {
        return next.run(request).await;
    }
    let Ok(permit) = Arc::clone(&app.changes_in_progress).try_acquire_owned() else {
        return ApiError::unavailable().into_response();
    };
    let response = to_its_end(&app.tasks, async move {
        let response = next.run(request).await;
        drop(permit);
        response
    });
    response.await.unwrap_or_else(|| ApiError::internal().into_response())
}

/// Runs something in a task that nobody's going away ends. None if it panicked.
async fn to_its_end<T: Send + 'static>(
    tasks: &TaskTracker,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    tasks.spawn(work).await.ok()
}

/// Whether a method promises to change nothing.
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_for_it_any_more() {
        let tasks = TaskTracker::new();
        let (client_is_gone, wait) = oneshot::channel::<()>();
        let (finish, finished) = oneshot::channel();
        let work = async move {
            let _ = wait.await;
            let _ = finish.send("finished");
        };
        let mut answer = Box::pin(to_its_end(&tasks, work));
        assert_eq!((&mut answer).now_or_never(), None);
        drop(answer);
        client_is_gone.send(()).expect("the work is still there");
        assert_eq!(finished.await, Ok("finished"));
    }
}
