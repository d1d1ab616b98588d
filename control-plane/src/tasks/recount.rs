//! Counts again what quota counters and reservations count, and puts right what is wrong.
//!
//! Something wrong is a bug of this service: it is logged with what was wrong, and counted in a metric.

use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use super::leased::Work;
use crate::app::App;
use crate::store::Database;
use crate::store::error::StoreError;
use crate::store::quota_recount::{self, Miscount};
use crate::store::reservation_recount::{self, WrongReservation};
use crate::store::work_leases::{Lease, WorkError};

/// How often. It reads every row of what is counted, so not often.
pub const WORK: Work = Work { name: "recount", interval: Duration::from_secs(600) };

/// What was found wrong, or put right.
#[derive(Debug, Default)]
pub struct Findings {
    /// Counters of quotas.
    pub miscounts: Vec<Miscount>,
    /// Reservations on physical clusters.
    pub reservations: Vec<WrongReservation>,
}

/// Counts again, repairs and reports.
pub async fn run(app: Arc<App>, lease: Lease) -> Result<(), WorkError> {
    let found = find(&app.database).await?;
    let mut repaired = Findings::default();
    let outcome = repair(&app.database, &lease, &found, &mut repaired).await;
    app.metrics.count_repairs(repaired.miscounts.len(), repaired.reservations.len());
    repaired.miscounts.iter().for_each(report_miscount);
    repaired.reservations.iter().for_each(report_reservation);
    outcome
}

/// What is wrong, as one state of the database shows.
pub async fn find(database: &Database) -> Result<Findings, StoreError> {
    let mut transaction = database.read().await?;
    let miscounts = quota_recount::find_miscounts(&mut transaction).await?;
    let reservations = reservation_recount::find_wrong(&mut transaction).await?;
    Ok(Findings { miscounts, reservations })
}

/// Puts right what still is wrong, each in a transaction of its own, so that nobody waits for long. What was put right
/// is added to `repaired`, also if this ends early.
pub async fn repair(
    database: &Database,
    lease: &Lease,
    found: &Findings,
    repaired: &mut Findings,
) -> Result<(), WorkError> {
    for miscount in &found.miscounts {
        let mut transaction = lease.write(database).await?;
        let was_wrong = quota_recount::repair(&mut transaction, miscount).await?;
        transaction.commit().await?;
        repaired.miscounts.extend(was_wrong);
    }
    for wrong in &found.reservations {
        let mut transaction = lease.write(database).await?;
        let was_wrong = reservation_recount::repair(&mut transaction, &wrong.physical_cluster).await?;
        transaction.commit().await?;
        repaired.reservations.extend(was_wrong);
    }
    Ok(())
}

fn report_miscount(miscount: &Miscount) {
    let Miscount { organization_id, code, scope_id, counted, used } = miscount;
    error!(
        organization_id,
        quota.code = code,
        quota.scope_id = scope_id,
        counted,
        used,
        "the counter of quota {code} said {used} but {counted} exist: a change forgot to count; it is put right"
    );
}

fn report_reservation(wrong: &WrongReservation) {
    let WrongReservation { physical_cluster, counted, reserved } = wrong;
    error!(
        %physical_cluster,
        ?counted,
        ?reserved,
        "{physical_cluster} said that other room is reserved on it than its logical clusters reserve; it is put right"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::two_replicas::TwoReplicas;
    use crate::store::work_leases;

    const WRONG_COUNTER: &str = "INSERT INTO organizations (id, display_name, created_at, updated_at) \
        VALUES ('00000000-0000-0000-0000-000000000001', 'Acme', 1, 1); \
        INSERT INTO quotas (organization_id, code, scope_id, used, counted_from) \
        VALUES ('00000000-0000-0000-0000-000000000001', 'iam.max_environments.per_org', '', 5, 0);";
    const WRONG_RESERVATION: &str = "INSERT INTO physical_clusters (id, agent_id, cloud, region, generation, \
        observed_generation, phase, message, kafka_bootstrap_endpoint, created_at, reserved_connections) \
        VALUES ('pkc-1', 'agent-1', '', '', 1, 1, 'READY', '', '', 1, 7);";

    #[tokio::test]
    async fn a_holder_that_was_paused_while_another_took_over_writes_nothing_when_it_goes_on() {
        for replicas in TwoReplicas::on_each_engine().await {
            let TwoReplicas { first, second, .. } = &replicas;
            replicas.execute(WRONG_COUNTER).await;
            replicas.execute(WRONG_RESERVATION).await;
            let old = work_leases::take(first, WORK.name, "one").await.expect("it is taken").expect("it is free");
            let found = find(first).await.expect("it is counted");
            assert_eq!((found.miscounts.len(), found.reservations.len()), (1, 1), "{found:?}");
            // Here it is paused until its time is over, and another takes over.
            replicas.execute("UPDATE work_leases SET expires_at = 0").await;
            let new = work_leases::take(second, WORK.name, "two").await.expect("it is taken").expect("it is free");

            let only_reservations = Findings { miscounts: Vec::new(), reservations: found.reservations.clone() };
            for found in [&found, &only_reservations] {
                let mut repaired = Findings::default();
                let outcome = repair(first, &old, found, &mut repaired).await;
                assert!(matches!(outcome, Err(WorkError::LeaseLost { .. })), "{outcome:?}");
                assert!(repaired.miscounts.is_empty() && repaired.reservations.is_empty(), "{repaired:?}");
            }
            let still = find(second).await.expect("it is counted");
            assert_eq!((&still.miscounts, &still.reservations), (&found.miscounts, &found.reservations));

            let mut repaired = Findings::default();
            repair(second, &new, &found, &mut repaired).await.expect("it is repaired");
            assert_eq!((&repaired.miscounts, &repaired.reservations), (&found.miscounts, &found.reservations));
            let right = find(first).await.expect("it is counted");
            assert!(right.miscounts.is_empty() && right.reservations.is_empty(), "{right:?}");
        }
    }
}
