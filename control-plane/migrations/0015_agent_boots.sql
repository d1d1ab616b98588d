-- Which process speaks for an agent, and on which stream: at most one at a time.
ALTER TABLE agents ADD COLUMN boot_id TEXT NOT NULL DEFAULT '';
ALTER TABLE agents ADD COLUMN stream_id TEXT NOT NULL DEFAULT '';

-- In which order processes of an agent were seen first. The latest is the agent; the others wait until it is gone.
CREATE TABLE agent_boots (
    agent_id TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (agent_id, boot_id)
);
