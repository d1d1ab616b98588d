//! The committed definition and its page are what the types say.

use std::path::Path;

use super::manifest;
use crate::rights;

/// Below this, `kubectl apply` can keep the whole definition in its annotation.
const MAX_DEFINITION_BYTES: usize = 256 * 1024;

fn check(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let current = committed == expected;
    assert!(current, "{file}: run `UPDATE_GENERATED=1 cargo test -p millstream-operator manifest` and commit it");
}

#[test]
fn the_committed_manifest_is_current() {
    check("charts/millstream-crds/templates/kafkacluster.yaml", &manifest::definition_yaml());
}

#[test]
fn the_committed_manifest_page_is_current() {
    check("docs/kafkacluster.md", &manifest::reference_page());
}

#[test]
fn the_committed_rights_of_the_chart_are_current() {
    check("charts/millstream/generated/role.yaml", &rights::rules_yaml(rights::ROLE));
    check("charts/millstream/generated/cluster-role.yaml", &rights::rules_yaml(rights::CLUSTER_ROLE));
}

#[test]
fn the_manifest_is_kept_when_its_chart_is_uninstalled() {
    assert!(manifest::definition_yaml().contains("helm.sh/resource-policy: keep"));
}

#[test]
fn the_manifest_fits_the_annotation_of_kubectl_apply() {
    assert!(manifest::definition_yaml().len() < MAX_DEFINITION_BYTES);
}
