//! `POST /kafka/v3/clusters/{cluster}/topics`: 201, or 200 when the request only asks whether it would succeed.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use millstream_api::kafka_rest::topic::{CreateTopic, NewConfig, ReplicasAssignment, Topic};
use millstream_api::role::{KafkaResource, Operation};
use millstream_metadata::decide::{Assignments, Mode};

use super::scope::Scope;
use super::topic;
use crate::broker::Broker;
use crate::http::error::RestError;
use crate::http::json::JsonBody;
use crate::topics::{self, NewTopic};

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    JsonBody(request): JsonBody<CreateTopic>,
) -> Result<(StatusCode, Json<Topic>), RestError> {
    if !scope.allows_on_cluster(Operation::Create) {
        scope.check(Operation::Create, KafkaResource::Topic, &request.topic_name)?;
    }
    let mode = Mode::from_validate_only(request.validate_only.unwrap_or(false));
    let topic = NewTopic {
        name: request.topic_name,
        partition_count: request.partitions_count.unwrap_or(-1),
        replication_factor: request.replication_factor.unwrap_or(-1),
        assignments: to_assignments(request.replicas_assignments.unwrap_or_default())?,
        configs: to_configs(request.configs.unwrap_or_default())?,
        mode,
    };
    let created = topics::create(&broker, &scope.tenant, topic).await?;
    let partition_count = usize::try_from(created.partition_count).unwrap_or(0);
    let replication_factor = usize::try_from(created.replication_factor).unwrap_or(0);
    let topic = topic::planned(&scope, created.name.as_str(), partition_count, replication_factor);
    let status = if mode == Mode::Apply { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(topic)))
}

fn to_assignments(assignments: Vec<ReplicasAssignment>) -> Result<Assignments, RestError> {
    let mut by_partition = Assignments::new();
    for assignment in assignments {
        let partition = assignment.partition_id;
        if by_partition.insert(partition, assignment.broker_ids).is_some() {
            return Err(RestError::invalid(format!("partition {partition} is assigned twice")));
        }
    }
    Ok(by_partition)
}

fn to_configs(configs: Vec<NewConfig>) -> Result<BTreeMap<String, Option<String>>, RestError> {
    let mut by_name = BTreeMap::new();
    for config in configs {
        if by_name.contains_key(&config.name) {
            let name: String = config.name.chars().take(64).collect();
            return Err(RestError::invalid(format!("config {name:?} is given twice")));
        }
        by_name.insert(config.name, config.value.map(|value| value.0));
    }
    Ok(by_name)
}
