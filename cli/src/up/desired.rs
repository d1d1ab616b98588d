//! What the control plane asked the local agent for last, one file per physical cluster.
//!
//! ```text
//! <data>/agent/desired.json   the shared physical cluster
//! <data>/agent/pkc-….json     a dedicated one
//! ```
//!
//! Promises that a broker can start from it without a control plane, at the port where its clients look for it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use millstream_api::ids::PhysicalClusterId;
use serde::{Deserialize, Serialize};

use crate::credentials::write_private_file;

const SHARED_FILE: &str = "desired.json";

/// One physical cluster that shall run here. Has no `Debug`: it holds a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    pub physical_cluster_id: PhysicalClusterId,
    pub generation: u64,
    pub broker_token: String,
    /// The only logical cluster that it hosts; empty for the shared one.
    #[serde(default)]
    pub dedicated_to: String,
    /// Where clients of a dedicated one connect; 0 before its first start and for the shared one.
    #[serde(default)]
    pub kafka_port: u16,
}

impl Desired {
    fn file(&self, folder: &Path) -> PathBuf {
        match self.dedicated_to.is_empty() {
            true => folder.join(SHARED_FILE),
            false => dedicated_file(folder, &self.physical_cluster_id),
        }
    }

    /// Keeps it, if it is not kept already.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        let file = self.file(folder);
        let unchanged = load(&file).ok().flatten().is_some_and(|saved| saved == *self);
        if unchanged {
            return Ok(());
        }
        write_private_file(&file, &serde_json::to_vec_pretty(self)?)
    }
}

/// The shared physical cluster.
pub fn load_shared(folder: &Path) -> io::Result<Option<Desired>> {
    load(&folder.join(SHARED_FILE))
}

/// Every dedicated physical cluster, in the order of their ids.
pub fn load_dedicated(folder: &Path) -> io::Result<Vec<Desired>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let id = path.file_stem().and_then(|stem| stem.to_str()).map(str::parse::<PhysicalClusterId>);
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        if is_json && matches!(id, Some(Ok(_))) {
            found.extend(load(&path)?);
        }
    }
    found.sort_by(|one, other| one.physical_cluster_id.cmp(&other.physical_cluster_id));
    Ok(found)
}

/// Forgets the shared physical cluster.
pub fn forget_shared(folder: &Path) -> io::Result<()> {
    forget(&folder.join(SHARED_FILE))
}

/// Forgets a dedicated physical cluster.
pub fn forget_dedicated(folder: &Path, id: &PhysicalClusterId) -> io::Result<()> {
    forget(&dedicated_file(folder, id))
}

fn dedicated_file(folder: &Path, id: &PhysicalClusterId) -> PathBuf {
    folder.join(format!("{id}.json"))
}

fn load(file: &Path) -> io::Result<Option<Desired>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn forget(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desired(id: &str, dedicated_to: &str) -> Desired {
        Desired {
            physical_cluster_id: id.parse().expect("an id"),
            generation: 3,
            broker_token: "token".into(),
            dedicated_to: dedicated_to.into(),
            kafka_port: 0,
        }
    }

    #[test]
    fn what_was_asked_for_survives_a_restart_until_it_is_deleted() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(load_shared(folder.path()).expect("read").is_none());
        let shared = desired("pkc-abc", "");
        shared.save(folder.path()).expect("saved");
        assert!(load_shared(folder.path()).expect("read").is_some_and(|loaded| loaded == shared));
        forget_shared(folder.path()).expect("forgotten");
        forget_shared(folder.path()).expect("forgotten twice");
        assert!(load_shared(folder.path()).expect("read").is_none());
    }

    #[test]
    fn dedicated_ones_are_kept_beside_the_shared_one() {
        let folder = tempfile::tempdir().expect("folder");
        for (id, dedicated_to) in [("pkc-shared", ""), ("pkc-b", "lkc-b"), ("pkc-a", "lkc-a")] {
            desired(id, dedicated_to).save(folder.path()).expect("saved");
        }
        let ids = || -> Vec<String> {
            let loaded = load_dedicated(folder.path()).expect("read");
            loaded.iter().map(|desired| desired.physical_cluster_id.to_string()).collect()
        };
        assert_eq!(ids(), ["pkc-a", "pkc-b"]);
        forget_dedicated(folder.path(), &"pkc-a".parse().expect("an id")).expect("forgotten");
        assert_eq!(ids(), ["pkc-b"]);
        assert!(load_shared(folder.path()).expect("read").is_some());
    }

    #[test]
    fn a_file_of_an_earlier_version_is_the_shared_one() {
        let folder = tempfile::tempdir().expect("folder");
        let old = r#"{"physical_cluster_id":"pkc-abc","generation":1,"broker_token":"token"}"#;
        fs::write(folder.path().join(SHARED_FILE), old).expect("written");
        let loaded = load_shared(folder.path()).expect("read").expect("it is there");
        assert!(loaded.dedicated_to.is_empty());
    }
}
