// Checks the vectors of `cargo run -p millstream-protocol --example wire_vectors -- VECTORS` against Apache Kafka's own classes.
//
// Run it without a build: java -cp 'DIRECTORY_WITH_KAFKA_CLIENTS_AND_SLF4J/*' WireVectors.java VECTORS
// Kafka must read each message to its last byte and write the same bytes again; it must agree on header versions and
// error codes, and must know none that the vectors lack. Prints what differs, then `N passed, N failed`.

import java.lang.reflect.InvocationTargetException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Set;
import java.util.TreeSet;

import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.Readable;

public class WireVectors {
    private static final int MOST_PRINTED = 40;

    private static int passed = 0;
    private static int failed = 0;
    private static final Set<String> seenHeaders = new TreeSet<>();
    private static final Set<Short> seenErrors = new TreeSet<>();

    public static void main(String[] arguments) throws Exception {
        for (String line : Files.readAllLines(Path.of(arguments[0]), StandardCharsets.UTF_8)) {
            String[] fields = line.split("\t", -1);
            String problem;
            try {
                problem = switch (fields[0]) {
                    case "message" -> message(fields[1], Short.parseShort(fields[2]), HexFormat.of().parseHex(fields[3]));
                    case "header" -> header(fields);
                    case "error" -> error(fields);
                    default -> "unknown kind of vector";
                };
            } catch (InvocationTargetException exception) {
                problem = exception.getCause().toString();
            } catch (Exception exception) {
                problem = exception.toString();
            }
            count(problem, line);
        }
        nothingIsMissing();
        System.out.println(passed + " passed, " + failed + " failed");
        System.exit(failed == 0 && passed > 0 ? 0 : 1);
    }

    private static void count(String problem, String vector) {
        if (problem == null) {
            passed++;
            return;
        }
        failed++;
        if (failed <= MOST_PRINTED) {
            System.out.println(problem + ": " + vector.substring(0, Math.min(vector.length(), 300)));
        }
    }

    private static String message(String name, short version, byte[] bytes) throws Exception {
        ByteBufferAccessor reader = new ByteBufferAccessor(ByteBuffer.wrap(bytes));
        Message message = (Message) messageClass(name)
            .getConstructor(Readable.class, short.class)
            .newInstance(reader, version);
        if (reader.remaining() != 0) {
            return reader.remaining() + " bytes are left";
        }
        ByteBuffer written = MessageUtil.toByteBufferAccessor(message, version).buffer();
        byte[] again = new byte[written.remaining()];
        written.get(again);
        return Arrays.equals(bytes, again) ? null : "Kafka writes " + HexFormat.of().formatHex(again);
    }

    private static Class<?> messageClass(String name) throws ClassNotFoundException {
        String qualified = "org.apache.kafka.common.message." + name;
        try {
            return Class.forName(qualified + "Data");
        } catch (ClassNotFoundException exception) {
            return Class.forName(qualified);
        }
    }

    private static String header(String[] fields) {
        ApiKeys key = ApiKeys.forId(Integer.parseInt(fields[1]));
        short version = Short.parseShort(fields[3]);
        seenHeaders.add(key.id + " " + version);
        String expected = key.messageType.name + " " + key.requestHeaderVersion(version) + " " + key.responseHeaderVersion(version);
        String actual = fields[2] + " " + fields[4] + " " + fields[5];
        return expected.equals(actual) ? null : "Kafka says " + expected;
    }

    private static String error(String[] fields) {
        short code = Short.parseShort(fields[1]);
        Errors error = Errors.forCode(code);
        seenErrors.add(code);
        String message = error == Errors.NONE ? "" : error.message();
        boolean retriable = error.exception() instanceof RetriableException;
        String expected = error.code() + " " + error.name() + " " + retriable + " " + message;
        String actual = fields[1] + " " + fields[2] + " " + fields[3] + " " + fields[4];
        return expected.equals(actual) ? null : "Kafka says " + expected;
    }

    private static void nothingIsMissing() {
        for (ApiKeys key : ApiKeys.values()) {
            if (!key.hasValidVersion()) {
                continue;
            }
            for (short version = key.oldestVersion(); version <= key.latestVersion(true); version++) {
                boolean seen = seenHeaders.contains(key.id + " " + version);
                count(seen ? null : "no vector for", key.name() + " version " + version);
            }
        }
        for (Errors error : Errors.values()) {
            count(seenErrors.contains(error.code()) ? null : "no vector for", error.name());
        }
    }
}
