//! Sends everything that brokers of one physical cluster must know, as of one revision.

use millstream_api::fleet::config_item::Item;
use millstream_api::fleet::config_update::Update;
use millstream_api::fleet::{ConfigItem, SNAPSHOT_CHUNK_ITEMS, SnapshotBegin, SnapshotEnd, SnapshotItems};
use millstream_api::ids::PhysicalClusterId;

use super::subscribe::{Outgoing, StreamEnd};
use crate::app::App;
use crate::store::error::StoreError;
use crate::store::{
    Transaction, api_keys, client_quotas, config_log, installation, logical_clusters, principals, role_bindings,
};

/// What a snapshot has one after the other.
#[derive(Debug, Clone, Copy)]
enum Part {
    LogicalClusters,
    RoleBindings,
    ClientQuotas,
    Principals,
    ApiKeys,
}

/// Clusters first, so that nothing comes before its cluster. Roles and quotas before keys, so that no client gets in
/// before its rights and limits.
const PARTS: [Part; 5] =
    [Part::LogicalClusters, Part::RoleBindings, Part::ClientQuotas, Part::Principals, Part::ApiKeys];

/// Sends a snapshot and returns its epoch and revision. All of it is read in one transaction, a chunk at a time.
pub async fn send(
    app: &App,
    physical_cluster: &PhysicalClusterId,
    outgoing: &Outgoing,
) -> Result<(u64, u64), StreamEnd> {
    let _permit = app.propagation.snapshots.acquire().await.map_err(|_| StreamEnd::Shutdown)?;
    let mut transaction = app.database.read().await?;
    let state = config_log::state(&mut transaction, physical_cluster).await?.ok_or(StreamEnd::Unknown)?;
    let pepper = app.secrets.pepper().to_vec().into();
    let epoch = installation::epoch(&mut transaction).await?;
    let begin = SnapshotBegin { epoch, revision: state.head, pepper };
    outgoing.send(Update::SnapshotBegin(begin)).await?;
    let mut items = 0;
    for part in PARTS {
        items += send_part(&mut transaction, part, physical_cluster, outgoing).await?;
    }
    outgoing.send(Update::SnapshotEnd(SnapshotEnd { items })).await?;
    Ok((epoch, state.head))
}

/// Sends one part, chunk by chunk, and returns how many items it has.
async fn send_part(
    transaction: &mut Transaction,
    part: Part,
    physical_cluster: &PhysicalClusterId,
    outgoing: &Outgoing,
) -> Result<u64, StreamEnd> {
    let (mut after, mut sent) = (String::new(), 0);
    loop {
        let chunk = part.chunk(transaction, physical_cluster, &after).await?;
        let Some(last) = chunk.last() else { return Ok(sent) };
        after = key(last).to_owned();
        sent += chunk.len() as u64;
        let items = chunk.into_iter().map(|item| ConfigItem { item: Some(item) }).collect();
        outgoing.send(Update::SnapshotItems(SnapshotItems { items })).await?;
    }
}

impl Part {
    /// The items behind one, in order.
    async fn chunk(
        self,
        transaction: &mut Transaction,
        host: &PhysicalClusterId,
        after: &str,
    ) -> Result<Vec<Item>, StoreError> {
        let limit = i64::try_from(SNAPSHOT_CHUNK_ITEMS).expect("a thousand");
        Ok(match self {
            Self::LogicalClusters => {
                items(logical_clusters::snapshot_chunk(transaction, host, after, limit).await?, Item::LogicalCluster)
            }
            Self::RoleBindings => {
                items(role_bindings::snapshot_chunk(transaction, host, after, limit).await?, Item::RoleBinding)
            }
            Self::ClientQuotas => {
                items(client_quotas::snapshot_chunk(transaction, host, after, limit).await?, Item::ClientQuota)
            }
            Self::Principals => {
                items(principals::snapshot_chunk(transaction, host, after, limit).await?, Item::Principal)
            }
            Self::ApiKeys => items(api_keys::snapshot_chunk(transaction, host, after, limit).await?, Item::ApiKey),
        })
    }
}

fn items<T>(rows: Vec<T>, item: impl Fn(T) -> Item) -> Vec<Item> {
    rows.into_iter().map(item).collect()
}

/// What the items of a part are ordered by.
fn key(item: &Item) -> &str {
    match item {
        Item::LogicalCluster(cluster) => &cluster.id,
        Item::RoleBinding(binding) => &binding.id,
        Item::ClientQuota(quota) => &quota.id,
        Item::Principal(principal) => &principal.principal,
        Item::ApiKey(key) => &key.id,
    }
}
