//! `millstream bucket`: what a physical cluster has in its bucket. The operator runs it once a cluster is deleted.
//!
//! Promises: a failure is one line that names the bucket and what it said; none of the broker's other files is read.

use millstream_broker::bucket_purge::purge;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::broker::config_file;
use crate::command_line::bucket::BucketVerb;
use crate::failure::Failure;
use crate::output::{Column, Output, column};

const COLUMNS: &[Column] = &[
    column("Physical cluster", "/physical_cluster_id"),
    column("Bucket", "/bucket"),
    column("Removed objects", "/removed_objects"),
];

/// Runs one command.
pub fn run(runtime: &Runtime, verb: BucketVerb, output: &Output) -> Result<(), Failure> {
    let BucketVerb::Purge { config } = verb;
    let file = config_file::load(&config)?;
    let Some(store) = config_file::object_store(&file)? else {
        return Err(Failure::usage(format!("{} has no object_store", config.display())));
    };
    let cluster = &file.physical_cluster_id;
    let removed = runtime.block_on(purge(&store, cluster)).map_err(|error| {
        Failure::failed(format!("cannot remove what {cluster} has in the bucket {}: {error}", store.bucket))
    })?;
    let done = json!({ "physical_cluster_id": cluster, "bucket": store.bucket, "removed_objects": removed });
    output.object(COLUMNS, &done)
}
