//! Tests of the tenant directory through its front door.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use millstream_api::fleet::config_event::Change;
use millstream_api::fleet::config_item::Item;
use millstream_api::fleet::config_item_key::Key;
use millstream_api::fleet::{self, ConfigEvent, ConfigItem, ConfigItemKey, Delta, SnapshotBegin};
use tempfile::TempDir;

use super::image::{DeltaError, Position, SnapshotError};
use super::*;

const ORGANIZATION: &str = "00000000-0000-7000-8000-000000000001";
const PEPPER: [u8; 32] = [7; 32];
const KEY: &str = "AAAAAAAAAAAAAAAA";
const OTHER_KEY: &str = "BBBBBBBBBBBBBBBB";
const SECRET: &str = "a secret of sixty-four characters, or so it would be in real life";

fn hmac_of(id: &str, secret: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &PEPPER);
    hmac::sign(&key, format!("{id}:{secret}").as_bytes()).as_ref().to_vec()
}

pub(super) fn cluster(id: &str) -> ConfigItem {
    let cluster = fleet::LogicalCluster {
        id: id.to_owned(),
        organization_id: ORGANIZATION.to_owned(),
        environment_id: "env-a".to_owned(),
        kind: "Basic".to_owned(),
        units: 0,
    };
    ConfigItem { item: Some(Item::LogicalCluster(cluster)) }
}

fn key_of(id: &str, cluster: &str, principal: &str) -> ConfigItem {
    let key = fleet::ApiKey {
        id: id.to_owned(),
        logical_cluster_id: cluster.to_owned(),
        principal: principal.to_owned(),
        secret_hmac: hmac_of(id, SECRET).into(),
    };
    ConfigItem { item: Some(Item::ApiKey(key)) }
}

fn key(id: &str) -> ConfigItem {
    key_of(id, "lkc-a", "User:sa-abc")
}

fn begin(revision: u64) -> SnapshotBegin {
    SnapshotBegin { epoch: 1, revision, pepper: PEPPER.to_vec().into() }
}

pub(super) fn delta(from_revision: u64, changes: Vec<Change>) -> Delta {
    let to_revision = from_revision + 1;
    let events =
        changes.into_iter().map(|change| ConfigEvent { revision: to_revision, change: Some(change) }).collect();
    Delta { epoch: 1, from_revision, to_revision, events }
}

fn delete_key(id: &str) -> Change {
    Change::Delete(ConfigItemKey { key: Some(Key::ApiKeyId(id.to_owned())) })
}

pub(super) fn delete_cluster(id: &str) -> Change {
    Change::Delete(ConfigItemKey { key: Some(Key::LogicalClusterId(id.to_owned())) })
}

pub(super) fn open(dir: &TempDir) -> TenantDirectory {
    TenantDirectory::open(&dir.path().join("tenants.image")).unwrap()
}

/// A directory at revision 10 with the cluster `lkc-a` and `KEY`.
pub(super) fn with_one_key(dir: &TempDir) -> TenantDirectory {
    let directory = open(dir);
    directory.apply_snapshot(&begin(10), vec![cluster("lkc-a"), key(KEY)]).unwrap();
    directory.persist().unwrap();
    directory
}

#[test]
fn a_right_secret_lets_in_and_everything_else_does_not() {
    let dir = TempDir::new().unwrap();
    let directory = with_one_key(&dir);
    let credential = directory.authenticate(KEY, SECRET).unwrap();
    assert_eq!(credential.tenant.as_str(), "lkc-a");
    assert_eq!(credential.principal.to_string(), "User:sa-abc");
    assert!(directory.is_current(&credential));
    let long = "x".repeat(10_000);
    for (id, secret) in
        [(KEY, ""), (KEY, "wrong"), (OTHER_KEY, SECRET), ("", ""), ("é", SECRET), (&long, SECRET), (KEY, &long)]
    {
        assert!(directory.authenticate(id, secret).is_none(), "{id:?} was let in");
    }
}

#[test]
fn an_empty_directory_lets_nobody_in() {
    let dir = TempDir::new().unwrap();
    let directory = open(&dir);
    assert!(directory.authenticate(KEY, SECRET).is_none());
    assert_eq!(directory.position(), Position::default());
}

#[test]
fn a_key_of_a_cluster_that_is_not_served_does_not_let_in() {
    let dir = TempDir::new().unwrap();
    let directory = open(&dir);
    directory.apply_snapshot(&begin(1), vec![key(KEY)]).unwrap();
    assert!(directory.authenticate(KEY, SECRET).is_none());
    directory.apply_delta(delta(1, vec![Change::Upsert(cluster("lkc-a"))])).unwrap();
    assert!(directory.authenticate(KEY, SECRET).is_some());
}

#[test]
fn a_restart_keeps_the_snapshot_and_the_deltas_after_it() {
    let dir = TempDir::new().unwrap();
    let directory = with_one_key(&dir);
    directory.apply_delta(delta(10, vec![Change::Upsert(key(OTHER_KEY))])).unwrap();
    directory.apply_delta(delta(11, vec![delete_key(KEY)])).unwrap();
    assert_eq!(directory.persist().unwrap(), Position { epoch: 1, revision: 12 });
    drop(directory);
    let directory = open(&dir);
    assert_eq!(directory.position(), Position { epoch: 1, revision: 12 });
    assert!(directory.authenticate(OTHER_KEY, SECRET).is_some());
    assert!(directory.authenticate(KEY, SECRET).is_none());
    let mode = |name| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("tenants.image"), mode("tenants.journal")), (0o600, 0o600));
}

#[test]
fn a_change_that_was_not_persisted_is_asked_for_again_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let directory = with_one_key(&dir);
    directory.apply_delta(delta(10, vec![delete_key(KEY)])).unwrap();
    drop(directory);
    assert_eq!(open(&dir).position(), Position { epoch: 1, revision: 10 });
}

#[test]
fn a_journal_cut_at_any_byte_keeps_what_was_complete() {
    let dir = TempDir::new().unwrap();
    let directory = with_one_key(&dir);
    directory.apply_delta(delta(10, vec![Change::Upsert(key(OTHER_KEY))])).unwrap();
    directory.persist().unwrap();
    let journal = dir.path().join("tenants.journal");
    let first = fs::read(&journal).unwrap().len();
    directory.apply_delta(delta(11, vec![delete_key(KEY)])).unwrap();
    directory.persist().unwrap();
    drop(directory);
    let whole = fs::read(&journal).unwrap();
    for cut in first..whole.len() {
        fs::write(&journal, &whole[..cut]).unwrap();
        let directory = open(&dir);
        assert_eq!(directory.position().revision, 11, "cut at byte {cut}");
        assert!(directory.authenticate(KEY, SECRET).is_some());
    }
}

#[test]
fn a_corrupt_image_is_moved_aside_and_the_directory_starts_empty() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("tenants.image");
    drop(with_one_key(&dir));
    let good = fs::read(&path).unwrap();
    for position in [0, 9, 12, 15, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[position] ^= 0x55;
        fs::write(&path, &bad).unwrap();
        if position == 9 {
            assert!(matches!(TenantDirectory::open(&path), Err(OpenError::NewerVersion { version: 0x54, .. })));
            continue;
        }
        let directory = open(&dir);
        assert_eq!(directory.position(), Position::default(), "byte {position}");
        assert!(directory.authenticate(KEY, SECRET).is_none());
        assert_eq!(fs::read(dir.path().join("tenants.image.corrupt")).unwrap(), bad);
        directory.apply_snapshot(&begin(10), vec![cluster("lkc-a"), key(KEY)]).unwrap();
        directory.persist().unwrap();
        assert!(open(&dir).authenticate(KEY, SECRET).is_some());
    }
}

#[test]
fn a_delta_that_does_not_continue_the_image_is_a_gap() {
    let dir = TempDir::new().unwrap();
    let empty = open(&dir).apply_delta(delta(0, vec![]));
    assert!(matches!(empty, Err(DeltaError::Gap { .. })));
    let directory = with_one_key(&dir);
    assert!(matches!(directory.apply_delta(delta(11, vec![delete_key(KEY)])), Err(DeltaError::Gap { .. })));
    let mut of_another_epoch = delta(10, vec![delete_key(KEY)]);
    of_another_epoch.epoch = 2;
    assert!(matches!(directory.apply_delta(of_another_epoch), Err(DeltaError::Gap { .. })));
    let mut disordered = delta(10, vec![delete_key(KEY)]);
    disordered.events[0].revision = 12;
    assert_eq!(directory.apply_delta(disordered), Err(DeltaError::Disordered { revision: 12 }));
    assert!(directory.authenticate(KEY, SECRET).is_some());
    assert_eq!(directory.position().revision, 10);
}

#[test]
fn a_delta_that_was_applied_before_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let directory = with_one_key(&dir);
    let credential = directory.authenticate(KEY, SECRET).unwrap();
    let changes = directory.apply_delta(delta(9, vec![delete_key(KEY)])).unwrap();
    assert_eq!(changes, Changes::default());
    assert!(directory.is_current(&credential));
    assert_eq!(directory.position().revision, 10);
}

#[test]
fn an_item_that_cannot_be_understood_does_not_block_the_rest() {
    let dir = TempDir::new().unwrap();
    let directory = with_one_key(&dir);
    let unknown_principal = key_of(OTHER_KEY, "lkc-a", "Group:everyone");
    let odd_cluster = cluster("LKC-B");
    let nothing = ConfigItem { item: None };
    let good = Change::Upsert(key("CCCCCCCCCCCCCCCC"));
    let bad = [unknown_principal, odd_cluster, nothing].map(Change::Upsert);
    let changes = directory.apply_delta(delta(10, bad.into_iter().chain([good]).collect())).unwrap();
    assert_eq!(changes.invalid_items.len(), 3, "{:?}", changes.invalid_items);
    assert_eq!(directory.counts(), (2, 2));
    assert!(directory.authenticate("CCCCCCCCCCCCCCCC", SECRET).is_some());
    assert!(directory.authenticate(OTHER_KEY, SECRET).is_none());
    directory.persist().unwrap();
    drop(directory);
    let directory = open(&dir);
    assert_eq!(directory.counts(), (2, 2), "quarantined items survive a restart");
    directory.apply_delta(delta(11, vec![delete_key(OTHER_KEY), delete_cluster("LKC-B")])).unwrap();
    assert_eq!(directory.counts(), (2, 0));
}

#[test]
fn a_key_that_becomes_incomprehensible_is_refused_and_its_deletion_still_applies() {
    let dir = TempDir::new().unwrap();
    let directory = with_one_key(&dir);
    let credential = directory.authenticate(KEY, SECRET).unwrap();
    let changes = directory.apply_delta(delta(10, vec![Change::Upsert(key_of(KEY, "lkc-a", "?"))])).unwrap();
    assert_eq!(changes.revoked_keys, std::slice::from_ref(&credential.api_key));
    assert!(!directory.is_current(&credential));
    directory.apply_delta(delta(11, vec![delete_key(KEY)])).unwrap();
    assert_eq!(directory.counts(), (0, 0));
}

#[test]
fn a_replaced_secret_revokes_the_old_credential() {
    let dir = TempDir::new().unwrap();
    let directory = with_one_key(&dir);
    let credential = directory.authenticate(KEY, SECRET).unwrap();
    let again = directory.apply_delta(delta(10, vec![Change::Upsert(key(KEY))])).unwrap();
    assert_eq!(again, Changes::default(), "the same value again is no change");
    assert!(directory.is_current(&credential));
    let mut item = key(KEY);
    if let Some(Item::ApiKey(key)) = &mut item.item {
        key.secret_hmac = hmac_of(KEY, "new").into();
    }
    let changes = directory.apply_delta(delta(11, vec![Change::Upsert(item)])).unwrap();
    assert_eq!(changes.revoked_keys, std::slice::from_ref(&credential.api_key));
    assert!(!directory.is_current(&credential));
    assert!(directory.authenticate(KEY, SECRET).is_none());
    assert!(directory.authenticate(KEY, "new").is_some());
}

#[test]
fn a_snapshot_reports_what_it_takes_away_and_never_deletes_data() {
    let dir = TempDir::new().unwrap();
    let directory = open(&dir);
    let items = vec![cluster("lkc-a"), cluster("lkc-b"), key(KEY), key(OTHER_KEY)];
    directory.apply_snapshot(&begin(10), items).unwrap();
    let kept = directory.authenticate(KEY, SECRET).unwrap();
    let changes = directory.apply_snapshot(&begin(20), vec![cluster("lkc-a"), key(KEY)]).unwrap();
    assert_eq!(changes.revoked_keys, [OTHER_KEY.parse().unwrap()]);
    assert_eq!(changes.removed_clusters, ["lkc-b".parse().unwrap()]);
    assert_eq!(changes.deleted_clusters, []);
    assert!(directory.is_current(&kept), "an unchanged key keeps its connections");
}

#[test]
fn a_snapshot_with_a_wrong_pepper_is_refused() {
    let dir = TempDir::new().unwrap();
    let directory = with_one_key(&dir);
    let mut short = begin(20);
    short.pepper = vec![1; 31].into();
    assert_eq!(directory.apply_snapshot(&short, vec![]), Err(SnapshotError::Pepper(31)));
    assert!(directory.authenticate(KEY, SECRET).is_some());
}

#[test]
fn a_said_deletion_stays_pending_until_it_is_done_also_over_restarts() {
    let dir = TempDir::new().unwrap();
    let directory = with_one_key(&dir);
    let changes = directory.apply_delta(delta(10, vec![delete_cluster("lkc-a")])).unwrap();
    let tenant: LogicalClusterId = "lkc-a".parse().unwrap();
    assert_eq!(changes.deleted_clusters, std::slice::from_ref(&tenant));
    assert_eq!(changes.revoked_keys, [KEY.parse().unwrap()]);
    assert!(directory.cluster(&tenant).is_none());
    directory.persist().unwrap();
    drop(directory);
    let directory = open(&dir);
    assert_eq!(directory.pending_deletions(), std::slice::from_ref(&tenant));
    directory.apply_snapshot(&begin(20), vec![]).unwrap();
    directory.persist().unwrap();
    assert_eq!(directory.pending_deletions(), std::slice::from_ref(&tenant));
    directory.deletion_done(&tenant);
    directory.persist().unwrap();
    drop(directory);
    assert_eq!(open(&dir).pending_deletions(), []);
}

#[test]
fn a_long_journal_is_folded_into_the_image() {
    let dir = TempDir::new().unwrap();
    let directory = with_one_key(&dir);
    let mut revision = 10;
    let mut longest = 0;
    loop {
        for _ in 0..100 {
            let id = format!("{revision:0>16}");
            directory.apply_delta(delta(revision, vec![Change::Upsert(key(&id))])).unwrap();
            revision += 1;
        }
        directory.persist().unwrap();
        let size = fs::metadata(dir.path().join("tenants.journal")).unwrap().len();
        if size < longest {
            break;
        }
        longest = size;
    }
    drop(directory);
    let directory = open(&dir);
    assert_eq!(directory.position().revision, revision);
    assert_eq!(directory.counts().0 as u64, revision - 10 + 1);
}

#[test]
fn a_failed_write_is_made_good_by_the_next() {
    let dir = TempDir::new().unwrap();
    let directory = with_one_key(&dir);
    directory.apply_snapshot(&begin(20), vec![cluster("lkc-a"), key(OTHER_KEY)]).unwrap();
    let in_the_way = dir.path().join("tenants.tmp");
    fs::create_dir(&in_the_way).unwrap();
    assert!(directory.persist().is_err());
    fs::remove_dir(&in_the_way).unwrap();
    directory.apply_delta(delta(20, vec![delete_key(KEY)])).unwrap();
    assert_eq!(directory.persist().unwrap().revision, 21);
    drop(directory);
    assert_eq!(open(&dir).position().revision, 21);
}

const BINDING: &str = "rb-a";

fn role_binding(id: &str, organization: &str, role: &str, rest: &str) -> ConfigItem {
    let binding = fleet::RoleBinding {
        id: id.to_owned(),
        organization_id: organization.to_owned(),
        principal: "User:sa-abc".to_owned(),
        role_name: role.to_owned(),
        crn_pattern: format!("crn://confluent.cloud/organization={organization}{rest}"),
    };
    ConfigItem { item: Some(Item::RoleBinding(binding)) }
}

fn admin(id: &str) -> ConfigItem {
    role_binding(id, ORGANIZATION, "OrganizationAdmin", "")
}

fn delete_role_binding(id: &str) -> Change {
    Change::Delete(ConfigItemKey { key: Some(Key::RoleBindingId(id.to_owned())) })
}

/// Ids of the role bindings of `User:sa-abc`, in order.
fn bindings(directory: &TenantDirectory) -> Vec<String> {
    let tenant = "lkc-a".parse().unwrap();
    let (_, bindings) = directory.cluster_and_role_bindings(&tenant, &"User:sa-abc".parse().unwrap());
    let mut ids: Vec<_> = bindings.iter().flat_map(|bindings| bindings.iter().map(|b| b.id.to_string())).collect();
    ids.sort();
    ids
}

#[test]
fn role_bindings_come_go_and_survive_a_restart() {
    let dir = TempDir::new().unwrap();
    let directory = open(&dir);
    directory.apply_snapshot(&begin(10), vec![admin(BINDING), cluster("lkc-a"), key(KEY)]).unwrap();
    let before = directory.rights_version();
    directory.apply_delta(delta(10, vec![Change::Upsert(admin("rb-b"))])).unwrap();
    assert_eq!(bindings(&directory), [BINDING, "rb-b"]);
    assert_ne!(directory.rights_version(), before);
    directory.persist().unwrap();
    drop(directory);
    let directory = open(&dir);
    assert_eq!(bindings(&directory), [BINDING, "rb-b"]);
    let before = directory.rights_version();
    directory.apply_delta(delta(11, vec![delete_role_binding(BINDING)])).unwrap();
    assert_eq!(bindings(&directory), ["rb-b"]);
    assert_ne!(directory.rights_version(), before);
    directory.persist().unwrap();
    drop(directory);
    assert_eq!(bindings(&open(&dir)), ["rb-b"]);
}

#[test]
fn a_key_or_the_same_role_binding_again_leaves_rights_as_they_are() {
    let dir = TempDir::new().unwrap();
    let directory = open(&dir);
    directory.apply_snapshot(&begin(10), vec![cluster("lkc-a"), admin(BINDING)]).unwrap();
    let before = directory.rights_version();
    let changes = [key(KEY), admin(BINDING), cluster("lkc-a")].map(Change::Upsert);
    directory.apply_delta(delta(10, changes.to_vec())).unwrap();
    assert_eq!(directory.rights_version(), before);
}

#[test]
fn a_role_binding_that_is_not_understood_grants_nothing_and_is_reported() {
    let dir = TempDir::new().unwrap();
    let directory = open(&dir);
    directory.apply_snapshot(&begin(10), vec![cluster("lkc-a"), admin(BINDING)]).unwrap();
    let other = "00000000-0000-7000-8000-000000000002";
    let mut foreign = role_binding("rb-d", ORGANIZATION, "OrganizationAdmin", "");
    if let Some(Item::RoleBinding(binding)) = &mut foreign.item {
        binding.organization_id = other.to_owned();
    }
    let bad = [
        role_binding(BINDING, ORGANIZATION, "OrganizationOwner", ""),
        role_binding("rb-b", ORGANIZATION, "OrganizationAdmin", "/environment=env-a"),
        role_binding("rb-c", ORGANIZATION, "CloudClusterAdmin", "/environment=env-a/cloud-cluster=*"),
        foreign,
        role_binding("rb", ORGANIZATION, "OrganizationAdmin", ""),
    ];
    let changes = directory.apply_delta(delta(10, bad.map(Change::Upsert).to_vec())).unwrap();
    assert_eq!(changes.invalid_items.len(), 5, "{:?}", changes.invalid_items);
    assert_eq!(bindings(&directory), Vec::<String>::new());
    directory.apply_delta(delta(11, vec![Change::Upsert(admin(BINDING))])).unwrap();
    assert_eq!(bindings(&directory), [BINDING]);
}

#[test]
fn an_organization_without_a_cluster_here_loses_its_role_bindings() {
    let dir = TempDir::new().unwrap();
    let directory = open(&dir);
    let items = vec![cluster("lkc-a"), cluster("lkc-b"), admin(BINDING)];
    directory.apply_snapshot(&begin(10), items).unwrap();
    directory.apply_delta(delta(10, vec![delete_cluster("lkc-a")])).unwrap();
    assert_eq!(bindings(&directory), [BINDING]);
    directory.apply_delta(delta(11, vec![delete_cluster("lkc-b")])).unwrap();
    assert_eq!(bindings(&directory), Vec::<String>::new());
    directory.apply_delta(delta(12, vec![Change::Upsert(cluster("lkc-c"))])).unwrap();
    assert_eq!(bindings(&directory), Vec::<String>::new());
    let placed = [admin(BINDING), cluster("lkc-d")].map(Change::Upsert);
    directory.apply_delta(delta(13, placed.to_vec())).unwrap();
    assert_eq!(bindings(&directory), [BINDING]);
}
