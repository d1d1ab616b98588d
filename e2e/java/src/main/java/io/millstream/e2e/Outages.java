package io.millstream.e2e;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * An idempotent producer that is patient while its cluster is away: java -cp checks.jar io.millstream.e2e.Outages CLIENT_PROPERTIES
 * END_FILE. Makes a topic, then writes at a steady pace until the file exists and prints how many records were acknowledged so far; then
 * reads everything back. Fails if a record was refused, or an acknowledged one is lost, doubled or out of order.
 */
public final class Outages {
    private static final int PACE_MS = 10;
    private static final int REPORT_EVERY = 10;
    /** Longer than any outage of the suite. */
    private static final int PATIENCE_MS = 600_000;
    /** No more than can be read back within the limit. */
    private static final int MOST_RECORDS = 500_000;

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 2) {
            System.err.println("usage: Outages CLIENT_PROPERTIES END_FILE");
            System.exit(2);
        }
        List<String> problems = Collections.synchronizedList(new ArrayList<>());
        try (Clients clients = new Clients(arguments[0])) {
            String topic = clients.topic("outages", 1);
            List<Long> acknowledged = write(clients, topic, Path.of(arguments[1]), problems);
            check(clients, topic, acknowledged, problems);
            problems.forEach(problem -> System.out.println("FAIL " + problem));
            System.out.println("end of " + acknowledged.size());
        }
        System.exit(problems.isEmpty() ? 0 : 1);
    }

    /** What was acknowledged, in that order. */
    private static List<Long> write(Clients clients, String topic, Path end, List<String> problems) throws InterruptedException {
        List<Long> acknowledged = Collections.synchronizedList(new ArrayList<>());
        int reported = 0;
        var settings = clients.properties(Map.of("enable.idempotence", true, "acks", "all", "delivery.timeout.ms", PATIENCE_MS,
            "max.block.ms", PATIENCE_MS, "reconnect.backoff.max.ms", 1_000, "retry.backoff.max.ms", 1_000));
        var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
        for (long sent = 0; !Files.exists(end) && sent < MOST_RECORDS; sent++) {
            long number = sent;
            producer.send(new ProducerRecord<>(topic, Long.toString(number)), (metadata, problem) -> {
                if (problem == null) {
                    acknowledged.add(number);
                } else {
                    problems.add("refused: " + problem);
                }
            });
            if (acknowledged.size() >= reported + REPORT_EVERY) {
                reported = acknowledged.size();
                System.out.println("acknowledged " + reported);
            }
            Thread.sleep(PACE_MS);
        }
        producer.close(Clients.LIMIT);
        return acknowledged;
    }

    /** What was read has every acknowledged record, once and in its order; others may be there too. */
    private static void check(Clients clients, String topic, List<Long> acknowledged, List<String> problems) {
        var read = clients.readAll(topic, acknowledged.size()).stream().map(record -> Long.valueOf(record.value())).toList();
        if (!read.equals(acknowledged)) {
            problems.add(acknowledged.size() + " records were acknowledged, others were read: " + read.size());
        }
    }

    private Outages() {}
}
