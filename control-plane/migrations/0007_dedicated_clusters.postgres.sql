-- A physical cluster may belong to one logical cluster; one place of an agent has one shared physical cluster.
ALTER TABLE physical_clusters ADD COLUMN dedicated_to TEXT NOT NULL DEFAULT '';
ALTER TABLE physical_clusters ADD COLUMN ckus BIGINT NOT NULL DEFAULT 0;
ALTER TABLE physical_clusters ADD COLUMN phase_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE physical_clusters DROP CONSTRAINT physical_clusters_agent_id_cloud_region_key;
UPDATE physical_clusters SET phase = 'FAILED' WHERE phase = 'DELETED';
UPDATE physical_clusters SET phase_since = created_at;
CREATE UNIQUE INDEX physical_clusters_of_agent ON physical_clusters (agent_id, cloud, region, dedicated_to);
-- Nearly empty: what is on its way, and must not be for too long.
CREATE INDEX physical_clusters_on_their_way ON physical_clusters (phase_since, id)
    WHERE phase IN ('PROVISIONING', 'DELETING');

-- When an agent was seen last at any replica, by the clock of the database. Only used on PostgreSQL.
CREATE TABLE agents (
    id TEXT PRIMARY KEY,
    seen_at BIGINT NOT NULL
);

-- Why a logical cluster is not ready, for its owner.
ALTER TABLE logical_clusters ADD COLUMN message TEXT NOT NULL DEFAULT '';
ALTER TABLE logical_clusters ADD COLUMN phase_since BIGINT NOT NULL DEFAULT 0;
UPDATE logical_clusters SET phase_since = created_at;
UPDATE logical_clusters SET phase = 'PLACING' WHERE phase = 'PROVISIONING' AND physical_cluster_id IS NULL;
DROP INDEX logical_clusters_provisioning;
CREATE INDEX logical_clusters_on_their_way ON logical_clusters (created_at, id)
    WHERE phase IN ('PLACING', 'PROVISIONING');
