package io.millstream.e2e;

import static io.millstream.e2e.Checks.equal;
import static io.millstream.e2e.Checks.eventually;
import static io.millstream.e2e.Checks.fails;
import static io.millstream.e2e.Checks.isTrue;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** The cluster, its topics and their partitions through the admin client. */
final class TopicChecks {
    private final Clients clients;
    private final Admin admin;

    TopicChecks(Clients clients) {
        this.clients = clients;
        this.admin = clients.admin;
    }

    void run(Checks checks) {
        checks.check("the cluster has an id, a controller and at least one node", () -> {
            var cluster = admin.describeCluster();
            isTrue(!cluster.clusterId().get(30, TimeUnit.SECONDS).isBlank(), "cluster id");
            isTrue(!cluster.nodes().get().isEmpty(), "nodes");
            isTrue(cluster.controller().get() != null, "controller");
        });
        checks.check("a topic is created with its partitions and described", () -> {
            String topic = clients.topic("described", 5);
            var description = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
            equal(5, description.partitions().size(), "partitions");
            isTrue(!description.topicId().equals(Uuid.ZERO_UUID), "topic id");
            isTrue(!description.isInternal(), "a user's topic is not internal");
            equal(List.of(0, 1, 2, 3, 4), description.partitions().stream().map(p -> p.partition()).toList(), "partition numbers");
            isTrue(description.partitions().stream().allMatch(p -> p.isr().size() == p.replicas().size()), "all in sync");
        });
        checks.check("a topic is described by its id", () -> {
            String topic = clients.topic("by-id", 1);
            Uuid id = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId();
            var byId = admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get();
            equal(topic, byId.get(id).name(), "name");
        });
        checks.check("creation answers partitions, configs and the topic id", () -> {
            String topic = clients.name("created");
            var result = admin.createTopics(List.of(new NewTopic(topic, 3, (short) -1).configs(Map.of("retention.ms", "86400000"))));
            equal(3, result.numPartitions(topic).get(), "partitions");
            isTrue(!result.topicId(topic).get().equals(Uuid.ZERO_UUID), "topic id");
            equal("86400000", result.config(topic).get().get("retention.ms").value(), "retention.ms");
        });
        checks.check("a topic is created with the default partition count", () -> {
            String topic = clients.name("defaults");
            admin.createTopics(List.of(new NewTopic(topic, java.util.Optional.empty(), java.util.Optional.empty()))).all().get();
            eventually("in the list of topics", Clients.LIMIT, () -> admin.listTopics().names().get().contains(topic));
            isTrue(admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() >= 1, "partitions");
        });
        checks.check("validate-only creates nothing", () -> {
            String topic = clients.name("validated");
            admin.createTopics(List.of(new NewTopic(topic, 2, (short) -1)), new CreateTopicsOptions().validateOnly(true)).all().get();
            isTrue(!admin.listTopics().names().get().contains(topic), "topic is not there");
        });
        checks.check("topics are listed", () -> {
            String first = clients.topic("listed-1", 1);
            String second = clients.topic("listed-2", 1);
            isTrue(admin.listTopics().names().get().containsAll(Set.of(first, second)), "both are listed");
            isTrue(admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get().containsAll(Set.of(first, second)), "with internal ones");
        });
        checks.check("an existing topic is not created again", () -> {
            String topic = clients.topic("twice", 1);
            fails(TopicExistsException.class, () -> admin.createTopics(List.of(new NewTopic(topic, 1, (short) -1))).all().get());
        });
        checks.check("an illegal name is refused", () ->
            fails(InvalidTopicException.class, () -> admin.createTopics(List.of(new NewTopic("not/allowed", 1, (short) -1))).all().get()));
        checks.check("a name that is too long is refused", () ->
            fails(InvalidTopicException.class, () -> admin.createTopics(List.of(new NewTopic("x".repeat(250), 1, (short) -1))).all().get()));
        checks.check("zero partitions are refused", () ->
            fails(InvalidPartitionsException.class, () -> admin.createTopics(List.of(new NewTopic(clients.name("zero"), 0, (short) -1))).all().get()));
        checks.check("a replication factor above the number of brokers is refused", () ->
            fails(InvalidReplicationFactorException.class, () -> admin.createTopics(List.of(new NewTopic(clients.name("rf"), 1, (short) 99))).all().get()));
        checks.check("an unknown config is refused", () ->
            fails(InvalidConfigurationException.class, () ->
                admin.createTopics(List.of(new NewTopic(clients.name("config"), 1, (short) -1).configs(Map.of("no.such.config", "1")))).all().get()));
        checks.check("a config value of the wrong type is refused", () ->
            fails(InvalidConfigurationException.class, () ->
                admin.createTopics(List.of(new NewTopic(clients.name("config-2"), 1, (short) -1).configs(Map.of("retention.ms", "soon")))).all().get()));
        checks.check("one bad topic of a request does not spoil the good one", () -> {
            String good = clients.name("good");
            var result = admin.createTopics(List.of(new NewTopic(good, 1, (short) -1), new NewTopic("bad name", 1, (short) -1)));
            result.values().get(good).get(30, TimeUnit.SECONDS);
            fails(InvalidTopicException.class, () -> result.values().get("bad name").get());
        });
        checks.check("an unknown topic is not described", () ->
            fails(UnknownTopicOrPartitionException.class, () -> admin.describeTopics(List.of(clients.name("nobody"))).allTopicNames().get()));
        checks.check("an unknown topic id is not described", () ->
            fails(UnknownTopicIdException.class, () ->
                admin.describeTopics(TopicCollection.ofTopicIds(List.of(Uuid.randomUuid()))).allTopicIds().get()));
        checks.check("partitions are added", () -> {
            String topic = clients.topic("grown", 2);
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(6))).all().get();
            eventually("six partitions", Clients.LIMIT,
                () -> admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() == 6);
            clients.produce(topic, 5, 0, 3, Map.of());
            equal(3, clients.readAll(topic, 3).size(), "records in the new partition");
        });
        checks.check("partitions are not taken away", () -> {
            String topic = clients.topic("shrunk", 3);
            fails(InvalidPartitionsException.class, () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get());
            fails(InvalidPartitionsException.class, () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all().get());
        });
        checks.check("partitions of an unknown topic are refused", () ->
            fails(UnknownTopicOrPartitionException.class,
                () -> admin.createPartitions(Map.of(clients.name("nobody"), NewPartitions.increaseTo(2))).all().get()));
        checks.check("a deleted topic is gone and may come back empty", () -> {
            String topic = clients.topic("deleted", 1);
            clients.produce(topic, 0, 0, 10, Map.of());
            Uuid before = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId();
            admin.deleteTopics(List.of(topic)).all().get();
            eventually("not listed", Clients.LIMIT, () -> !admin.listTopics().names().get().contains(topic));
            clients.topic("deleted", 1);
            Uuid after = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId();
            isTrue(!before.equals(after), "a new topic id");
            clients.produce(topic, 0, 100, 1, Map.of());
            equal("value-100", clients.readAll(topic, 1).get(0).value(), "only the new record");
        });
        checks.check("a topic is deleted by its id", () -> {
            String topic = clients.topic("deleted-by-id", 1);
            Uuid id = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId();
            admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get();
            eventually("not listed", Clients.LIMIT, () -> !admin.listTopics().names().get().contains(topic));
        });
        checks.check("deleting an unknown topic fails", () ->
            fails(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(clients.name("nobody"))).all().get()));
        checks.check("a hundred topics are created in one request", () -> {
            var topics = IntStream.range(0, 100).mapToObj(i -> new NewTopic(clients.name("many-" + i), 1, (short) -1)).toList();
            admin.createTopics(topics).all().get(60, TimeUnit.SECONDS);
            var names = topics.stream().map(NewTopic::name).toList();
            eventually("all listed", Clients.LIMIT, () -> admin.listTopics().names().get().containsAll(names));
            admin.deleteTopics(names).all().get(60, TimeUnit.SECONDS);
        });
    }
}
