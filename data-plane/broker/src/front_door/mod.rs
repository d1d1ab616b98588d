//! A whole broker for tests: started as it is for users, entered by requests. Two clusters of two organizations live on
//! it, in which one principal has a key each.

pub(crate) mod client;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use aws_lc_rs::hmac;
use millstream_api::fleet::config_event::Change;
use millstream_api::fleet::config_item::Item;
use millstream_api::fleet::{self, ConfigEvent, ConfigItem, Delta, SnapshotBegin};
use millstream_api::ids::LogicalClusterId;
use millstream_metadata::acl::{ANY_CODE, Acl, UncheckedFilter};
use millstream_metadata::decide::Mode;
use tempfile::TempDir;

use crate::acls;
use crate::broker::Broker;
use crate::config::{BrokerConfig, KafkaListener};
use crate::partition::Partition;
use crate::quotas::tenant::TenantQuota;
use crate::session::{Client, Session};
use crate::start::{self, RunningBroker};
use crate::topics::{self, NewTopic};

pub(crate) const ORGANIZATION: &str = "00000000-0000-7000-8000-000000000001";
pub(crate) const OTHER_ORGANIZATION: &str = "00000000-0000-7000-8000-000000000002";
pub(crate) const TENANT: &str = "lkc-a";
pub(crate) const OTHER_TENANT: &str = "lkc-b";
pub(crate) const KEY: &str = "AAAAAAAAAAAAAAAA";
/// A key of the same principal in the other cluster, where it administers.
pub(crate) const OTHER_KEY: &str = "BBBBBBBBBBBBBBBB";
pub(crate) const PRINCIPAL: &str = "User:sa-a";
/// Binds [`PRINCIPAL`] as the administrator of [`TENANT`].
pub(crate) const WHOLE_CLUSTER: &str = "/environment=env-a/cloud-cluster=lkc-a";

const PEPPER: [u8; 32] = [5; 32];

/// The broker and its data.
pub(crate) struct FrontDoor {
    pub(crate) running: RunningBroker,
    /// Where its Kafka listener is.
    pub(crate) address: SocketAddr,
    _dir: TempDir,
}

/// The only listener of a broker of a test. Clients are told an address that nobody listens at.
pub(crate) fn listener(socket: TcpListener, tls: Option<Arc<rustls::ServerConfig>>) -> KafkaListener {
    let (name, advertised_host) = ("EXTERNAL".to_owned(), "localhost".to_owned());
    KafkaListener { name, socket, advertised_host, advertised_port: 9092, tls }
}

impl FrontDoor {
    /// The principal administers the second cluster and has no rights in the first.
    pub(crate) async fn open() -> Self {
        Self::open_with(None).await
    }

    /// The same, with TLS at its listener.
    pub(crate) async fn open_with(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = TempDir::new().unwrap();
        let kafka_listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = kafka_listener.local_addr().unwrap();
        let config = BrokerConfig {
            physical_cluster_id: "pkc-a".parse().unwrap(),
            broker_id: 0,
            data_dir: dir.path().join("data"),
            listeners: vec![listener(kafka_listener, tls)],
            http_listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            open_metrics: false,
            fleet: None,
            object_store: None,
            default_partitions: 1,
            auto_create_topics: true,
            initial_rebalance_delay_ms: 0,
        };
        let door = Self { running: start::start(config).await.unwrap(), address, _dir: dir };
        let items = vec![
            cluster(TENANT, ORGANIZATION),
            cluster(OTHER_TENANT, OTHER_ORGANIZATION),
            key(KEY, TENANT),
            key(OTHER_KEY, OTHER_TENANT),
            member(PRINCIPAL, ORGANIZATION),
            member("User:sa-x", ORGANIZATION),
            binding("rb-b", OTHER_ORGANIZATION, "CloudClusterAdmin", "/environment=env-a/cloud-cluster=lkc-b"),
        ];
        let begin = SnapshotBegin { epoch: 1, revision: 1, pepper: PEPPER.to_vec().into() };
        door.broker().tenants.apply_snapshot(&begin, items).unwrap();
        door
    }

    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.running.broker
    }

    /// Changes the configuration as the control plane does.
    pub(crate) fn change(&self, change: Change) {
        let tenants = &self.broker().tenants;
        let from_revision = tenants.position().revision;
        let to_revision = from_revision + 1;
        let events = vec![ConfigEvent { revision: to_revision, change: Some(change) }];
        tenants.apply_delta(Delta { epoch: 1, from_revision, to_revision, events }).unwrap();
    }

    /// Gives the principal a role in the organization of the first cluster.
    pub(crate) fn bind(&self, id: &str, role: &str, rest: &str) {
        self.change(Change::Upsert(binding(id, ORGANIZATION, role, rest)));
    }

    /// Makes a topic with one partition.
    pub(crate) async fn create_topic(&self, tenant: &str, name: &str) {
        let topic = NewTopic {
            name: name.to_owned(),
            partition_count: 1,
            replication_factor: 1,
            assignments: Default::default(),
            configs: Default::default(),
            mode: Mode::Apply,
        };
        topics::create(self.broker(), &id(tenant), topic).await.unwrap();
    }

    /// The partition of a topic with one.
    pub(crate) fn partition(&self, tenant: &str, topic: &str) -> Arc<Partition> {
        let image = self.broker().metadata.image();
        let topic_id = image.topic_by_name(&id(tenant), topic).unwrap().id;
        self.broker().partitions.get(topic_id, 0).unwrap()
    }

    /// Makes these the ACLs of the first cluster.
    pub(crate) async fn set_acls(&self, acls: Vec<Acl>) {
        let everything = UncheckedFilter {
            resource_type: ANY_CODE,
            resource_name: None,
            pattern_type: ANY_CODE,
            principal: None,
            host: None,
            operation: ANY_CODE,
            permission: ANY_CODE,
        };
        acls::delete(self.broker(), &id(TENANT), vec![everything.check().unwrap()]).await.unwrap();
        acls::create_all(self.broker(), &id(TENANT), acls).await.unwrap();
    }

    /// What a cluster is held to.
    pub(crate) fn quota(&self, tenant: &str) -> Arc<TenantQuota> {
        self.broker().quotas.tenant(&id(tenant))
    }

    /// The other end of a connection without a socket.
    pub(crate) fn client(&self) -> Client {
        let peer = SocketAddr::from(([10, 0, 0, 1], 4711));
        Client { peer, listener: Arc::clone(&self.broker().settings.listeners[0]) }
    }

    /// A connection without a socket that is logged in.
    pub(crate) fn session(&self, key: &str) -> Session {
        let admission = self.broker().connections.admit().unwrap();
        let mut session = Session::new(Arc::clone(self.broker()), self.client(), admission);
        session.handshake("PLAIN", 1).unwrap();
        session.authenticate(format!("\0{key}\0secret").as_bytes()).unwrap();
        session
    }
}

pub(crate) fn id(tenant: &str) -> LogicalClusterId {
    tenant.parse().unwrap()
}

fn cluster(id: &str, organization: &str) -> ConfigItem {
    let cluster = fleet::LogicalCluster {
        id: id.to_owned(),
        organization_id: organization.to_owned(),
        environment_id: "env-a".to_owned(),
        kind: "Standard".to_owned(),
        units: 0,
    };
    ConfigItem { item: Some(Item::LogicalCluster(cluster)) }
}

fn key(id: &str, cluster: &str) -> ConfigItem {
    let pepper = hmac::Key::new(hmac::HMAC_SHA256, &PEPPER);
    let key = fleet::ApiKey {
        id: id.to_owned(),
        logical_cluster_id: cluster.to_owned(),
        principal: PRINCIPAL.to_owned(),
        secret_hmac: hmac::sign(&pepper, format!("{id}:secret").as_bytes()).as_ref().to_vec().into(),
    };
    ConfigItem { item: Some(Item::ApiKey(key)) }
}

fn member(principal: &str, organization: &str) -> ConfigItem {
    let (principal, organization_id) = (principal.to_owned(), organization.to_owned());
    ConfigItem { item: Some(Item::Principal(fleet::PrincipalOfOrganization { principal, organization_id })) }
}

fn binding(id: &str, organization: &str, role: &str, rest: &str) -> ConfigItem {
    let binding = fleet::RoleBinding {
        id: id.to_owned(),
        organization_id: organization.to_owned(),
        principal: PRINCIPAL.to_owned(),
        role_name: role.to_owned(),
        crn_pattern: format!("crn://confluent.cloud/organization={organization}{rest}"),
    };
    ConfigItem { item: Some(Item::RoleBinding(binding)) }
}
