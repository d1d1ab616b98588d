//! A control plane for tests: hands every stream to the test, which plays the other side.

use std::net::SocketAddr;
use std::pin::Pin;

use futures::Stream;
use millstream_api::fleet::broker_service_server::{BrokerService, BrokerServiceServer};
use millstream_api::fleet::{BrokerUpdate, ConfigUpdate, ForwardedRequest, ForwardedResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

use crate::config::FleetEndpoint;

/// A stream that the broker opened: what it sends, and how to send to it.
pub(crate) struct Accepted<I, O> {
    pub(crate) authorization: String,
    pub(crate) incoming: Streaming<I>,
    pub(crate) outgoing: mpsc::Sender<Result<O, Status>>,
}

pub(crate) type ConfigStreams = mpsc::Receiver<Accepted<BrokerUpdate, ConfigUpdate>>;
pub(crate) type ForwardStreams = mpsc::Receiver<Accepted<ForwardedResponse, ForwardedRequest>>;

struct Service {
    config: mpsc::Sender<Accepted<BrokerUpdate, ConfigUpdate>>,
    forward: mpsc::Sender<Accepted<ForwardedResponse, ForwardedRequest>>,
}

type Outgoing<O> = Pin<Box<dyn Stream<Item = Result<O, Status>> + Send>>;

async fn accept<I, O: Send + 'static>(
    request: Request<Streaming<I>>,
    to: &mpsc::Sender<Accepted<I, O>>,
) -> Result<Response<Outgoing<O>>, Status> {
    let authorization = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
    let authorization = authorization.unwrap_or_default().to_owned();
    let (outgoing, queue) = mpsc::channel(16);
    let accepted = Accepted { authorization, incoming: request.into_inner(), outgoing };
    to.send(accepted).await.map_err(|_| Status::unavailable("the test is over"))?;
    Ok(Response::new(Box::pin(ReceiverStream::new(queue))))
}

#[tonic::async_trait]
impl BrokerService for Service {
    type SubscribeStream = Outgoing<ConfigUpdate>;
    type ForwardStream = Outgoing<ForwardedRequest>;

    async fn subscribe(
        &self,
        request: Request<Streaming<BrokerUpdate>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        accept(request, &self.config).await
    }

    async fn forward(
        &self,
        request: Request<Streaming<ForwardedResponse>>,
    ) -> Result<Response<Self::ForwardStream>, Status> {
        accept(request, &self.forward).await
    }
}

/// Starts it on a free port.
pub(crate) async fn start() -> (FleetEndpoint, ConfigStreams, ForwardStreams) {
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (config, config_streams) = mpsc::channel(4);
    let (forward, forward_streams) = mpsc::channel(4);
    let service = BrokerServiceServer::new(Service { config, forward });
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (FleetEndpoint::plain(&url, "the-token"), config_streams, forward_streams)
}
