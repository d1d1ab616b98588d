-- What each POST of the last minute made, so that its repetition after a lost answer finds it. The seed, with the
-- installation's secret, forms the secret of an API key; it is erased once the answer has arrived.
CREATE TABLE recent_posts (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    principal TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    created_id TEXT NOT NULL,
    seed TEXT NOT NULL,
    replica_id TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX recent_posts_by_request ON recent_posts (organization_id, request_hash);
CREATE INDEX recent_posts_by_age ON recent_posts (created_at);
