-- The second wall between organizations: a statement that forgets to name the organization sees nothing of another. The
-- tables' owner is bound too. A table that is made later needs these statements in its own migration.
DO $$
DECLARE
    tenant_table TEXT;
    organization_column TEXT;
BEGIN
    FOR tenant_table, organization_column IN
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = current_schema()
        AND (column_name = 'organization_id' OR (table_name = 'organizations' AND column_name = 'id'))
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format(
            'CREATE POLICY one_organization ON %I USING (%I = current_setting(''millstream.organization_id'', true) '
            'OR current_setting(''millstream.organization_id'', true) = ''*'')',
            tenant_table, organization_column
        );
    END LOOP;
END $$;
