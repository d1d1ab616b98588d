//! The Kafka broker: network, one file per Kafka API, coordinators, authentication, HTTP.
