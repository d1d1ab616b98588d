//! The kinds of Kubernetes objects that a physical cluster is made of, and how the API server calls them.

/// A kind of object that the controller makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    ServiceAccount,
    Secret,
    ConfigMap,
    Service,
    NetworkPolicy,
    PodDisruptionBudget,
    TlsRoute,
    PodMonitor,
    StatefulSet,
    /// Empties the bucket while a cluster is deleted.
    Job,
}

impl Kind {
    /// Every kind of a cluster that is there, in the order in which objects are applied: what pods need comes before their
    /// StatefulSet.
    pub const ALL: &[Self] = &[
        Self::ServiceAccount,
        Self::Secret,
        Self::ConfigMap,
        Self::Service,
        Self::NetworkPolicy,
        Self::PodDisruptionBudget,
        Self::TlsRoute,
        Self::PodMonitor,
        Self::StatefulSet,
    ];

    /// Group and version as `apiVersion` says them, the newest first. All of them have the fields that are used here.
    pub fn api_versions(self) -> &'static [&'static str] {
        match self {
            Self::ServiceAccount | Self::Secret | Self::ConfigMap | Self::Service => &["v1"],
            Self::NetworkPolicy => &["networking.k8s.io/v1"],
            Self::PodDisruptionBudget => &["policy/v1"],
            // The standard channel of the Gateway API serves only the first, releases before 1.5 only the others.
            Self::TlsRoute => &[
                "gateway.networking.k8s.io/v1",
                "gateway.networking.k8s.io/v1alpha3",
                "gateway.networking.k8s.io/v1alpha2",
            ],
            Self::PodMonitor => &["monitoring.coreos.com/v1"],
            Self::StatefulSet => &["apps/v1"],
            Self::Job => &["batch/v1"],
        }
    }

    /// As `kind` says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Service => "Service",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::TlsRoute => "TLSRoute",
            Self::PodMonitor => "PodMonitor",
            Self::StatefulSet => "StatefulSet",
            Self::Job => "Job",
        }
    }

    /// As paths say it.
    pub fn plural(self) -> &'static str {
        match self {
            Self::ServiceAccount => "serviceaccounts",
            Self::Secret => "secrets",
            Self::ConfigMap => "configmaps",
            Self::Service => "services",
            Self::NetworkPolicy => "networkpolicies",
            Self::PodDisruptionBudget => "poddisruptionbudgets",
            Self::TlsRoute => "tlsroutes",
            Self::PodMonitor => "podmonitors",
            Self::StatefulSet => "statefulsets",
            Self::Job => "jobs",
        }
    }

    /// Whether every Kubernetes has it. The others come with resource definitions of somebody else.
    pub fn is_built_in(self) -> bool {
        !matches!(self, Self::TlsRoute | Self::PodMonitor)
    }
}
