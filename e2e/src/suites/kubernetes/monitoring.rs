//! What Prometheus is told: rules and dashboards as Prometheus itself reads them, about metrics that some pod has, and objects that
//! the definitions of the Prometheus operator accept.
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::release::Release;
use super::{Checks, eventually};
use crate::context::Context;
use crate::kube::command::{run, run_with_input};

const BUILD_LIMIT: Duration = Duration::from_secs(600);
/// Where the definitions are.
const PROMETHEUS_OPERATOR: &str = "github.com/prometheus-operator/prometheus-operator@v0.85.0";
const DEFINITIONS: &[&str] = &["monitoring.coreos.com_podmonitors.yaml", "monitoring.coreos.com_prometheusrules.yaml"];
/// Pods by label, and the port at which each tells its metrics.
const PODS: &[(&str, u16)] =
    &[("millstream-control-plane", 8090), ("millstream-operator", 8090), ("millstream-broker", 8080)];
const ON: &str = "monitoring.podMonitors=true,monitoring.prometheusRules=true,monitoring.dashboards=true";

pub fn check(release: &Release<'_>, checks: &mut Checks<'_>) {
    let monitors = || release.kubectl("get podmonitors,prometheusrules --output=name").unwrap_or_default();
    checks.check("the Prometheus operator's definitions accept what the chart has for it, field by field", || {
        let definitions = definitions()?;
        for file in DEFINITIONS {
            release.kubectl(&format!("apply --server-side --filename={}/{file}", definitions.display()))?;
        }
        release.kubectl("wait crd podmonitors.monitoring.coreos.com --for=condition=Established --timeout=30s")?;
        let upgrade = format!("upgrade millstream CHART --reset-then-reuse-values --set={ON} --wait --timeout=120s");
        release.helm(&upgrade)?;
        let manifest = release.helm("get manifest millstream")?;
        let mut command = release.namespace.command();
        let strict = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict"];
        run_with_input(command.args(strict).args(["--filename", "-"]), &manifest).map(drop)
    });
    checks.check("control plane, operator and every broker have a PodMonitor", || {
        let wanted = [
            "podmonitor/millstream-control-plane",
            "podmonitor/millstream-operator",
            "podmonitor/pkc-",
            "prometheusrule/",
        ];
        let wanted = wanted.map(|name| name.replace('/', ".monitoring.coreos.com/"));
        eventually("PodMonitors", || {
            let there = monitors();
            wanted.iter().all(|name| there.contains(name))
        })
        .with_context(monitors)
    });
    checks.check("Prometheus reads rules and dashboards, and some pod has every metric in them", || {
        let named = metrics_named(release.context)?;
        let mut missing = String::from("metrics");
        eventually("page that has them all", || {
            // A broker shows its metrics to others once it was restarted with its PodMonitor.
            let told = metrics_told(release).unwrap_or_default();
            let lacks: Vec<_> = named.lines().filter(|name| !told.contains(&format!("# TYPE {name} "))).collect();
            missing = lacks.join(", ");
            lacks.is_empty()
        })
        .with_context(|| format!("no pod has {missing}"))
    });
    checks.check("switched off, nothing is left of them", || {
        release.upgrade()?;
        eventually("no PodMonitor", || monitors().is_empty()).with_context(monitors)
    });
}

/// The names of metrics in the chart's rules and dashboards, a line each.
fn metrics_named(context: &Context) -> Result<String> {
    let program = context.build_dir("promql")?.join("promql");
    let mut build = Command::new("go");
    build.current_dir(context.e2e_dir("promql")).env("GOFLAGS", "-mod=readonly").env("CGO_ENABLED", "0");
    context.step("go build", build.args(["build", "-o"]).arg(&program).arg("."), BUILD_LIMIT)?;
    let chart = context.repository.join("charts").join("millstream");
    let files = [chart.join("monitoring").join("rules.yaml"), chart.join("dashboards").join("millstream.json")];
    run(Command::new(program).args(files))
}

/// The metrics of one pod of each kind.
fn metrics_told(release: &Release<'_>) -> Result<String> {
    let mut told = String::new();
    for (kind, port) in PODS {
        let pods = release.kubectl(&format!(
            "get pods --selector=app.kubernetes.io/name={kind} --field-selector=status.phase=Running --output=name"
        ))?;
        let pod = pods.lines().next().with_context(|| format!("no {kind} runs"))?.trim_start_matches("pod/").to_owned();
        let namespace = &release.namespace.name;
        told +=
            &release.kubectl(&format!("get --raw /api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/metrics"))?;
    }
    Ok(told)
}

/// The folder of the definitions, from the module of the Prometheus operator.
fn definitions() -> Result<PathBuf> {
    let answer = run(Command::new("go").current_dir("/").args(["mod", "download", "-json", PROMETHEUS_OPERATOR]))?;
    let answer: Value = serde_json::from_str(&answer)?;
    let folder = answer["Dir"].as_str().context("go says no folder of the module")?;
    Ok(PathBuf::from(folder).join("example").join("prometheus-operator-crd"))
}
