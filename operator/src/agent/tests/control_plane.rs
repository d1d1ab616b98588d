//! A control plane that hands every stream of an agent to the test.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use millstream_api::fleet::agent_instruction::Instruction;
use millstream_api::fleet::agent_report::Report;
use millstream_api::fleet::agent_service_server::{AgentService, AgentServiceServer};
use millstream_api::fleet::{
    AgentHeartbeat, AgentHello, AgentInstruction, AgentReport, DesiredPhysicalCluster, HEARTBEAT_INTERVAL_MS,
    ObservedPhysicalCluster,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// How long something may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// One stream of an agent.
pub struct AgentStream {
    pub authorization: String,
    pub hello: AgentHello,
    instructions: mpsc::Sender<Result<AgentInstruction, Status>>,
    reports: Streaming<AgentReport>,
}

impl AgentStream {
    pub async fn want(&self, desired: DesiredPhysicalCluster) {
        let instruction = AgentInstruction { instruction: Some(Instruction::Desired(desired)) };
        self.instructions.send(Ok(instruction)).await.expect("the stream lives");
    }

    /// Waits for a report of which `is_it` is true.
    pub async fn wait_for(&mut self, is_it: impl Fn(&ObservedPhysicalCluster) -> bool) -> ObservedPhysicalCluster {
        let wait = async {
            loop {
                let report = self.reports.message().await.expect("the stream lives").expect("a report");
                if let Some(Report::Observed(observed)) = report.report
                    && is_it(&observed)
                {
                    return observed;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("it is reported in time")
    }

    /// Ends the stream with a reason.
    pub async fn end(self, status: Status) {
        let _ = self.instructions.send(Err(status)).await;
    }
}

struct Service(mpsc::Sender<AgentStream>);

#[tonic::async_trait]
impl AgentService for Service {
    type SyncStream = Pin<Box<dyn Stream<Item = Result<AgentInstruction, Status>> + Send>>;

    async fn sync(&self, request: Request<Streaming<AgentReport>>) -> Result<Response<Self::SyncStream>, Status> {
        let authorization = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let authorization = authorization.unwrap_or_default().to_owned();
        let mut reports = request.into_inner();
        let first = reports.message().await?.and_then(|report| report.report);
        let Some(Report::Hello(hello)) = first else { return Err(Status::invalid_argument("no hello")) };
        let (instructions, outgoing) = mpsc::channel(16);
        tokio::spawn(beat(instructions.clone()));
        let stream = AgentStream { authorization, hello, instructions, reports };
        self.0.send(stream).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }
}

/// Heartbeats until the agent or the test has ended the stream.
async fn beat(instructions: mpsc::Sender<Result<AgentInstruction, Status>>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(HEARTBEAT_INTERVAL_MS));
    loop {
        ticks.tick().await;
        let heartbeat = Instruction::Heartbeat(AgentHeartbeat { server_time_ms: 0 });
        if instructions.send(Ok(AgentInstruction { instruction: Some(heartbeat) })).await.is_err() {
            return;
        }
    }
}

/// Where it is, and the streams that come.
pub async fn start() -> (SocketAddr, mpsc::Receiver<AgentStream>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, streams) = mpsc::channel(4);
    let server = tonic::transport::Server::builder().add_service(AgentServiceServer::new(Service(sender)));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (address, streams)
}
