-- What logical clusters may reserve on a shared physical cluster, as its agent says; 0 for no bound.
ALTER TABLE physical_clusters ADD COLUMN capacity_partitions BIGINT NOT NULL DEFAULT 0;
ALTER TABLE physical_clusters ADD COLUMN capacity_ingress BIGINT NOT NULL DEFAULT 0;
ALTER TABLE physical_clusters ADD COLUMN capacity_connections BIGINT NOT NULL DEFAULT 0;
-- What they have reserved: what one unit of their kind gives.
ALTER TABLE physical_clusters ADD COLUMN reserved_partitions BIGINT NOT NULL DEFAULT 0;
ALTER TABLE physical_clusters ADD COLUMN reserved_ingress BIGINT NOT NULL DEFAULT 0;
ALTER TABLE physical_clusters ADD COLUMN reserved_connections BIGINT NOT NULL DEFAULT 0;
UPDATE physical_clusters SET
    reserved_partitions = (SELECT COUNT(CASE WHEN kind = 'Basic' THEN 1 END) * 30
        + COUNT(CASE WHEN kind = 'Standard' THEN 1 END) * 250
        FROM logical_clusters WHERE physical_cluster_id = physical_clusters.id),
    reserved_ingress = (SELECT COUNT(CASE WHEN kind = 'Basic' THEN 1 END) * 5000000
        + COUNT(CASE WHEN kind = 'Standard' THEN 1 END) * 25000000
        FROM logical_clusters WHERE physical_cluster_id = physical_clusters.id),
    reserved_connections = (SELECT COUNT(CASE WHEN kind = 'Basic' THEN 1 END) * 20
        + COUNT(CASE WHEN kind = 'Standard' THEN 1 END) * 1000
        FROM logical_clusters WHERE physical_cluster_id = physical_clusters.id);
