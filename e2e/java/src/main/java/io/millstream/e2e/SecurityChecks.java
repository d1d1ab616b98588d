package io.millstream.e2e;

import static io.millstream.e2e.Checks.fails;
import static io.millstream.e2e.Checks.isTrue;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.SaslAuthenticationException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.UnsupportedSaslMechanismException;

/** Who is let in and who is not. */
final class SecurityChecks {
    private final Clients clients;

    SecurityChecks(Clients clients) {
        this.clients = clients;
    }

    void run(Checks checks) {
        checks.check("a wrong secret is an authentication error, not a time-out", () -> {
            try (Admin admin = Admin.create(login("a-wrong-secret", null))) {
                fails(SaslAuthenticationException.class, () -> admin.listTopics().names().get(30, TimeUnit.SECONDS));
            }
        });
        checks.check("an unknown key is an authentication error", () -> {
            try (Admin admin = Admin.create(login("secret", "NOSUCHKEYATALL00"))) {
                fails(SaslAuthenticationException.class, () -> admin.listTopics().names().get(30, TimeUnit.SECONDS));
            }
        });
        checks.check("a wrong secret fails a producer and a consumer", () -> {
            var wrong = Map.of("sasl.jaas.config", login("a-wrong-secret", null).getProperty("sasl.jaas.config"), "max.block.ms", "20000");
            try (var producer = clients.producer(wrong)) {
                fails(SaslAuthenticationException.class, () -> producer.send(new ProducerRecord<>(clients.name("denied"), "k", "v")).get());
            }
            try (var consumer = clients.member(clients.name("denied"), Map.of("sasl.jaas.config", wrong.get("sasl.jaas.config")))) {
                consumer.subscribe(List.of(clients.name("denied")));
                fails(SaslAuthenticationException.class, () -> consumer.poll(Duration.ofSeconds(20)));
            }
        });
        checks.check("a mechanism that is not offered is refused by name", () -> {
            Properties properties = clients.properties(Map.of("sasl.mechanism", "SCRAM-SHA-256",
                "sasl.jaas.config", "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"a\" password=\"b\";"));
            try (Admin admin = Admin.create(properties)) {
                fails(UnsupportedSaslMechanismException.class, () -> admin.listTopics().names().get(30, TimeUnit.SECONDS));
            }
        });
        checks.check("a client without SASL is not served", () -> {
            Properties properties = clients.properties(Map.of("security.protocol", "PLAINTEXT", "request.timeout.ms", "2000",
                "default.api.timeout.ms", "4000"));
            properties.remove("sasl.mechanism");
            properties.remove("sasl.jaas.config");
            try (Admin admin = Admin.create(properties)) {
                fails(TimeoutException.class, () -> admin.listTopics().names().get(30, TimeUnit.SECONDS));
            }
        });
        checks.check("the right key is served after all that", () ->
            isTrue(clients.admin.listTopics().names().get(30, TimeUnit.SECONDS) != null, "topics"));
    }

    private Properties login(String secret, String key) {
        String jaas = clients.properties(Map.of()).getProperty("sasl.jaas.config");
        jaas = jaas.replaceAll("password=\"[^\"]*\"", "password=\"" + secret + "\"");
        if (key != null) {
            jaas = jaas.replaceAll("username=\"[^\"]*\"", "username=\"" + key + "\"");
        }
        return clients.properties(Map.of("sasl.jaas.config", jaas));
    }
}
