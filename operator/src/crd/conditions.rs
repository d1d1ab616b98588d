//! Conditions of a KafkaCluster and their reasons, as one list that the controller, the agent and the documentation share.

use std::fmt;

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The spec can be acted upon.
    Accepted,
    /// Every member serves.
    Ready,
    /// Something is being done.
    Progressing,
    /// Something is wrong that does not mend itself soon.
    Degraded,
    /// Certificates are valid and not about to end.
    CertificatesValid,
}

impl ConditionType {
    /// Every type, in the order in which the status lists them.
    pub const ALL: &[Self] = &[Self::Accepted, Self::Ready, Self::Progressing, Self::Degraded, Self::CertificatesValid];

    /// The word in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Ready => "Ready",
            Self::Progressing => "Progressing",
            Self::Degraded => "Degraded",
            Self::CertificatesValid => "CertificatesValid",
        }
    }

    /// What it says when it is true.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Accepted => "the spec can be acted upon",
            Self::Ready => {
                "every member serves; while members are restarted one at a time, `Progressing` says why one does not"
            }
            Self::Progressing => "something is being done; `status.operation` says what",
            Self::Degraded => "something is wrong that does not mend itself soon",
            Self::CertificatesValid => "certificates are valid and not about to end",
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Why a condition is what it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word in the status.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// What it means and what to do, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }
        }
    };
}

reasons! {
    /// Everything is as the spec says.
    AsSpecified,
    /// The spec is valid and acted upon.
    Valid,
    /// `maintenance.paused` is true: nothing is changed.
    Paused,
    /// The resource is being deleted.
    Deleting,
    /// A physical cluster has one broker today; the spec asks for more.
    SeveralBrokersUnsupported,
    /// An older resource has the same `physicalClusterId`; this one waits until that is gone.
    PhysicalClusterIdTaken,
    /// A Secret that the spec names does not exist.
    SecretMissing,
    /// A Secret that the spec names lacks a key, or what is in it cannot be used.
    SecretInvalid,
    /// The Secret of the external certificate does not cover the names below the domain, or is not valid now.
    CertificateInvalid,
    /// The ServiceAccount that the spec names does not exist.
    ServiceAccountMissing,
    /// The StorageClass that the spec names does not exist, or there is no default one.
    StorageClassMissing,
    /// The StorageClass does not let volumes grow.
    ExpansionUnsupported,
    /// The external listener needs the resource TLSRoute of the Gateway API, which is not installed.
    GatewayApiMissing,
    /// An object of that name exists and belongs to somebody else.
    NameTaken,
    /// Pods are being started.
    Starting,
    /// No node has room for a pod, or a volume waits for a node.
    Unschedulable,
    /// The image cannot be pulled.
    ImagePullFailed,
    /// A container ends again and again.
    CrashLooping,
    /// A pod runs and is not ready yet.
    NotReady,
    /// Kubernetes has not chosen a node port yet.
    WaitingForNodePort,
    /// The load balancer has no address yet.
    WaitingForLoadBalancer,
    /// The Gateway has not taken a TLSRoute; the message is its own.
    WaitingForGateway,
    /// A volume grows.
    ExpandingVolume,
    /// Members are restarted one at a time, because what they run differs from the spec.
    Rolling,
    /// The next member may not be restarted now; `status.blockedBy` has the broker's own reasons.
    RestartUnsafe,
    /// A member was restarted and has not caught up.
    CatchingUp,
    /// The broker does not answer the question whether it may be restarted.
    ProbeUnanswered,
    /// Pods are ending.
    Stopping,
    /// A pod mounts a volume that is to be deleted.
    VolumeInUse,
    /// A Job removes what the cluster has put into its bucket; `status.blockedBy` says why it does not get on.
    PurgingBucket,
    /// A certificate is being replaced.
    RotatingCertificates,
    /// A certificate ends soon or has ended.
    CertificateExpiring,
    /// The API server refused an object; the message is its own.
    ApplyFailed,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
