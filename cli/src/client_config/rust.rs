// cargo add rdkafka --features ssl-vendored && cargo add tokio --features full
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::time::Duration;

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", "{{bootstrap_server}}")
        .set("security.protocol", "{{protocol}}")
        .set("sasl.mechanisms", "PLAIN")
        .set("sasl.username", "{{key}}")
{{ca}}        .set("sasl.password", "{{secret}}");
    config
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let topic = std::env::args().nth(1).unwrap_or_else(|| "tweets".to_string());

    let producer: FutureProducer = config().create()?;
    let record = FutureRecord::to(&topic).key("greeting").payload("hello from Rust");
    producer.send(record, Duration::from_secs(10)).await.map_err(|(error, _)| error)?;

    let consumer: StreamConsumer =
        config().set("group.id", "rust-example").set("auto.offset.reset", "earliest").create()?;
    consumer.subscribe(&[&topic])?;
    loop {
        let message = consumer.recv().await?;
        println!("{}", String::from_utf8_lossy(message.payload().unwrap_or_default()));
    }
}
