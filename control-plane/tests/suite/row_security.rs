//! The second wall between organizations, on PostgreSQL: the database itself shows a transaction one organization only.

use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _};

use crate::fixture::{Engine, Installation, postgres};
use millstream_control_plane::DatabaseUrl;

/// A connection as the service has it, that sees what it says.
async fn connect(installation: &Installation) -> PgConnection {
    let DatabaseUrl::Postgres(url) = &installation.database else { panic!("a test on PostgreSQL") };
    let options: sqlx::postgres::PgConnectOptions = url.parse().expect("a URL");
    options.connect().await.expect("it connects")
}

async fn see(connection: &mut PgConnection, organization: &str) {
    let sql = "SELECT set_config('millstream.organization_id', $1, false)";
    sqlx::query(sql).bind(organization).execute(connection).await.expect("it is set");
}

async fn names_of_environments(connection: &mut PgConnection) -> Vec<String> {
    let sql = "SELECT display_name FROM environments ORDER BY display_name";
    sqlx::query_scalar(sql).fetch_all(connection).await.expect("they are read")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_sees_and_changes_the_organization_of_its_transaction_only() {
    if !postgres::is_available() {
        return;
    }
    let installation = Installation::start(Engine::Postgres).await;
    let (globex_organization, globex) = installation.another_organization().await;
    installation.rest.create_environment("acme").await;
    globex.create_environment("globex").await;
    let (acme, globex) =
        (installation.organization.organization_id.to_string(), globex_organization.organization_id.to_string());
    let mut connection = connect(&installation).await;
    assert_eq!(names_of_environments(&mut connection).await, Vec::<String>::new(), "nobody said whose they are");
    see(&mut connection, &acme).await;
    assert_eq!(names_of_environments(&mut connection).await, ["acme"]);
    see(&mut connection, "").await;
    assert_eq!(names_of_environments(&mut connection).await, Vec::<String>::new());
    see(&mut connection, &acme).await;
    let all = sqlx::query("UPDATE environments SET display_name = 'taken'").execute(&mut connection).await;
    assert_eq!(all.expect("it runs").rows_affected(), 1);
    let all = sqlx::query("DELETE FROM api_keys WHERE organization_id = $1").bind(&globex).execute(&mut connection);
    assert_eq!(all.await.expect("it runs").rows_affected(), 0);
    let sql = "INSERT INTO environments (organization_id, id, display_name, created_at, updated_at) \
               VALUES ($1, 'env-planted', 'planted', 1, 1)";
    let planted = sqlx::query(sql).bind(&globex).execute(&mut connection).await;
    let error = planted.expect_err("it is refused").to_string();
    assert!(error.contains("row-level security"), "{error}");
    see(&mut connection, "*").await;
    assert_eq!(names_of_environments(&mut connection).await, ["globex", "taken"]);
    connection.close().await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_of_organizations_has_the_wall_and_the_service_is_bound_by_it() {
    if !postgres::is_available() {
        return;
    }
    let installation = Installation::start(Engine::Postgres).await;
    let mut connection = connect(&installation).await;
    let sql = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user";
    let passes: bool = sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("it is read");
    assert!(!passes, "the account of these tests passes every wall");
    let sql = "SELECT relname, relrowsecurity AND relforcerowsecurity AND EXISTS \
               (SELECT 1 FROM pg_policy WHERE polrelid = pg_class.oid AND polname = 'one_organization') \
               FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace \
               AND (relname = 'organizations' OR EXISTS (SELECT 1 FROM pg_attribute \
               WHERE attrelid = pg_class.oid AND attname = 'organization_id' AND NOT attisdropped))";
    let tables = sqlx::query(sql).fetch_all(&mut connection).await.expect("they are read");
    assert!(tables.len() >= 10, "only {} tables", tables.len());
    for table in tables {
        let (name, has_wall): (String, bool) = (table.get(0), table.get(1));
        assert!(has_wall, "{name} has no row-level security: add it in the migration that makes the table");
    }
    connection.close().await.expect("it closes");
}
