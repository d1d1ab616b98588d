-- One text for SQLite and PostgreSQL. Times are microseconds since 1970; ids are text with their prefix.

CREATE TABLE installation (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    epoch BIGINT NOT NULL,
    secrets_check BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    display_name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE users (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    UNIQUE (id)
);

CREATE TABLE environments (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    UNIQUE (id),
    UNIQUE (organization_id, display_name)
);
CREATE INDEX environments_in_order ON environments (organization_id, created_at, id);

CREATE TABLE service_accounts (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    UNIQUE (id),
    UNIQUE (organization_id, display_name)
);
CREATE INDEX service_accounts_in_order ON service_accounts (organization_id, created_at, id);

-- An empty cloud and region: the agent serves every region.
CREATE TABLE physical_clusters (
    id TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL,
    cloud TEXT NOT NULL,
    region TEXT NOT NULL,
    generation BIGINT NOT NULL,
    observed_generation BIGINT NOT NULL,
    phase TEXT NOT NULL,
    message TEXT NOT NULL,
    kafka_bootstrap_endpoint TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (agent_id, cloud, region)
);

CREATE TABLE logical_clusters (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    environment_id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    availability TEXT NOT NULL,
    cloud TEXT NOT NULL,
    region TEXT NOT NULL,
    kind TEXT NOT NULL,
    phase TEXT NOT NULL,
    physical_cluster_id TEXT REFERENCES physical_clusters (id),
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    UNIQUE (id),
    UNIQUE (organization_id, environment_id, display_name),
    FOREIGN KEY (organization_id, environment_id) REFERENCES environments (organization_id, id)
);
CREATE INDEX logical_clusters_in_order ON logical_clusters (organization_id, environment_id, created_at, id);
CREATE INDEX logical_clusters_by_physical_cluster ON logical_clusters (physical_cluster_id, id);
-- Nearly empty: what the background task looks at after each acknowledgement.
CREATE INDEX logical_clusters_provisioning ON logical_clusters (created_at, id) WHERE phase = 'PROVISIONING';

-- A Cloud key has no cluster. Exactly one of the two owners is set.
CREATE TABLE api_keys (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    owner_service_account_id TEXT,
    owner_user_id TEXT,
    cluster_id TEXT,
    display_name TEXT NOT NULL,
    description TEXT NOT NULL,
    secret_hmac BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    UNIQUE (id),
    CHECK ((owner_service_account_id IS NULL) <> (owner_user_id IS NULL)),
    FOREIGN KEY (organization_id, owner_service_account_id) REFERENCES service_accounts (organization_id, id),
    FOREIGN KEY (organization_id, owner_user_id) REFERENCES users (organization_id, id),
    FOREIGN KEY (organization_id, cluster_id) REFERENCES logical_clusters (organization_id, id)
);
CREATE INDEX api_keys_in_order ON api_keys (organization_id, created_at, id);
CREATE INDEX api_keys_by_service_account ON api_keys (organization_id, owner_service_account_id);
CREATE INDEX api_keys_by_cluster ON api_keys (cluster_id, id);

-- The revision counter of each physical cluster. Its row lock puts the writers of one physical cluster in line, so
-- that whoever has seen a revision has seen all before it.
CREATE TABLE shard_heads (
    physical_cluster_id TEXT PRIMARY KEY REFERENCES physical_clusters (id),
    revision BIGINT NOT NULL
);

-- The events of one revision, encoded as the message Delta of the fleet protocol.
CREATE TABLE config_events (
    physical_cluster_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    payload BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (physical_cluster_id, revision)
);

-- What brokers connected to any replica of the control plane have acknowledged. Only used on PostgreSQL.
CREATE TABLE broker_sessions (
    session_id TEXT PRIMARY KEY,
    replica_id TEXT NOT NULL,
    physical_cluster_id TEXT NOT NULL,
    broker_id BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);
CREATE INDEX broker_sessions_by_physical_cluster ON broker_sessions (physical_cluster_id);

CREATE TABLE idempotency_keys (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    principal TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_hash BYTEA NOT NULL,
    created_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, principal, idempotency_key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
