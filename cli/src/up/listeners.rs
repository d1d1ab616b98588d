//! The ports of `millstream up`, bound before anything is started.
//!
//! Promises that a port which cannot be had is named with the flag that changes it. Never closes a port that was
//! bound: the listeners are handed on as they are.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use crate::failure::Failure;

/// The bound ports.
pub struct Listeners {
    /// For Kafka clients.
    pub kafka: TcpListener,
    /// For the REST API.
    pub http: TcpListener,
    /// For the fleet protocol; this machine only.
    pub fleet: TcpListener,
    /// For the broker's own HTTP interface; this machine only.
    pub broker_http: TcpListener,
    /// For the S3 server; this machine only.
    pub object_store: TcpListener,
}

impl Listeners {
    /// Binds all of them or none.
    pub fn bind(address: IpAddr, kafka_port: u16, http_port: u16) -> Result<Self, Failure> {
        let same_port = kafka_port == http_port && kafka_port != 0;
        if same_port {
            return Err(Failure::usage(format!("--kafka-port and --http-port are both {kafka_port}")));
        }
        Ok(Self {
            kafka: bind(address, kafka_port, "Kafka clients", "--kafka-port")?,
            http: bind(address, http_port, "the REST API", "--http-port")?,
            fleet: bind_loopback()?,
            broker_http: bind_loopback()?,
            object_store: bind_loopback()?,
        })
    }
}

fn bind(address: IpAddr, port: u16, purpose: &str, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind((address, port)).map_err(|error| {
        let wanted = SocketAddr::new(address, port);
        match error.kind() {
            io::ErrorKind::AddrInUse => Failure::failed(format!("port {port} for {purpose} is in use on {address}"))
                .suggest(format!("stop what uses it, or choose another port with {flag}")),
            io::ErrorKind::PermissionDenied => {
                Failure::failed(format!("port {port} for {purpose} is not allowed for this user"))
                    .suggest(format!("choose a port above 1023 with {flag}"))
            }
            io::ErrorKind::AddrNotAvailable => Failure::failed(format!("{address} is not an address of this machine"))
                .suggest("choose another address with --bind"),
            _ => Failure::failed(format!("cannot listen on {wanted} for {purpose}: {error}"))
                .suggest(format!("choose another address with --bind or another port with {flag}")),
        }
    })
}

fn bind_loopback() -> Result<TcpListener, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .map_err(|error| Failure::failed(format!("cannot listen on the loopback interface: {error}")))
}

/// The port that a listener has.
pub fn port_of(listener: &TcpListener) -> Result<u16, Failure> {
    let address = listener.local_addr();
    address.map(|address| address.port()).map_err(|error| Failure::failed(format!("cannot ask for a port: {error}")))
}

/// `host:port`, with brackets around an IPv6 address.
pub fn host_and_port(host: &str, port: u16) -> String {
    let is_ipv6 = host.contains(':');
    if is_ipv6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_its_flag() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
        let port = taken.local_addr().expect("address").port();
        for (kafka, http, flag) in [(port, 0, "--kafka-port"), (0, port, "--http-port")] {
            let Err(failure) = Listeners::bind(Ipv4Addr::LOCALHOST.into(), kafka, http) else { panic!("bound twice") };
            let text = failure.to_string();
            assert!(text.contains(&port.to_string()) && text.contains(flag), "{text}");
        }
    }

    #[test]
    fn an_ipv6_host_has_brackets() {
        assert_eq!(host_and_port("::1", 9092), "[::1]:9092");
        assert_eq!(host_and_port("localhost", 9092), "localhost:9092");
    }
}
