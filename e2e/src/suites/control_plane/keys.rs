//! Keys: made at one replica, used at once at the broker and at the others.
use anyhow::{Result, ensure};
use serde_json::json;

use super::site::{Key, REPLICAS, Site};

const ROUNDS: usize = 5;

pub fn first_use(site: &mut Site) -> Result<()> {
    let account = site.create_account()?;
    let caller = site.caller();
    for round in 0..ROUNDS {
        for replica in 0..REPLICAS {
            let (here, other) = (&mut caller.at(replica)?, &mut caller.at(replica + 1)?);
            let key = site.create_kafka_key(here, &account)?;
            ensure!(site.is_let_in(&key)?, "round {round}: the key of replica {replica} is refused at its first use");
            let body = json!({"spec": {"display_name": site.name("cloud-key"), "owner": {"id": account}}});
            let cloud = Key::from_answer(&here.call("POST", "/iam/v2/api-keys", Some(&body))?)?;
            let (status, body) =
                caller.with_key(cloud.clone()).at(replica + 1)?.ask("GET", "/org/v2/environments", None)?;
            ensure!(status == 200, "round {round}: a Cloud key of replica {replica} got {status} at the next: {body}");
            for id in [&key.id, &cloud.id] {
                other.call("DELETE", &format!("/iam/v2/api-keys/{id}"), None)?;
            }
            ensure!(!site.is_let_in(&key)?, "round {round}: a key that replica {replica} made works after its end");
            let (status, _) = caller.with_key(cloud).at(replica)?.ask("GET", "/org/v2/environments", None)?;
            ensure!(status == 401, "round {round}: a Cloud key got {status} after its end");
        }
    }
    Ok(())
}
