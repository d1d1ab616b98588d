-- One counter per quota and object; scope_id is empty for the organization. counted_from is 0 for what exists now, else
-- when the day began whose creations are counted. limit_override is set by the operator.
CREATE TABLE quotas (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    code TEXT NOT NULL,
    scope_id TEXT NOT NULL,
    used BIGINT NOT NULL CHECK (used >= 0),
    counted_from BIGINT NOT NULL,
    limit_override BIGINT CHECK (limit_override >= 0),
    PRIMARY KEY (organization_id, code, scope_id)
);

INSERT INTO quotas (organization_id, code, scope_id, used, counted_from)
SELECT organization_id, 'iam.max_environments.per_org', '', COUNT(*), 0 FROM environments GROUP BY organization_id;
INSERT INTO quotas (organization_id, code, scope_id, used, counted_from)
SELECT organization_id, 'iam.max_service_accounts.per_org', '', COUNT(*), 0 FROM service_accounts
GROUP BY organization_id;
INSERT INTO quotas (organization_id, code, scope_id, used, counted_from)
SELECT organization_id, 'iam.max_users.per_org', '', COUNT(*), 0 FROM users GROUP BY organization_id;
INSERT INTO quotas (organization_id, code, scope_id, used, counted_from)
SELECT organization_id, 'iam.max_kafka_clusters.per_org', '', COUNT(*), 0 FROM logical_clusters
GROUP BY organization_id;
INSERT INTO quotas (organization_id, code, scope_id, used, counted_from)
SELECT organization_id, 'kafka.max_kafka_clusters.per_env', environment_id, COUNT(*), 0 FROM logical_clusters
GROUP BY organization_id, environment_id;
INSERT INTO quotas (organization_id, code, scope_id, used, counted_from)
SELECT organization_id, 'kafka.max_pending_kafka_clusters.per_env', environment_id, COUNT(*), 0 FROM logical_clusters
WHERE phase = 'PROVISIONING' GROUP BY organization_id, environment_id;
INSERT INTO quotas (organization_id, code, scope_id, used, counted_from)
SELECT organization_id, 'iam.max_cloud_api_keys.per_org', '', COUNT(*), 0 FROM api_keys
WHERE cluster_id IS NULL GROUP BY organization_id;
INSERT INTO quotas (organization_id, code, scope_id, used, counted_from)
SELECT organization_id, 'kafka.max_api_keys.per_cluster', cluster_id, COUNT(*), 0 FROM api_keys
WHERE cluster_id IS NOT NULL GROUP BY organization_id, cluster_id;
INSERT INTO quotas (organization_id, code, scope_id, used, counted_from)
SELECT organization_id, 'iam.max_cloud_api_keys.per_service_account', owner_service_account_id, COUNT(*), 0
FROM api_keys WHERE cluster_id IS NULL AND owner_service_account_id IS NOT NULL
GROUP BY organization_id, owner_service_account_id;
INSERT INTO quotas (organization_id, code, scope_id, used, counted_from)
SELECT organization_id, 'iam.max_cluster_api_keys.per_service_account', owner_service_account_id, COUNT(*), 0
FROM api_keys WHERE cluster_id IS NOT NULL AND owner_service_account_id IS NOT NULL
GROUP BY organization_id, owner_service_account_id;
INSERT INTO quotas (organization_id, code, scope_id, used, counted_from)
SELECT organization_id, 'iam.max_cloud_api_keys.per_user', owner_user_id, COUNT(*), 0
FROM api_keys WHERE cluster_id IS NULL AND owner_user_id IS NOT NULL GROUP BY organization_id, owner_user_id;
INSERT INTO quotas (organization_id, code, scope_id, used, counted_from)
SELECT organization_id, 'iam.max_cluster_api_keys.per_user', owner_user_id, COUNT(*), 0
FROM api_keys WHERE cluster_id IS NOT NULL AND owner_user_id IS NOT NULL GROUP BY organization_id, owner_user_id;
INSERT INTO quotas (organization_id, code, scope_id, used, counted_from)
SELECT organization_id, 'iam.max_rbac_role_bindings_all_roles.per_org', '', COUNT(*), 0 FROM role_bindings
GROUP BY organization_id;
INSERT INTO quotas (organization_id, code, scope_id, used, counted_from)
SELECT organization_id, 'iam.max_rbac_role_bindings.per_org_plus_envs', '', COUNT(*), 0 FROM role_bindings
WHERE cluster_id IS NULL GROUP BY organization_id;
INSERT INTO quotas (organization_id, code, scope_id, used, counted_from)
SELECT organization_id, 'iam.max_rbac_role_bindings.per_cluster', cluster_id, COUNT(*), 0 FROM role_bindings
WHERE cluster_id IS NOT NULL GROUP BY organization_id, cluster_id;
