-- CKUs of a Dedicated cluster, the most eCKUs of the others; 0 for as many as the plan allows.
ALTER TABLE logical_clusters ADD COLUMN units BIGINT NOT NULL DEFAULT 0;
-- The CKUs that a Dedicated cluster has at the moment.
ALTER TABLE logical_clusters ADD COLUMN observed_units BIGINT NOT NULL DEFAULT 0;
ALTER TABLE logical_clusters ADD COLUMN deletion_protection BOOLEAN NOT NULL DEFAULT FALSE;
