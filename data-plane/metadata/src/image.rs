//! The metadata at one offset: what all records up to there add up to.
//!
//! An image is a value. Cloning one copies a few pointers, and a clone never changes: sub-maps are shared until a
//! record touches them. [`MetadataImage::apply`] is the only way to change one, and it is all or nothing per record.
//! Equal images hold equal metadata; empty tenants are dropped so that there is one form of nothing.

mod acls;
mod apply_error;

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_api::ids::LogicalClusterId;
use uuid::Uuid;

pub use acls::AclImage;
pub use apply_error::ApplyError;

use crate::acl::Acl;
use crate::records::{BrokerId, ConfigResource, Endpoint, MetadataRecord};
use crate::topic_name::TopicName;

/// Values by config name.
pub type ConfigValues = BTreeMap<String, String>;

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionImage {
    /// Where its copies live, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// The replicas that are in sync.
    pub in_sync_replicas: Vec<BrokerId>,
    /// The leader, if any.
    pub leader: Option<BrokerId>,
    /// Counts leaders.
    pub leader_epoch: i32,
    /// Counts changes.
    pub partition_epoch: i32,
}

impl PartitionImage {
    fn is_consistent(&self) -> bool {
        let all_differ = |brokers: &[BrokerId]| {
            let mut sorted = brokers.to_vec();
            sorted.sort_unstable();
            sorted.windows(2).all(|pair| pair[0] != pair[1]) && brokers.iter().all(|broker| *broker >= 0)
        };
        !self.replicas.is_empty()
            && all_differ(&self.replicas)
            && all_differ(&self.in_sync_replicas)
            && self.in_sync_replicas.iter().all(|broker| self.replicas.contains(broker))
            && self.leader.is_none_or(|leader| self.in_sync_replicas.contains(&leader))
            && self.leader_epoch >= 0
            && self.partition_epoch >= 0
    }
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: TopicName,
    /// Its partitions, by number.
    pub partitions: Vec<Arc<PartitionImage>>,
    /// The configs that were set on it; what is absent has its default.
    pub configs: Arc<ConfigValues>,
}

impl TopicImage {
    /// The partition of this number.
    pub fn partition(&self, partition: i32) -> Option<&PartitionImage> {
        self.partitions.get(usize::try_from(partition).ok()?).map(Arc::as_ref)
    }
}

/// Everything of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantImage {
    topics: Arc<BTreeMap<Uuid, Arc<TopicImage>>>,
    ids_by_name: Arc<BTreeMap<TopicName, Uuid>>,
    names_by_collision_form: Arc<BTreeMap<TopicName, TopicName>>,
    configs: Arc<ConfigValues>,
    acls: Arc<AclImage>,
    partition_count: usize,
}

impl TenantImage {
    /// The topic of this name.
    pub fn topic_by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(self.ids_by_name.get(name)?)
    }

    /// The topic of this id.
    pub fn topic_by_id(&self, topic_id: Uuid) -> Option<&Arc<TopicImage>> {
        self.topics.get(&topic_id)
    }

    /// The name of a topic that differs from `name` only in `.` and `_`, or is equal.
    pub fn colliding_name(&self, name: &TopicName) -> Option<&TopicName> {
        self.names_by_collision_form.get(&name.collision_form())
    }

    /// All topics, ordered by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.ids_by_name.values().filter_map(|topic_id| self.topics.get(topic_id))
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// How many partitions all topics have together, replicas not counted.
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// The configs of the logical cluster as a whole.
    pub fn configs(&self) -> &Arc<ConfigValues> {
        &self.configs
    }

    /// The ACLs of the logical cluster. The same pointer means the same ACLs.
    pub fn acls(&self) -> &Arc<AclImage> {
        &self.acls
    }

    pub(crate) fn topics_by_id(&self) -> &Arc<BTreeMap<Uuid, Arc<TopicImage>>> {
        &self.topics
    }

    fn topic_mut(&mut self, topic_id: Uuid) -> Option<&mut TopicImage> {
        Arc::make_mut(&mut self.topics).get_mut(&topic_id).map(Arc::make_mut)
    }

    fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.configs.is_empty() && self.acls.is_empty()
    }
}

/// What a broker registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerRegistration {
    /// Which broker.
    pub id: BrokerId,
    /// Tells one run of the process from the next.
    pub incarnation_id: Uuid,
    /// Grows with each registration.
    pub epoch: i64,
    /// Its failure domain.
    pub rack: Option<String>,
    /// Where it can be reached.
    pub endpoints: Vec<Endpoint>,
    /// A fenced broker leads nothing and is not shown to clients.
    pub fenced: bool,
}

/// Who took the last block of producer ids, and what is still free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducerIdsTaken {
    pub(crate) broker_id: BrokerId,
    pub(crate) next_producer_id: i64,
}

/// The metadata at one offset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetadataImage {
    offset: u64,
    tenants: Arc<BTreeMap<LogicalClusterId, Arc<TenantImage>>>,
    brokers: Arc<BTreeMap<BrokerId, Arc<BrokerRegistration>>>,
    broker_configs: Arc<BTreeMap<BrokerId, Arc<ConfigValues>>>,
    all_broker_configs: Arc<ConfigValues>,
    producer_ids: Option<ProducerIdsTaken>,
    partition_count: usize,
}

impl MetadataImage {
    /// How many records made this image. Grows by one with each.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The tenant, if it has a topic, a config or an ACL.
    pub fn tenant(&self, tenant: &LogicalClusterId) -> Option<&Arc<TenantImage>> {
        self.tenants.get(tenant)
    }

    /// All tenants that have a topic, a config or an ACL.
    pub fn tenants(&self) -> impl Iterator<Item = (&LogicalClusterId, &Arc<TenantImage>)> {
        self.tenants.iter()
    }

    /// The topic of this name in this tenant.
    pub fn topic_by_name(&self, tenant: &LogicalClusterId, name: &str) -> Option<&Arc<TopicImage>> {
        self.tenants.get(tenant)?.topic_by_name(name)
    }

    /// The topic of this id, if it belongs to this tenant.
    pub fn topic_by_id(&self, tenant: &LogicalClusterId, topic_id: Uuid) -> Option<&Arc<TopicImage>> {
        self.tenants.get(tenant)?.topic_by_id(topic_id)
    }

    /// The partition, if the topic belongs to this tenant.
    pub fn partition(&self, tenant: &LogicalClusterId, topic_id: Uuid, partition: i32) -> Option<&PartitionImage> {
        self.topic_by_id(tenant, topic_id)?.partition(partition)
    }

    /// All registered brokers, fenced ones too, by id.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<BrokerRegistration>> {
        self.brokers.values()
    }

    /// The registration of this broker.
    pub fn broker(&self, broker_id: BrokerId) -> Option<&Arc<BrokerRegistration>> {
        self.brokers.get(&broker_id)
    }

    /// Whether the broker is registered and not fenced.
    pub fn is_live(&self, broker_id: BrokerId) -> bool {
        self.broker(broker_id).is_some_and(|broker| !broker.fenced)
    }

    /// The configs set on one broker.
    pub fn broker_configs(&self, broker_id: BrokerId) -> Option<&Arc<ConfigValues>> {
        self.broker_configs.get(&broker_id)
    }

    /// The configs set for all brokers.
    pub fn all_broker_configs(&self) -> &Arc<ConfigValues> {
        &self.all_broker_configs
    }

    /// The configs set on a resource, if it exists and has any.
    pub fn configs(&self, resource: &ConfigResource) -> Option<&Arc<ConfigValues>> {
        match resource {
            ConfigResource::Topic { tenant, topic_id } => {
                self.topic_by_id(tenant, *topic_id).map(|topic| &topic.configs)
            }
            ConfigResource::Tenant { tenant } => self.tenant(tenant).map(|tenant| tenant.configs()),
            ConfigResource::Broker { broker_id } => self.broker_configs(*broker_id),
            ConfigResource::AllBrokers => Some(&self.all_broker_configs),
        }
    }

    /// The first producer id that no broker has taken.
    pub fn next_producer_id(&self) -> i64 {
        self.producer_ids.map_or(0, |taken| taken.next_producer_id)
    }

    /// How many partitions all tenants have together.
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    pub(crate) fn producer_ids(&self) -> Option<ProducerIdsTaken> {
        self.producer_ids
    }

    pub(crate) fn tenant_map(&self) -> &Arc<BTreeMap<LogicalClusterId, Arc<TenantImage>>> {
        &self.tenants
    }

    pub(crate) fn broker_map(&self) -> &Arc<BTreeMap<BrokerId, Arc<BrokerRegistration>>> {
        &self.brokers
    }

    pub(crate) fn broker_config_map(&self) -> &Arc<BTreeMap<BrokerId, Arc<ConfigValues>>> {
        &self.broker_configs
    }

    pub(crate) fn with_offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Applies one record. On an error the image is unchanged.
    pub fn apply(&mut self, record: &MetadataRecord) -> Result<(), ApplyError> {
        match record {
            MetadataRecord::Topic { tenant, topic_id, name } => self.add_topic(tenant, *topic_id, name)?,
            MetadataRecord::RemoveTopic { tenant, topic_id } => self.remove_topic(tenant, *topic_id)?,
            MetadataRecord::Partition {
                tenant,
                topic_id,
                partition,
                replicas,
                in_sync_replicas,
                leader,
                leader_epoch,
                partition_epoch,
            } => {
                let image = PartitionImage {
                    replicas: replicas.clone(),
                    in_sync_replicas: in_sync_replicas.clone(),
                    leader: *leader,
                    leader_epoch: *leader_epoch,
                    partition_epoch: *partition_epoch,
                };
                self.add_partition(tenant, *topic_id, *partition, image)?;
            }
            MetadataRecord::PartitionChange { tenant, topic_id, partition, leader, in_sync_replicas, replicas } => {
                let Some(current) = self.partition(tenant, *topic_id, *partition) else {
                    return Err(ApplyError::UnknownPartition { topic_id: *topic_id, partition: *partition });
                };
                let changed = change_partition(current, *leader, in_sync_replicas.as_ref(), replicas.as_ref());
                self.replace_partition(tenant, *topic_id, *partition, changed)?;
            }
            MetadataRecord::Config { resource, name, value } => self.set_config(resource, name, value.as_deref())?,
            MetadataRecord::RegisterBroker { broker_id, incarnation_id, broker_epoch, rack, endpoints, fenced } => {
                self.register_broker(BrokerRegistration {
                    id: *broker_id,
                    incarnation_id: *incarnation_id,
                    epoch: *broker_epoch,
                    rack: rack.clone(),
                    endpoints: endpoints.clone(),
                    fenced: *fenced,
                })?;
            }
            MetadataRecord::FenceBroker { broker_id, broker_epoch, fenced } => {
                self.check_broker_epoch(*broker_id, *broker_epoch)?;
                if let Some(broker) = Arc::make_mut(&mut self.brokers).get_mut(broker_id) {
                    Arc::make_mut(broker).fenced = *fenced;
                }
            }
            MetadataRecord::UnregisterBroker { broker_id, broker_epoch } => {
                self.check_broker_epoch(*broker_id, *broker_epoch)?;
                Arc::make_mut(&mut self.brokers).remove(broker_id);
            }
            MetadataRecord::ProducerIds { broker_id, next_producer_id } => {
                self.take_producer_ids(*broker_id, *next_producer_id)?;
            }
            MetadataRecord::AddAcl { tenant, acl } => self.add_acl(tenant, acl)?,
            MetadataRecord::RemoveAcl { tenant, acl } => self.remove_acl(tenant, acl)?,
        }
        self.offset += 1;
        Ok(())
    }

    /// Applies records in order. On an error the image holds the records before the refused one: apply to a clone
    /// when that matters.
    pub fn apply_all<'a>(&mut self, records: impl IntoIterator<Item = &'a MetadataRecord>) -> Result<(), ApplyError> {
        for record in records {
            self.apply(record)?;
        }
        Ok(())
    }

    fn add_topic(&mut self, tenant: &LogicalClusterId, topic_id: Uuid, name: &TopicName) -> Result<(), ApplyError> {
        if let Some(existing) = self.tenants.get(tenant) {
            if existing.topics.contains_key(&topic_id) {
                return Err(ApplyError::TopicIdTaken { topic_id });
            }
            if existing.colliding_name(name).is_some() {
                return Err(ApplyError::TopicNameTaken { name: name.clone() });
            }
        }
        let tenant = Arc::make_mut(Arc::make_mut(&mut self.tenants).entry(tenant.clone()).or_default());
        let topic = TopicImage { id: topic_id, name: name.clone(), partitions: Vec::new(), configs: Arc::default() };
        Arc::make_mut(&mut tenant.topics).insert(topic_id, Arc::new(topic));
        Arc::make_mut(&mut tenant.ids_by_name).insert(name.clone(), topic_id);
        Arc::make_mut(&mut tenant.names_by_collision_form).insert(name.collision_form(), name.clone());
        Ok(())
    }

    fn remove_topic(&mut self, tenant_id: &LogicalClusterId, topic_id: Uuid) -> Result<(), ApplyError> {
        if self.topic_by_id(tenant_id, topic_id).is_none() {
            return Err(ApplyError::UnknownTopic { tenant: tenant_id.clone(), topic_id });
        }
        let tenants = Arc::make_mut(&mut self.tenants);
        let Some(tenant) = tenants.get_mut(tenant_id).map(Arc::make_mut) else { return Ok(()) };
        if let Some(topic) = Arc::make_mut(&mut tenant.topics).remove(&topic_id) {
            Arc::make_mut(&mut tenant.ids_by_name).remove(&topic.name);
            Arc::make_mut(&mut tenant.names_by_collision_form).remove(&topic.name.collision_form());
            tenant.partition_count -= topic.partitions.len();
            self.partition_count -= topic.partitions.len();
        }
        if tenant.is_empty() {
            tenants.remove(tenant_id);
        }
        Ok(())
    }

    fn add_partition(
        &mut self,
        tenant_id: &LogicalClusterId,
        topic_id: Uuid,
        partition: i32,
        image: PartitionImage,
    ) -> Result<(), ApplyError> {
        let Some(topic) = self.topic_by_id(tenant_id, topic_id) else {
            return Err(ApplyError::UnknownTopic { tenant: tenant_id.clone(), topic_id });
        };
        if usize::try_from(partition) != Ok(topic.partitions.len()) {
            return Err(ApplyError::PartitionOutOfOrder { topic_id, partition });
        }
        if !image.is_consistent() {
            return Err(ApplyError::InconsistentReplicas { topic_id, partition });
        }
        let tenant = self.tenant_mut(tenant_id, topic_id)?;
        tenant.partition_count += 1;
        if let Some(topic) = tenant.topic_mut(topic_id) {
            topic.partitions.push(Arc::new(image));
        }
        self.partition_count += 1;
        Ok(())
    }

    fn replace_partition(
        &mut self,
        tenant_id: &LogicalClusterId,
        topic_id: Uuid,
        partition: i32,
        image: PartitionImage,
    ) -> Result<(), ApplyError> {
        if !image.is_consistent() {
            return Err(ApplyError::InconsistentReplicas { topic_id, partition });
        }
        let tenant = self.tenant_mut(tenant_id, topic_id)?;
        let place =
            usize::try_from(partition).ok().and_then(|index| tenant.topic_mut(topic_id)?.partitions.get_mut(index));
        match place {
            Some(place) => {
                *place = Arc::new(image);
                Ok(())
            }
            None => Err(ApplyError::UnknownPartition { topic_id, partition }),
        }
    }

    fn set_config(&mut self, resource: &ConfigResource, name: &str, value: Option<&str>) -> Result<(), ApplyError> {
        match resource {
            ConfigResource::Topic { tenant: tenant_id, topic_id } => {
                let tenant = self.tenant_mut(tenant_id, *topic_id)?;
                if let Some(topic) = tenant.topic_mut(*topic_id) {
                    set_value(Arc::make_mut(&mut topic.configs), name, value);
                }
            }
            ConfigResource::Tenant { tenant: tenant_id } => {
                let tenants = Arc::make_mut(&mut self.tenants);
                let tenant = Arc::make_mut(tenants.entry(tenant_id.clone()).or_default());
                set_value(Arc::make_mut(&mut tenant.configs), name, value);
                if tenant.is_empty() {
                    tenants.remove(tenant_id);
                }
            }
            ConfigResource::Broker { broker_id } => {
                let brokers = Arc::make_mut(&mut self.broker_configs);
                let configs = Arc::make_mut(brokers.entry(*broker_id).or_default());
                set_value(configs, name, value);
                if configs.is_empty() {
                    brokers.remove(broker_id);
                }
            }
            ConfigResource::AllBrokers => set_value(Arc::make_mut(&mut self.all_broker_configs), name, value),
        }
        Ok(())
    }

    fn register_broker(&mut self, registration: BrokerRegistration) -> Result<(), ApplyError> {
        if registration.id < 0 {
            return Err(ApplyError::Backwards { field: "broker id", value: i64::from(registration.id) });
        }
        let last_epoch = self.broker(registration.id).map_or(-1, |broker| broker.epoch);
        if registration.epoch <= last_epoch {
            return Err(ApplyError::Backwards { field: "broker epoch", value: registration.epoch });
        }
        Arc::make_mut(&mut self.brokers).insert(registration.id, Arc::new(registration));
        Ok(())
    }

    fn check_broker_epoch(&self, broker_id: BrokerId, stated: i64) -> Result<(), ApplyError> {
        let Some(broker) = self.broker(broker_id) else {
            return Err(ApplyError::UnknownBroker { broker_id });
        };
        if broker.epoch != stated {
            return Err(ApplyError::StaleBrokerEpoch { broker_id, current: broker.epoch, stated });
        }
        Ok(())
    }

    fn take_producer_ids(&mut self, broker_id: BrokerId, next_producer_id: i64) -> Result<(), ApplyError> {
        if next_producer_id < self.next_producer_id() {
            return Err(ApplyError::Backwards { field: "next producer id", value: next_producer_id });
        }
        self.producer_ids = Some(ProducerIdsTaken { broker_id, next_producer_id });
        Ok(())
    }

    fn add_acl(&mut self, tenant_id: &LogicalClusterId, acl: &Acl) -> Result<(), ApplyError> {
        if self.tenant(tenant_id).is_some_and(|tenant| tenant.acls.contains(acl)) {
            return Err(ApplyError::AclExists { tenant: tenant_id.clone(), name: acl.resource.name.clone() });
        }
        let tenant = Arc::make_mut(Arc::make_mut(&mut self.tenants).entry(tenant_id.clone()).or_default());
        Arc::make_mut(&mut tenant.acls).add(acl);
        Ok(())
    }

    fn remove_acl(&mut self, tenant_id: &LogicalClusterId, acl: &Acl) -> Result<(), ApplyError> {
        if !self.tenant(tenant_id).is_some_and(|tenant| tenant.acls.contains(acl)) {
            return Err(ApplyError::UnknownAcl { tenant: tenant_id.clone(), name: acl.resource.name.clone() });
        }
        let tenants = Arc::make_mut(&mut self.tenants);
        let Some(tenant) = tenants.get_mut(tenant_id).map(Arc::make_mut) else { return Ok(()) };
        Arc::make_mut(&mut tenant.acls).remove(acl);
        if tenant.is_empty() {
            tenants.remove(tenant_id);
        }
        Ok(())
    }

    fn tenant_mut(&mut self, tenant_id: &LogicalClusterId, topic_id: Uuid) -> Result<&mut TenantImage, ApplyError> {
        if self.topic_by_id(tenant_id, topic_id).is_none() {
            return Err(ApplyError::UnknownTopic { tenant: tenant_id.clone(), topic_id });
        }
        let tenant = Arc::make_mut(&mut self.tenants).get_mut(tenant_id);
        Ok(Arc::make_mut(tenant.expect("its topic was found just above")))
    }
}

fn change_partition(
    current: &PartitionImage,
    leader: Option<Option<BrokerId>>,
    in_sync_replicas: Option<&Vec<BrokerId>>,
    replicas: Option<&Vec<BrokerId>>,
) -> PartitionImage {
    let mut changed = current.clone();
    if let Some(leader) = leader {
        changed.leader = leader;
        changed.leader_epoch = changed.leader_epoch.wrapping_add(1);
    }
    if let Some(in_sync_replicas) = in_sync_replicas {
        changed.in_sync_replicas.clone_from(in_sync_replicas);
    }
    if let Some(replicas) = replicas {
        changed.replicas.clone_from(replicas);
    }
    changed.partition_epoch = changed.partition_epoch.wrapping_add(1);
    changed
}

fn set_value(configs: &mut ConfigValues, name: &str, value: Option<&str>) {
    match value {
        Some(value) => {
            configs.insert(name.to_owned(), value.to_owned());
        }
        None => {
            configs.remove(name);
        }
    }
}
