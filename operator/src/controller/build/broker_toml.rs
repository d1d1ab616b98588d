//! The configuration file of one broker, as `millstream broker --config` reads it. Secrets are named by their files.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use millstream_api::broker_file::{BrokerFile, Defaults, Fleet, Http, Listener, ObjectStore, Tls};
use millstream_api::ids::ParseIdError;

use super::Inputs;
use super::pod::{CONTROL_PLANE_FOLDER, DATA_FOLDER, EXTERNAL_TLS_FOLDER, OBJECT_STORE_FOLDER, TLS_FOLDER};
use crate::controller::names::{EXTERNAL_PORT, HTTP_PORT, INTERNAL_PORT};
use crate::crd::status::Node;

/// Renders the file of one member.
pub fn render(inputs: &Inputs<'_>, node: &Node) -> String {
    let file = file(inputs, node).expect("the schema checks the id of the physical cluster");
    toml::to_string(&file).expect("a configuration is TOML: it has no map with other keys than text")
}

/// The file as the broker's own type, so that what is written here is what is read there.
pub fn file(inputs: &Inputs<'_>, node: &Node) -> Result<BrokerFile, ParseIdError> {
    let spec = &inputs.cluster.spec;
    let mut listeners = vec![Listener {
        name: "INTERNAL".to_owned(),
        bind: everywhere(INTERNAL_PORT),
        advertised_host: inputs.names.internal_broker_host(node),
        advertised_port: Some(INTERNAL_PORT),
        tls: Some(tls(TLS_FOLDER)),
    }];
    if inputs.has_external() {
        let given = inputs.external_certificate.is_some();
        listeners.push(Listener {
            name: "EXTERNAL".to_owned(),
            bind: everywhere(EXTERNAL_PORT),
            advertised_host: inputs.names.external_broker_host(node.id),
            advertised_port: Some(inputs.external_port(node.id)),
            tls: Some(tls(if given { EXTERNAL_TLS_FOLDER } else { TLS_FOLDER })),
        });
    }
    let broker_defaults = Defaults::default();
    Ok(BrokerFile {
        physical_cluster_id: spec.physical_cluster_id.parse()?,
        broker_id: node.id,
        data_dir: DATA_FOLDER.into(),
        http: Http { bind: everywhere(HTTP_PORT), open_metrics: spec.monitoring.pod_monitor },
        fleet: fleet(inputs),
        object_store: object_store(inputs),
        defaults: Defaults {
            partitions: spec.config.default_partitions.unwrap_or(broker_defaults.partitions),
            auto_create_topics: spec.config.auto_create_topics.unwrap_or(broker_defaults.auto_create_topics),
            initial_rebalance_delay_ms: spec
                .config
                .initial_rebalance_delay_ms
                .unwrap_or(broker_defaults.initial_rebalance_delay_ms),
        },
        listeners,
    })
}

fn everywhere(port: u16) -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, port).into()
}

fn tls(folder: &str) -> Tls {
    Tls { certificate_file: inside(folder, "tls.crt"), key_file: inside(folder, "tls.key") }
}

fn fleet(inputs: &Inputs<'_>) -> Option<Fleet> {
    let control_plane = inputs.cluster.spec.control_plane.as_ref()?;
    Some(Fleet {
        url: control_plane.endpoint.clone(),
        token_file: inside(CONTROL_PLANE_FOLDER, "token"),
        ca_file: control_plane.ca_secret_ref.as_ref().map(|_| inside(CONTROL_PLANE_FOLDER, "ca.crt")),
        client_certificate_file: None,
        client_key_file: None,
        insecure: control_plane.insecure,
    })
}

fn object_store(inputs: &Inputs<'_>) -> Option<ObjectStore> {
    let spec = &inputs.cluster.spec;
    let store = spec.object_store.as_ref()?;
    let key_file = |name: &str| store.credentials.existing_secret.as_ref().map(|_| inside(OBJECT_STORE_FOLDER, name));
    Some(ObjectStore {
        bucket: store.bucket.clone(),
        prefix: store.prefix.clone().unwrap_or_else(|| spec.physical_cluster_id.clone()),
        region: store.region.clone(),
        endpoint: store.endpoint.clone(),
        path_style: store.path_style,
        access_key_id_file: key_file("access-key-id"),
        secret_access_key_file: key_file("secret-access-key"),
    })
}

fn inside(folder: &str, file: &str) -> PathBuf {
    Path::new(folder).join(file)
}
