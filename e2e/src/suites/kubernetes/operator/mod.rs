//! The operator on a real API server, without any control plane: what the resource definition refuses, what a spec that cannot
//! work leads to, a cluster's life from `kubectl apply` to its end, fields and objects of others, two replicas.
//!
//! It runs from the chart: its rights, its image and its probes are part of what is tried. Its processes are killed and frozen
//! by their pids, which the machine of the nodes sees.
mod bad_input;
mod definition;
mod life;
mod ownership;
mod process;
mod replicas;
mod resource;

use anyhow::{Result, ensure};

use self::process::Operators;
use super::release::Release;
use super::{Checks, Suite, eventually, on_kubernetes};
use crate::context::Context;
use crate::need;
use crate::outcome::Outcome;

pub const SUITE: Suite = Suite {
    name: "operator",
    about: "the operator on a real Kubernetes without a control plane: rules, bad input, ownership, replicas, a cluster's life",
    needs: need::KUBERNETES,
    run,
};

const NODES: u8 = 1;
/// No control plane, no agent; two replicas, as the chart has them.
const INSTALL: &str =
    "install millstream CHART --set=image.pullPolicy=Never,controlPlane.enabled=false,operator.agent.enabled=false";

fn run(context: &Context) -> Result<Outcome> {
    on_kubernetes(context, NODES, |kubernetes, checks| {
        let release = Release::new(context, kubernetes, "");
        let operators = Operators { namespace: &release.namespace };
        starts_without_the_definition(&release, &operators, checks)?;
        definition::check(&release, checks)?;
        bad_input::check(&release.namespace, &operators, checks)?;
        life::check(&release, checks)?;
        ownership::check(&release.namespace, &operators, checks)?;
        replicas::check(&release.namespace, &operators, checks);
        life::check_end(&release, checks);
        Ok(())
    })
}

/// Without the definition there is nothing to do but to say so; nobody has to restart it afterwards.
fn starts_without_the_definition(
    release: &Release<'_>,
    operators: &Operators<'_>,
    checks: &mut Checks<'_>,
) -> Result<()> {
    release.namespace.create_restricted()?;
    release.helm(INSTALL)?;
    let missing = "install the chart millstream-crds";
    checks.check(
        "without the definition of KafkaCluster the operator says once what is missing, and is not ready",
        || {
            let said = || operators.leader().and_then(|leader| operators.log(&leader)).unwrap_or_default();
            eventually("a word about the definition", || said().contains(missing))?;
            let leader = operators.leader()?;
            eventually("a pod that is not ready", || operators.is_ready(&leader).is_ok_and(|ready| !ready))?;
            let metrics = operators.metrics(&leader)?;
            ensure!(metrics.contains("millstream_operator_definition_missing 1"), "{metrics}");
            let lines = said().lines().filter(|line| line.contains("KafkaCluster")).count();
            ensure!(lines == 1, "it said so {lines} times");
            Ok(())
        },
    );
    release.helm("install millstream-crds CRDS")?;
    checks.check("the operator goes on by itself when the definition is there", || {
        release.kubectl("rollout status deployment/millstream-operator --timeout=90s").map(drop)
    });
    Ok(())
}
