package io.millstream.e2e;

import static io.millstream.e2e.Checks.equal;
import static io.millstream.e2e.Checks.fails;
import static io.millstream.e2e.Checks.isTrue;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Reading without a group: positions, seeks, offsets by time, limits, deleted records. */
final class ConsumeChecks {
    private final Clients clients;

    ConsumeChecks(Clients clients) {
        this.clients = clients;
    }

    void run(Checks checks) {
        checks.check("seek reads from any offset", () -> {
            String topic = clients.topic("seek", 1);
            var partition = new TopicPartition(topic, 0);
            clients.produce(topic, 0, 0, 300, Map.of("batch.size", "500"));
            try (var consumer = clients.consumer(Map.of("max.poll.records", "10"))) {
                consumer.assign(List.of(partition));
                for (long offset : new long[] {299, 0, 150, 77, 298}) {
                    consumer.seek(partition, offset);
                    equal(offset, Clients.read(consumer, Math.min(10, 300 - (int) offset)).get(0).offset(), "offset after seek");
                }
                consumer.seekToEnd(List.of(partition));
                equal(300L, consumer.position(partition), "position at the end");
                consumer.seekToBeginning(List.of(partition));
                equal(0L, consumer.position(partition), "position at the beginning");
            }
        });
        checks.check("beginning and end offsets are those of the log", () -> {
            String topic = clients.topic("end-offsets", 3);
            clients.produce(topic, 0, 0, 11, Map.of());
            clients.produce(topic, 2, 0, 22, Map.of());
            var partitions = List.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1), new TopicPartition(topic, 2));
            try (var consumer = clients.consumer(Map.of())) {
                equal(List.of(0L, 0L, 0L), partitions.stream().map(consumer.beginningOffsets(partitions)::get).toList(), "beginning");
                equal(List.of(11L, 0L, 22L), partitions.stream().map(consumer.endOffsets(partitions)::get).toList(), "end");
            }
        });
        checks.check("offsets are found by time", () -> {
            String topic = clients.topic("by-time", 1);
            var partition = new TopicPartition(topic, 0);
            long start = System.currentTimeMillis() - 1_000_000;
            try (var producer = clients.producer(Map.of("batch.size", "300"))) {
                for (int i = 0; i < 100; i++) {
                    producer.send(new ProducerRecord<>(topic, 0, start + i * 1000L, "k", "v" + i));
                }
            }
            try (var consumer = clients.consumer(Map.of())) {
                for (int i : new int[] {0, 1, 42, 99}) {
                    var exact = consumer.offsetsForTimes(Map.of(partition, start + i * 1000L)).get(partition);
                    equal((long) i, exact.offset(), "offset at its time");
                    equal(start + i * 1000L, exact.timestamp(), "timestamp found");
                    var before = consumer.offsetsForTimes(Map.of(partition, start + i * 1000L - 1)).get(partition);
                    equal((long) i, before.offset(), "offset just before its time");
                }
                equal(null, consumer.offsetsForTimes(Map.of(partition, start + 100_000L)).get(partition), "after the last record");
            }
        });
        checks.check("the admin lists earliest, latest, by time and the largest timestamp", () -> {
            String topic = clients.topic("list-offsets", 1);
            var partition = new TopicPartition(topic, 0);
            long now = System.currentTimeMillis();
            try (var producer = clients.producer(Map.of())) {
                producer.send(new ProducerRecord<>(topic, 0, now - 500, "k", "a")).get();
                producer.send(new ProducerRecord<>(topic, 0, now - 100, "k", "b")).get();
                producer.send(new ProducerRecord<>(topic, 0, now - 300, "k", "c")).get();
            }
            equal(0L, offset(partition, OffsetSpec.earliest()), "earliest");
            equal(3L, offset(partition, OffsetSpec.latest()), "latest");
            equal(1L, offset(partition, OffsetSpec.forTimestamp(now - 300)), "by time");
            equal(1L, offset(partition, OffsetSpec.maxTimestamp()), "largest timestamp");
        });
        checks.check("a consumer at the end gets a new record at once", () -> {
            String topic = clients.topic("tail", 1);
            var partition = new TopicPartition(topic, 0);
            try (var consumer = clients.consumer(Map.of("fetch.max.wait.ms", "3000"));
                 var producer = clients.producer(Map.of("linger.ms", "0"))) {
                producer.send(new ProducerRecord<>(topic, 0, "k", "warm")).get();
                consumer.assign(List.of(partition));
                consumer.seekToBeginning(List.of(partition));
                Clients.read(consumer, 1);
                for (int i = 0; i < 5; i++) {
                    consumer.poll(Duration.ofMillis(50));
                    long start = System.nanoTime();
                    producer.send(new ProducerRecord<>(topic, 0, "k", "now-" + i));
                    equal("now-" + i, Clients.read(consumer, 1).get(0).value(), "value");
                    long took = (System.nanoTime() - start) / 1_000_000;
                    isTrue(took < 2000, "woken before fetch.max.wait.ms, took " + took + " ms");
                }
            }
        });
        checks.check("an empty poll returns nothing and does not fail", () -> {
            String topic = clients.topic("empty", 1);
            try (var consumer = clients.consumer(Map.of("fetch.max.wait.ms", "100"))) {
                consumer.assign(List.of(new TopicPartition(topic, 0)));
                equal(0, consumer.poll(Duration.ofMillis(500)).count(), "records");
            }
        });
        checks.check("a record larger than the fetch limits is delivered all the same", () -> {
            String topic = clients.topic("fetch-limit", 1);
            try (var producer = clients.producer(Map.of())) {
                producer.send(new ProducerRecord<>(topic, 0, "k", "z".repeat(200_000))).get();
                producer.send(new ProducerRecord<>(topic, 0, "k", "after")).get();
            }
            try (var consumer = clients.consumer(Map.of("fetch.max.bytes", "1000", "max.partition.fetch.bytes", "1000"))) {
                consumer.assign(List.of(new TopicPartition(topic, 0)));
                consumer.seekToBeginning(List.of(new TopicPartition(topic, 0)));
                equal("after", Clients.read(consumer, 2).get(1).value(), "the record behind it");
            }
        });
        checks.check("an offset outside of the log is out of range", () -> {
            String topic = clients.topic("range", 1);
            var partition = new TopicPartition(topic, 0);
            clients.produce(topic, 0, 0, 5, Map.of());
            try (var consumer = clients.consumer(Map.of("auto.offset.reset", "none"))) {
                consumer.assign(List.of(partition));
                consumer.seek(partition, 1000);
                var error = fails(OffsetOutOfRangeException.class, () -> pollUntilError(consumer));
                equal(Map.of(partition, 1000L), error.offsetOutOfRangePartitions(), "partition and offset");
            }
            try (var consumer = clients.consumer(Map.of("auto.offset.reset", "none", "group.id", clients.name("no-offset")))) {
                consumer.assign(List.of(partition));
                fails(NoOffsetForPartitionException.class, () -> pollUntilError(consumer));
            }
        });
        checks.check("deleted records are gone and the log starts later", () -> {
            String topic = clients.topic("delete-records", 1);
            var partition = new TopicPartition(topic, 0);
            clients.produce(topic, 0, 0, 100, Map.of());
            var low = clients.admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(60))).lowWatermarks().get(partition).get();
            equal(60L, low.lowWatermark(), "low watermark");
            equal(60L, offset(partition, OffsetSpec.earliest()), "earliest");
            try (var consumer = clients.consumer(Map.of())) {
                consumer.assign(List.of(partition));
                consumer.seek(partition, 10);
                var records = Clients.read(consumer, 40);
                equal(60L, records.get(0).offset(), "reset to the new beginning");
            }
        });
        checks.check("records beyond the end are not deleted", () -> {
            String topic = clients.topic("delete-beyond", 1);
            var partition = new TopicPartition(topic, 0);
            clients.produce(topic, 0, 0, 5, Map.of());
            fails(org.apache.kafka.common.errors.OffsetOutOfRangeException.class, () ->
                clients.admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(6))).all().get());
            clients.admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(-1))).all().get(30, TimeUnit.SECONDS);
            equal(5L, offset(partition, OffsetSpec.earliest()), "-1 deletes everything");
        });
        checks.check("read_committed reads what no transaction wrote", () -> {
            String topic = clients.topic("read-committed", 1);
            clients.produce(topic, 0, 0, 50, Map.of());
            try (var consumer = clients.consumer(Map.of("isolation.level", "read_committed"))) {
                consumer.assign(List.of(new TopicPartition(topic, 0)));
                consumer.seekToBeginning(consumer.assignment());
                Clients.read(consumer, 50);
            }
        });
        checks.check("one consumer reads sixty partitions", () -> {
            String topic = clients.topic("wide", 60);
            clients.produce(topic, null, 0, 3000, Map.of());
            equal(3000, clients.readAll(topic, 3000).size(), "records");
        });
        checks.check("paused partitions deliver nothing until they are resumed", () -> {
            String topic = clients.topic("paused", 2);
            clients.produce(topic, 0, 0, 10, Map.of());
            clients.produce(topic, 1, 0, 10, Map.of());
            var first = new TopicPartition(topic, 0);
            var second = new TopicPartition(topic, 1);
            try (var consumer = clients.consumer(Map.of())) {
                consumer.assign(List.of(first, second));
                consumer.seekToBeginning(List.of(first, second));
                consumer.pause(List.of(first));
                isTrue(Clients.read(consumer, 10).stream().allMatch(record -> record.partition() == 1), "only the other partition");
                consumer.resume(List.of(first));
                isTrue(Clients.read(consumer, 10).stream().allMatch(record -> record.partition() == 0), "the resumed partition");
            }
        });
    }

    private Object pollUntilError(org.apache.kafka.clients.consumer.KafkaConsumer<String, String> consumer) {
        long deadline = System.nanoTime() + Clients.LIMIT.toNanos();
        while (System.nanoTime() < deadline) {
            consumer.poll(Duration.ofMillis(200));
        }
        return "no error";
    }

    private long offset(TopicPartition partition, OffsetSpec spec) throws Exception {
        return clients.admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get(30, TimeUnit.SECONDS).offset();
    }
}
