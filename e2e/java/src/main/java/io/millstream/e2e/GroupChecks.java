package io.millstream.e2e;

import static io.millstream.e2e.Checks.equal;
import static io.millstream.e2e.Checks.eventually;
import static io.millstream.e2e.Checks.fails;
import static io.millstream.e2e.Checks.isTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;

/** Classic consumer groups: members, rebalances, committed offsets and what the admin sees of them. */
final class GroupChecks {
    private static final String RANGE = "org.apache.kafka.clients.consumer.RangeAssignor";
    private static final String STICKY = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";

    private final Clients clients;
    private final Admin admin;

    GroupChecks(Clients clients) {
        this.clients = clients;
        this.admin = clients.admin;
    }

    void run(Checks checks) {
        checks.check("one member reads everything and its commit is remembered", () -> {
            String topic = clients.topic("commit", 3);
            String group = clients.name("commit");
            clients.produce(topic, null, 0, 300, Map.of());
            try (var consumer = clients.member(group, Map.of())) {
                consumer.subscribe(List.of(topic));
                Clients.read(consumer, 300);
                consumer.commitSync();
            }
            clients.produce(topic, null, 300, 30, Map.of());
            try (var consumer = clients.member(group, Map.of())) {
                consumer.subscribe(List.of(topic));
                var numbers = new HashSet<String>();
                Clients.read(consumer, 30).forEach(record -> numbers.add(record.value()));
                isTrue(numbers.contains("value-300") && numbers.contains("value-329"), "only the new records");
            }
        });
        for (String assignor : List.of(RANGE, STICKY)) {
            String shortName = assignor.substring(assignor.lastIndexOf('.') + 1);
            checks.check("two members share the partitions and one takes over (" + shortName + ")", () -> twoMembers(assignor));
        }
        checks.check("auto commit commits when the consumer closes", () -> {
            String topic = clients.topic("auto-commit", 1);
            String group = clients.name("auto-commit");
            clients.produce(topic, 0, 0, 20, Map.of());
            try (var consumer = clients.member(group, Map.of("enable.auto.commit", "true"))) {
                consumer.subscribe(List.of(topic));
                Clients.read(consumer, 20);
            }
            equal(20L, committed(group, new TopicPartition(topic, 0)).offset(), "committed offset");
        });
        checks.check("an offset is committed with metadata and leader epoch", () -> {
            String topic = clients.topic("commit-metadata", 1);
            String group = clients.name("commit-metadata");
            var partition = new TopicPartition(topic, 0);
            clients.produce(topic, 0, 0, 5, Map.of());
            try (var consumer = clients.member(group, Map.of())) {
                consumer.assign(List.of(partition));
                consumer.commitSync(Map.of(partition, new OffsetAndMetadata(3, java.util.Optional.of(0), "chapter three")));
                var found = consumer.committed(Set.of(partition)).get(partition);
                equal(3L, found.offset(), "offset");
                equal("chapter three", found.metadata(), "metadata");
                equal(java.util.Optional.of(0), found.leaderEpoch(), "leader epoch");
            }
        });
        checks.check("a group without commits has none", () -> {
            String topic = clients.topic("uncommitted", 1);
            try (var consumer = clients.member(clients.name("uncommitted"), Map.of())) {
                var partition = new TopicPartition(topic, 0);
                equal(null, consumer.committed(Set.of(partition)).get(partition), "committed");
            }
        });
        checks.check("commitAsync calls back", () -> {
            String topic = clients.topic("commit-async", 1);
            String group = clients.name("commit-async");
            clients.produce(topic, 0, 0, 10, Map.of());
            var called = new AtomicInteger();
            try (var consumer = clients.member(group, Map.of())) {
                consumer.subscribe(List.of(topic));
                Clients.read(consumer, 10);
                consumer.commitAsync((offsets, error) -> called.addAndGet(error == null ? 1 : 100));
                eventually("callback", Clients.LIMIT, () -> {
                    consumer.poll(Duration.ofMillis(50));
                    return called.get() == 1;
                });
            }
            equal(10L, committed(group, new TopicPartition(topic, 0)).offset(), "committed offset");
        });
        checks.check("offsets are reset by timestamp", this::resetByTimestamp);
        checks.check("the admin alters and deletes the offsets of an empty group", () -> {
            String topic = clients.topic("alter-offsets", 2);
            String group = clients.name("alter-offsets");
            var first = new TopicPartition(topic, 0);
            var second = new TopicPartition(topic, 1);
            clients.produce(topic, 0, 0, 10, Map.of());
            admin.alterConsumerGroupOffsets(group, Map.of(first, new OffsetAndMetadata(4), second, new OffsetAndMetadata(0))).all().get();
            equal(4L, committed(group, first).offset(), "altered offset");
            try (var consumer = clients.member(group, Map.of())) {
                consumer.subscribe(List.of(topic));
                equal(4L, Clients.read(consumer, 6).get(0).offset(), "first record after the altered offset");
            }
            admin.deleteConsumerGroupOffsets(group, Set.of(second)).all().get(30, TimeUnit.SECONDS);
            equal(null, committed(group, second), "deleted offset");
        });
        checks.check("offsets of a topic that a member reads are not deleted", () -> {
            String topic = clients.topic("offset-in-use", 1);
            String group = clients.name("offset-in-use");
            clients.produce(topic, 0, 0, 1, Map.of());
            try (var consumer = clients.member(group, Map.of())) {
                consumer.subscribe(List.of(topic));
                Clients.read(consumer, 1);
                consumer.commitSync();
                fails(GroupSubscribedToTopicException.class,
                    () -> admin.deleteConsumerGroupOffsets(group, Set.of(new TopicPartition(topic, 0))).all().get());
            }
        });
        checks.check("groups are listed and described with their members", () -> {
            String topic = clients.topic("described-group", 4);
            String group = clients.name("described-group");
            clients.produce(topic, null, 0, 10, Map.of());
            try (var consumer = clients.member(group, Map.of("client.id", "the-member"))) {
                consumer.subscribe(List.of(topic));
                Clients.read(consumer, 10);
                var description = admin.describeConsumerGroups(List.of(group)).all().get(30, TimeUnit.SECONDS).get(group);
                equal(GroupState.STABLE, description.groupState(), "state");
                equal(1, description.members().size(), "members");
                var member = description.members().iterator().next();
                equal("the-member", member.clientId(), "client id");
                equal(4, member.assignment().topicPartitions().size(), "assigned partitions");
                equal("range", description.partitionAssignor(), "assignor");
                isTrue(description.coordinator() != null, "coordinator");
                isTrue(admin.listGroups(ListGroupsOptions.forConsumerGroups()).all().get().stream().anyMatch(g -> g.groupId().equals(group)), "listed");
                var stable = admin.listGroups(new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE))).all().get();
                isTrue(stable.stream().anyMatch(g -> g.groupId().equals(group)), "listed as stable");
                var empty = admin.listGroups(new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY))).all().get();
                isTrue(empty.stream().noneMatch(g -> g.groupId().equals(group)), "not listed as empty");
            }
            eventually("empty after the member left", Clients.LIMIT, () ->
                admin.describeConsumerGroups(List.of(group)).all().get().get(group).groupState() == GroupState.EMPTY);
        });
        checks.check("an unknown group is not described", () ->
            fails(GroupIdNotFoundException.class, () -> admin.describeConsumerGroups(List.of(clients.name("nobody"))).all().get()));
        checks.check("a group is deleted only when it is empty", () -> {
            String topic = clients.topic("deleted-group", 1);
            String group = clients.name("deleted-group");
            clients.produce(topic, 0, 0, 1, Map.of());
            try (var consumer = clients.member(group, Map.of())) {
                consumer.subscribe(List.of(topic));
                Clients.read(consumer, 1);
                consumer.commitSync();
                fails(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
            }
            admin.deleteConsumerGroups(List.of(group)).all().get(30, TimeUnit.SECONDS);
            isTrue(admin.listGroups().all().get().stream().noneMatch(g -> g.groupId().equals(group)), "not listed");
            fails(GroupIdNotFoundException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        });
        checks.check("a static member keeps its partitions over a restart", () -> {
            String topic = clients.topic("static", 2);
            String group = clients.name("static");
            clients.produce(topic, null, 0, 10, Map.of());
            Map<String, String> identity = Map.of("group.instance.id", "instance-1", "session.timeout.ms", "30000");
            String before;
            try (var consumer = clients.member(group, identity)) {
                consumer.subscribe(List.of(topic));
                Clients.read(consumer, 10);
                consumer.commitSync();
                before = consumer.groupMetadata().groupInstanceId().orElse("");
            }
            equal("instance-1", before, "group instance id");
            // Closing does not leave the group: the member is still described.
            equal(1, admin.describeConsumerGroups(List.of(group)).all().get().get(group).members().size(), "members after close");
            try (var consumer = clients.member(group, identity)) {
                consumer.subscribe(List.of(topic));
                clients.produce(topic, null, 10, 5, Map.of());
                Clients.read(consumer, 5);
            }
            admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("instance-1")))).all().get();
            eventually("empty", Clients.LIMIT, () ->
                admin.describeConsumerGroups(List.of(group)).all().get().get(group).members().isEmpty());
        });
        checks.check("a member that is thrown out cannot commit", () -> {
            String topic = clients.topic("thrown-out", 1);
            String group = clients.name("thrown-out");
            clients.produce(topic, 0, 0, 1, Map.of());
            try (var consumer = clients.member(group, Map.of())) {
                consumer.subscribe(List.of(topic));
                Clients.read(consumer, 1);
                admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions()).all().get();
                fails(CommitFailedException.class, () -> {
                    consumer.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(1)));
                    return null;
                });
            }
        });
        checks.check("a subscription by pattern finds new topics", () -> {
            String prefix = clients.name("pattern");
            String first = clients.topic("pattern", 1);
            clients.produce(first, 0, 0, 5, Map.of());
            try (var consumer = clients.member(clients.name("pattern"), Map.of("metadata.max.age.ms", "500"))) {
                consumer.subscribe(java.util.regex.Pattern.compile("(another-)?" + prefix));
                Clients.read(consumer, 5);
                consumer.commitSync();
                String second = clients.topic("another-pattern", 1);
                clients.produce(second, 0, 5, 5, Map.of());
                Clients.read(consumer, 5);
            }
        });
        checks.check("a member whose session runs out loses its partitions", () -> {
            String topic = clients.topic("session", 2);
            String group = clients.name("session");
            clients.produce(topic, null, 0, 10, Map.of());
            // max.poll.interval.ms makes the idle member leave while the other one goes on.
            var slow = clients.member(group, Map.of("session.timeout.ms", "6000", "max.poll.interval.ms", "2000"));
            slow.subscribe(List.of(topic));
            Clients.read(slow, 10);
            try (var other = clients.member(group, Map.of())) {
                other.subscribe(List.of(topic));
                eventually("the other member has both partitions", Clients.LIMIT, () -> {
                    other.poll(Duration.ofMillis(100));
                    return other.assignment().size() == 2;
                });
            } finally {
                slow.close(org.apache.kafka.clients.consumer.CloseOptions.timeout(Duration.ofSeconds(1)));
            }
        });
    }

    private void twoMembers(String assignor) throws Exception {
        String topic = clients.topic("two-members-" + assignor.hashCode(), 6);
        String group = clients.name("two-members-" + assignor.hashCode());
        clients.produce(topic, null, 0, 600, Map.of());
        Map<String, String> more = Map.of("partition.assignment.strategy", assignor);
        Set<String> seen = new HashSet<>();
        try (var first = clients.member(group, more)) {
            var revoked = new AtomicInteger();
            first.subscribe(List.of(topic), new CountRevocations(revoked));
            Clients.read(first, 600).forEach(record -> seen.add(record.value()));
            equal(6, first.assignment().size(), "partitions of the only member");
            first.commitSync();
            try (var second = clients.member(group, more)) {
                second.subscribe(List.of(topic));
                eventually("three partitions each", Clients.LIMIT, () -> {
                    first.poll(Duration.ofMillis(50));
                    second.poll(Duration.ofMillis(50));
                    return first.assignment().size() == 3 && second.assignment().size() == 3;
                });
                isTrue(revoked.get() > 0, "the first member was asked to give partitions back");
                var all = new HashSet<>(first.assignment());
                all.addAll(second.assignment());
                equal(6, all.size(), "different partitions");
                equal(2, admin.describeConsumerGroups(List.of(group)).all().get().get(group).members().size(), "members");
                clients.produce(topic, null, 600, 300, Map.of());
                List<String> fresh = new ArrayList<>();
                eventually("both read the new records", Clients.LIMIT, () -> {
                    first.poll(Duration.ofMillis(50)).forEach(record -> fresh.add(record.value()));
                    second.poll(Duration.ofMillis(50)).forEach(record -> fresh.add(record.value()));
                    return fresh.size() >= 300;
                });
                equal(300, new HashSet<>(fresh).size(), "each new record once");
                equal(300, fresh.size(), "no record twice");
                first.commitSync();
                second.commitSync();
            }
            eventually("the first member takes over", Clients.LIMIT, () -> {
                first.poll(Duration.ofMillis(50));
                return first.assignment().size() == 6;
            });
        }
    }

    private void resetByTimestamp() throws Exception {
        String topic = clients.topic("reset", 1);
        String group = clients.name("reset");
        var partition = new TopicPartition(topic, 0);
        long start = System.currentTimeMillis() - 100_000;
        try (var producer = clients.producer(Map.of())) {
            for (int i = 0; i < 100; i++) {
                producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>(topic, 0, start + i * 1000L, "k", "value-" + i));
            }
        }
        try (var consumer = clients.member(group, Map.of())) {
            consumer.subscribe(List.of(topic));
            Clients.read(consumer, 100);
            consumer.commitSync();
        }
        long target;
        try (KafkaConsumer<String, String> consumer = clients.consumer(Map.of())) {
            target = consumer.offsetsForTimes(Map.of(partition, start + 75_000)).get(partition).offset();
        }
        admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(target))).all().get();
        try (var consumer = clients.member(group, Map.of())) {
            consumer.subscribe(List.of(topic));
            equal("value-75", Clients.read(consumer, 25).get(0).value(), "first record after the reset");
        }
    }

    private OffsetAndMetadata committed(String group, TopicPartition partition) throws Exception {
        return admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get(30, TimeUnit.SECONDS).get(partition);
    }

    private record CountRevocations(AtomicInteger count) implements ConsumerRebalanceListener {
        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            count.addAndGet(partitions.size());
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}
    }
}
