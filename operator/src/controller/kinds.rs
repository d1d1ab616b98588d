//! The kinds of Kubernetes objects that a physical cluster is made of, and how the API server calls them.

use kube::core::{ApiResource, GroupVersionKind};

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
}

impl Kind {
    /// Every kind, in the order in which objects are applied: what pods need comes before their StatefulSet.
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

    /// Group, version and kind, as `apiVersion` and `kind` say them.
    pub fn api(self) -> (&'static str, &'static str) {
        match self {
            Self::ServiceAccount => ("v1", "ServiceAccount"),
            Self::Secret => ("v1", "Secret"),
            Self::ConfigMap => ("v1", "ConfigMap"),
            Self::Service => ("v1", "Service"),
            Self::NetworkPolicy => ("networking.k8s.io/v1", "NetworkPolicy"),
            Self::PodDisruptionBudget => ("policy/v1", "PodDisruptionBudget"),
            Self::TlsRoute => ("gateway.networking.k8s.io/v1alpha2", "TLSRoute"),
            Self::PodMonitor => ("monitoring.coreos.com/v1", "PodMonitor"),
            Self::StatefulSet => ("apps/v1", "StatefulSet"),
        }
    }

    /// Where the API server keeps objects of this kind.
    pub fn resource(self) -> ApiResource {
        let (api_version, kind) = self.api();
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let gvk = GroupVersionKind::gvk(group, version, kind);
        ApiResource::from_gvk_with_plural(&gvk, self.plural())
    }

    fn plural(self) -> &'static str {
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
        }
    }

    /// Whether every Kubernetes has it. The others come with resource definitions of somebody else.
    pub fn is_built_in(self) -> bool {
        !matches!(self, Self::TlsRoute | Self::PodMonitor)
    }
}
