-- A place of an agent may have several shared physical clusters: the next one is made before those that are there are full.
ALTER TABLE physical_clusters ADD COLUMN ordinal BIGINT NOT NULL DEFAULT 0;
DROP INDEX physical_clusters_of_agent;
CREATE UNIQUE INDEX physical_clusters_of_agent ON physical_clusters (agent_id, cloud, region, dedicated_to, ordinal);

-- Certificates, as PEM, that clients have to trust; empty where the public authorities do.
ALTER TABLE physical_clusters ADD COLUMN kafka_ca_certificate TEXT NOT NULL DEFAULT '';
