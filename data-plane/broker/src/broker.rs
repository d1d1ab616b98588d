//! The parts of one broker, held together so that a handler gets them all. Behaviour lives in the parts.

use std::sync::Arc;

use millstream_api::ids::PhysicalClusterId;
use millstream_metadata::raft::MetadataGroup;

use crate::authorizer::Authorizer;
use crate::connections::ConnectionRegistry;
use crate::fleet::status::FleetStatus;
use crate::groups::coordinator::GroupCoordinator;
use crate::metadata_backup::BackupStatus;
use crate::metering::Metering;
use crate::metrics::Metrics;
use crate::partitions::Partitions;
use crate::producer_ids::ProducerIds;
use crate::quotas::Quotas;
use crate::tenants::TenantDirectory;

/// Plain values that do not change while the broker runs.
pub(crate) struct Settings {
    pub(crate) physical_cluster_id: PhysicalClusterId,
    pub(crate) broker_id: i32,
    /// Where clients come in, one at least.
    pub(crate) listeners: Vec<Arc<AdvertisedListener>>,
    pub(crate) default_partitions: i32,
    pub(crate) auto_create_topics: bool,
    /// Whether other machines may read the metrics, too.
    pub(crate) open_metrics: bool,
}

/// A listener as its clients see it.
pub(crate) struct AdvertisedListener {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// One broker.
pub(crate) struct Broker {
    pub(crate) settings: Settings,
    pub(crate) metadata: MetadataGroup,
    pub(crate) partitions: Partitions,
    pub(crate) groups: Arc<GroupCoordinator>,
    pub(crate) tenants: Arc<TenantDirectory>,
    pub(crate) authorizer: Authorizer,
    pub(crate) connections: Arc<ConnectionRegistry>,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) metering: Metering,
    pub(crate) fleet: Arc<FleetStatus>,
    pub(crate) backup: Arc<BackupStatus>,
}
