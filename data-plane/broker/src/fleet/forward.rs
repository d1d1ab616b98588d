//! The stream of forwarded kafka/v3 requests: the control plane authenticated the caller, this broker answers.
//!
//! Promises: a forwarded request goes through the same handlers as a direct one; every request gets exactly one
//! answer; the number that are worked on at once is bounded, and beyond it the stream is not read. Requests that
//! wait when the stream breaks are dropped: their callers are gone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use millstream_api::fleet::forwarded_response::Response as Outgoing;
use millstream_api::fleet::{ForwardedRequest, ForwardedResponse, HttpAnswer, MAX_FORWARDED_BODY_BYTES};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, info, warn};

use super::config_stream::BrokerIdentity;
use super::dial::{Retry, StreamError, connect_to, with_token};
use super::replicas;
use super::status::{FleetStatus, ForwardConnected};
use crate::broker::Broker;
use crate::config::FleetEndpoint;
use crate::http::caller::{BaseUrl, Caller};
use crate::http::{cloud_metrics, kafka_v3};
use crate::tenants::image::Position;

/// Forwarded requests that are worked on at once.
const MAX_CONCURRENT: usize = 64;
/// Answers that wait to be sent at most.
const MAX_OUTGOING: usize = 16;
/// A request that takes longer is answered with 504.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Forwarded paths begin with this or are that of the metrics; nothing else of the broker's HTTP is reachable this way.
const PATH_PREFIX: &str = "/kafka/v3/";
/// Longest path and query.
const MAX_PATH_BYTES: usize = 8 * 1024;

/// The parts that the stream works on.
pub(crate) struct ForwardStream {
    pub(crate) endpoint: FleetEndpoint,
    pub(crate) identity: BrokerIdentity,
    pub(crate) status: Arc<FleetStatus>,
    /// The kafka/v3 routes and the metrics, which trust the [`Caller`] in the request's extensions.
    pub(crate) router: Router,
}

/// Keeps a stream up for every replica of the control plane until `shutdown` fires.
pub(crate) async fn run(broker: Arc<Broker>, endpoint: FleetEndpoint, shutdown: CancellationToken) {
    let url = endpoint.url.clone();
    let stream = ForwardStream {
        endpoint,
        identity: BrokerIdentity::of(&broker),
        status: Arc::clone(&broker.fleet),
        router: kafka_v3::router(Arc::clone(&broker)).merge(cloud_metrics::router(broker)),
    };
    replicas::run(Arc::new(stream), || replicas::look_up(&url), shutdown).await;
}

impl ForwardStream {
    /// Keeps the stream to one replica up until `shutdown` fires, or it ended and the replica is not `listed` any more.
    pub(crate) async fn run(
        self: Arc<Self>,
        replica: SocketAddr,
        listed: Arc<AtomicBool>,
        shutdown: CancellationToken,
    ) {
        let mut retry = Retry::new();
        while listed.load(Ordering::Relaxed) {
            let mut connected = None;
            let ended = tokio::select! {
                () = shutdown.cancelled() => return,
                ended = self.serve(replica, &mut connected) => ended,
            };
            if connected.take().is_some() {
                retry.reset();
            }
            if let Err(error) = ended {
                if retry.is_first() {
                    warn!("forward stream to {replica}: {error}; trying again");
                } else {
                    debug!("forward stream to {replica}: {error}");
                }
            }
            let pause = retry.next_pause();
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn serve<'s>(
        &'s self,
        replica: SocketAddr,
        connected: &mut Option<ForwardConnected<'s>>,
    ) -> Result<(), StreamError> {
        let mut client = connect_to(&self.endpoint, replica).await?;
        let (outgoing, queue) = mpsc::channel(MAX_OUTGOING);
        let hello = Outgoing::Hello(self.identity.hello(Position::default()));
        outgoing.send(ForwardedResponse { response: Some(hello) }).await.map_err(|_| StreamError::Ended)?;
        let request = with_token(ReceiverStream::new(queue), &self.endpoint).await?;
        let mut incoming = client.forward(request).await.map_err(Box::new)?.into_inner();
        *connected = Some(self.status.forward_connected());
        info!("forward stream to {replica}: connected");
        let slots = Arc::new(Semaphore::new(MAX_CONCURRENT));
        // Dropping the set with the stream aborts what is still being worked on.
        let mut working = JoinSet::new();
        loop {
            let slot = Arc::clone(&slots).acquire_owned().await.map_err(|_| StreamError::Ended)?;
            let forwarded = incoming.message().await.map_err(Box::new)?.ok_or(StreamError::Ended)?;
            while working.try_join_next().is_some() {}
            let router = self.router.clone();
            let outgoing = outgoing.clone();
            working.spawn(async move {
                let answer = answer(router, forwarded).await;
                // An error means that the stream is gone, and with it the caller.
                let _sent = outgoing.send(ForwardedResponse { response: Some(Outgoing::Answer(answer)) }).await;
                drop(slot);
            });
        }
    }
}

async fn answer(router: Router, forwarded: ForwardedRequest) -> HttpAnswer {
    let id = forwarded.id;
    let request = match to_http(forwarded) {
        Ok(request) => request,
        Err(reason) => return refuse(id, StatusCode::BAD_REQUEST, reason),
    };
    // A handler that panics must cost one request, not the stream: the task is its own.
    let handled = tokio::spawn(async move { router.oneshot(request).await });
    let abort = handled.abort_handle();
    match tokio::time::timeout(REQUEST_TIMEOUT, handled).await {
        Ok(Ok(Ok(response))) => from_http(id, response).await,
        Ok(_) => refuse(id, StatusCode::INTERNAL_SERVER_ERROR, "the broker failed to answer".to_owned()),
        Err(_) => {
            abort.abort();
            refuse(id, StatusCode::GATEWAY_TIMEOUT, "the broker did not answer in time, try again".to_owned())
        }
    }
}

fn to_http(forwarded: ForwardedRequest) -> Result<Request<Body>, String> {
    let caller = Caller {
        tenant: forwarded.logical_cluster_id.parse().map_err(|error| format!("logical_cluster_id: {error}"))?,
        principal: forwarded.principal.parse().map_err(|error| format!("principal: {error}"))?,
        host: None,
    };
    let path = &forwarded.path_and_query;
    let is_metrics = path.split('?').next() == Some(cloud_metrics::PATH);
    if !(path.starts_with(PATH_PREFIX) || is_metrics) || path.len() > MAX_PATH_BYTES {
        return Err(format!("path_and_query must begin with {PATH_PREFIX} and have at most {MAX_PATH_BYTES} bytes"));
    }
    let uri = Uri::try_from(path.as_str()).map_err(|_| "path_and_query is not a path".to_owned())?;
    let method = Method::from_bytes(forwarded.method.as_bytes()).map_err(|_| "method is not a method".to_owned())?;
    let mut request = Request::new(Body::from(forwarded.body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    if !forwarded.content_type.is_empty() {
        let value = HeaderValue::try_from(forwarded.content_type)
            .map_err(|_| "content_type is not a header value".to_owned())?;
        request.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(BaseUrl(forwarded.base_url.trim_end_matches('/').to_owned()));
    Ok(request)
}

async fn from_http(id: u64, response: Response) -> HttpAnswer {
    let status = response.status();
    let answer = HttpAnswer {
        id,
        status: status.as_u16().into(),
        content_type: header_text(&response, header::CONTENT_TYPE),
        location: header_text(&response, header::LOCATION),
        retry_after: header_text(&response, header::RETRY_AFTER),
        body: Bytes::new(),
    };
    match Limited::new(response.into_body(), MAX_FORWARDED_BODY_BYTES).collect().await {
        Ok(body) => HttpAnswer { body: body.to_bytes(), ..answer },
        Err(_) => refuse(id, StatusCode::INTERNAL_SERVER_ERROR, "the answer is too large".to_owned()),
    }
}

/// A header of an answer; empty if it has none.
fn header_text(response: &Response, name: header::HeaderName) -> String {
    let value = response.headers().get(name);
    value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn refuse(id: u64, status: StatusCode, message: String) -> HttpAnswer {
    let body = serde_json::json!({ "error_code": status.as_u16(), "message": message }).to_string();
    HttpAnswer {
        id,
        status: status.as_u16().into(),
        content_type: "application/json".to_owned(),
        body: Bytes::from(body),
        ..HttpAnswer::default()
    }
}

#[cfg(test)]
#[path = "forward_tests.rs"]
mod tests;
