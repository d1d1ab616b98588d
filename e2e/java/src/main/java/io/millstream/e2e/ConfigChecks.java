package io.millstream.e2e;

import static io.millstream.e2e.Checks.equal;
import static io.millstream.e2e.Checks.eventually;
import static io.millstream.e2e.Checks.fails;
import static io.millstream.e2e.Checks.isTrue;

import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Topic configuration through the admin client. */
final class ConfigChecks {
    private final Clients clients;
    private final Admin admin;

    ConfigChecks(Clients clients) {
        this.clients = clients;
        this.admin = clients.admin;
    }

    void run(Checks checks) {
        checks.check("configs set at creation are described as the topic's own", () -> {
            String topic = clients.topic("configs", 1, Map.of("retention.ms", "123456", "message.timestamp.type", "LogAppendTime"));
            var config = describe(topic);
            equal("123456", config.get("retention.ms").value(), "retention.ms");
            equal(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, config.get("retention.ms").source(), "source");
            equal("LogAppendTime", config.get("message.timestamp.type").value(), "message.timestamp.type");
            isTrue(config.get("segment.bytes").isDefault(), "segment.bytes is a default");
        });
        checks.check("the usual topic configs are all described", () -> {
            String topic = clients.topic("all-configs", 1);
            var config = describe(topic);
            for (String name : List.of("cleanup.policy", "compression.type", "delete.retention.ms", "file.delete.delay.ms", "flush.messages",
                    "flush.ms", "index.interval.bytes", "max.compaction.lag.ms", "max.message.bytes", "message.timestamp.type",
                    "message.timestamp.before.max.ms", "message.timestamp.after.max.ms", "min.cleanable.dirty.ratio",
                    "min.compaction.lag.ms", "min.insync.replicas", "preallocate", "retention.bytes", "retention.ms", "segment.bytes",
                    "segment.index.bytes", "segment.jitter.ms", "segment.ms", "unclean.leader.election.enable")) {
                isTrue(config.get(name) != null, name + " is described");
            }
        });
        checks.check("configs are altered one by one", () -> {
            String topic = clients.topic("alter-configs", 1, Map.of("retention.ms", "1000000"));
            var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            admin.incrementalAlterConfigs(Map.of(resource, List.of(
                new AlterConfigOp(new ConfigEntry("retention.ms", "2000000"), AlterConfigOp.OpType.SET),
                new AlterConfigOp(new ConfigEntry("segment.bytes", "1048576"), AlterConfigOp.OpType.SET)))).all().get(30, TimeUnit.SECONDS);
            eventually("retention.ms is 2000000", Clients.LIMIT, () -> describe(topic).get("retention.ms").value().equals("2000000"));
            equal("1048576", describe(topic).get("segment.bytes").value(), "segment.bytes");
            admin.incrementalAlterConfigs(Map.of(resource, List.of(
                new AlterConfigOp(new ConfigEntry("retention.ms", ""), AlterConfigOp.OpType.DELETE)))).all().get();
            eventually("retention.ms is the default again", Clients.LIMIT, () -> describe(topic).get("retention.ms").isDefault());
            equal("1048576", describe(topic).get("segment.bytes").value(), "segment.bytes is untouched");
        });
        checks.check("list configs are appended to and subtracted from", () -> {
            String topic = clients.topic("list-configs", 1, Map.of("cleanup.policy", "delete"));
            var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            try {
                alter(resource, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
            } catch (ExecutionException refused) {
                // Until compaction is there, saying so is right and forgetting it silently would be wrong.
                isTrue(refused.getCause() instanceof InvalidConfigurationException
                    && refused.getCause().getMessage().contains("compaction is not available"), "compaction: " + refused.getCause());
                equal("delete", describe(topic).get("cleanup.policy").value(), "nothing changed");
                return;
            }
            eventually("both policies", Clients.LIMIT, () -> describe(topic).get("cleanup.policy").value().equals("delete,compact"));
            alter(resource, "cleanup.policy", "delete", AlterConfigOp.OpType.SUBTRACT);
            eventually("only compact", Clients.LIMIT, () -> describe(topic).get("cleanup.policy").value().equals("compact"));
        });
        checks.check("validate-only alters nothing", () -> {
            String topic = clients.topic("validate-configs", 1);
            var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "77"), AlterConfigOp.OpType.SET))),
                new AlterConfigsOptions().validateOnly(true)).all().get();
            isTrue(describe(topic).get("retention.ms").isDefault(), "still the default");
        });
        checks.check("wrong values and unknown names are refused", () -> {
            String topic = clients.topic("wrong-configs", 1);
            var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            fails(InvalidConfigurationException.class, () -> alter(resource, "retention.ms", "tomorrow", AlterConfigOp.OpType.SET));
            fails(InvalidConfigurationException.class, () -> alter(resource, "cleanup.policy", "shred", AlterConfigOp.OpType.SET));
            fails(InvalidConfigurationException.class, () -> alter(resource, "no.such.config", "1", AlterConfigOp.OpType.SET));
            isTrue(describe(topic).get("retention.ms").isDefault(), "nothing changed");
        });
        checks.check("configs of an unknown topic are refused", () -> {
            var resource = new ConfigResource(ConfigResource.Type.TOPIC, clients.name("nobody"));
            fails(UnknownTopicOrPartitionException.class, () -> admin.describeConfigs(List.of(resource)).all().get());
            fails(UnknownTopicOrPartitionException.class, () -> alter(resource, "retention.ms", "1000", AlterConfigOp.OpType.SET));
        });
        checks.check("the brokers' configs are described", () -> {
            String id = Integer.toString(admin.describeCluster().nodes().get().iterator().next().id());
            var resource = new ConfigResource(ConfigResource.Type.BROKER, id);
            var config = admin.describeConfigs(List.of(resource)).all().get(30, TimeUnit.SECONDS).get(resource);
            isTrue(config.entries() != null, "entries");
        });
    }

    private Object alter(ConfigResource resource, String name, String value, AlterConfigOp.OpType type) throws Exception {
        return admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry(name, value), type)))).all().get(30, TimeUnit.SECONDS);
    }

    private org.apache.kafka.clients.admin.Config describe(String topic) throws Exception {
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        return admin.describeConfigs(List.of(resource)).all().get(30, TimeUnit.SECONDS).get(resource);
    }
}
