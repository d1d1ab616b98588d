//! What Kubernetes does by itself, what people and brokers do, and what must never happen.

use std::sync::{Arc, Mutex};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::api_server::{ApiServer, Key, State};
use crate::controller::brokers::Brokers;
use crate::controller::step::{Answer, Question};

pub const NAMESPACE: &str = "millstream";
pub const CLUSTER: &str = "pkc-abc12";
pub const MEMBERS: i64 = 3;
/// The name of the bucket, an object of its own here.
pub const BUCKET: &str = "bucket";

/// Numbers that look random and are the same for the same seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }

    pub fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }
}

pub struct World {
    pub server: ApiServer,
    pub clock: Arc<Mutex<Timestamp>>,
    pub dice: Dice,
    pub calm: bool,
}

/// Brokers say what the world has written on their pods.
#[derive(Clone)]
pub struct WorldBrokers(pub ApiServer);

impl Brokers for WorldBrokers {
    async fn ask(&self, address: &str, question: Question) -> Answer {
        let state = self.0.state();
        let pods = state.of("pods");
        let Some(pod) = pods.iter().find(|pod| pod["status"]["podIP"] == json!(address) && is_ready(pod)) else {
            return Answer::Unanswered { error: "connection refused".to_owned() };
        };
        let word = match question {
            Question::Before => "refuses",
            Question::After => "behind",
        };
        match pod["world"][word] == json!(true) {
            true => Answer::Unsafe { reasons: vec![word.to_owned()] },
            false => Answer::Safe,
        }
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let server = ApiServer::default();
        let mut dice = Dice::new(seed);
        let policy = if dice.one_in(2) { "Delete" } else { "Retain" };
        let kind = ["none", "nodePort", "loadBalancer"][dice.below(3)];
        {
            let mut state = server.state();
            state.set_time(start.to_string());
            state.check_removal = Some(forbidden);
            let class = json!({
                "metadata": { "name": "fast", "annotations": { "storageclass.kubernetes.io/is-default-class": "true" } },
                "provisioner": "world", "allowVolumeExpansion": true,
            });
            state.create("storageclasses", class);
            let external =
                if kind == "none" { json!({ "type": kind }) } else { json!({ "type": kind, "domain": "example.com" }) };
            state.create("secrets", s3_secret());
            state.create("buckets", json!({ "metadata": { "name": BUCKET }, "objects": 0 }));
            let cluster = json!({
                "apiVersion": "millstream.dev/v1alpha1",
                "kind": "KafkaCluster",
                "metadata": { "name": CLUSTER, "namespace": NAMESPACE },
                "spec": {
                    "physicalClusterId": CLUSTER, "version": "0.1.0", "image": { "repository": "millstream" },
                    "nodePools": [{
                        "name": "main", "roles": ["broker", "controller"], "replicas": MEMBERS, "storage": { "size": "10Gi" },
                    }],
                    "listeners": { "external": external },
                    "objectStore": {
                        "bucket": BUCKET, "region": "eu-west-1", "credentials": { "existingSecret": { "name": "s3" } },
                    },
                    "deletionPolicy": policy,
                },
            });
            state.create("kafkaclusters", cluster);
        }
        Self { server, clock: Arc::new(Mutex::new(start)), dice, calm: false }
    }

    pub fn now(&self) -> Timestamp {
        *self.clock.lock().expect("no test panics while it holds the clock")
    }

    /// Lets some time pass, in which Kubernetes does what it does and, unless it is calm, things happen.
    pub fn pass(&mut self) {
        let seconds = 1 + self.dice.below(20);
        let now = self.now() + SignedDuration::from_secs(i64::try_from(seconds).expect("small"));
        *self.clock.lock().expect("no test panics while it holds the clock") = now;
        let server = self.server.clone();
        let mut state = server.state();
        state.set_time(now.to_string());
        if !self.calm {
            match self.dice.below(16) {
                0 => self.person(&mut state),
                1 => self.crash(&mut state, now),
                2 => self.brokers_change_their_minds(&mut state),
                3 => self.hand_edit(&mut state),
                _ => {}
            }
        }
        self.stateful_sets(&mut state, now);
        self.kubelet(&mut state, now);
        self.jobs(&mut state);
        self.volumes(&mut state);
        self.services(&mut state);
    }

    fn person(&mut self, state: &mut State) {
        let what = self.dice.below(6);
        let patch = self.dice.below(50);
        let Some(cluster) = state.find("kafkaclusters", CLUSTER) else { return };
        let spec = &mut cluster["spec"];
        match what {
            0 => spec["version"] = json!(format!("0.1.{patch}")),
            1 => spec["version"] = json!(format!("0.1.{patch}-bad")),
            2 => spec["nodePools"][0]["storage"]["size"] = json!(next_size(&spec["nodePools"][0]["storage"]["size"])),
            3 => spec["config"]["defaultPartitions"] = json!(patch + 1),
            4 => spec["maintenance"]["paused"] = json!(true),
            _ => spec["maintenance"]["paused"] = json!(false),
        }
    }

    fn crash(&mut self, state: &mut State, now: Timestamp) {
        let member = self.dice.below(3);
        let gone = self.dice.one_in(3);
        let name = format!("{CLUSTER}-main-{member}");
        if gone {
            state.begin_deletion(&("pods".to_owned(), NAMESPACE.to_owned(), name));
        } else if let Some(pod) = state.find("pods", &name) {
            set_ready(pod, false, now);
        }
    }

    fn brokers_change_their_minds(&mut self, state: &mut State) {
        for member in 0..MEMBERS {
            let (refuses, behind) = (self.dice.one_in(3), self.dice.one_in(4));
            if let Some(pod) = state.find("pods", &format!("{CLUSTER}-main-{member}")) {
                pod["world"] = json!({ "refuses": refuses, "behind": behind });
            }
        }
    }

    fn hand_edit(&mut self, state: &mut State) {
        let services: Vec<Key> = state.objects.keys().filter(|(kind, _, _)| kind == "services").cloned().collect();
        if services.is_empty() {
            return;
        }
        let key = services[self.dice.below(services.len())].clone();
        if self.dice.one_in(2) {
            state.remove(&key);
        } else if let Some(service) = state.objects.get_mut(&key) {
            service["spec"]["selector"] = json!({ "somebody": "else" });
        }
    }

    fn stateful_sets(&mut self, state: &mut State, now: Timestamp) {
        for set in state.of("statefulsets") {
            let set_name = set["metadata"]["name"].as_str().expect("a name").to_owned();
            for ordinal in 0..set["spec"]["replicas"].as_i64().unwrap_or_default() {
                let pod_name = format!("{set_name}-{ordinal}");
                let claim_name = format!("data-{pod_name}");
                if state.find("persistentvolumeclaims", &claim_name).is_none() {
                    let mut claim = set["spec"]["volumeClaimTemplates"][0].clone();
                    claim["metadata"]["name"] = json!(claim_name);
                    claim["metadata"]["namespace"] = json!(NAMESPACE);
                    claim["spec"]["storageClassName"] = json!("fast");
                    claim["status"]["capacity"] = claim["spec"]["resources"]["requests"].clone();
                    state.create("persistentvolumeclaims", claim);
                }
                let owner = json!([{
                    "apiVersion": "apps/v1", "kind": "StatefulSet", "name": set_name, "uid": set["metadata"]["uid"],
                    "controller": true,
                }]);
                if let Some(pod) = state.find("pods", &pod_name) {
                    pod["metadata"]["ownerReferences"] = owner;
                    continue;
                }
                let mut pod = set["spec"]["template"].clone();
                pod["metadata"]["name"] = json!(pod_name);
                pod["metadata"]["namespace"] = json!(NAMESPACE);
                pod["metadata"]["ownerReferences"] = owner;
                let volume = json!({ "name": "data", "persistentVolumeClaim": { "claimName": claim_name } });
                pod["spec"]["volumes"].as_array_mut().expect("volumes").push(volume);
                state.create("pods", pod);
                let pod = state.find("pods", &pod_name).expect("it was made");
                pod["world"] = json!({ "behind": self.dice.one_in(2) && !self.calm });
                pod["status"]["podIP"] = json!(format!("10.0.0.{ordinal}"));
                set_ready(pod, false, now);
            }
        }
    }

    fn kubelet(&mut self, state: &mut State, now: Timestamp) {
        let keys: Vec<Key> = state.objects.keys().filter(|(kind, _, _)| kind == "pods").cloned().collect();
        for key in keys {
            if self.dice.one_in(2) {
                continue;
            }
            let pod = state.objects.get_mut(&key).expect("it is there");
            if !pod["metadata"]["deletionTimestamp"].is_null() {
                state.remove(&key);
                continue;
            }
            let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
            if image.ends_with("-bad") {
                let waiting = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } });
                pod["status"]["containerStatuses"] = json!([{ "name": "broker", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": waiting }]);
            } else if !is_ready(pod) {
                set_ready(pod, true, now);
                pod["status"]["containerStatuses"] = json!([{
                    "name": "broker", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                    "state": { "running": {} },
                }]);
                let bucket = state.find("buckets", BUCKET).expect("it is there");
                bucket["objects"] = json!(bucket["objects"].as_i64().unwrap_or_default() + 1);
            } else if self.calm {
                pod["world"] = json!({});
            }
        }
    }

    /// A Job ends well, comes to nothing, or tries again; well means that the bucket is empty.
    fn jobs(&mut self, state: &mut State) {
        for job in state.of("jobs") {
            let name = job["metadata"]["name"].as_str().expect("a name").to_owned();
            let has_ended = !job["status"]["conditions"].is_null();
            if has_ended || self.dice.one_in(2) {
                continue;
            }
            let ended = if self.dice.one_in(3) { "Failed" } else { "Complete" };
            if ended == "Complete" {
                if !state.of("pods").is_empty() {
                    state.violations.push("the bucket was emptied while a member was there".to_owned());
                }
                state.find("buckets", BUCKET).expect("it is there")["objects"] = json!(0);
            }
            let job = state.find("jobs", &name).expect("it is there");
            job["status"]["conditions"] = json!([{ "type": ended, "status": "True" }]);
        }
    }

    fn volumes(&mut self, state: &mut State) {
        for claim in state.objects.iter_mut().filter(|((kind, _, _), _)| kind == "persistentvolumeclaims") {
            if self.dice.one_in(2) {
                claim.1["status"]["capacity"] = claim.1["spec"]["resources"]["requests"].clone();
            }
        }
    }

    fn services(&mut self, state: &mut State) {
        let mut port = 30_000;
        for ((kind, _, _), service) in &mut state.objects {
            port += 1;
            if kind != "services" || self.dice.one_in(2) {
                continue;
            }
            if service["spec"]["type"] == json!("NodePort") && service["spec"]["ports"][0]["nodePort"].is_null() {
                service["spec"]["ports"][0]["nodePort"] = json!(port);
            }
            if service["spec"]["type"] == json!("LoadBalancer") {
                service["status"]["loadBalancer"]["ingress"] = json!([{ "ip": "192.0.2.1" }]);
            }
        }
    }
}

fn s3_secret() -> Value {
    let data = json!({ "access-key-id": "aWQ=", "secret-access-key": "c2VjcmV0" });
    json!({ "metadata": { "name": "s3", "namespace": NAMESPACE }, "data": data })
}

pub fn is_ready(pod: &Value) -> bool {
    pod["status"]["conditions"][0]["status"] == json!("True") && pod["metadata"]["deletionTimestamp"].is_null()
}

fn set_ready(pod: &mut Value, ready: bool, now: Timestamp) {
    let status = if ready { "True" } else { "False" };
    if pod["status"]["conditions"][0]["status"] != json!(status) {
        pod["status"]["conditions"] =
            json!([{ "type": "Ready", "status": status, "lastTransitionTime": now.to_string() }]);
    }
}

fn next_size(size: &Value) -> String {
    let gibibytes: u64 = size.as_str().and_then(|size| size.strip_suffix("Gi")?.parse().ok()).expect("a size in Gi");
    format!("{}Gi", gibibytes + 5)
}

/// What must never be removed, and when; looked at in the moment in which the API server is asked to remove it.
fn forbidden(state: &State, key: &Key, orphans: bool) -> Option<String> {
    let clusters = state.of("kafkaclusters");
    let cluster = clusters.first()?;
    let is_going = !cluster["metadata"]["deletionTimestamp"].is_null();
    let is_paused = cluster["spec"]["maintenance"]["paused"] == json!(true);
    if is_paused && !is_going {
        return Some(format!("{key:?} was removed while the cluster is paused"));
    }
    match key.0.as_str() {
        "persistentvolumeclaims" => {
            let wanted = is_going && cluster["spec"]["deletionPolicy"] == json!("Delete");
            let mounts = |pod: &Value| {
                let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
                volumes.into_iter().any(|volume| volume["persistentVolumeClaim"]["claimName"] == json!(key.2))
            };
            let mounted = state.of("pods").iter().any(mounts);
            (!wanted || mounted).then(|| format!("the volume {} of a member was deleted", key.2))
        }
        "statefulsets" if !is_going && !orphans => Some("all members were stopped at once".to_owned()),
        "pods" => forbidden_eviction(state, key),
        _ => None,
    }
}

fn forbidden_eviction(state: &State, key: &Key) -> Option<String> {
    let pods = state.of("pods");
    let pod = state.objects.get(key)?;
    if !is_ready(pod) {
        return None;
    }
    let ready = i64::try_from(pods.iter().filter(|pod| is_ready(pod)).count()).expect("few pods");
    if ready < MEMBERS {
        return Some(format!("{} was stopped while another member was away", key.2));
    }
    if pod["world"]["refuses"] == json!(true) {
        return Some(format!("{} was stopped although it refused", key.2));
    }
    let behind = pods.iter().any(|pod| pod["world"]["behind"] == json!(true));
    behind.then(|| format!("{} was stopped while a member was behind", key.2))
}
