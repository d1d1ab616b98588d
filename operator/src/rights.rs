//! What the operator may do: the rules of its Role and ClusterRole. The simulation refuses everything else.

/// One rule, as Kubernetes writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// API group; empty for the core.
    pub group: &'static str,
    pub resources: &'static [&'static str],
    pub verbs: &'static [&'static str],
}

/// In the namespace of the clusters.
pub const ROLE: &[Rule] = &[
    // The agent makes and deletes them.
    rule("millstream.dev", &["kafkaclusters"], &["get", "list", "watch", "create", "patch", "delete"]),
    rule("millstream.dev", &["kafkaclusters/status"], &["patch"]),
    // Children name their owner with blockOwnerDeletion.
    rule("millstream.dev", &["kafkaclusters/finalizers"], &["update"]),
    rule("apps", &["statefulsets"], &["get", "list", "watch", "create", "patch", "delete"]),
    rule("", &["services", "configmaps"], &["get", "list", "watch", "create", "patch", "delete"]),
    rule("", &["serviceaccounts"], &["get", "list", "watch", "create", "patch", "delete"]),
    // No list: Secrets are read one by one, by the names that a spec says.
    // The agent deletes the tokens that it made.
    rule("", &["secrets"], &["get", "create", "patch", "delete"]),
    rule("", &["pods"], &["get", "list", "watch"]),
    rule("", &["pods/eviction"], &["create"]),
    rule("", &["persistentvolumeclaims"], &["get", "list", "watch", "patch", "delete"]),
    // Empties the bucket of a cluster that is deleted.
    rule("batch", &["jobs"], &["get", "list", "watch", "create", "patch", "delete"]),
    rule("networking.k8s.io", &["networkpolicies"], &["get", "list", "watch", "create", "patch", "delete"]),
    rule("policy", &["poddisruptionbudgets"], &["get", "list", "watch", "create", "patch", "delete"]),
    rule("gateway.networking.k8s.io", &["tlsroutes"], &["get", "list", "create", "patch", "delete"]),
    rule("monitoring.coreos.com", &["podmonitors"], &["get", "list", "create", "patch", "delete"]),
    rule("coordination.k8s.io", &["leases"], &["get", "create", "update"]),
    rule("events.k8s.io", &["events"], &["create", "patch"]),
];

/// Everywhere. Without it a missing StorageClass is told by the pod that waits, not by the resource.
pub const CLUSTER_ROLE: &[Rule] = &[rule("storage.k8s.io", &["storageclasses"], &["list"])];

const fn rule(group: &'static str, resources: &'static [&'static str], verbs: &'static [&'static str]) -> Rule {
    Rule { group, resources, verbs }
}

/// Rules as the chart has them in its Role and its ClusterRole.
pub fn rules_yaml(rules: &[Rule]) -> String {
    let rules: Vec<_> = rules
        .iter()
        .map(|rule| serde_json::json!({ "apiGroups": [rule.group], "resources": rule.resources, "verbs": rule.verbs }))
        .collect();
    serde_saphyr::to_string(&rules).expect("JSON is YAML")
}

/// Whether a rule allows a request.
pub fn allows(group: &str, resource: &str, verb: &str) -> bool {
    let fits = |rule: &Rule| rule.group == group && rule.resources.contains(&resource) && rule.verbs.contains(&verb);
    ROLE.iter().chain(CLUSTER_ROLE).any(fits)
}
