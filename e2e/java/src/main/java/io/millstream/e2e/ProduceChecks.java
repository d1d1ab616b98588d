package io.millstream.e2e;

import static io.millstream.e2e.Checks.equal;
import static io.millstream.e2e.Checks.fails;
import static io.millstream.e2e.Checks.isTrue;

import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.PolicyViolationException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.header.internals.RecordHeader;

/** Everything a producer may set, read back by a consumer. */
final class ProduceChecks {
    private final Clients clients;

    ProduceChecks(Clients clients) {
        this.clients = clients;
    }

    void run(Checks checks) {
        checks.check("an idempotent producer with acks=all gets consecutive offsets", () -> {
            String topic = clients.topic("idempotent", 1);
            var acknowledged = clients.produce(topic, 0, 0, 5000, Map.of("acks", "all", "enable.idempotence", "true"));
            equal(IntStream.range(0, 5000).mapToObj(Long::valueOf).map(Long::longValue).toList(),
                acknowledged.stream().map(m -> m.offset()).toList(), "offsets");
            var records = clients.readAll(topic, 5000);
            for (int i = 0; i < 5000; i++) {
                equal("key-" + i, records.get(i).key(), "key");
                equal("value-" + i, records.get(i).value(), "value");
                equal((long) i, records.get(i).offset(), "offset");
            }
        });
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            checks.check("compression " + codec + " is read back unchanged", () -> {
                String topic = clients.topic("codec-" + codec, 3);
                var more = Map.of("compression.type", codec, "linger.ms", "20");
                clients.produce(topic, null, 0, 2000, more);
                var values = new HashSet<String>();
                clients.readAll(topic, 2000).forEach(record -> values.add(record.key() + "=" + record.value()));
                equal(2000, values.size(), "different records");
                IntStream.range(0, 2000).forEach(i -> isTrue(values.contains("key-" + i + "=value-" + i), "record " + i));
            });
        }
        checks.check("a topic's compression.type is applied, or refused by policy", () -> {
            try {
                String topic = clients.topic("recompressed", 1, Map.of("compression.type", "zstd"));
                clients.produce(topic, 0, 0, 1000, Map.of("compression.type", "lz4", "linger.ms", "20"));
                var records = clients.readAll(topic, 1000);
                IntStream.range(0, 1000).forEach(i -> equal("value-" + i, records.get(i).value(), "value " + i));
            } catch (ExecutionException refused) {
                // A managed service may keep what the producer chose.
                isTrue(refused.getCause() instanceof PolicyViolationException, "refused by policy: " + refused.getCause());
            }
        });
        for (String acks : List.of("0", "1", "all")) {
            checks.check("acks=" + acks + " without idempotence", () -> {
                String topic = clients.topic("acks-" + acks, 1);
                clients.produce(topic, 0, 0, 500, Map.of("acks", acks, "enable.idempotence", "false"));
                equal("value-499", clients.readAll(topic, 500).get(499).value(), "last value");
            });
        }
        checks.check("headers, null keys and null values survive", () -> {
            String topic = clients.topic("headers", 1);
            try (var producer = clients.producer(Map.of())) {
                var record = new ProducerRecord<String, String>(topic, 0, null, null,
                    List.of(new RecordHeader("a", "1".getBytes(StandardCharsets.UTF_8)), new RecordHeader("a", "2".getBytes(StandardCharsets.UTF_8)),
                        new RecordHeader("empty", new byte[0]), new RecordHeader("null", null)));
                producer.send(record).get(30, TimeUnit.SECONDS);
            }
            var record = clients.readAll(topic, 1).get(0);
            equal(null, record.key(), "key");
            equal(null, record.value(), "value");
            equal(4, record.headers().toArray().length, "headers");
            equal("2", new String(record.headers().lastHeader("a").value(), StandardCharsets.UTF_8), "last header");
            equal(null, record.headers().lastHeader("null").value(), "null header");
        });
        checks.check("the producer's timestamp is kept", () -> {
            String topic = clients.topic("create-time", 1);
            long time = System.currentTimeMillis() - 3_600_000;
            try (var producer = clients.producer(Map.of())) {
                equal(time, producer.send(new ProducerRecord<>(topic, 0, time, "k", "v")).get().timestamp(), "acknowledged timestamp");
            }
            equal(time, clients.readAll(topic, 1).get(0).timestamp(), "timestamp");
        });
        checks.check("LogAppendTime replaces the producer's timestamp", () -> {
            String topic = clients.topic("append-time", 1, Map.of("message.timestamp.type", "LogAppendTime"));
            long before = System.currentTimeMillis();
            try (var producer = clients.producer(Map.of())) {
                isTrue(producer.send(new ProducerRecord<>(topic, 0, 1000L, "k", "v")).get().timestamp() >= before - 1000, "acknowledged timestamp");
            }
            isTrue(clients.readAll(topic, 1).get(0).timestamp() >= before - 1000, "timestamp");
        });
        checks.check("a timestamp too far away is refused", () -> {
            String topic = clients.topic("timestamp-window", 1, Map.of("message.timestamp.before.max.ms", "1000", "message.timestamp.after.max.ms", "1000"));
            try (var producer = clients.producer(Map.of())) {
                fails(InvalidTimestampException.class, () -> producer.send(new ProducerRecord<>(topic, 0, 1000L, "k", "v")).get());
            }
        });
        checks.check("a record above the topic's max.message.bytes is refused by the broker", () -> {
            String topic = clients.topic("too-large", 1, Map.of("max.message.bytes", "10000"));
            try (var producer = clients.producer(Map.of())) {
                fails(RecordTooLargeException.class, () -> producer.send(new ProducerRecord<>(topic, 0, "k", "x".repeat(20_000))).get());
                producer.send(new ProducerRecord<>(topic, 0, "k", "small")).get(30, TimeUnit.SECONDS);
            }
            equal("small", clients.readAll(topic, 1).get(0).value(), "the small one arrived");
        });
        checks.check("a record of nearly one mebibyte is accepted", () -> {
            String topic = clients.topic("one-mebibyte", 1);
            String value = "y".repeat(1_000_000);
            try (var producer = clients.producer(Map.of("max.request.size", "2000000"))) {
                producer.send(new ProducerRecord<>(topic, 0, "k", value)).get(30, TimeUnit.SECONDS);
            }
            equal(value, clients.readAll(topic, 1).get(0).value(), "value");
        });
        checks.check("a producer creates the topic by asking for its metadata", () -> {
            String topic = clients.name("auto-created");
            try (var producer = clients.producer(Map.of())) {
                producer.send(new ProducerRecord<>(topic, "k", "v")).get(30, TimeUnit.SECONDS);
            }
            equal("v", clients.readAll(topic, 1).get(0).value(), "value");
        });
        checks.check("a partition that does not exist is refused", () -> {
            String topic = clients.topic("no-partition", 2);
            try (var producer = clients.producer(Map.of("max.block.ms", "2000"))) {
                fails(TimeoutException.class, () -> producer.send(new ProducerRecord<>(topic, 7, "k", "v")).get());
            }
        });
        checks.check("many producers write to one partition without loss", () -> {
            String topic = clients.topic("many-producers", 1);
            var threads = IntStream.range(0, 8).mapToObj(n -> new Thread(() -> {
                try {
                    clients.produce(topic, 0, n * 1000, 1000, Map.of("batch.size", "200", "linger.ms", "0"));
                } catch (Exception problem) {
                    throw new RuntimeException(problem);
                }
            })).toList();
            threads.forEach(Thread::start);
            for (Thread thread : threads) {
                thread.join();
            }
            var values = new HashSet<String>();
            clients.readAll(topic, 8000).forEach(record -> values.add(record.value()));
            equal(8000, values.size(), "different values");
        });
        checks.check("records of one key go to one partition in order", () -> {
            String topic = clients.topic("key-order", 6);
            try (var producer = clients.producer(Map.of("linger.ms", "5"))) {
                for (int i = 0; i < 1000; i++) {
                    producer.send(new ProducerRecord<>(topic, "user-" + i % 10, Integer.toString(i)));
                }
            }
            var last = new java.util.HashMap<String, Integer>();
            var home = new java.util.HashMap<String, TopicPartition>();
            for (var record : clients.readAll(topic, 1000)) {
                int number = Integer.parseInt(record.value());
                isTrue(last.getOrDefault(record.key(), -1) < number, "order of " + record.key());
                last.put(record.key(), number);
                var partition = new TopicPartition(topic, record.partition());
                equal(partition, home.getOrDefault(record.key(), partition), "partition of " + record.key());
                home.put(record.key(), partition);
            }
        });
    }
}
