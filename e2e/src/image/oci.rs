//! The documents of an OCI image archive, and the one that an older `docker load` wants beside them.
//!
//! ```text
//! oci-layout            {"imageLayoutVersion":"1.0.0"}
//! index.json            names the image and its manifest
//! manifest.json         the same for Docker
//! blobs/sha256/HASH     manifest, configuration and layers (tar files, not compressed)
//! ```
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::archive::Archive;
use super::{Image, Layer, USER};

const MEDIA_TYPE: &str = "application/vnd.oci.image";
const EXECUTABLE: u32 = 0o111;

/// The whole archive.
pub fn archive(image: &Image) -> Result<Vec<u8>> {
    let Some((_, tag)) = image.name.rsplit_once(':') else { bail!("the image {} has no tag", image.name) };
    let layers = image.layers.iter().map(|files| Ok(Blob::new(layer(files)?))).collect::<Result<Vec<_>>>()?;
    let configuration = Blob::new(bytes(&json!({
        "architecture": architecture()?,
        "os": "linux",
        "config": {"User": USER, "Entrypoint": [image.entrypoint]},
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(Blob::digest).collect::<Vec<_>>()},
    })));
    let manifest = Blob::new(bytes(&json!({
        "schemaVersion": 2,
        "mediaType": format!("{MEDIA_TYPE}.manifest.v1+json"),
        "config": configuration.descriptor("config.v1+json"),
        "layers": layers.iter().map(|layer| layer.descriptor("layer.v1.tar")).collect::<Vec<_>>(),
    })));
    let mut entry = manifest.descriptor("manifest.v1+json");
    entry["platform"] = json!({"architecture": architecture()?, "os": "linux"});
    entry["annotations"] = json!({"io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": tag});
    let index = json!({"schemaVersion": 2, "mediaType": format!("{MEDIA_TYPE}.index.v1+json"), "manifests": [entry]});
    let for_docker = json!([{
        "Config": configuration.path(),
        "RepoTags": [image.name],
        "Layers": layers.iter().map(Blob::path).collect::<Vec<_>>(),
    }]);

    let mut archive = Archive::default();
    archive.add_file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    archive.add_file("index.json", 0o644, &bytes(&index))?;
    archive.add_file("manifest.json", 0o644, &bytes(&for_docker))?;
    // Two layers may be the same blob.
    let blobs: BTreeMap<String, &Blob> =
        layers.iter().chain([&configuration, &manifest]).map(|blob| (blob.path(), blob)).collect();
    for (path, blob) in blobs {
        archive.add_file(&path, 0o644, &blob.bytes)?;
    }
    Ok(archive.finish())
}

/// Bytes under their hash, which takes long enough to be computed once.
struct Blob {
    bytes: Vec<u8>,
    hash: String,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        let hash = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { bytes, hash }
    }

    fn digest(&self) -> String {
        format!("sha256:{}", self.hash)
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.hash)
    }

    fn descriptor(&self, kind: &str) -> Value {
        json!({"mediaType": format!("{MEDIA_TYPE}.{kind}"), "digest": self.digest(), "size": self.bytes.len()})
    }
}

/// The tar file of a layer, folders before what is in them.
fn layer(layer: &Layer) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    let paths = layer.files.iter().map(|(path, _)| path).chain(&layer.folders);
    let parents: BTreeSet<&str> = paths.flat_map(|path| parents(path.trim_start_matches('/'))).collect();
    for parent in parents {
        archive.add_folder(parent, 0o755)?;
    }
    for folder in &layer.folders {
        archive.add_folder(folder.trim_start_matches('/'), 0o1777)?;
    }
    let files: BTreeMap<_, _> =
        layer.files.iter().map(|(path, source)| (path.trim_start_matches('/'), source)).collect();
    for (path, source) in files {
        let contents = std::fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
        let executable = source.metadata()?.permissions().mode() & EXECUTABLE != 0;
        archive.add_file(path, if executable { 0o755 } else { 0o644 }, &contents)?;
    }
    Ok(archive.finish())
}

/// `a` and `a/b` for `a/b/c`.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

/// As images call the processor of this machine.
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("there are no images for the processor {other}"),
    }
}

fn bytes(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn image(directory: &Path, contents: &str) -> Image {
        let program = directory.join("program");
        std::fs::write(&program, contents).unwrap();
        let layer = Layer { files: vec![("/bin/program".into(), program)], folders: vec!["/tmp".into()] };
        Image { name: "example.test/program:1".into(), entrypoint: "/bin/program".into(), layers: vec![layer] }
    }

    fn contains(haystack: &[u8], needle: &str) -> bool {
        haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
    }

    #[test]
    fn the_same_files_give_the_same_bytes_and_others_do_not() {
        let [one, same, other] = ["a", "a", "b"].map(|contents| {
            let directory = tempfile::tempdir().unwrap();
            archive(&image(directory.path(), contents)).unwrap()
        });
        assert_eq!(one, same);
        assert_ne!(one, other);
    }

    #[test]
    fn the_image_has_its_name_and_a_user_that_is_not_root() {
        let directory = tempfile::tempdir().unwrap();
        let bytes = archive(&image(directory.path(), "a")).unwrap();
        assert!(contains(&bytes, r#""User":"65532:65532""#));
        assert!(contains(&bytes, r#""io.containerd.image.name":"example.test/program:1""#));
        assert!(contains(&bytes, r#""RepoTags":["example.test/program:1"]"#));
    }

    #[test]
    fn a_name_without_a_tag_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let image = Image { name: "program".into(), ..image(directory.path(), "a") };
        assert!(archive(&image).is_err());
    }
}
