ALTER TABLE role_binding_revisions ENABLE ROW LEVEL SECURITY;
ALTER TABLE role_binding_revisions FORCE ROW LEVEL SECURITY;
CREATE POLICY one_organization ON role_binding_revisions USING (
    organization_id = current_setting('millstream.organization_id', true)
    OR current_setting('millstream.organization_id', true) = '*'
);
