//! From `broker.toml` to a broker's configuration: reads the file and the secrets that it names, binds the sockets.
//!
//! Promises: a failure names the file, the field and what to do; no secret is in it.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use millstream_api::broker_file::{self, BrokerFile};
use millstream_broker::config::{
    BrokerConfig, ClientCertificate, FleetEndpoint, KafkaListener, ObjectStoreConfig, ObjectStoreCredentials,
    TokenSource,
};
use rustls::ServerConfig;

use crate::failure::Failure;
use crate::secret_file::{read, read_secret};
use crate::server_tls::ServerTls;

/// Reads and checks the file.
pub fn load(path: &Path) -> Result<BrokerFile, Failure> {
    let text = read(path)?;
    let unusable = |reason: String| Failure::usage(format!("cannot use {}: {reason}", path.display()));
    let file: BrokerFile = toml::from_str(&text).map_err(|error| {
        let suggestion = "docs/cli.md lists the fields of this file";
        unusable(error.to_string().trim_end().to_string()).suggest(suggestion)
    })?;
    file.check().map_err(|error| unusable(format!("{} {}", error.field, error.problem)).suggest(error.remedy))?;
    Ok(file)
}

/// The certificates of the listeners, in their order.
pub fn load_certificates(file: &BrokerFile) -> Result<Vec<Option<ServerTls>>, Failure> {
    let load = |tls: &broker_file::Tls| ServerTls::load(&tls.certificate_file, &tls.key_file);
    file.listeners.iter().map(|listener| listener.tls.as_ref().map(load).transpose()).collect()
}

/// Looks at what only the start would find otherwise: that secrets can be read.
pub fn check_secrets(file: &BrokerFile) -> Result<(), Failure> {
    if let Some(fleet) = &file.fleet {
        let files = [&fleet.ca_file, &fleet.client_certificate_file, &fleet.client_key_file];
        for file in files.into_iter().flatten() {
            read(file)?;
        }
        read_secret(&fleet.token_file)?;
    }
    object_store(file).map(|_| ())
}

/// Binds the sockets.
pub fn open(file: BrokerFile, certificates: &[Option<ServerTls>]) -> Result<BrokerConfig, Failure> {
    let object_store = object_store(&file)?;
    let mut listeners = Vec::with_capacity(file.listeners.len());
    for (index, (listener, tls)) in file.listeners.into_iter().zip(certificates).enumerate() {
        let socket = bind(listener.bind, &format!("listeners[{index}].bind"))?;
        let bound_port = socket.local_addr().map(|address| address.port());
        let bound_port = bound_port.map_err(|error| Failure::failed(format!("cannot ask for a port: {error}")))?;
        listeners.push(KafkaListener {
            name: listener.name,
            socket,
            advertised_host: listener.advertised_host,
            advertised_port: listener.advertised_port.unwrap_or(bound_port),
            tls: tls.as_ref().map(|tls| -> Arc<ServerConfig> { tls.config() }),
        });
    }
    Ok(BrokerConfig {
        physical_cluster_id: file.physical_cluster_id,
        broker_id: file.broker_id,
        data_dir: file.data_dir,
        listeners,
        http_listener: bind(file.http.bind, "http.bind")?,
        open_metrics: file.http.open_metrics,
        fleet: file.fleet.map(fleet_endpoint),
        object_store,
        default_partitions: file.defaults.partitions,
        auto_create_topics: file.defaults.auto_create_topics,
        initial_rebalance_delay_ms: file.defaults.initial_rebalance_delay_ms,
    })
}

fn fleet_endpoint(fleet: broker_file::Fleet) -> FleetEndpoint {
    let client_certificate = fleet.client_certificate_file.zip(fleet.client_key_file);
    FleetEndpoint {
        url: fleet.url,
        token: TokenSource::File(fleet.token_file),
        ca_file: fleet.ca_file,
        client_certificate: client_certificate
            .map(|(certificate_file, key_file)| ClientCertificate { certificate_file, key_file }),
    }
}

/// The bucket, with its credentials read.
pub fn object_store(file: &BrokerFile) -> Result<Option<ObjectStoreConfig>, Failure> {
    let Some(store) = &file.object_store else { return Ok(None) };
    let credentials = match (&store.access_key_id_file, &store.secret_access_key_file) {
        (Some(id), Some(secret)) => {
            // The broker reads them again at every request; what cannot be read is said now.
            read_secret(id)?;
            read_secret(secret)?;
            Some(ObjectStoreCredentials::Files { access_key_id: id.clone(), secret_access_key: secret.clone() })
        }
        _ => None,
    };
    Ok(Some(ObjectStoreConfig {
        bucket: store.bucket.clone(),
        prefix: store.prefix.clone(),
        endpoint_url: store.endpoint.clone(),
        region: store.region.clone(),
        credentials,
        force_path_style: store.path_style,
    }))
}

fn bind(address: SocketAddr, field: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        Failure::failed(format!("cannot listen on {address}: {error}"))
            .suggest(format!("choose another address or port as {field} of the configuration file"))
    })
}
