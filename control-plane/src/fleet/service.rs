//! The two gRPC services: check the token, take the hello off the stream, hand over to the stream's own module.

use std::sync::Arc;
use std::time::Duration;

use millstream_api::fleet::agent_service_server::{AgentService, AgentServiceServer};
use millstream_api::fleet::broker_service_server::{BrokerService, BrokerServiceServer};
use millstream_api::fleet::{
    AgentInstruction, AgentReport, BrokerHello, BrokerUpdate, ConfigUpdate, ForwardedRequest, ForwardedResponse,
    MAX_MESSAGE_BYTES, agent_report, broker_update, forwarded_response,
};
use millstream_api::ids::PhysicalClusterId;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use super::forwarders::{Forwarder, MAX_IN_FLIGHT};
use super::{agent_certificate, agents, forward, subscribe, token};
use crate::app::App;
use crate::secrets::same_secret;
use crate::server::PeerCertificate;

/// How long a client may take to say who it is.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Both services of the fleet protocol.
pub fn routes(app: &Arc<App>) -> axum::Router {
    let agents = AgentServiceServer::new(Fleet(Arc::clone(app)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let brokers = BrokerServiceServer::new(Fleet(Arc::clone(app)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    Routes::new(agents).add_service(brokers).into_axum_router()
}

struct Fleet(Arc<App>);

#[tonic::async_trait]
impl AgentService for Fleet {
    type SyncStream = ReceiverStream<Result<AgentInstruction, Status>>;

    async fn sync(&self, request: Request<Streaming<AgentReport>>) -> Result<Response<Self::SyncStream>, Status> {
        let app = &self.0;
        if !same_secret(token::bearer(request.metadata())?.as_bytes(), app.agent_token.as_bytes()) {
            return Err(wrong_token());
        }
        let certificate = request.extensions().get::<PeerCertificate>().cloned();
        let mut incoming = request.into_inner();
        let first = first_message(&mut incoming).await?;
        let Some(agent_report::Report::Hello(hello)) = first.report else { return Err(no_hello()) };
        agent_certificate::check(app.agent_certificates, &hello.agent_id, certificate.as_ref())?;
        let (outgoing, receiver) = mpsc::channel(agents::OUTGOING_INSTRUCTIONS);
        app.tasks.spawn(agents::run(Arc::clone(app), hello, incoming, outgoing));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

#[tonic::async_trait]
impl BrokerService for Fleet {
    type SubscribeStream = ReceiverStream<Result<ConfigUpdate, Status>>;
    type ForwardStream = ReceiverStream<Result<ForwardedRequest, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<BrokerUpdate>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let app = &self.0;
        let token = token::bearer(request.metadata())?.to_owned();
        let mut incoming = request.into_inner();
        let first = first_message(&mut incoming).await?;
        let Some(broker_update::Update::Hello(hello)) = first.update else { return Err(no_hello()) };
        let physical_cluster = check_broker(app, &token, &hello)?;
        let session = app
            .propagation
            .join(&physical_cluster, hello.broker_id, 0)
            .map_err(|error| Status::resource_exhausted(error.to_string()))?;
        let (outgoing, receiver) = mpsc::channel(subscribe::OUTGOING_MESSAGES);
        app.tasks.spawn(subscribe::run(Arc::clone(app), physical_cluster, hello, session, incoming, outgoing));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn forward(
        &self,
        request: Request<Streaming<ForwardedResponse>>,
    ) -> Result<Response<Self::ForwardStream>, Status> {
        let app = &self.0;
        let token = token::bearer(request.metadata())?.to_owned();
        let mut incoming = request.into_inner();
        let first = first_message(&mut incoming).await?;
        let Some(forwarded_response::Response::Hello(hello)) = first.response else { return Err(no_hello()) };
        let physical_cluster = check_broker(app, &token, &hello)?;
        let (outgoing, receiver) = mpsc::channel(MAX_IN_FLIGHT);
        let forwarder = Forwarder::new(outgoing);
        if !app.forwarders.add(&physical_cluster, Arc::clone(&forwarder)) {
            return Err(Status::resource_exhausted("the physical cluster has too many forward streams already"));
        }
        app.tasks.spawn(forward::run(Arc::clone(app), physical_cluster, hello.broker_id, forwarder, incoming));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

async fn first_message<T>(incoming: &mut Streaming<T>) -> Result<T, Status> {
    match timeout(HELLO_TIMEOUT, incoming.message()).await {
        Ok(Ok(Some(message))) => Ok(message),
        Ok(Ok(None)) => Err(no_hello()),
        Ok(Err(status)) => Err(status),
        Err(_) => Err(Status::deadline_exceeded("no hello came in time")),
    }
}

fn check_broker(app: &App, token: &str, hello: &BrokerHello) -> Result<PhysicalClusterId, Status> {
    // An id that cannot be is refused like a wrong token: it says nothing about which ids exist.
    let Ok(physical_cluster) = hello.physical_cluster_id.parse::<PhysicalClusterId>() else {
        return Err(wrong_token());
    };
    if !app.secrets.verify_broker_token(&physical_cluster, token) {
        return Err(wrong_token());
    }
    Ok(physical_cluster)
}

fn wrong_token() -> Status {
    Status::unauthenticated("the token is wrong")
}

fn no_hello() -> Status {
    Status::invalid_argument("the first message must be a hello")
}
