//! Sends everything that brokers of one physical cluster must know, as of one revision.

use millstream_api::fleet::{
    ConfigItem, SNAPSHOT_CHUNK_ITEMS, SnapshotBegin, SnapshotEnd, SnapshotItems, config_item, config_update::Update,
};
use millstream_api::ids::PhysicalClusterId;

use super::subscribe::{Outgoing, StreamEnd};
use crate::app::App;
use crate::store::{
    Transaction, api_keys, client_quotas, config_log, installation, logical_clusters, principals, role_bindings,
};

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
    // Clusters first, so that nothing comes before its cluster; then roles, so that no key comes before its rights.
    let mut items = send_clusters(&mut transaction, physical_cluster, outgoing).await?;
    items += send_role_bindings(&mut transaction, physical_cluster, outgoing).await?;
    // Quotas before keys, so that no client gets in without them.
    items += send_client_quotas(&mut transaction, physical_cluster, outgoing).await?;
    items += send_principals(&mut transaction, physical_cluster, outgoing).await?;
    items += send_api_keys(&mut transaction, physical_cluster, outgoing).await?;
    outgoing.send(Update::SnapshotEnd(SnapshotEnd { items })).await?;
    Ok((epoch, state.head))
}

async fn send_clusters(
    transaction: &mut Transaction,
    physical_cluster: &PhysicalClusterId,
    outgoing: &Outgoing,
) -> Result<u64, StreamEnd> {
    let (mut after, mut sent) = (String::new(), 0);
    loop {
        let chunk = logical_clusters::snapshot_chunk(transaction, physical_cluster, &after, chunk_limit()).await?;
        let Some(last) = chunk.last() else { return Ok(sent) };
        after = last.id.clone();
        sent += chunk.len() as u64;
        let items = chunk.into_iter().map(config_item::Item::LogicalCluster);
        outgoing.send(items_update(items)).await?;
    }
}

async fn send_role_bindings(
    transaction: &mut Transaction,
    physical_cluster: &PhysicalClusterId,
    outgoing: &Outgoing,
) -> Result<u64, StreamEnd> {
    let (mut after, mut sent) = (String::new(), 0);
    loop {
        let chunk = role_bindings::snapshot_chunk(transaction, physical_cluster, &after, chunk_limit()).await?;
        let Some(last) = chunk.last() else { return Ok(sent) };
        after = last.id.clone();
        sent += chunk.len() as u64;
        outgoing.send(items_update(chunk.into_iter().map(config_item::Item::RoleBinding))).await?;
    }
}

async fn send_principals(
    transaction: &mut Transaction,
    physical_cluster: &PhysicalClusterId,
    outgoing: &Outgoing,
) -> Result<u64, StreamEnd> {
    let (mut after, mut sent) = (String::new(), 0);
    loop {
        let chunk = principals::snapshot_chunk(transaction, physical_cluster, &after, chunk_limit()).await?;
        let Some(last) = chunk.last() else { return Ok(sent) };
        after = last.principal.clone();
        sent += chunk.len() as u64;
        outgoing.send(items_update(chunk.into_iter().map(config_item::Item::Principal))).await?;
    }
}

async fn send_api_keys(
    transaction: &mut Transaction,
    physical_cluster: &PhysicalClusterId,
    outgoing: &Outgoing,
) -> Result<u64, StreamEnd> {
    let (mut after, mut sent) = (String::new(), 0);
    loop {
        let chunk = api_keys::snapshot_chunk(transaction, physical_cluster, &after, chunk_limit()).await?;
        let Some(last) = chunk.last() else { return Ok(sent) };
        after = last.id.clone();
        sent += chunk.len() as u64;
        outgoing.send(items_update(chunk.into_iter().map(config_item::Item::ApiKey))).await?;
    }
}

async fn send_client_quotas(
    transaction: &mut Transaction,
    physical_cluster: &PhysicalClusterId,
    outgoing: &Outgoing,
) -> Result<u64, StreamEnd> {
    let (mut after, mut sent) = (String::new(), 0);
    loop {
        let chunk = client_quotas::snapshot_chunk(transaction, physical_cluster, &after, chunk_limit()).await?;
        let Some(last) = chunk.last() else { return Ok(sent) };
        after = last.id.clone();
        sent += chunk.len() as u64;
        outgoing.send(items_update(chunk.into_iter().map(config_item::Item::ClientQuota))).await?;
    }
}

fn items_update(items: impl Iterator<Item = config_item::Item>) -> Update {
    let items = items.map(|item| ConfigItem { item: Some(item) }).collect();
    Update::SnapshotItems(SnapshotItems { items })
}

fn chunk_limit() -> i64 {
    i64::try_from(SNAPSHOT_CHUNK_ITEMS).expect("a thousand")
}
