//! `millstream topic …`: topics by the kafka/v3 REST API, records by the Kafka protocol.

mod consume;
mod produce;
mod record_text;

use serde_json::{Value, json};

use super::{Context, delete};
use crate::command_line::TopicVerb;
use crate::failure::Failure;
use crate::output::{Column, column};

const COLUMNS: &[Column] = &[
    column("Name", "/topic_name"),
    column("Partitions", "/partitions_count"),
    column("Replication factor", "/replication_factor"),
    column("Internal", "/is_internal"),
];
const PARTITION_COLUMNS: &[Column] = &[column("Partition", "/partition_id"), column("Leader", "/leader/related")];
const CONFIG_COLUMNS: &[Column] = &[column("Setting", "/name"), column("Value", "/value"), column("Source", "/source")];
const LIST_SUGGESTION: &str = "`millstream topic list` shows the topics of the cluster";

/// Runs one verb.
pub async fn run(context: &Context, verb: TopicVerb) -> Result<(), Failure> {
    match verb {
        TopicVerb::Create { name, partitions, configs, if_not_exists } => {
            create(context, &name, partitions, &configs, if_not_exists).await
        }
        TopicVerb::List => {
            let (api, cluster) = context.login.topic_api()?;
            let topics = api.list(&topics_of(cluster), &[]).await?;
            context.output.list(COLUMNS, &topics, &format!("There are no topics in {cluster}"))
        }
        TopicVerb::Describe { name } => describe(context, &name).await,
        TopicVerb::Update { name, partitions, configs, resets } => {
            update(context, &name, partitions, &configs, &resets).await
        }
        TopicVerb::Delete(args) => {
            let (api, cluster) = context.login.topic_api()?;
            delete::delete_each(&context.output, "topic", &args, async |name| {
                let deleted = api.delete(&one(cluster, name), &[]).await;
                deleted.map_err(|error| Failure::from(error).when_not_found(LIST_SUGGESTION))
            })
            .await
        }
        TopicVerb::Produce(args) => produce::run(context, args).await,
        TopicVerb::Consume(args) => consume::run(context, args).await,
    }
}

async fn create(
    context: &Context,
    name: &str,
    partitions: Option<u32>,
    configs: &[String],
    if_not_exists: bool,
) -> Result<(), Failure> {
    let mut body = json!({ "topic_name": name });
    if let Some(partitions) = partitions {
        body["partitions_count"] = partitions.into();
    }
    let configs = assignments(configs)?;
    if !configs.is_empty() {
        body["configs"] = configs.into();
    }
    let (api, cluster) = context.login.topic_api()?;
    match api.post(&topics_of(cluster), &[], &body).await {
        Ok(created) => context.output.object(COLUMNS, &created),
        Err(error) => {
            let existing = if if_not_exists { api.get(&one(cluster, name), &[]).await.ok() } else { None };
            let Some(existing) = existing else { return Err(error.into()) };
            context.output.object(COLUMNS, &existing)
        }
    }
}

async fn update(
    context: &Context,
    name: &str,
    partitions: Option<u32>,
    configs: &[String],
    resets: &[String],
) -> Result<(), Failure> {
    let mut changes = assignments(configs)?;
    changes.extend(resets.iter().map(|reset| json!({ "name": reset, "operation": "DELETE" })));
    let (api, cluster) = context.login.topic_api()?;
    let failed = |error| Failure::from(error).when_not_found(LIST_SUGGESTION);
    if !changes.is_empty() {
        let path = within(cluster, name, "configs:alter");
        api.post(&path, &[], &json!({ "data": changes })).await.map_err(failed)?;
    }
    if let Some(partitions) = partitions {
        let body = json!({ "partitions_count": partitions });
        api.patch(&one(cluster, name), &[], &body).await.map_err(failed)?;
    }
    describe(context, name).await
}

/// The `{name, value}` objects of repeatable `NAME=VALUE` flags.
fn assignments(configs: &[String]) -> Result<Vec<Value>, Failure> {
    let objects = configs.iter().map(|config| {
        let (name, value) = split_assignment("--config", config)?;
        Ok(json!({ "name": name, "value": value }))
    });
    objects.collect()
}

async fn describe(context: &Context, name: &str) -> Result<(), Failure> {
    let (api, cluster) = context.login.topic_api()?;
    let found = api.get(&one(cluster, name), &[]).await;
    let mut topic = found.map_err(|error| Failure::from(error).when_not_found(LIST_SUGGESTION))?;
    let partitions = api.list(&within(cluster, name, "partitions"), &[]).await?;
    let configs = api.list(&within(cluster, name, "configs"), &[]).await?;
    if context.output.is_json() {
        topic["partitions"] = partitions.into();
        topic["configs"] = configs.into();
        return context.output.json(&topic);
    }
    context.output.object(COLUMNS, &topic)?;
    context.output.say("")?;
    context.output.list(PARTITION_COLUMNS, &partitions.iter().map(with_leader_id).collect::<Vec<_>>(), "")?;
    let (defaults, chosen): (Vec<Value>, Vec<Value>) = configs.into_iter().partition(is_default);
    context.output.say("")?;
    context.output.list(CONFIG_COLUMNS, &chosen, "All settings have their defaults")?;
    context.output.say(&format!("\n{} settings have their defaults: `-o json` shows them all", defaults.len()))
}

fn is_default(config: &Value) -> bool {
    config.get("is_default").and_then(Value::as_bool).unwrap_or(false)
}

/// The partition with its leader's broker id in place of the link to it.
fn with_leader_id(partition: &Value) -> Value {
    let mut partition = partition.clone();
    let link = partition.pointer("/leader/related").and_then(Value::as_str).unwrap_or_default();
    let id = link.rsplit('/').next().unwrap_or_default().to_string();
    partition["leader"] = json!({ "related": id });
    partition
}

/// Splits `name=value` of a repeatable flag.
fn split_assignment<'a>(flag: &str, text: &'a str) -> Result<(&'a str, &'a str), Failure> {
    let split = text.split_once('=').filter(|(name, _)| !name.is_empty());
    split.ok_or_else(|| {
        Failure::usage(format!("{flag} {text:?} has no name or no value")).suggest("write it as NAME=VALUE")
    })
}

fn topics_of(cluster: &str) -> [&str; 5] {
    ["kafka", "v3", "clusters", cluster, "topics"]
}

fn one<'a>(cluster: &'a str, name: &'a str) -> [&'a str; 6] {
    ["kafka", "v3", "clusters", cluster, "topics", name]
}

fn within<'a>(cluster: &'a str, name: &'a str, part: &'a str) -> [&'a str; 7] {
    ["kafka", "v3", "clusters", cluster, "topics", name, part]
}
