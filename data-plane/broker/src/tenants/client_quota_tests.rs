//! Tests of client quotas through the tenant directory.

use millstream_api::fleet::config_event::Change;
use millstream_api::fleet::config_item::Item;
use millstream_api::fleet::config_item_key::Key;
use millstream_api::fleet::{self, ConfigItem, ConfigItemKey};
use tempfile::TempDir;

use super::TenantDirectory;
use super::tests::{cluster, delete_cluster, delta, open, with_one_key};
use crate::quotas::bucket::UNLIMITED;

fn client_quota(id: &str, principals: &[&str], ingress: u64) -> Change {
    let quota = fleet::ClientQuota {
        id: id.to_owned(),
        logical_cluster_id: "lkc-a".to_owned(),
        principals: principals.iter().map(ToString::to_string).collect(),
        ingress_byte_rate: ingress,
        egress_byte_rate: 2 * ingress,
    };
    Change::Upsert(ConfigItem { item: Some(Item::ClientQuota(quota)) })
}

fn ingress_of(directory: &TenantDirectory, principal: &str) -> u64 {
    let quotas = directory.client_quotas(&"lkc-a".parse().unwrap());
    quotas.rates_of(&principal.parse().unwrap()).ingress_bytes_per_second
}

#[test]
fn a_client_quota_is_of_each_principal_that_it_names_and_the_default_of_all_others() {
    let dir = TempDir::new().unwrap();
    let directory = with_one_key(&dir);
    assert_eq!(ingress_of(&directory, "User:sa-abc"), UNLIMITED);
    let changes = vec![
        client_quota("cq-a", &["User:sa-abc", "User:sa-def"], 1_000),
        client_quota("cq-b", &["<default>"], 500),
        client_quota("cq-c", &["User:sa-def"], 100),
    ];
    let changes = directory.apply_delta(delta(10, changes)).unwrap();
    assert!(changes.relimited_clusters.contains(&"lkc-a".parse().unwrap()));
    assert_eq!(ingress_of(&directory, "User:sa-abc"), 1_000);
    assert_eq!(ingress_of(&directory, "User:sa-def"), 100, "of two quotas the lower one counts");
    assert_eq!(ingress_of(&directory, "User:u-xyz"), 500);
    directory.persist().unwrap();
    assert_eq!(ingress_of(&open(&dir), "User:u-xyz"), 500, "a restart keeps them");
    let delete = Change::Delete(ConfigItemKey { key: Some(Key::ClientQuotaId("cq-b".to_owned())) });
    let changes = directory.apply_delta(delta(11, vec![delete])).unwrap();
    assert_eq!(changes.relimited_clusters, ["lkc-a".parse().unwrap()]);
    assert_eq!(ingress_of(&directory, "User:u-xyz"), UNLIMITED);
    assert_eq!(ingress_of(&directory, "User:sa-abc"), 1_000);
}

#[test]
fn a_client_quota_that_cannot_be_understood_leaves_the_one_before_in_force() {
    let dir = TempDir::new().unwrap();
    let directory = with_one_key(&dir);
    directory.apply_delta(delta(10, vec![client_quota("cq-a", &["User:sa-abc"], 1_000)])).unwrap();
    for principals in [&["sa-abc"][..], &[], &["<Default>"]] {
        let revision = directory.position().revision;
        let changes = directory.apply_delta(delta(revision, vec![client_quota("cq-a", principals, 5)])).unwrap();
        assert_eq!(changes.invalid_items.len(), 1, "{principals:?}");
        assert_eq!(ingress_of(&directory, "User:sa-abc"), 1_000, "{principals:?}");
    }
}

#[test]
fn client_quotas_go_with_their_cluster() {
    let dir = TempDir::new().unwrap();
    let directory = with_one_key(&dir);
    directory.apply_delta(delta(10, vec![client_quota("cq-a", &["User:sa-abc"], 1_000)])).unwrap();
    directory.apply_delta(delta(11, vec![delete_cluster("lkc-a")])).unwrap();
    directory.apply_delta(delta(12, vec![Change::Upsert(cluster("lkc-a"))])).unwrap();
    assert_eq!(ingress_of(&directory, "User:sa-abc"), UNLIMITED);
}
