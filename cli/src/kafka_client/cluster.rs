//! The brokers of a cluster and who leads which partition of a topic.
//!
//! Opens one connection per broker, when it is first needed. Metadata is read anew only when asked to.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use millstream_protocol::messages::metadata_response::MetadataResponse;
use millstream_protocol::writer::Writer;

use super::connection::{Call, Connection, check};
use super::error::ClientError;
use super::transport::Trust;
use crate::login::KafkaTarget;
use crate::rest_client::KeyPair;

/// How often metadata is read while a partition has no leader yet.
const LEADER_ATTEMPTS: usize = 20;
const LEADER_PAUSE: Duration = Duration::from_millis(250);

/// A topic's partitions and their leaders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicLayout {
    pub name: String,
    /// Partition to the broker that leads it.
    pub leaders: BTreeMap<i32, i32>,
}

impl TopicLayout {
    /// Refuses a partition that the topic does not have.
    pub fn check_partition(&self, partition: i32) -> Result<(), ClientError> {
        if self.leaders.contains_key(&partition) {
            return Ok(());
        }
        Err(ClientError::UnknownPartition { topic: self.name.clone(), partition, count: self.leaders.len() })
    }
}

/// A broker's address with what it takes to log in there.
pub struct Opener {
    address: String,
    trust: Trust,
    credentials: KeyPair,
}

impl Opener {
    /// Opens the connection.
    pub async fn open(self) -> Result<Connection, ClientError> {
        Connection::open(&self.address, &self.trust, &self.credentials).await
    }
}

/// A cluster, reached through its bootstrap server.
pub struct Cluster {
    bootstrap_server: String,
    credentials: KeyPair,
    trust: Trust,
    bootstrap: Connection,
    addresses: BTreeMap<i32, String>,
    connections: BTreeMap<i32, Connection>,
}

impl Cluster {
    /// Connects to the first bootstrap server that answers.
    pub async fn connect(target: &KafkaTarget) -> Result<Self, ClientError> {
        let trust = Trust::load(&target.encryption)?;
        let mut last_error = ClientError::BadAddress { address: target.bootstrap_server.clone() };
        for server in target.bootstrap_server.split(',').map(str::trim).filter(|server| !server.is_empty()) {
            match Connection::open(server, &trust, &target.credentials).await {
                Ok(bootstrap) => {
                    return Ok(Self {
                        bootstrap_server: server.to_string(),
                        credentials: target.credentials.clone(),
                        trust,
                        bootstrap,
                        addresses: BTreeMap::new(),
                        connections: BTreeMap::new(),
                    });
                }
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    /// The layout of a topic that exists; waits a little for leaders. Never creates the topic.
    pub async fn topic(&mut self, name: &str) -> Result<TopicLayout, ClientError> {
        let mut attempt = 1;
        loop {
            match self.read_topic(name).await {
                Err(error) if error.is_retriable() && attempt < LEADER_ATTEMPTS => {
                    // The bootstrap connection may be what broke.
                    if matches!(error, ClientError::Lost { .. } | ClientError::Closed { .. }) {
                        self.reopen_bootstrap().await?;
                    }
                    tokio::time::sleep(LEADER_PAUSE).await;
                }
                result => return result,
            }
            attempt += 1;
        }
    }

    /// A connection to a broker, opened if there is none.
    pub async fn broker(&mut self, node_id: i32) -> Result<&mut Connection, ClientError> {
        if !self.connections.contains_key(&node_id) {
            let connection = self.opener(node_id).open().await?;
            self.connections.insert(node_id, connection);
        }
        Ok(self.connections.get_mut(&node_id).expect("the connection was inserted above"))
    }

    /// All that is needed to open a connection to a broker later, away from this cluster.
    pub fn opener(&self, node_id: i32) -> Opener {
        let address = self.addresses.get(&node_id).unwrap_or(&self.bootstrap_server).clone();
        Opener { address, trust: self.trust.clone(), credentials: self.credentials.clone() }
    }

    /// A connection of its own to an address that a broker named, such as a group's coordinator.
    pub async fn open_address(&self, address: &str) -> Result<Connection, ClientError> {
        Connection::open(address, &self.trust, &self.credentials).await
    }

    /// Forgets the connection to a broker, after an error on it.
    pub fn forget_broker(&mut self, node_id: i32) {
        self.connections.remove(&node_id);
    }

    /// The connection for requests that any broker answers.
    pub fn any(&mut self) -> &mut Connection {
        &mut self.bootstrap
    }

    /// Opens the connection for requests that any broker answers anew.
    pub async fn reopen_bootstrap(&mut self) -> Result<(), ClientError> {
        self.bootstrap = Connection::open(&self.bootstrap_server, &self.trust, &self.credentials).await?;
        Ok(())
    }

    async fn read_topic(&mut self, name: &str) -> Result<TopicLayout, ClientError> {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic { name: Some(name.into()), ..Default::default() }]),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let call = Call {
            api: ApiKey::Metadata,
            versions: 4..=12,
            broker_wait: Duration::ZERO,
            encode: &|writer: &mut Writer, version| request.encode(writer, version),
        };
        let answer = self.bootstrap.call(call).await?;
        let response = answer.decode(MetadataResponse::decode)?;
        self.addresses = response
            .brokers
            .iter()
            .map(|broker| (broker.node_id, format!("{}:{}", broker.host, broker.port)))
            .collect();
        let unknown = || ClientError::UnknownTopic { topic: name.to_string() };
        let topic = response.topics.iter().find(|topic| topic.name.as_deref() == Some(name)).ok_or_else(unknown)?;
        if topic.error_code == ErrorCode::UnknownTopicOrPartition.code() {
            return Err(unknown());
        }
        check(&format!("cannot use topic {name}"), topic.error_code)?;
        let mut leaders = BTreeMap::new();
        for partition in &topic.partitions {
            if partition.leader_id < 0 {
                return Err(ClientError::NoLeader { topic: name.to_string(), partition: partition.partition_index });
            }
            leaders.insert(partition.partition_index, partition.leader_id);
        }
        Ok(TopicLayout { name: name.to_string(), leaders })
    }
}
