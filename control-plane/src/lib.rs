//! Organizations, environments, clusters and keys: the REST API, its store, and the fleet protocol.
