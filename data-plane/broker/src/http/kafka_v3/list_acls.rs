//! `GET /kafka/v3/clusters/{cluster}/acls`: those that the filters mean. Seven exact filters mean one ACL or none.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::kafka_rest::acl::Acl;
use millstream_api::kafka_rest::envelope::List;

use super::acl::{self, FilterQuery};
use super::scope::Scope;
use crate::acls;
use crate::broker::Broker;
use crate::http::error::RestError;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    query: FilterQuery,
) -> Result<Json<List<Acl>>, RestError> {
    acl::check_may_list(&scope)?;
    let found = acls::list(&broker, &scope.tenant, &query.check()?);
    let data = found.iter().map(|acl| acl::of(&scope, acl)).collect();
    Ok(Json(List::new("KafkaAclList", scope.links.collection(&["acls"]), data)))
}
