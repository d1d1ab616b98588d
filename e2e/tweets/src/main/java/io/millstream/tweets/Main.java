package io.millstream.tweets;

import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes tweets to the topic "tweets" and replays them. Knows nothing of the server but its properties file:
 *
 *   java -jar tweets.jar produce CLIENT_PROPERTIES
 *   java -jar tweets.jar replay CLIENT_PROPERTIES
 */
public final class Main {
    private static final String TOPIC = "tweets";
    private static final Duration LIMIT = Duration.ofSeconds(60);
    private static final Pattern USER_NAME = Pattern.compile("\"USER_NAME\": \"([^\"]+)\"");
    private static final Pattern CREATED_AT = Pattern.compile("\"CREATED_AT\": \"([^\"]+)\"");

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 2 || !List.of("produce", "replay").contains(arguments[0])) {
            System.err.println("usage: java -jar tweets.jar produce|replay CLIENT_PROPERTIES");
            System.exit(2);
        }
        Properties properties = new Properties();
        try (FileInputStream file = new FileInputStream(arguments[1])) {
            properties.load(file);
        }
        List<String> tweets = tweets();
        if (arguments[0].equals("produce")) {
            produce(properties, tweets);
        } else {
            replay(properties, tweets.size());
        }
    }

    /** Each user's tweets go to one partition, in order, with the time at which they were written. */
    private static void produce(Properties properties, List<String> tweets) throws Exception {
        List<Future<RecordMetadata>> pending = new ArrayList<>();
        try (var producer = new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer())) {
            for (String tweet : tweets) {
                long createdAt = Instant.parse(field(CREATED_AT, tweet)).toEpochMilli();
                pending.add(producer.send(new ProducerRecord<>(TOPIC, null, createdAt, field(USER_NAME, tweet), tweet)));
            }
        }
        for (var acknowledgement : pending) {
            acknowledgement.get();
        }
        System.err.println("produced " + pending.size() + " tweets");
    }

    /** Prints every tweet in the order in which it was written. */
    private static void replay(Properties properties, int expected) {
        properties.put("group.id", "replay-" + Instant.now().toEpochMilli());
        properties.put("auto.offset.reset", "earliest");
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        long deadline = System.nanoTime() + LIMIT.toNanos();
        try (var consumer = new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(TOPIC));
            while (records.size() < expected && System.nanoTime() < deadline) {
                consumer.poll(Duration.ofMillis(200)).forEach(records::add);
            }
        }
        records.sort((left, right) -> Long.compare(left.timestamp(), right.timestamp()));
        var out = new java.io.PrintStream(System.out, true, StandardCharsets.UTF_8);
        records.forEach(record -> out.println(record.value()));
        System.err.println("replayed " + records.size() + " tweets");
        System.exit(records.size() == expected ? 0 : 1);
    }

    private static List<String> tweets() throws IOException {
        var resource = Main.class.getResourceAsStream("/tweets.jsonl");
        try (var reader = new BufferedReader(new InputStreamReader(resource, StandardCharsets.UTF_8))) {
            return reader.lines().toList();
        }
    }

    private static String field(Pattern pattern, String tweet) {
        Matcher matcher = pattern.matcher(tweet);
        if (!matcher.find()) {
            throw new IllegalArgumentException("no such field in " + tweet);
        }
        return matcher.group(1);
    }

    private Main() {}
}
