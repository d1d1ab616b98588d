-- Byte rates of principals in one cluster. `principals` has their ids in the order sent, separated by spaces.
CREATE TABLE client_quotas (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    cluster_id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    description TEXT NOT NULL,
    ingress_byte_rate BIGINT NOT NULL,
    egress_byte_rate BIGINT NOT NULL,
    principals TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    UNIQUE (id),
    FOREIGN KEY (organization_id, cluster_id) REFERENCES logical_clusters (organization_id, id)
);
CREATE INDEX client_quotas_in_order ON client_quotas (organization_id, cluster_id, created_at, id);
CREATE INDEX client_quotas_by_cluster ON client_quotas (cluster_id, id);

-- A principal has one quota in a cluster at most.
CREATE TABLE client_quota_principals (
    organization_id TEXT NOT NULL,
    cluster_id TEXT NOT NULL,
    principal TEXT NOT NULL,
    client_quota_id TEXT NOT NULL,
    PRIMARY KEY (organization_id, cluster_id, principal),
    FOREIGN KEY (organization_id, client_quota_id) REFERENCES client_quotas (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX client_quota_principals_by_quota ON client_quota_principals (organization_id, client_quota_id);
