//! Two processes that say they are the same agent.

use std::net::SocketAddr;

use millstream_api::fleet::agent_instruction::Instruction;
use millstream_api::fleet::agent_report::Report;
use millstream_api::fleet::observed_physical_cluster::Phase;
use millstream_api::fleet::{
    AgentHello, AgentInstruction, AgentReport, DesiredPhysicalCluster, ObservedPhysicalCluster,
};
use tokio::sync::mpsc;
use tonic::{Code, Streaming};

use crate::fixture::installation::{AGENT_TOKEN, start_replica};
use crate::fixture::{Engine, FakeAgent, Installation, PATIENCE};

/// One process of the agent `agent-1`, let in and told what to run.
struct Process {
    reports: mpsc::Sender<AgentReport>,
    instructions: Streaming<AgentInstruction>,
    desired: DesiredPhysicalCluster,
}

impl Process {
    async fn connect(address: SocketAddr, boot_id: &str) -> Result<Self, Code> {
        let hello = AgentHello {
            agent_id: "agent-1".into(),
            version: "test".into(),
            boot_id: boot_id.into(),
            ..AgentHello::default()
        };
        let opened = FakeAgent::open_on(crate::fixture::channel(address).await, AGENT_TOKEN, hello).await;
        let (reports, mut instructions) = opened.map_err(|status| status.code())?;
        loop {
            let told = instructions.message().await.map_err(|status| status.code())?.expect("an instruction");
            if let Some(Instruction::Desired(desired)) = told.instruction {
                return Ok(Self { reports, instructions, desired });
            }
        }
    }

    async fn report_ready(&self) {
        let observed = ObservedPhysicalCluster {
            physical_cluster_id: self.desired.physical_cluster_id.clone(),
            observed_generation: self.desired.generation,
            phase: Phase::Ready.into(),
            kafka_bootstrap_endpoint: "kafka.test:9092".into(),
            ..ObservedPhysicalCluster::default()
        };
        self.reports.send(AgentReport { report: Some(Report::Observed(observed)) }).await.expect("room");
    }

    /// Why the stream ended.
    async fn end(&mut self) -> Code {
        let end = async {
            loop {
                match self.instructions.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Code::Ok,
                    Err(status) => return status.code(),
                }
            }
        };
        tokio::time::timeout(PATIENCE, end).await.expect("it ends in time")
    }

    /// Hears two heartbeats: the stream lives, and was looked at in between.
    async fn goes_on(&mut self) {
        for _ in 0..2 {
            loop {
                let told = self.instructions.message().await.expect("the stream lives").expect("an instruction");
                if matches!(told.instruction, Some(Instruction::Heartbeat(_))) {
                    break;
                }
            }
        }
    }
}

async fn phase(installation: &Installation) -> Option<String> {
    installation.read_text("SELECT phase FROM physical_clusters").await
}

on_both_engines! {
    async fn the_process_that_came_later_is_the_agent_and_the_other_one_cannot_take_it_back(engine: Engine) {
        let installation = Installation::start(engine).await;
        let address = installation.control_plane().fleet_address();
        let mut earlier = Process::connect(address, "boot-1").await.expect("let in");
        let mut later = Process::connect(address, "boot-2").await.expect("let in");
        assert_eq!(earlier.end().await, Code::Aborted);
        for _ in 0..3 {
            let refused = Process::connect(address, "boot-1").await.map(|_| ());
            assert_eq!(refused, Err(Code::FailedPrecondition));
        }
        later.goes_on().await;
        assert_eq!(earlier.desired, later.desired);
    }

    async fn of_three_processes_the_last_one_stays(engine: Engine) {
        let installation = Installation::start(engine).await;
        let address = installation.control_plane().fleet_address();
        let _first = Process::connect(address, "boot-1").await.expect("let in");
        let mut second = Process::connect(address, "boot-2").await.expect("let in");
        let mut third = Process::connect(address, "boot-3").await.expect("let in");
        assert_eq!(second.end().await, Code::Aborted);
        for boot_id in ["boot-1", "boot-2"] {
            let refused = Process::connect(address, boot_id).await.map(|_| ());
            assert_eq!(refused, Err(Code::FailedPrecondition), "{boot_id}");
        }
        third.goes_on().await;
    }

    async fn a_process_that_connects_again_takes_its_own_place(engine: Engine) {
        let installation = Installation::start(engine).await;
        let address = installation.control_plane().fleet_address();
        let mut broken = Process::connect(address, "boot-1").await.expect("let in");
        let mut again = Process::connect(address, "boot-1").await.expect("let in");
        assert_eq!(broken.end().await, Code::Aborted);
        again.goes_on().await;
    }

    async fn the_earlier_process_is_let_in_once_the_later_one_gives_no_sign(engine: Engine) {
        let installation = Installation::start(engine).await;
        let address = installation.control_plane().fleet_address();
        let _earlier = Process::connect(address, "boot-1").await.expect("let in");
        let later = Process::connect(address, "boot-2").await.expect("let in");
        drop(later);
        let back = async {
            loop {
                // As if seconds had passed since its last sign.
                installation.run_statement("UPDATE agents SET seen_at = 0").await;
                if let Ok(process) = Process::connect(address, "boot-1").await {
                    return process;
                }
            }
        };
        let mut earlier = tokio::time::timeout(PATIENCE, back).await.expect("let in");
        // It is displaced again by the later one, and by nobody else.
        let mut later = Process::connect(address, "boot-2").await.expect("let in");
        assert_eq!(earlier.end().await, Code::Aborted);
        later.goes_on().await;
    }

    async fn what_a_stream_reports_that_lost_its_place_is_not_stored(engine: Engine) {
        let installation = Installation::start(engine).await;
        let address = installation.control_plane().fleet_address();
        let mut process = Process::connect(address, "boot-1").await.expect("let in");
        installation.run_statement("UPDATE agents SET stream_id = 'another'").await;
        process.report_ready().await;
        assert_eq!(process.end().await, Code::Aborted);
        assert_eq!(phase(&installation).await.as_deref(), Some("PROVISIONING"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_at_two_replicas_displace_each_other_too() {
    if !crate::fixture::postgres::is_available() {
        return;
    }
    let installation = Installation::start(Engine::Postgres).await;
    let other = start_replica(&installation.database, &installation.directory).await.expect("it starts");
    let (here, there) = (installation.control_plane().fleet_address(), other.fleet_address());
    let mut earlier = Process::connect(here, "boot-1").await.expect("let in");
    let mut later = Process::connect(there, "boot-2").await.expect("let in");
    assert_eq!(earlier.end().await, Code::Aborted);
    let refused = Process::connect(here, "boot-1").await.map(|_| ());
    assert_eq!(refused, Err(Code::FailedPrecondition));
    later.goes_on().await;
    other.shutdown().await;
}
