-- What a client sent, which it compares with what it reads: the same pattern can be written in several ways.
ALTER TABLE role_bindings ADD COLUMN sent_crn_pattern TEXT NOT NULL DEFAULT '';
