//! Makes the objects what they should be, and removes those that nothing asks for any more.

use std::collections::BTreeSet;

use super::build::Objects;
use super::gather::Gathered;
use super::kinds::Kind;
use crate::kubernetes::Kubernetes;

/// Why not everything could be applied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is a {kind:?} {name} that belongs to somebody else: rename it or this resource")]
    NameTaken { kind: Kind, name: String },
    #[error("the API server refuses the {kind:?} {name}")]
    Refused { kind: Kind, name: String, source: kube::Error },
    #[error("the API server does not answer")]
    Unreachable(#[from] kube::Error),
}

/// Applies everything in order, then prunes. A StatefulSet whose claims are to grow is left to `step`.
///
/// # Errors
///
/// At the first object that cannot be applied; what comes after it is left as it is.
pub async fn apply(
    kubernetes: &Kubernetes,
    gathered: &Gathered,
    objects: &Objects,
    outgrown: &[String],
) -> Result<(), Error> {
    for (kind, object) in objects.in_order() {
        let name = object.metadata.name.clone().unwrap_or_default();
        if kind == Kind::StatefulSet && outgrown.contains(&name) {
            continue;
        }
        let resource = gathered.served.resource(kind);
        if gathered.child(kind, &name).is_none() && kubernetes.get_kind(&resource, &name).await?.is_some() {
            return Err(Error::NameTaken { kind, name });
        }
        match kubernetes.apply(&resource, object).await {
            Ok(()) => {}
            Err(source @ kube::Error::Api(_)) => return Err(Error::Refused { kind, name, source }),
            Err(error) => return Err(Error::Unreachable(error)),
        }
    }
    prune(kubernetes, gathered, objects).await?;
    Ok(())
}

/// Removes our own objects that are not wanted any more. StatefulSets are never among them, for a pool cannot be removed,
/// nor is the certificate authority, which is always wanted.
async fn prune(kubernetes: &Kubernetes, gathered: &Gathered, objects: &Objects) -> kube::Result<()> {
    let wanted: BTreeSet<(Kind, &str)> = objects
        .in_order()
        .into_iter()
        .map(|(kind, object)| (kind, object.metadata.name.as_deref().unwrap_or_default()))
        .collect();
    for (kind, object) in &gathered.children {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        // While a node port is not chosen, the configuration and the StatefulSet are not described: they stay.
        let may_go = !matches!(kind, Kind::StatefulSet | Kind::ConfigMap);
        if may_go && !wanted.contains(&(*kind, name)) {
            kubernetes.delete_kind(&gathered.served.resource(*kind), object).await?;
        }
    }
    Ok(())
}
