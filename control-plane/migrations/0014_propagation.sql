-- In which config revision a key was last announced to the physical cluster of its cluster; 0 if nobody knows.
ALTER TABLE api_keys ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;

-- In which config revision a role binding was last announced to each physical cluster.
CREATE TABLE role_binding_revisions (
    organization_id TEXT NOT NULL,
    role_binding_id TEXT NOT NULL,
    physical_cluster_id TEXT NOT NULL REFERENCES physical_clusters (id) ON DELETE CASCADE,
    revision BIGINT NOT NULL,
    PRIMARY KEY (organization_id, role_binding_id, physical_cluster_id),
    FOREIGN KEY (organization_id, role_binding_id) REFERENCES role_bindings (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX role_binding_revisions_by_host ON role_binding_revisions (physical_cluster_id);
