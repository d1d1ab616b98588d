package io.millstream.e2e;

import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * How fast the Java client is let: java -cp checks.jar io.millstream.e2e.Rate CLIENT_PROPERTIES produce|consume TOPIC PARTITIONS SECONDS.
 * Prints the bytes per second over the given time, after a start that does not count, and the client's average throttle time.
 */
public final class Rate {
    private static final int VALUE_BYTES = 10_000;
    private static final Duration START = Duration.ofSeconds(3);

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 5) {
            System.err.println("usage: Rate CLIENT_PROPERTIES produce|consume TOPIC PARTITIONS SECONDS");
            System.exit(2);
        }
        String topic = arguments[2];
        int partitions = Integer.parseInt(arguments[3]);
        Duration window = Duration.ofSeconds(Long.parseLong(arguments[4]));
        try (Clients clients = new Clients(arguments[0])) {
            if (arguments[1].equals("produce")) {
                produce(clients, topic, window);
            } else {
                consume(clients, topic, partitions, window);
            }
        }
        // Whatever is still buffered is not worth waiting for.
        Runtime.getRuntime().halt(0);
    }

    private static void produce(Clients clients, String topic, Duration window) {
        byte[] value = new byte[VALUE_BYTES];
        new Random(1).nextBytes(value);
        AtomicLong acknowledged = new AtomicLong();
        var properties = clients.properties(Map.of("batch.size", 262_144, "linger.ms", 5, "max.block.ms", 60_000));
        var producer = new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
        Window measured = new Window(window);
        while (!measured.isOver(acknowledged.get())) {
            producer.send(new ProducerRecord<>(topic, value), (metadata, problem) -> {
                if (problem == null) {
                    acknowledged.addAndGet(VALUE_BYTES);
                }
            });
        }
        report(measured, producer.metrics().values().stream()
            .filter(metric -> metric.metricName().name().equals("produce-throttle-time-max"))
            .mapToDouble(metric -> (double) metric.metricValue()).max().orElse(0));
    }

    private static void consume(Clients clients, String topic, int partitions, Duration window) {
        var properties = clients.properties(Map.of("fetch.max.bytes", 4_000_000, "max.poll.records", 10_000));
        var consumer = new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        var all = new TopicPartition[partitions];
        Arrays.setAll(all, partition -> new TopicPartition(topic, partition));
        consumer.assign(Arrays.asList(all));
        consumer.seekToBeginning(Arrays.asList(all));
        long received = 0;
        Window measured = new Window(window);
        while (!measured.isOver(received)) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                received += record.value().length;
            }
        }
        report(measured, consumer.metrics().values().stream()
            .filter(metric -> metric.metricName().name().equals("fetch-throttle-time-max"))
            .mapToDouble(metric -> (double) metric.metricValue()).max().orElse(0));
    }

    private static void report(Window measured, double throttleMs) {
        System.out.printf(java.util.Locale.ROOT, "rate %.0f throttle %.0f%n", measured.rate(), Double.isNaN(throttleMs) ? 0 : throttleMs);
    }

    /** Counts from the end of the start to the end of the window. */
    private static final class Window {
        private final long begin = System.nanoTime() + START.toNanos();
        private final long end;
        private long atBegin = -1;
        private long began;
        private long counted;
        private long elapsed;

        Window(Duration length) {
            end = begin + length.toNanos();
        }

        boolean isOver(long count) {
            long now = System.nanoTime();
            if (now - begin < 0) {
                return false;
            }
            if (atBegin < 0) {
                atBegin = count;
                began = now;
            }
            counted = count - atBegin;
            elapsed = now - began;
            return now - end >= 0;
        }

        double rate() {
            return counted * 1e9 / elapsed;
        }
    }

    private Rate() {}
}
