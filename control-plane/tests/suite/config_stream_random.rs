//! The config stream under whatever may happen to it: changes, cuts at any byte, restarts, other replicas, images from
//! yesterday. The fake broker fails on a revision that is missing or comes twice; at the end its image must be exactly
//! what a broker without one is given.

use std::collections::BTreeSet;

use millstream_api::fleet::DesiredPhysicalCluster;
use millstream_control_plane::ControlPlane;

use crate::fixture::broker::{Acknowledging, Image};
use crate::fixture::cut::Cut;
use crate::fixture::{Engine, FakeBroker, Installation, Rest};

const SEEDS: u64 = 6;
const STEPS: usize = 40;
/// Enough for a snapshot and some deltas; most connections end before.
const MOST_BYTES_BEFORE_A_CUT: u64 = 6_000;
/// Keys that exist at a time: less than a cluster may have.
const MOST_KEYS: usize = 12;

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// One broker and its luck.
struct World {
    installation: Installation,
    desired: DesiredPhysicalCluster,
    /// Only on PostgreSQL.
    other_replica: Option<(ControlPlane, Rest)>,
    cluster: String,
    account: String,
    keys: Vec<String>,
    bindings: Vec<String>,
    broker: Option<(FakeBroker, Cut)>,
    /// What the broker has on its disk.
    image: Image,
    /// What it had earlier.
    backup: Image,
    history: Vec<String>,
    /// How often it was given a snapshot, or went on from its image.
    snapshots: usize,
    resumes: usize,
}

impl World {
    async fn new(engine: Engine) -> Self {
        let installation = Installation::start(engine).await;
        let agent = installation.agent().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        let account = rest.create_service_account("app").await;
        let other_replica = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(installation.another_replica().await),
        };
        Self {
            desired: agent.desired().clone(),
            other_replica,
            cluster,
            account,
            installation,
            keys: Vec::new(),
            bindings: Vec::new(),
            broker: None,
            image: Image::default(),
            backup: Image::default(),
            history: Vec::new(),
            snapshots: 0,
            resumes: 0,
        }
    }

    /// Any replica.
    fn rest(&self, random: &mut Random) -> Rest {
        match &self.other_replica {
            Some((_, rest)) if random.below(2) == 0 => rest.clone(),
            _ => self.installation.rest.clone(),
        }
    }

    fn fleet_address(&self, random: &mut Random) -> std::net::SocketAddr {
        match &self.other_replica {
            Some((replica, _)) if random.below(2) == 0 => replica.fleet_address(),
            _ => self.installation.control_plane().fleet_address(),
        }
    }

    async fn step(&mut self, random: &mut Random) {
        let rest = self.rest(random);
        match random.below(10) {
            0..=2 if self.keys.len() < MOST_KEYS => {
                let (key, _) = rest.create_kafka_key(&self.account, &self.cluster).await;
                self.note(format!("made key {key}"));
                self.keys.push(key);
            }
            3 if !self.keys.is_empty() => {
                let key = self.keys.swap_remove(random.below(self.keys.len() as u64) as usize);
                rest.delete(&format!("/iam/v2/api-keys/{key}")).await.expect(204);
                self.note(format!("deleted key {key}"));
            }
            4 => {
                let account = rest.create_service_account(&format!("account {}", self.history.len())).await;
                let crn =
                    format!("crn://confluent.cloud/organization={}", self.installation.organization.organization_id);
                let binding = rest.bind_role(&account, "MetricsViewer", &crn).await;
                self.note(format!("bound {binding}"));
                self.bindings.push(binding);
            }
            5 if !self.bindings.is_empty() => {
                let binding = self.bindings.swap_remove(random.below(self.bindings.len() as u64) as usize);
                rest.delete(&format!("/iam/v2/role-bindings/{binding}")).await.expect(200);
                self.note(format!("unbound {binding}"));
            }
            6 => {
                self.lose_broker();
                self.backup = self.image.clone();
                self.note("the broker is gone".into());
            }
            7 => {
                self.lose_broker();
                self.image = self.backup.clone();
                self.note(format!("the broker is back at revision {}", self.image.revision));
            }
            8 if random.below(4) == 0 => {
                self.lose_broker();
                self.installation.restart().await;
                self.note("the control plane was restarted".into());
            }
            8 => {
                let Some((broker, _)) = &self.broker else { return };
                let before = broker.image().snapshots;
                broker.claim_gap().await;
                broker.wait_for(|image| image.ended.is_some() || image.snapshots > before).await;
                self.note("the broker claimed a gap".into());
            }
            _ => {
                self.lose_broker();
                self.connect(random).await;
            }
        }
    }

    /// What it has taken in so far stays on its disk.
    fn lose_broker(&mut self) {
        if let Some((broker, _)) = self.broker.take() {
            let image = broker.image();
            self.snapshots += image.snapshots - self.image.snapshots;
            self.resumes += image.resumes - self.image.resumes;
            self.image = image;
            assert_eq!(broker.failure(), None, "after {:#?}", self.history);
        }
    }

    /// Opens a stream that ends somewhere.
    async fn connect(&mut self, random: &mut Random) {
        // Every third one within a snapshot or before, every third one not by itself.
        let bytes = match random.below(3) {
            0 => random.below(MOST_BYTES_BEFORE_A_CUT / 4),
            1 => random.below(MOST_BYTES_BEFORE_A_CUT),
            _ => u64::MAX,
        };
        let cut = Cut::after(self.fleet_address(random), bytes).await;
        let image = Image { ended: None, staged: None, ..self.image.clone() };
        let broker = FakeBroker::try_connect_with(cut.address, &self.desired, 1, image, Acknowledging::Promptly).await;
        self.note(format!("a stream from revision {}: {}", self.image.revision, broker.is_some()));
        let Some(broker) = broker else { return };
        let begun = self.image.snapshots + self.image.resumes;
        broker.wait_for(|image| image.ended.is_some() || image.snapshots + image.resumes > begun).await;
        self.broker = Some((broker, cut));
    }

    fn note(&mut self, what: String) {
        self.history.push(what);
    }

    /// In the end: one broker goes on from its disk, another one begins without anything.
    async fn settle(mut self) -> (usize, usize) {
        self.lose_broker();
        let address = self.installation.control_plane().fleet_address();
        let resumed = Image { ended: None, staged: None, ..self.image.clone() };
        let old = FakeBroker::connect_with(address, &self.desired, 1, resumed, Acknowledging::Promptly).await;
        let new = FakeBroker::connect_with(address, &self.desired, 2, Image::default(), Acknowledging::Promptly).await;
        let fresh = new.wait_for(|image| image.snapshots == 1).await;
        // A last change, so that both have something to wait for.
        let (last, _) = self.installation.rest.create_kafka_key(&self.account, &self.cluster).await;
        let fresh_revision = fresh.revision;
        let caught_up = |image: &Image| image.revision > fresh_revision && image.api_keys.contains_key(&last);
        let (old, new) = (old.wait_for(caught_up).await, new.wait_for(caught_up).await);
        let expected: BTreeSet<&String> = self.keys.iter().chain([&last]).collect();
        assert_eq!(new.api_keys.keys().collect::<BTreeSet<_>>(), expected, "after {:#?}", self.history);
        assert_eq!((old.epoch, old.revision), (new.epoch, new.revision), "after {:#?}", self.history);
        assert_eq!(old.clusters, new.clusters, "after {:#?}", self.history);
        assert_eq!(old.api_keys, new.api_keys, "after {:#?}", self.history);
        assert_eq!(old.role_bindings, new.role_bindings, "after {:#?}", self.history);
        assert_eq!(old.client_quotas, new.client_quotas, "after {:#?}", self.history);
        for binding in &self.bindings {
            assert!(new.role_bindings.contains_key(binding), "{binding} is missing after {:#?}", self.history);
        }
        (self.snapshots, self.resumes)
    }
}

on_both_engines! {
    async fn no_revision_is_missed_or_repeated_whatever_happens(engine: Engine) {
        let mut worlds = tokio::task::JoinSet::new();
        for seed in 1..=SEEDS {
            worlds.spawn(async move {
                let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let mut world = World::new(engine).await;
                world.note(format!("seed {seed}"));
                for _ in 0..STEPS {
                    world.step(&mut random).await;
                }
                world.settle().await
            });
        }
        let (mut snapshots, mut resumes) = (0, 0);
        while let Some(world) = worlds.join_next().await {
            let (more_snapshots, more_resumes) = world.expect("no world fails");
            (snapshots, resumes) = (snapshots + more_snapshots, resumes + more_resumes);
        }
        assert!(snapshots > 10 && resumes > 10, "too little happened: {snapshots} snapshots, {resumes} resumes");
    }
}
