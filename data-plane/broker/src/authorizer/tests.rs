//! Who shares compiled grants, and when they are compiled anew.

use millstream_api::fleet::config_event::Change;
use millstream_api::fleet::config_item::Item;
use millstream_api::fleet::{self, ConfigEvent, ConfigItem, Delta, SnapshotBegin};
use millstream_api::role::{KafkaResource, Operation};
use millstream_metadata::acl::{AccessControlEntry, Acl, AclHost, PatternType, Permission, ResourcePattern};
use millstream_metadata::records::MetadataRecord;
use tempfile::TempDir;

use super::*;

const ORGANIZATION: &str = "00000000-0000-7000-8000-000000000001";

struct Fixture {
    authorizer: Authorizer,
    images: watch::Sender<Arc<MetadataImage>>,
    _dir: TempDir,
}

impl Fixture {
    /// Two clusters of one organization.
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let tenants = Arc::new(TenantDirectory::open(&dir.path().join("tenants.image")).unwrap());
        let begin = SnapshotBegin { epoch: 1, revision: 1, pepper: vec![0; 32].into() };
        tenants.apply_snapshot(&begin, vec![cluster("lkc-a"), cluster("lkc-b")]).unwrap();
        let images = watch::Sender::new(Arc::new(MetadataImage::default()));
        Self { authorizer: Authorizer::new(tenants, images.subscribe()), images, _dir: dir }
    }

    /// Gives a principal the role CloudClusterAdmin on `lkc-a`.
    fn bind(&self, id: &str, principal: &str) {
        let binding = fleet::RoleBinding {
            id: id.to_owned(),
            organization_id: ORGANIZATION.to_owned(),
            principal: principal.to_owned(),
            role_name: "CloudClusterAdmin".to_owned(),
            crn_pattern: format!(
                "crn://confluent.cloud/organization={ORGANIZATION}/environment=env-a/cloud-cluster=lkc-a"
            ),
        };
        let change = Some(Change::Upsert(ConfigItem { item: Some(Item::RoleBinding(binding)) }));
        let tenants = &self.authorizer.tenants;
        let from_revision = tenants.position().revision;
        let to_revision = from_revision + 1;
        let events = vec![ConfigEvent { revision: to_revision, change }];
        tenants.apply_delta(Delta { epoch: 1, from_revision, to_revision, events }).unwrap();
    }

    /// Denies everybody to read topics of a cluster.
    fn deny(&self, tenant: &str) {
        let acl = Acl {
            resource: ResourcePattern {
                resource_type: KafkaResource::Topic,
                pattern_type: PatternType::Literal,
                name: "*".to_owned(),
            },
            entry: AccessControlEntry {
                principal: "User:*".parse().unwrap(),
                host: AclHost::Anywhere,
                operation: Operation::Read,
                permission: Permission::Deny,
            },
        };
        let mut image = MetadataImage::clone(&self.images.borrow());
        image.apply(&MetadataRecord::AddAcl { tenant: tenant.parse().unwrap(), acl }).unwrap();
        self.images.send_replace(Arc::new(image));
    }

    fn follow(&self, principal: &str) -> LiveGrants {
        let who = Who {
            tenant: "lkc-a".parse().unwrap(),
            principal: principal.parse().unwrap(),
            host: Some([10, 0, 0, 1].into()),
        };
        self.authorizer.follow(who)
    }
}

fn cluster(id: &str) -> ConfigItem {
    let cluster = fleet::LogicalCluster {
        id: id.to_owned(),
        organization_id: ORGANIZATION.to_owned(),
        environment_id: "env-a".to_owned(),
        kind: "Basic".to_owned(),
        units: 0,
    };
    ConfigItem { item: Some(Item::LogicalCluster(cluster)) }
}

fn reads(live: &LiveGrants) -> bool {
    live.grants().allows(Operation::Read, KafkaResource::Topic, "orders")
}

#[test]
fn connections_of_a_principal_share_their_grants() {
    let fixture = Fixture::new();
    fixture.bind("rb-a", "User:sa-a");
    let (one, another) = (fixture.follow("User:sa-a"), fixture.follow("User:sa-a"));
    assert!(Arc::ptr_eq(one.grants(), another.grants()));
    assert!(reads(&one));
    assert!(!reads(&fixture.follow("User:sa-b")));
}

#[test]
fn what_changes_for_others_is_not_compiled_anew() {
    let fixture = Fixture::new();
    fixture.bind("rb-a", "User:sa-a");
    let mut live = fixture.follow("User:sa-a");
    let before = Arc::clone(live.grants());
    fixture.bind("rb-b", "User:sa-b");
    fixture.deny("lkc-b");
    live.refresh(&fixture.authorizer);
    assert!(Arc::ptr_eq(live.grants(), &before));
}

#[test]
fn a_change_holds_from_the_next_refresh_on() {
    let fixture = Fixture::new();
    let mut live = fixture.follow("User:sa-a");
    fixture.bind("rb-a", "User:sa-a");
    assert!(!reads(&live), "the request that is worked on keeps its rights");
    live.refresh(&fixture.authorizer);
    assert!(reads(&live));
    fixture.deny("lkc-a");
    live.refresh(&fixture.authorizer);
    assert!(!reads(&live));
}

#[test]
fn a_broker_that_forgets_what_it_compiled_compiles_it_again() {
    let fixture = Fixture::new();
    fixture.bind("rb-a", "User:sa-a");
    for number in 0..=MAX_COMPILED {
        fixture.follow(&format!("User:sa-{number}"));
    }
    assert!(fixture.authorizer.compiled().len() <= MAX_COMPILED);
    assert!(reads(&fixture.follow("User:sa-a")));
}
