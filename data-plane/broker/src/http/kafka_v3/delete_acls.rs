//! `DELETE /kafka/v3/clusters/{cluster}/acls`: deletes those that the filters mean, and answers which they were.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use millstream_api::kafka_rest::acl::Deleted;

use super::acl::{self, FilterQuery};
use super::scope::Scope;
use crate::acls;
use crate::broker::Broker;
use crate::http::error::RestError;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    query: FilterQuery,
) -> Result<Json<Deleted>, RestError> {
    acl::check_may_change(&scope)?;
    query.require_all()?;
    let deleted = acls::delete(&broker, &scope.tenant, vec![query.check()?]).await?;
    let data = deleted.iter().flatten().map(|acl| acl::of(&scope, acl)).collect();
    Ok(Json(Deleted { data }))
}
