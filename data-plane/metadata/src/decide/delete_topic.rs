//! Which records end a topic, or everything of a tenant.

use millstream_api::ids::LogicalClusterId;
use uuid::Uuid;

use crate::acl::AclFilter;
use crate::decide::{Decision, TopicError};
use crate::image::MetadataImage;
use crate::records::{ConfigResource, MetadataRecord};
use crate::topic_name::TopicName;

/// Which topic is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicSelector {
    /// By name.
    Name(String),
    /// By id.
    Id(Uuid),
}

/// A topic that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedTopic {
    /// Its id.
    pub topic_id: Uuid,
    /// Its name.
    pub name: TopicName,
}

/// Decides to delete the topic, if the tenant has it.
pub fn delete_topic(
    image: &MetadataImage,
    tenant: &LogicalClusterId,
    selector: &TopicSelector,
) -> Result<Decision<DeletedTopic>, TopicError> {
    let topic = match selector {
        TopicSelector::Name(name) => image.topic_by_name(tenant, name).ok_or(TopicError::UnknownTopic)?,
        TopicSelector::Id(topic_id) => image.topic_by_id(tenant, *topic_id).ok_or(TopicError::UnknownTopicId)?,
    };
    let records = vec![MetadataRecord::RemoveTopic { tenant: tenant.clone(), topic_id: topic.id }];
    Ok(Decision { records, outcome: DeletedTopic { topic_id: topic.id, name: topic.name.clone() } })
}

/// Decides to delete at most `limit` topics of a tenant, and its configs and ACLs with the last of them. The outcome says
/// whether anything is left, so the caller repeats until nothing is.
pub fn delete_tenant(image: &MetadataImage, tenant_id: &LogicalClusterId, limit: usize) -> Decision<bool> {
    let Some(tenant) = image.tenant(tenant_id) else {
        return Decision { records: Vec::new(), outcome: false };
    };
    let mut records: Vec<MetadataRecord> = tenant
        .topics()
        .take(limit)
        .map(|topic| MetadataRecord::RemoveTopic { tenant: tenant_id.clone(), topic_id: topic.id })
        .collect();
    let more_topics = tenant.topic_count() > records.len();
    if !more_topics {
        let everything = AclFilter::everything();
        let resource = ConfigResource::Tenant { tenant: tenant_id.clone() };
        records.extend(tenant.configs().keys().map(|name| MetadataRecord::Config {
            resource: resource.clone(),
            name: name.clone(),
            value: None,
        }));
        // No more than the plan allows, which one proposal holds.
        let acls = tenant.acls().matching(&everything);
        records.extend(acls.map(|acl| MetadataRecord::RemoveAcl { tenant: tenant_id.clone(), acl }));
    }
    Decision { records, outcome: more_topics }
}
