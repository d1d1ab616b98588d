-- One row per call of the API. No organization: the caller was not authenticated. No reference to the organization's
-- row, so that writing the log never waits for a lock on it.
CREATE TABLE audit_events (
    id TEXT PRIMARY KEY,
    organization_id TEXT,
    created_at BIGINT NOT NULL,
    principal TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    operation_id TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    resource_name TEXT NOT NULL,
    status BIGINT NOT NULL,
    error_code TEXT NOT NULL
);
CREATE INDEX audit_events_in_order ON audit_events (organization_id, created_at, id);
CREATE INDEX audit_events_by_age ON audit_events (created_at);
