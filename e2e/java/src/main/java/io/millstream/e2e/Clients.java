package io.millstream.e2e;

import java.io.FileInputStream;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Makes the clients of one server from one properties file, and holds what several groups of checks do with them. */
final class Clients implements AutoCloseable {
    static final Duration LIMIT = Duration.ofSeconds(30);

    private final Properties base = new Properties();
    private final String run = Long.toString(System.nanoTime(), 36);
    final Admin admin;

    Clients(String propertiesFile) throws IOException {
        try (FileInputStream file = new FileInputStream(propertiesFile)) {
            base.load(file);
        }
        admin = Admin.create(base);
    }

    /** A name that no earlier run used. */
    String name(String what) {
        return what + "-" + run;
    }

    Properties properties(Map<String, ?> more) {
        Properties properties = new Properties();
        properties.putAll(base);
        more.forEach((key, value) -> properties.put(key, value.toString()));
        return properties;
    }

    KafkaProducer<String, String> producer(Map<String, ?> more) {
        return new KafkaProducer<>(properties(more), new StringSerializer(), new StringSerializer());
    }

    KafkaConsumer<String, String> consumer(Map<String, ?> more) {
        Properties properties = properties(Map.of("auto.offset.reset", "earliest", "enable.auto.commit", "false"));
        more.forEach((key, value) -> properties.put(key, value.toString()));
        return new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
    }

    KafkaConsumer<String, String> member(String group, Map<String, ?> more) {
        Properties properties = properties(Map.of("auto.offset.reset", "earliest", "enable.auto.commit", "false",
            "group.id", group, "session.timeout.ms", "10000", "heartbeat.interval.ms", "500"));
        more.forEach((key, value) -> properties.put(key, value.toString()));
        return new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
    }

    String topic(String what, int partitions) throws Exception {
        return topic(what, partitions, Map.of());
    }

    String topic(String what, int partitions, Map<String, String> configs) throws Exception {
        String topic = name(what);
        admin.createTopics(List.of(new NewTopic(topic, partitions, (short) -1).configs(configs))).all().get(30, TimeUnit.SECONDS);
        Checks.eventually("topic " + topic + " is in the metadata with leaders", LIMIT, () -> {
            try {
                var description = admin.describeTopics(List.of(topic)).allTopicNames().get(30, TimeUnit.SECONDS).get(topic);
                return description.partitions().size() == partitions && description.partitions().stream().allMatch(p -> p.leader() != null);
            } catch (java.util.concurrent.ExecutionException notYet) {
                return false;
            }
        });
        // Apache Kafka tells of a leader before it can append. An idempotent producer that writes at once may then lose the order of its
        // first batches for good (the second is accepted, the first comes too late), so wait until every partition answers.
        Map<TopicPartition, OffsetSpec> latest = new java.util.HashMap<>();
        for (int partition = 0; partition < partitions; partition++) {
            latest.put(new TopicPartition(topic, partition), OffsetSpec.latest());
        }
        admin.listOffsets(latest).all().get(30, TimeUnit.SECONDS);
        return topic;
    }

    /** Sends count records key-i / value-i to one partition and returns their metadata in order. */
    List<RecordMetadata> produce(String topic, Integer partition, int from, int count, Map<String, ?> more) throws Exception {
        List<RecordMetadata> acknowledged = new ArrayList<>();
        try (var producer = producer(more)) {
            var pending = new ArrayList<java.util.concurrent.Future<RecordMetadata>>();
            for (int i = from; i < from + count; i++) {
                pending.add(producer.send(new ProducerRecord<>(topic, partition, "key-" + i, "value-" + i)));
            }
            producer.flush();
            for (var future : pending) {
                acknowledged.add(future.get(30, TimeUnit.SECONDS));
            }
        }
        return acknowledged;
    }

    /** Polls until count records came; fails if more or fewer come within the limit. */
    static List<ConsumerRecord<String, String>> read(KafkaConsumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        long deadline = System.nanoTime() + LIMIT.toNanos();
        while (records.size() < count && System.nanoTime() < deadline) {
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
        }
        Checks.equal(count, records.size(), "number of records read");
        return records;
    }

    /** All records of a topic, read without a group. */
    List<ConsumerRecord<String, String>> readAll(String topic, int count) {
        try (var consumer = consumer(Map.of())) {
            var partitions = consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            return read(consumer, count);
        }
    }

    @Override
    public void close() {
        admin.close(Duration.ofSeconds(5));
    }
}
