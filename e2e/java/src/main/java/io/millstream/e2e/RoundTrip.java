package io.millstream.e2e;

import java.util.Map;
import java.util.stream.IntStream;

/**
 * Records into a new topic and out of it again, for each server: java -cp checks.jar io.millstream.e2e.RoundTrip CLIENT_PROPERTIES...
 * Prints a line for each; fails if a record did not come back.
 */
public final class RoundTrip {
    private static final int RECORDS = 300;

    public static void main(String[] arguments) throws Exception {
        if (arguments.length == 0) {
            System.err.println("usage: RoundTrip CLIENT_PROPERTIES...");
            System.exit(2);
        }
        for (String properties : arguments) {
            try (Clients clients = new Clients(properties)) {
                String topic = clients.topic("round-trip", 3);
                clients.produce(topic, null, 0, RECORDS, Map.of("acks", "all", "enable.idempotence", true));
                var values = clients.readAll(topic, RECORDS).stream().map(record -> record.value()).sorted().toList();
                Checks.equal(IntStream.range(0, RECORDS).mapToObj(i -> "value-" + i).sorted().toList(), values, "records of " + topic);
            }
            System.out.println("ok " + properties);
        }
    }

    private RoundTrip() {}
}
