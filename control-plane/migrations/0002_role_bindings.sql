-- Who may do what. The principal is a user or a service account. Where the role is bound is `crn_pattern` in its
-- canonical form; the ids in it stand beside it, so that a binding cannot outlive what it is bound to.
CREATE TABLE role_bindings (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    id TEXT NOT NULL,
    principal_service_account_id TEXT,
    principal_user_id TEXT,
    role_name TEXT NOT NULL,
    crn_pattern TEXT NOT NULL,
    environment_id TEXT,
    cluster_id TEXT,
    service_account_id TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    UNIQUE (id),
    CHECK ((principal_service_account_id IS NULL) <> (principal_user_id IS NULL)),
    FOREIGN KEY (organization_id, principal_service_account_id) REFERENCES service_accounts (organization_id, id),
    FOREIGN KEY (organization_id, principal_user_id) REFERENCES users (organization_id, id),
    FOREIGN KEY (organization_id, environment_id) REFERENCES environments (organization_id, id),
    FOREIGN KEY (organization_id, cluster_id) REFERENCES logical_clusters (organization_id, id),
    FOREIGN KEY (organization_id, service_account_id) REFERENCES service_accounts (organization_id, id)
);
CREATE UNIQUE INDEX role_bindings_once ON role_bindings
    (organization_id, COALESCE(principal_service_account_id, principal_user_id), role_name, crn_pattern);
CREATE INDEX role_bindings_in_order ON role_bindings (organization_id, created_at, id);
CREATE INDEX role_bindings_by_environment ON role_bindings (organization_id, environment_id);
CREATE INDEX role_bindings_by_cluster ON role_bindings (organization_id, cluster_id);
CREATE INDEX role_bindings_by_service_account ON role_bindings (organization_id, service_account_id);

-- Until now each key could do everything. What exists keeps what it had, as bindings that can be seen and deleted:
-- the first user of an organization and the owners of Cloud keys administer it, the owners of Kafka keys their cluster.
INSERT INTO role_bindings (organization_id, id, principal_user_id, role_name, crn_pattern, created_at)
    SELECT organization_id, 'rb-u' || substr(id, 3), id, 'OrganizationAdmin',
        'crn://confluent.cloud/organization=' || organization_id, created_at
    FROM users WHERE NOT EXISTS (
        SELECT 1 FROM users AS earlier WHERE earlier.organization_id = users.organization_id
        AND (earlier.created_at, earlier.id) < (users.created_at, users.id));
INSERT INTO role_bindings (organization_id, id, principal_service_account_id, role_name, crn_pattern, created_at)
    SELECT organization_id, 'rb-s' || substr(id, 4), id, 'OrganizationAdmin',
        'crn://confluent.cloud/organization=' || organization_id, created_at
    FROM service_accounts WHERE EXISTS (
        SELECT 1 FROM api_keys WHERE owner_service_account_id = service_accounts.id AND cluster_id IS NULL);
INSERT INTO role_bindings (organization_id, id, principal_service_account_id, role_name, crn_pattern, environment_id,
        cluster_id, created_at)
    SELECT logical_clusters.organization_id, 'rb-k' || substr(owners.owner_id, 4) || substr(logical_clusters.id, 5),
        owners.owner_id, 'CloudClusterAdmin', 'crn://confluent.cloud/organization=' || logical_clusters.organization_id
        || '/environment=' || logical_clusters.environment_id || '/cloud-cluster=' || logical_clusters.id,
        logical_clusters.environment_id, logical_clusters.id, logical_clusters.created_at
    FROM (SELECT DISTINCT owner_service_account_id AS owner_id, cluster_id FROM api_keys
        WHERE owner_service_account_id IS NOT NULL AND cluster_id IS NOT NULL) AS owners
    JOIN logical_clusters ON logical_clusters.id = owners.cluster_id;

-- Brokers must learn of these bindings: another epoch makes each of them ask for everything again.
UPDATE installation SET epoch = epoch + 1;
