//! What the chart refuses: values with a typo, of a wrong kind, and combinations that cannot work. Nothing is installed for it.
use anyhow::Result;

use super::Checks;
use super::release::Release;

/// What helm needs to render the chart, except for the case with nothing.
const DEVELOPMENT: &str = "development.enabled=true,controlPlane.replicas=1";
const AGENT_ALONE: &str = "controlPlane.enabled=false,operator.agent.endpoint=https://fleet.example.com:8081";

/// What `--set` is given beside `DEVELOPMENT`, and all that the refusal names: what is wrong and, where that is not plain, what to do.
const REFUSED: &[(&str, &[&str])] = &[
    // Typos.
    ("developmnt.enabled=true", &["developmnt"]),
    ("controlPlane.replica=2", &["/controlPlane", "replica"]),
    ("brokers.external.typ=nodePort", &["/brokers/external", "typ"]),
    ("monitoring.podMonitor=true", &["/monitoring", "podMonitor"]),
    // Not what is expected.
    ("controlPlane.replicas=two", &["/controlPlane/replicas", "integer"]),
    ("controlPlane.replicas=0", &["/controlPlane/replicas", "minimum"]),
    ("image.pullPolicy=Sometimes", &["/image/pullPolicy", "IfNotPresent"]),
    ("image.digest=0.1.0", &["/image/digest", "sha256:"]),
    ("brokers.external.type=loadbalancer", &["/brokers/external/type", "loadBalancer"]),
    ("brokers.shared.storageGib=0", &["/brokers/shared/storageGib", "minimum"]),
    ("controlPlane.publicUrl=api.example.com", &["/controlPlane/publicUrl", "https?://"]),
    ("controlPlane.service.type=External", &["/controlPlane/service/type", "LoadBalancer"]),
    ("development.storage=lots", &["/development/storage", "pattern"]),
    ("fullnameOverride=Mill_stream", &["/fullnameOverride", "pattern"]),
    // Each right, but not together.
    ("development.enabled=false", &["controlPlane.database.existingSecret", "development.enabled=true"]),
    ("controlPlane.database.existingSecret=db", &["development.enabled", "existingSecret", "remove one"]),
    ("controlPlane.replicas=2", &["controlPlane.replicas=1"]),
    ("controlPlane.enabled=false,operator.enabled=false", &["nothing would be installed"]),
    ("controlPlane.enabled=false", &["operator.agent.endpoint", "operator.agent.enabled=false"]),
    (AGENT_ALONE, &["controlPlane.fleet.agentTlsSecret", "controlPlane.fleet.agentTokenSecret"]),
    ("controlPlane.fleet.serverTlsSecret=own", &["controlPlane.fleet.agentTlsSecret"]),
    ("controlPlane.fleet.agentTlsSecret=own", &["controlPlane.fleet.serverTlsSecret"]),
    ("controlPlane.ingress.enabled=true", &["controlPlane.ingress.host"]),
    ("controlPlane.httpRoute.enabled=true", &["controlPlane.httpRoute.parentRefs"]),
    (
        "image.tag=v1,image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
        &["image.tag", "image.digest"],
    ),
    ("brokers.external.type=loadBalancer", &["brokers.external.domain"]),
    ("brokers.external.domain=kafka.example.com", &["brokers.external.type", "loadBalancer"]),
    ("brokers.external.type=tlsRoute,brokers.external.domain=k.example.com", &["brokers.external.gateway.name"]),
    (
        "brokers.external.type=nodePort,brokers.external.domain=k.example.com,brokers.external.gateway.name=public",
        &["brokers.external.gateway", "tlsRoute"],
    ),
    ("objectStore.endpoint=https://s3.example.com", &["objectStore.bucket"]),
    ("objectStore.bucket=b", &["objectStore.existingSecret", "objectStore.serviceAccount"]),
    (
        "objectStore.bucket=b,objectStore.existingSecret=s,objectStore.serviceAccount=a",
        &["objectStore.existingSecret", "objectStore.serviceAccount", "keep one"],
    ),
    ("monitoring.podMonitors=true", &["PodMonitor", "not installed"]),
    ("monitoring.prometheusRules=true", &["PrometheusRule", "not installed"]),
];

pub fn check(release: &Release<'_>, checks: &mut Checks<'_>) {
    for (values, words) in REFUSED {
        checks.check(&format!("{values} is refused"), || is_refused(release, "1.36.0", values, words));
    }
    checks.check("a Kubernetes that is too old is refused", || {
        is_refused(release, "1.32.9", "operator.replicas=1", &["1.33.0", "1.32.9"])
    });
}

fn is_refused(release: &Release<'_>, kubernetes: &str, values: &str, words: &[&str]) -> Result<()> {
    let template = format!("template millstream CHART --kube-version={kubernetes} --set={DEVELOPMENT} --set={values}");
    release.is_refused(&template, words)
}
