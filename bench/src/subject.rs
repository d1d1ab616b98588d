//! The systems that are compared, each as its users would start it.
use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use millstream_e2e::kafka::{ApacheKafka, Settings};
use millstream_e2e::millstream::Millstream;
use millstream_e2e::server::Server;

use crate::connection::{Credentials, Endpoint};
use crate::topic::Topic;
use crate::workbench::Workbench;

const KAFKA_HEAP: &str = "1g";
/// Deleted segments leave the disk before the next run instead of a minute later.
const KAFKA_PROPERTIES: &str = "log.segment.delete.delay.ms=1000\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    ApacheKafka,
    Millstream,
}

impl System {
    pub const ALL: [Self; 2] = [Self::ApacheKafka, Self::Millstream];

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "kafka" => Some(Self::ApacheKafka),
            "millstream" => Some(Self::Millstream),
            _ => None,
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ApacheKafka => "Apache Kafka",
            Self::Millstream => "Millstream",
        })
    }
}

/// A running system on an empty data directory; stopped when dropped.
pub struct Subject {
    pub system: System,
    pub server: Box<dyn Server>,
    pub endpoint: Endpoint,
    /// For Java clients.
    pub client_properties: PathBuf,
    /// What the report prints: configuration files and options.
    pub settings: String,
}

impl Subject {
    pub fn start(system: System, workbench: &Workbench) -> Result<Self> {
        eprintln!("  starting {system}");
        match system {
            System::ApacheKafka => Self::start_kafka(workbench),
            System::Millstream => Self::start_millstream(workbench),
        }
    }

    /// Each system that the caller asked for.
    pub fn start_all(workbench: &Workbench) -> Result<Vec<Self>> {
        workbench.systems.iter().map(|system| Self::start(*system, workbench)).collect()
    }

    fn start_kafka(workbench: &Workbench) -> Result<Self> {
        let kafka = ApacheKafka::start_with(Settings {
            jars: workbench.jars.clone(),
            log4j: workbench.context.e2e_dir("kafka").join("log4j2.xml"),
            log: workbench.context.log.clone(),
            heap: KAFKA_HEAP.to_owned(),
            extra_properties: KAFKA_PROPERTIES.to_owned(),
        })?;
        let endpoint = Endpoint { address: kafka.plain_bootstrap().to_owned(), credentials: None };
        let client_properties = workbench.logs.join("apache-kafka.client.properties");
        std::fs::write(&client_properties, format!("bootstrap.servers={}\n", endpoint.address))?;
        let properties = std::fs::read_to_string(kafka.properties_file())?;
        // The password guards nothing, but reports show none.
        let shown = properties.lines().filter(|line| !line.contains("jaas")).collect::<Vec<_>>().join("\n");
        Ok(Self { system: System::ApacheKafka, server: Box::new(kafka), endpoint, client_properties, settings: shown })
    }

    fn start_millstream(workbench: &Workbench) -> Result<Self> {
        let millstream = Millstream::start_binary(&workbench.binary, &workbench.context.log)?;
        millstream.make_standard()?;
        let access = millstream.access();
        let credentials = Credentials { key: access.api_key.clone(), secret: access.api_secret.clone() };
        let endpoint = Endpoint { address: access.bootstrap_servers.clone(), credentials: Some(credentials) };
        let client_properties = workbench.logs.join("millstream.client.properties");
        access.write_java_properties(&client_properties)?;
        let settings = "A Standard cluster; everything else at its default, no configuration file.".to_owned();
        Ok(Self { system: System::Millstream, server: Box::new(millstream), endpoint, client_properties, settings })
    }

    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<Topic> {
        Topic::create(&self.endpoint, name, partitions)
    }
}
