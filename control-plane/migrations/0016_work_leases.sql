-- Which replica does what only one of them shall do. Whoever writes for that work first takes the lock of its row and
-- checks the epoch, which grows with every change of holder. Times are those of the database.
CREATE TABLE work_leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
