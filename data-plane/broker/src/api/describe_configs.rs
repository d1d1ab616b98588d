//! DescribeConfigs: of topics and of brokers.
//!
//! A broker of this service shows the few settings that tools read by name; they are fixed for tenants.

use millstream_api::role::{KafkaResource, Operation};
use millstream_metadata::topic_config::ConfigType;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use millstream_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

use super::RequestContext;
use crate::broker_settings;
use crate::topics::{self, ConfigEntry};

/// Kafka's resource types.
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
const GROUP: i8 = 32;
/// Kafka's config sources.
pub(super) const SOURCE_TOPIC: i8 = 1;
const SOURCE_STATIC_BROKER: i8 = 4;
pub(super) const SOURCE_DEFAULT: i8 = 5;

pub(super) async fn handle<'a>(
    ctx: &RequestContext<'_>,
    request: DescribeConfigsRequest<'a>,
) -> DescribeConfigsResponse<'a> {
    let options = Options { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let results = request.resources.into_iter().map(|resource| describe(ctx, resource, &options)).collect();
    DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() }
}

struct Options {
    synonyms: bool,
    documentation: bool,
}

fn describe<'a>(
    ctx: &RequestContext<'_>,
    resource: DescribeConfigsResource<'a>,
    options: &Options,
) -> DescribeConfigsResult<'a> {
    if let Err(code) = check(ctx, Operation::DescribeConfigs, resource.resource_type, &resource.resource_name) {
        return refuse(resource, code, code.message());
    }
    let (entries, set_source) = match resource.resource_type {
        TOPIC => {
            let image = ctx.broker.metadata.image();
            let topic = image.topic_by_name(&ctx.authenticated.credential.tenant, &resource.resource_name);
            let Some(topic) = topic else {
                return refuse(resource, ErrorCode::UnknownTopicOrPartition, "this server does not host this topic");
            };
            (topics::describe_configs(topic), SOURCE_TOPIC)
        }
        BROKER => {
            let own_id = ctx.broker.settings.broker_id.to_string();
            let is_known = resource.resource_name.is_empty() || resource.resource_name == own_id;
            if !is_known {
                return refuse(resource, ErrorCode::InvalidRequest, "there is no broker of this id");
            }
            (broker_settings::describe(&ctx.broker.settings, &ctx.authenticated.listener), SOURCE_STATIC_BROKER)
        }
        _ => {
            return refuse(resource, ErrorCode::InvalidRequest, "only configs of topics and brokers can be described");
        }
    };
    let is_wanted = |entry: &ConfigEntry| match &resource.configuration_keys {
        None => true,
        Some(keys) => keys.iter().any(|key| key == entry.name),
    };
    let configs = entries.into_iter().filter(is_wanted).map(|entry| to_result(entry, set_source, options)).collect();
    DescribeConfigsResult {
        error_code: ErrorCode::None.code(),
        error_message: None,
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        configs,
    }
}

/// Kafka's error, unless the principal may do this to the configs of a resource: those of topics and groups are their
/// own, all others are the cluster's.
pub(super) fn check(
    ctx: &RequestContext<'_>,
    operation: Operation,
    resource_type: i8,
    name: &str,
) -> Result<(), ErrorCode> {
    match resource_type {
        TOPIC => ctx.check(operation, KafkaResource::Topic, name),
        GROUP => ctx.check(operation, KafkaResource::Group, name),
        _ => ctx.check_cluster(operation),
    }
}

fn to_result(entry: ConfigEntry, set_source: i8, options: &Options) -> DescribeConfigsResourceResult<'static> {
    let source = if entry.is_set { set_source } else { SOURCE_DEFAULT };
    let mut synonyms = Vec::new();
    if options.synonyms {
        if entry.is_set {
            synonyms.push(DescribeConfigsSynonym {
                name: entry.name.into(),
                value: Some(entry.value.clone().into()),
                source: set_source,
            });
        }
        synonyms.push(DescribeConfigsSynonym {
            name: entry.name.into(),
            value: Some(entry.default.into()),
            source: SOURCE_DEFAULT,
        });
    }
    DescribeConfigsResourceResult {
        name: entry.name.into(),
        value: Some(entry.value.into()),
        read_only: entry.is_read_only,
        config_source: source,
        is_sensitive: false,
        synonyms,
        config_type: type_code(entry.config_type),
        documentation: options.documentation.then(|| entry.documentation.into()),
    }
}

fn type_code(config_type: ConfigType) -> i8 {
    config_type as i8
}

fn refuse<'a>(
    resource: DescribeConfigsResource<'a>,
    code: ErrorCode,
    message: &'static str,
) -> DescribeConfigsResult<'a> {
    DescribeConfigsResult {
        error_code: code.code(),
        error_message: Some(message.into()),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        configs: Vec::new(),
    }
}
