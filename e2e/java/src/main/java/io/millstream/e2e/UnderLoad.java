package io.millstream.e2e;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * An idempotent producer that must not notice what happens to its cluster:
 * java -cp checks.jar io.millstream.e2e.UnderLoad CLIENT_PROPERTIES TOPIC. Writes until its input ends and prints how many records were
 * delivered so far; then reads everything back. Fails if a record was refused, sent twice, lost, doubled or out of order.
 */
public final class UnderLoad {
    private static final int REPORT_EVERY = 100;
    /** No more than can be read back within the limit. */
    private static final int MOST_RECORDS = 1_000_000;

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 2) {
            System.err.println("usage: UnderLoad CLIENT_PROPERTIES TOPIC");
            System.exit(2);
        }
        Thread input = new Thread(UnderLoad::waitForTheEndOfInput);
        input.setDaemon(true);
        input.start();
        try (Clients clients = new Clients(arguments[0])) {
            List<String> problems = Collections.synchronizedList(new ArrayList<>());
            long sent = write(clients, arguments[1], input, problems);
            check(clients, arguments[1], sent, problems);
            problems.forEach(problem -> System.out.println("FAIL " + problem));
            System.out.println("end of " + sent);
            System.exit(problems.isEmpty() ? 0 : 1);
        }
    }

    private static long write(Clients clients, String topic, Thread input, List<String> problems) {
        AtomicLong delivered = new AtomicLong();
        long sent = 0;
        var settings = clients.properties(Map.of("enable.idempotence", true, "acks", "all", "linger.ms", 1, "batch.size", 1_000));
        var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
        while (input.isAlive() && sent < MOST_RECORDS) {
            // One key: one partition, whose order is that of sending.
            producer.send(new ProducerRecord<>(topic, "key", Long.toString(sent)), (metadata, problem) -> {
                if (problem != null) {
                    problems.add("refused: " + problem);
                } else if (delivered.incrementAndGet() % REPORT_EVERY == 0) {
                    System.out.println("delivered " + delivered.get());
                }
            });
            sent++;
        }
        producer.close(Clients.LIMIT);
        double retried = producer.metrics().values().stream().filter(metric -> metric.metricName().name().equals("record-retry-total")
            && metric.metricName().group().equals("producer-metrics")).mapToDouble(metric -> (double) metric.metricValue()).sum();
        if (retried != 0) {
            problems.add(retried + " records were sent a second time");
        }
        return sent;
    }

    private static void check(Clients clients, String topic, long sent, List<String> problems) {
        long due = 0;
        for (var record : clients.readAll(topic, Math.toIntExact(sent))) {
            if (Long.parseLong(record.value()) != due) {
                problems.add("record " + record.value() + " where " + due + " was due");
                return;
            }
            due++;
        }
    }

    private static void waitForTheEndOfInput() {
        try {
            while (System.in.read() >= 0) {
                // Whatever is written to the program means nothing.
            }
        } catch (java.io.IOException ended) {
            // The same as its end.
        }
    }

    private UnderLoad() {}
}
