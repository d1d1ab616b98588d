//! Kinds that a Kubernetes has, each in the newest version that is both known here and served there.

use std::collections::BTreeMap;

use kube::core::{ApiResource, GroupVersionKind};

use super::kinds::Kind;

/// What every Kubernetes has, and what was found of somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served(BTreeMap<Kind, &'static str>);

impl Served {
    /// What every Kubernetes has.
    pub fn built_in() -> Self {
        let built_in = Kind::ALL.iter().filter(|kind| kind.is_built_in());
        Self(built_in.map(|kind| (*kind, kind.api_versions()[0])).collect())
    }

    /// The same with a kind of somebody else.
    #[must_use]
    pub fn with(mut self, kind: Kind, api_version: &'static str) -> Self {
        self.0.insert(kind, api_version);
        self
    }

    pub fn has(&self, kind: Kind) -> bool {
        self.0.contains_key(&kind)
    }

    /// In the order in which objects are applied.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.0.keys().copied()
    }

    /// The `apiVersion` of objects; the newest that is known here for a kind that is not served.
    pub fn api_version(&self, kind: Kind) -> &'static str {
        self.0.get(&kind).copied().unwrap_or(kind.api_versions()[0])
    }

    /// Where the API server keeps objects of a kind.
    pub fn resource(&self, kind: Kind) -> ApiResource {
        let api_version = self.api_version(kind);
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind.name()), kind.plural())
    }
}
