//! Specs that cannot work, pods that do not get there, and names that are taken: each has its reason, and nothing is
//! half made.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::api_server::{ApiServer, State};
use super::world::{CLUSTER, NAMESPACE, WorldBrokers};
use crate::controller::reconcile::{Context, Decisions, reconcile};
use crate::controller::validate::MAX_MEMBERS;

const NOW: &str = "2026-01-01T00:00:00Z";

fn server(spec: &Value) -> ApiServer {
    let server = ApiServer::default();
    let mut cluster = json!({
        "apiVersion": "millstream.dev/v1alpha1",
        "kind": "KafkaCluster",
        "metadata": { "name": CLUSTER, "namespace": NAMESPACE },
        "spec": {
            "physicalClusterId": CLUSTER, "version": "0.1.0", "image": { "repository": "millstream" },
            "nodePools": [{
                "name": "main", "roles": ["broker", "controller"], "replicas": 1, "storage": { "size": "10Gi" },
            }],
        },
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        cluster["spec"][field] = value.clone();
    }
    let mut state = server.state();
    state.set_time(NOW.to_owned());
    let is_default = json!({ "storageclass.kubernetes.io/is-default-class": "true" });
    let class = json!({ "metadata": { "name": "fast", "annotations": is_default }, "provisioner": "world" });
    state.create("storageclasses", class);
    state.create("kafkaclusters", cluster);
    drop(state);
    server
}

fn context(server: &ApiServer) -> Context<WorldBrokers> {
    Context {
        client: server.client(),
        brokers: WorldBrokers(server.clone()),
        clock: Arc::new(|| NOW.parse::<Timestamp>().expect("a time")),
        max_members: MAX_MEMBERS,
        decisions: Decisions::default(),
    }
}

async fn status(server: &ApiServer) -> Value {
    reconcile(NAMESPACE, CLUSTER, &context(server)).await.expect("the API server answers");
    server.state().of("kafkaclusters")[0]["status"].clone()
}

/// The cluster with a bucket, deleted with everything after its member has run; its Job is made.
async fn purging() -> ApiServer {
    let mut spec = store(json!({ "existingSecret": { "name": "s3" } }));
    spec["deletionPolicy"] = json!("Delete");
    let server = server(&spec);
    server.state().create("secrets", secret("s3", &[("access-key-id", "id"), ("secret-access-key", "secret")]));
    server.state().find("kafkaclusters", CLUSTER).expect("it is there")["status"] = json!({ "bucketInUse": true });
    status(&server).await;
    let key = ("kafkaclusters".to_owned(), NAMESPACE.to_owned(), CLUSTER.to_owned());
    server.state().begin_deletion(&key);
    // One deletes the StatefulSet, the next makes the Job.
    status(&server).await;
    status(&server).await;
    assert_eq!(server.state().of("jobs").len(), 1);
    server
}

fn purging_pod(state: Value) -> Value {
    json!({
        "metadata": {
            "name": "purge", "namespace": NAMESPACE,
            "labels": { "batch.kubernetes.io/job-name": format!("{CLUSTER}-bucket-purge") },
        },
        "spec": { "containers": [] },
        "status": { "containerStatuses": [{
            "name": "bucket-purge", "image": "", "imageID": "", "ready": false, "restartCount": 3, "state": state,
            "lastState": { "terminated": { "exitCode": 1, "message": "starting\nError: AccessDenied\n" } },
        }] },
    })
}

fn condition(status: &Value, kind: &str) -> Value {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|condition| condition["type"] == json!(kind)).cloned().unwrap_or_default()
}

/// The spec is rejected with this reason and a sentence that names the thing, and nothing is made.
async fn check(spec: Value, prepare: impl FnOnce(&mut State), reason: &str, named: &str) {
    let server = server(&spec);
    prepare(&mut server.state());
    let status = status(&server).await;
    let accepted = condition(&status, "Accepted");
    assert_eq!((&accepted["status"], &accepted["reason"]), (&json!("False"), &json!(reason)), "{status}");
    assert!(accepted["message"].as_str().is_some_and(|message| message.contains(named)), "{accepted}");
    assert_eq!(condition(&status, "Ready")["status"], json!("False"));
    let made = ["statefulsets", "services", "configmaps", "networkpolicies", "poddisruptionbudgets", "serviceaccounts"];
    made.iter().for_each(|plural| assert!(server.state().of(plural).is_empty(), "{plural} were made"));
}

fn nothing(_: &mut State) {}

fn secret(name: &str, entries: &[(&str, &str)]) -> Value {
    use base64::Engine as _;
    let encode = |text: &str| base64::prelude::BASE64_STANDARD.encode(text);
    let data: serde_json::Map<String, Value> =
        entries.iter().map(|(key, text)| ((*key).to_owned(), json!(encode(text)))).collect();
    json!({ "metadata": { "name": name, "namespace": NAMESPACE }, "data": data })
}

fn pool(change: impl FnOnce(&mut Value)) -> Value {
    let mut pool = json!({
        "name": "main", "roles": ["broker", "controller"], "replicas": 1, "storage": { "size": "10Gi" },
    });
    change(&mut pool);
    json!({ "nodePools": [pool] })
}

fn store(credentials: Value) -> Value {
    json!({ "objectStore": { "bucket": "bucket", "region": "eu-west-1", "credentials": credentials } })
}

#[tokio::test]
async fn more_members_than_can_work_are_rejected() {
    check(pool(|pool| pool["replicas"] = json!(3)), nothing, "SeveralBrokersUnsupported", "3 members").await;
    let apart = pool(|pool| pool["roles"] = json!(["broker"]));
    check(apart, nothing, "SeveralBrokersUnsupported", "roles broker and controller").await;
}

fn namesake(created: &str) -> impl FnOnce(&mut State) {
    move |state: &mut State| {
        let mut other = state.of("kafkaclusters")[0].clone();
        other["metadata"]["name"] = json!("the-other");
        state.create("kafkaclusters", other);
        let other = state.find("kafkaclusters", "the-other").expect("it was made");
        other["metadata"]["creationTimestamp"] = json!(created);
    }
}

#[tokio::test]
async fn the_younger_of_two_with_one_id_waits_until_the_older_is_gone() {
    let older = "2025-12-31T00:00:00Z";
    check(json!({}), namesake(older), "PhysicalClusterIdTaken", "KafkaCluster the-other").await;
    let server = server(&json!({}));
    namesake(older)(&mut server.state());
    status(&server).await;
    server.state().remove(&("kafkaclusters".to_owned(), NAMESPACE.to_owned(), "the-other".to_owned()));
    assert_eq!(condition(&status(&server).await, "Accepted")["status"], json!("True"));
}

#[tokio::test]
async fn the_older_of_two_with_one_id_is_not_disturbed() {
    let server = server(&json!({}));
    namesake("2026-01-02T00:00:00Z")(&mut server.state());
    assert_eq!(condition(&status(&server).await, "Accepted")["status"], json!("True"));
}

#[tokio::test]
async fn members_of_a_rejected_spec_get_no_id() {
    let server = server(&pool(|pool| pool["replicas"] = json!(3)));
    assert!(status(&server).await["nodes"].is_null());
}

#[tokio::test]
async fn a_secret_that_is_missing_or_lacks_a_key_is_named() {
    let spec = store(json!({ "existingSecret": { "name": "s3" } }));
    check(spec.clone(), nothing, "SecretMissing", "there is no Secret s3").await;
    let half = |state: &mut State| state.create("secrets", secret("s3", &[("access-key-id", "id")]));
    check(spec.clone(), half, "SecretInvalid", "no secret-access-key").await;
    let empty = |state: &mut State| {
        state.create("secrets", secret("s3", &[("access-key-id", "id"), ("secret-access-key", "")]));
    };
    check(spec, empty, "SecretInvalid", "secret-access-key").await;
}

#[tokio::test]
async fn an_external_certificate_has_to_be_one_for_the_names_of_the_cluster() {
    let spec = json!({
        "listeners": { "external": { "type": "loadBalancer", "domain": "example.com" } },
        "tls": { "externalCertificate": { "secretName": "given" } },
    });
    let with = |certificate: String, key: String| {
        move |state: &mut State| {
            state.create("secrets", secret("given", &[("tls.crt", &certificate), ("tls.key", &key)]))
        }
    };
    let garbage = with("garbage".to_owned(), "garbage".to_owned());
    check(spec.clone(), garbage, "SecretInvalid", "tls.crt of the Secret given is not a certificate").await;
    let [fits, other] = [(); 2].map(|()| given("*.example.com", 2025, 2027));
    let keys = "tls.key of the Secret given is not the private key of its tls.crt";
    check(spec.clone(), with(fits.0.clone(), other.1), "SecretInvalid", keys).await;
    check(spec.clone(), with(fits.0, "garbage".to_owned()), "SecretInvalid", keys).await;
    let cases = [
        (given("*.example.org", 2025, 2027), "is not for pkc-abc12.example.com"),
        (given("pkc-abc12.example.com", 2025, 2027), "is not for b0-pkc-abc12.example.com"),
        (given("*.example.com", 2024, 2025), "ended at 2025-12-31"),
        (given("*.example.com", 2027, 2028), "is not valid before 2027-12-31"),
    ];
    for ((certificate, key), named) in cases {
        check(spec.clone(), with(certificate, key), "CertificateInvalid", named).await;
    }
}

/// A certificate and its key, valid from the end of one year to the end of another.
fn given(host: &str, starts: i32, ends: i32) -> (String, String) {
    let mut params = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(starts, 12, 31);
    params.not_after = rcgen::date_time_ymd(ends, 12, 31);
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[tokio::test]
async fn an_external_certificate_that_ends_soon_is_said_while_it_still_works() {
    let server = server(&json!({
        "listeners": { "external": { "type": "loadBalancer", "domain": "example.com" } },
        "tls": { "externalCertificate": { "secretName": "given" } },
    }));
    let mut params = rcgen::CertificateParams::new(["*.example.com".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2026, 1, 5);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let key = key.serialize_pem();
    server.state().create("secrets", secret("given", &[("tls.crt", &certificate), ("tls.key", &key)]));
    let status = status(&server).await;
    assert_eq!(condition(&status, "Accepted")["status"], json!("True"), "{status}");
    let valid = condition(&status, "CertificatesValid");
    assert_eq!((&valid["status"], &valid["reason"]), (&json!("False"), &json!("CertificateExpiring")));
    assert!(valid["message"].as_str().is_some_and(|message| message.contains("tls.externalCertificate")), "{valid}");
}

#[tokio::test]
async fn brokers_keep_the_last_external_certificate_that_fits_until_there_is_no_external_listener() {
    let server = server(&json!({
        "listeners": { "external": { "type": "loadBalancer", "domain": "example.com" } },
        "tls": { "externalCertificate": { "secretName": "given" } },
    }));
    let put = |(certificate, key): &(String, String)| {
        let mut state = server.state();
        state.objects.retain(|(_, _, name), _| name != "given");
        state.create("secrets", secret("given", &[("tls.crt", certificate), ("tls.key", key)]));
    };
    let presented = || server.state().find("secrets", "pkc-abc12-external-tls").map(|secret| secret["data"].clone());
    let data = |(certificate, key): &(String, String)| {
        Some(secret("", &[("tls.crt", certificate), ("tls.key", key)])["data"].clone())
    };
    let [first, second] = [(); 2].map(|()| given("*.example.com", 2025, 2027));
    let wrong = given("*.example.org", 2025, 2027);
    for (put_there, is_presented) in [(&first, &first), (&wrong, &first), (&second, &second)] {
        put(put_there);
        status(&server).await;
        assert_eq!(presented(), data(is_presented));
    }
    server.state().find("kafkaclusters", CLUSTER).expect("it is there")["spec"]["listeners"] = json!({});
    status(&server).await;
    assert_eq!(presented(), None);
}

#[tokio::test]
async fn a_service_account_that_is_missing_is_named() {
    let spec = store(json!({ "serviceAccount": { "name": "irsa" } }));
    check(spec, nothing, "ServiceAccountMissing", "no ServiceAccount irsa").await;
}

#[tokio::test]
async fn a_volume_needs_a_storage_class() {
    let slow = pool(|pool| pool["storage"]["class"] = json!("slow"));
    check(slow, nothing, "StorageClassMissing", "no StorageClass slow").await;
    let no_default = |state: &mut State| {
        state.find("storageclasses", "fast").expect("it is there")["metadata"]["annotations"] = Value::Null;
    };
    check(json!({}), no_default, "StorageClassMissing", "no default StorageClass").await;
}

#[tokio::test]
async fn a_volume_that_cannot_grow_is_said_before_anything_is_changed() {
    let spec = pool(|pool| pool["storage"]["size"] = json!("20Gi"));
    let claim = json!({
        "metadata": {
            "name": format!("data-{CLUSTER}-main-0"), "namespace": NAMESPACE,
            "labels": { "millstream.dev/cluster": CLUSTER },
        },
        "spec": { "storageClassName": "fast", "resources": { "requests": { "storage": "10Gi" } } },
    });
    let with_claim = |state: &mut State| state.create("persistentvolumeclaims", claim);
    check(spec, with_claim, "ExpansionUnsupported", "does not let volumes grow").await;
}

#[tokio::test]
async fn a_tls_route_needs_the_gateway_api() {
    let external = json!({ "type": "tlsRoute", "domain": "example.com", "gateway": { "name": "edge" } });
    let spec = json!({ "listeners": { "external": external } });
    check(spec.clone(), nothing, "GatewayApiMissing", "install the Gateway API").await;
    let [stable, alpha3, alpha2] = ["v1", "v1alpha3", "v1alpha2"];
    // The standard channel, the experimental one, and releases before 1.5.
    for (served, used) in [(&[stable][..], stable), (&[alpha2, alpha3, stable], stable), (&[alpha2], alpha2)] {
        let server = server(&spec);
        for version in served {
            server.state().groups.insert(format!("gateway.networking.k8s.io/{version}"), vec!["tlsroutes"]);
        }
        assert_eq!(condition(&status(&server).await, "Accepted")["status"], json!("True"));
        let routes = server.state().of("tlsroutes");
        assert_eq!(routes.len(), 2);
        for route in routes {
            assert_eq!(route["apiVersion"], json!(format!("gateway.networking.k8s.io/{used}")));
        }
    }
}

#[tokio::test]
async fn routes_go_with_the_gateway_api_and_come_back_with_it() {
    const GROUP: &str = "gateway.networking.k8s.io/v1";
    let external = json!({ "type": "tlsRoute", "domain": "example.com", "gateway": { "name": "edge" } });
    let server = server(&json!({ "listeners": { "external": external } }));
    server.state().groups.insert(GROUP.to_owned(), vec!["tlsroutes"]);
    status(&server).await;
    server.state().groups.clear();
    server.state().objects.retain(|(plural, _, _), _| plural != "tlsroutes");
    let without = status(&server).await;
    assert_eq!(condition(&without, "Accepted")["reason"], json!("GatewayApiMissing"));
    assert_eq!(server.state().of("statefulsets").len(), 1, "brokers go on for clients inside");
    server.state().groups.insert(GROUP.to_owned(), vec!["tlsroutes"]);
    assert_eq!(condition(&status(&server).await, "Accepted")["status"], json!("True"));
    assert_eq!(server.state().of("tlsroutes").len(), 2);
}

#[tokio::test]
async fn a_gateway_that_does_not_take_a_route_is_waited_for_with_its_words() {
    let external = json!({ "type": "tlsRoute", "domain": "example.com", "gateway": { "name": "edge" } });
    let server = server(&json!({ "listeners": { "external": external } }));
    server.state().groups.insert("gateway.networking.k8s.io/v1".to_owned(), vec!["tlsroutes"]);
    status(&server).await;
    let running = json!({ "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": NOW }] });
    start_pod(&server, &running);
    let say = |accepted: &str, words: &str| {
        let condition = json!({ "type": "Accepted", "status": accepted, "message": words });
        for name in [format!("{CLUSTER}-external"), format!("{CLUSTER}-b0-external")] {
            let parents = json!([{ "conditions": [condition] }]);
            server.state().find("tlsroutes", &name).expect("it is there")["status"]["parents"] = parents;
        }
    };
    let waits = |status: &Value, words: &str| {
        let progressing = condition(status, "Progressing");
        assert_eq!(progressing["reason"], json!("WaitingForGateway"), "{status}");
        assert!(progressing["message"].as_str().is_some_and(|message| message.contains(words)), "{progressing}");
        assert!(status["endpoints"]["external"].is_null(), "{status}");
    };
    waits(&status(&server).await, "no Gateway edge has taken the TLSRoute pkc-abc12-external yet");
    say("False", "no listener has this host name");
    waits(&status(&server).await, "no listener has this host name");
    say("True", "");
    let taken = status(&server).await;
    assert_eq!(condition(&taken, "Progressing")["status"], json!("False"), "{taken}");
    assert_eq!(taken["endpoints"]["external"], json!("pkc-abc12.example.com:9092"));
}

#[tokio::test]
async fn a_status_that_nothing_changed_is_not_written_again() {
    for spec in [json!({}), json!({ "maintenance": { "paused": true } })] {
        let server = server(&spec);
        let version = || server.state().of("kafkaclusters")[0]["metadata"]["resourceVersion"].clone();
        // Certificates, ids and objects come one after the other.
        for _ in 0..4 {
            status(&server).await;
        }
        let before = (status(&server).await, version());
        assert_eq!((status(&server).await, version()), before, "{spec}");
    }
}

#[tokio::test]
async fn an_object_of_somebody_else_is_left_alone() {
    let server = server(&json!({}));
    let theirs = json!({ "metadata": { "name": format!("{CLUSTER}-bootstrap"), "namespace": NAMESPACE }, "spec": {} });
    server.state().create("services", theirs);
    let status = status(&server).await;
    assert_eq!(condition(&status, "Degraded")["reason"], json!("NameTaken"), "{status}");
    let state = server.state();
    let service = state.of("services").into_iter().find(|service| service["metadata"]["labels"].is_null());
    assert!(service.is_some() && state.of("statefulsets").is_empty());
}

#[tokio::test]
async fn a_bucket_that_refuses_keeps_the_resource_until_a_person_leaves_it_as_it_is() {
    let server = purging().await;
    // Between two tries the kubelet shows the end of the last one, or that it waits; while it tries, neither.
    let between = json!({ "terminated": { "exitCode": 1, "message": "Error: AccessDenied" } });
    for state in [between, json!({ "waiting": { "reason": "CrashLoopBackOff" } }), json!({ "running": {} })] {
        server.state().create("pods", purging_pod(state));
        let waiting = status(&server).await;
        assert!(waiting["operation"].as_str().is_some_and(|text| text.contains("PurgingBucket")), "{waiting}");
        let blocked_by = waiting["blockedBy"].to_string();
        assert!(blocked_by.contains("Error: AccessDenied") && blocked_by.contains("deletionPolicy"), "{waiting}");
        server.state().remove(&("pods".to_owned(), NAMESPACE.to_owned(), "purge".to_owned()));
    }

    let spec = |state: &mut State| state.find("kafkaclusters", CLUSTER).expect("it is there")["spec"].take();
    let mut retaining = spec(&mut server.state());
    retaining["deletionPolicy"] = json!("Retain");
    server.state().find("kafkaclusters", CLUSTER).expect("it is there")["spec"] = retaining;
    reconcile(NAMESPACE, CLUSTER, &context(&server)).await.expect("the API server answers");
    assert!(server.state().of("kafkaclusters").is_empty() && server.state().of("jobs").is_empty());
}

#[tokio::test]
async fn a_job_that_waits_for_a_secret_that_is_gone_says_so() {
    let server = purging().await;
    server.state().remove(&("secrets".to_owned(), NAMESPACE.to_owned(), "s3".to_owned()));
    let status = status(&server).await;
    assert!(status["blockedBy"].to_string().contains("there is no Secret s3"), "{status}");
}

#[tokio::test]
async fn a_cluster_that_never_ran_goes_without_its_bucket() {
    let mut spec = store(json!({ "existingSecret": { "name": "missing" } }));
    spec["deletionPolicy"] = json!("Delete");
    let server = server(&spec);
    status(&server).await;
    let key = ("kafkaclusters".to_owned(), NAMESPACE.to_owned(), CLUSTER.to_owned());
    server.state().begin_deletion(&key);
    reconcile(NAMESPACE, CLUSTER, &context(&server)).await.expect("the API server answers");
    assert!(server.state().of("kafkaclusters").is_empty());
}

#[tokio::test]
async fn a_namespace_that_is_deleted_does_not_wait_for_its_buckets() {
    let server = purging().await;
    let job = ("jobs".to_owned(), NAMESPACE.to_owned(), format!("{CLUSTER}-bucket-purge"));
    server.state().remove(&job);
    server.state().ends_namespace = true;
    reconcile(NAMESPACE, CLUSTER, &context(&server)).await.expect("the API server answers");
    assert!(server.state().of("kafkaclusters").is_empty());
}

#[tokio::test]
async fn a_pod_that_does_not_get_there_says_why() {
    let waiting = |reason: &str| {
        let state = json!({ "waiting": { "reason": reason, "message": "its own words" } });
        let container =
            json!({ "name": "broker", "image": "", "imageID": "", "ready": false, "restartCount": 3, "state": state });
        json!({ "containerStatuses": [container] })
    };
    let condition_of_scheduler =
        json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes" });
    let cases = [
        (waiting("ImagePullBackOff"), "ImagePullFailed", "its own words"),
        (waiting("CrashLoopBackOff"), "CrashLooping", "its own words"),
        (json!({ "conditions": [condition_of_scheduler] }), "Unschedulable", "0/3 nodes"),
        (json!({}), "NotReady", ""),
    ];
    for (pod_status, reason, words) in cases {
        let server = server(&json!({}));
        status(&server).await;
        start_pod(&server, &pod_status);
        let status = status(&server).await;
        assert_eq!(condition(&status, "Ready")["reason"], json!(reason), "{status}");
        assert!(status["blockedBy"].to_string().contains(words), "{status}");
    }
}

/// What the StatefulSet asks for, in this state.
fn start_pod(server: &ApiServer, pod_status: &Value) {
    let mut state = server.state();
    let revision = state.of("statefulsets")[0]["spec"]["template"]["metadata"]["annotations"].clone();
    let labels = json!({ "millstream.dev/cluster": CLUSTER });
    let metadata = json!({
        "name": format!("{CLUSTER}-main-0"), "namespace": NAMESPACE, "labels": labels, "annotations": revision,
    });
    state.create("pods", json!({ "metadata": metadata, "spec": { "containers": [] }, "status": pod_status }));
}
