package io.millstream.e2e;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ClusterAuthorizationException;
import org.apache.kafka.common.errors.GroupAuthorizationException;
import org.apache.kafka.common.errors.TopicAuthorizationException;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/**
 * The exceptions that a principal gets for what it may not do, by class, and that ACLs end them:
 * java -cp checks.jar io.millstream.e2e.AccessChecks PROPERTIES_OF_AN_ADMINISTRATOR PROPERTIES_OF_NOBODY PRINCIPAL_OF_NOBODY.
 */
public final class AccessChecks {
    private static final Map<String, String> PLAIN = Map.of("enable.idempotence", "false", "max.block.ms", "30000");
    private static final Map<String, String> IDEMPOTENT = Map.of("enable.idempotence", "true", "max.block.ms", "30000");

    private final Clients administrator;
    private final Clients nobody;
    private final String principal;

    private AccessChecks(Clients administrator, Clients nobody, String principal) {
        this.administrator = administrator;
        this.nobody = nobody;
        this.principal = principal;
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 3) {
            System.err.println("usage: AccessChecks PROPERTIES_OF_AN_ADMINISTRATOR PROPERTIES_OF_NOBODY PRINCIPAL_OF_NOBODY");
            System.exit(2);
        }
        Checks checks = new Checks();
        try (Clients administrator = new Clients(arguments[0]); Clients nobody = new Clients(arguments[1])) {
            new AccessChecks(administrator, nobody, arguments[2]).run(checks);
        }
        System.out.println(checks.closingLine());
        System.exit(checks.allPassed() ? 0 : 1);
    }

    private void run(Checks checks) throws Exception {
        String topic = administrator.topic("forbidden", 1);
        TopicPartition partition = new TopicPartition(topic, 0);
        checks.check("a record without WRITE: TopicAuthorizationException, with idempotence and without", () -> {
            for (Map<String, String> settings : List.of(PLAIN, IDEMPOTENT)) {
                try (var producer = nobody.producer(settings)) {
                    var refused = Checks.fails(TopicAuthorizationException.class,
                        () -> producer.send(new ProducerRecord<>(topic, "value")).get(30, TimeUnit.SECONDS));
                    Checks.equal(java.util.Set.of(topic), refused.unauthorizedTopics(), "topics of the exception");
                }
            }
        });
        checks.check("an assignment without READ of the topic: TopicAuthorizationException", () -> {
            try (var consumer = nobody.consumer(Map.of())) {
                consumer.assign(List.of(partition));
                consumer.seek(partition, 0);
                Checks.fails(TopicAuthorizationException.class, () -> pollUntilItFails(consumer));
            }
        });
        topics(checks, topic, partition);
        clusterAndGroups(checks);
        checks.check("ACLs for WRITE and READ end the exceptions", () -> allowed(topic, partition));
        checks.check("a subscription with READ of the topic but not of the group: GroupAuthorizationException", () -> {
            String group = nobody.name("group");
            try (var consumer = nobody.member(group, Map.of())) {
                consumer.subscribe(List.of(topic));
                var refused = Checks.fails(GroupAuthorizationException.class, () -> pollUntilItFails(consumer));
                Checks.equal(group, refused.groupId(), "group of the exception");
            }
        });
    }

    private void topics(Checks checks, String topic, TopicPartition partition) {
        ConfigResource config = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        var change = new AlterConfigOp(new ConfigEntry("retention.ms", "1000"), AlterConfigOp.OpType.SET);
        String own = nobody.name("own");
        refusesTopic(checks, "createTopics", () -> nobody.admin.createTopics(List.of(new NewTopic(own, 1, (short) -1))).all());
        refusesTopic(checks, "deleteTopics", () -> nobody.admin.deleteTopics(List.of(topic)).all());
        refusesTopic(checks, "describeTopics", () -> nobody.admin.describeTopics(List.of(topic)).allTopicNames());
        refusesTopic(checks, "createPartitions", () -> nobody.admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all());
        refusesTopic(checks, "describeConfigs", () -> nobody.admin.describeConfigs(List.of(config)).all());
        refusesTopic(checks, "incrementalAlterConfigs", () -> nobody.admin.incrementalAlterConfigs(Map.of(config, List.of(change))).all());
        refusesTopic(checks, "listOffsets", () -> nobody.admin.listOffsets(Map.of(partition, OffsetSpec.latest())).all());
        refusesTopic(checks, "deleteRecords", () -> nobody.admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(0))).all());
    }

    private void clusterAndGroups(Checks checks) {
        List<String> groups = List.of(nobody.name("group"));
        AclBinding acl = binding(ResourceType.TOPIC, "any", AclOperation.READ);
        refuses(checks, "createAcls", ClusterAuthorizationException.class, () -> nobody.admin.createAcls(List.of(acl)).all());
        refuses(checks, "describeAcls", ClusterAuthorizationException.class, () -> nobody.admin.describeAcls(AclBindingFilter.ANY).values());
        refuses(checks, "deleteAcls", ClusterAuthorizationException.class, () -> nobody.admin.deleteAcls(List.of(acl.toFilter())).all());
        refuses(checks, "describeConsumerGroups", GroupAuthorizationException.class, () -> nobody.admin.describeConsumerGroups(groups).all());
        refuses(checks, "listConsumerGroupOffsets", GroupAuthorizationException.class,
            () -> nobody.admin.listConsumerGroupOffsets(groups.get(0)).partitionsToOffsetAndMetadata());
        refuses(checks, "deleteConsumerGroups", GroupAuthorizationException.class, () -> nobody.admin.deleteConsumerGroups(groups).all());
    }

    private void allowed(String topic, TopicPartition partition) throws Exception {
        var acls = List.of(binding(ResourceType.TOPIC, topic, AclOperation.WRITE), binding(ResourceType.TOPIC, topic, AclOperation.READ));
        administrator.admin.createAcls(acls).all().get(30, TimeUnit.SECONDS);
        try (var producer = nobody.producer(IDEMPOTENT); var consumer = nobody.consumer(Map.of())) {
            Checks.equal(0L, producer.send(new ProducerRecord<>(topic, "value")).get(30, TimeUnit.SECONDS).offset(), "offset");
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            Checks.equal("value", Clients.read(consumer, 1).get(0).value(), "record");
        }
    }

    private interface Call {
        KafkaFuture<?> start();
    }

    private void refusesTopic(Checks checks, String name, Call call) {
        refuses(checks, name, TopicAuthorizationException.class, call);
    }

    private static void refuses(Checks checks, String name, Class<? extends Throwable> expected, Call call) {
        checks.check("Admin." + name + " without a right: " + expected.getSimpleName(),
            () -> Checks.fails(expected, () -> call.start().get(30, TimeUnit.SECONDS)));
    }

    /** Returns only if nothing is refused for too long. */
    private static Object pollUntilItFails(KafkaConsumer<String, String> consumer) {
        long deadline = System.nanoTime() + Clients.LIMIT.toNanos();
        while (System.nanoTime() < deadline) {
            consumer.poll(Duration.ofMillis(200));
        }
        return "polls without an exception";
    }

    private AclBinding binding(ResourceType type, String name, AclOperation operation) {
        return new AclBinding(new ResourcePattern(type, name, PatternType.LITERAL),
            new AccessControlEntry(principal, "*", operation, AclPermissionType.ALLOW));
    }
}
