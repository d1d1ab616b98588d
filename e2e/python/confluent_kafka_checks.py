"""confluent-kafka (librdkafka): producer, consumer, groups and admin. Needs BOOTSTRAP_SERVERS, API_KEY, API_SECRET."""
import os
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourceType

from checks import Checks, equal, eventually, name

BASE = {
    "bootstrap.servers": os.environ["BOOTSTRAP_SERVERS"],
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": os.environ["API_KEY"],
    "sasl.password": os.environ["API_SECRET"],
}
admin = AdminClient(BASE)


def consumer(group=None, **more):
    options = {"auto.offset.reset": "earliest", "enable.auto.commit": False, "group.id": group or name("unused")}
    options.update({key.replace("_", "."): value for key, value in more.items()})
    return Consumer({**BASE, **options})


def make_topic(what, partitions=1, config=None):
    topic = name(what)
    admin.create_topics([NewTopic(topic, partitions, config=config or {})])[topic].result(30)
    # Apache Kafka tells of a leader before it can append: write only once each partition answers for its end.
    client = consumer()
    for partition in range(partitions):
        eventually(lambda: has_end(client, TopicPartition(topic, partition)), f"{topic} [{partition}] answers")
    client.close()
    return topic


def has_end(client, partition):
    try:
        return client.get_watermark_offsets(partition, timeout=5) is not None
    except KafkaException:
        return False


def produce(topic, count, first=0, partition=None, **more):
    reports = []
    producer = Producer({**BASE, **{key.replace("_", "."): value for key, value in more.items()}})
    for number in range(first, first + count):
        where = {} if partition is None else {"partition": partition}
        while True:
            try:
                producer.produce(topic, f"value-{number}", f"key-{number}", on_delivery=lambda error, message: reports.append((error, message)), **where)
                break
            except BufferError:
                producer.poll(0.1)
    equal(0, producer.flush(60), "records left in the producer")
    for error, _ in reports:
        equal(None, error, "delivery error")
    equal(count, len(reports), "delivery reports")
    return [message for _, message in reports]


def read(client, count, seconds=30):
    messages, deadline = [], time.monotonic() + seconds
    while len(messages) < count and time.monotonic() < deadline:
        for message in client.consume(500, 0.2):
            if message.error():
                raise KafkaException(message.error())
            messages.append(message)
    equal(count, len(messages), "records read")
    return messages


def read_all(topic, count, partitions=1):
    client = consumer()
    client.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(partitions)])
    try:
        return read(client, count)
    finally:
        client.close()


def error_code(call):
    try:
        call()
    except KafkaException as problem:
        return problem.args[0].code()
    return None


checks = Checks("confluent-kafka")


@checks.run
def the_cluster_is_described():
    cluster = admin.describe_cluster().result(30)
    assert cluster.cluster_id and cluster.nodes and cluster.controller


@checks.run
def a_topic_is_created_listed_described_and_deleted():
    topic = make_topic("life", 3, {"retention.ms": "100000"})
    assert topic in admin.list_topics(timeout=30).topics
    description = admin.describe_topics(TopicCollection([topic]))[topic].result(30)
    equal(3, len(description.partitions), "partitions")
    admin.delete_topics([topic])[topic].result(30)
    eventually(lambda: topic not in admin.list_topics(timeout=30).topics, "topic is gone")


@checks.run
def an_existing_topic_is_not_created_again():
    topic = make_topic("twice")
    equal(KafkaError.TOPIC_ALREADY_EXISTS, error_code(lambda: admin.create_topics([NewTopic(topic, 1)])[topic].result(30)))


@checks.run
def an_illegal_topic_name_is_refused():
    equal(KafkaError.TOPIC_EXCEPTION, error_code(lambda: admin.create_topics([NewTopic("not legal", 1)])["not legal"].result(30)))


@checks.run
def partitions_are_added():
    topic = make_topic("grown", 1)
    admin.create_partitions([NewPartitions(topic, 4)])[topic].result(30)
    eventually(lambda: len(admin.list_topics(topic, timeout=30).topics[topic].partitions) == 4, "four partitions")


@checks.run
def configs_are_described_and_altered():
    topic = make_topic("configs", 1, {"retention.ms": "100000"})
    resource = ConfigResource(ResourceType.TOPIC, topic)

    def value(key):
        return next(iter(admin.describe_configs([resource]).values())).result(30)[key].value

    equal("100000", value("retention.ms"))
    change = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[ConfigEntry("retention.ms", "200000", incremental_operation=AlterConfigOpType.SET)])
    next(iter(admin.incremental_alter_configs([change]).values())).result(30)
    eventually(lambda: value("retention.ms") == "200000", "the new value")


@checks.run
def records_come_back_in_order():
    topic = make_topic("order")
    messages = produce(topic, 5000, partition=0)
    equal(list(range(5000)), [message.offset() for message in messages], "offsets acknowledged")
    records = read_all(topic, 5000)
    equal([f"value-{number}".encode() for number in range(5000)], [record.value() for record in records], "values")


@checks.run
def an_idempotent_producer_writes_once():
    topic = make_topic("idempotent", 3)
    produce(topic, 20000, enable_idempotence=True, linger_ms=1)
    records = read_all(topic, 20000, 3)
    equal(20000, len({record.value() for record in records}), "different values")


for codec in ("none", "gzip", "snappy", "lz4", "zstd"):

    def compressed(codec=codec):
        topic = make_topic(f"codec-{codec}")
        produce(topic, 3000, partition=0, compression_type=codec, linger_ms=50)
        equal([f"value-{number}".encode() for number in range(3000)], [record.value() for record in read_all(topic, 3000)], "values")

    compressed.__doc__ = f"compression {codec} is read back unchanged"
    checks.run(compressed)

for acks in ("0", "1", "all"):

    def acknowledged(acks=acks):
        topic = make_topic(f"acks-{acks}")
        produce(topic, 500, acks=acks)
        equal(500, len(read_all(topic, 500)))

    acknowledged.__doc__ = f"acks={acks}"
    checks.run(acknowledged)


@checks.run
def headers_and_nulls_survive():
    topic = make_topic("headers")
    producer = Producer(BASE)
    producer.produce(topic, None, None, headers=[("a", b"1"), ("a", b"2"), ("nothing", None)])
    producer.flush(30)
    record = read_all(topic, 1)[0]
    equal((None, None), (record.key(), record.value()), "key and value")
    equal([("a", b"1"), ("a", b"2"), ("nothing", None)], record.headers(), "headers")


@checks.run
def a_timestamp_is_kept():
    topic = make_topic("timestamp")
    when = int(time.time() * 1000) - 5000
    producer = Producer(BASE)
    producer.produce(topic, b"v", timestamp=when)
    producer.flush(30)
    equal(when, read_all(topic, 1)[0].timestamp()[1], "timestamp")


@checks.run
def a_record_that_is_too_large_is_refused():
    topic = make_topic("too-large", 1, {"max.message.bytes": "20000"})
    errors = []
    producer = Producer({**BASE, "message.max.bytes": 5000000})
    producer.produce(topic, b"x" * 100000, on_delivery=lambda error, _: errors.append(error))
    producer.flush(30)
    equal(KafkaError.MSG_SIZE_TOO_LARGE, errors[0].code(), "error")


@checks.run
def offsets_are_found_by_time():
    topic = make_topic("by-time")
    start = int(time.time() * 1000) - 1000000
    producer = Producer(BASE)
    for number in range(100):
        producer.produce(topic, b"v", timestamp=start + number * 1000)
    producer.flush(30)
    client = consumer()
    equal(42, client.offsets_for_times([TopicPartition(topic, 0, start + 42000)], timeout=30)[0].offset, "offset")
    equal(OFFSET_END, client.offsets_for_times([TopicPartition(topic, 0, start + 500000)], timeout=30)[0].offset, "offset after the end")
    equal((0, 100), client.get_watermark_offsets(TopicPartition(topic, 0), timeout=30), "watermarks")
    client.close()


@checks.run
def the_largest_timestamp_is_found():
    topic = make_topic("largest-timestamp")
    now = int(time.time() * 1000)
    producer = Producer(BASE)
    for offset in (-500, -100, -300):
        producer.produce(topic, b"v", timestamp=now + offset)
        producer.flush(30)
    result = admin.list_offsets({TopicPartition(topic, 0): OffsetSpec.max_timestamp()})
    equal(1, next(iter(result.values())).result(30).offset, "offset")


@checks.run
def seek_reads_from_any_offset():
    topic = make_topic("seek")
    produce(topic, 500, partition=0)
    client = consumer()
    client.assign([TopicPartition(topic, 0, 0)])
    eventually(lambda: client.poll(1) is not None, "the first record")
    for offset in (499, 3, 250):
        client.seek(TopicPartition(topic, 0, offset))
        eventually(lambda: (message := client.poll(1)) is not None and message.offset() == offset, f"offset {offset} after seek")
    client.close()


@checks.run
def deleted_records_are_gone():
    topic = make_topic("delete-records")
    produce(topic, 100, partition=0)
    result = admin.delete_records([TopicPartition(topic, 0, 70)])
    equal(70, next(iter(result.values())).result(30).low_watermark, "low watermark")
    equal(70, read_all(topic, 30)[0].offset(), "first offset")


@checks.run
def a_group_commits_and_goes_on_where_it_was():
    topic, group = make_topic("commit", 3), name("commit")
    produce(topic, 300)
    client = consumer(group)
    client.subscribe([topic])
    read(client, 300)
    client.commit(asynchronous=False)
    client.close()
    produce(topic, 30, first=300)
    client = consumer(group)
    client.subscribe([topic])
    values = {message.value() for message in read(client, 30)}
    client.close()
    assert b"value-300" in values and b"value-329" in values


for strategy in ("range", "cooperative-sticky"):

    def shared(strategy=strategy):
        topic, group = make_topic(f"shared-{strategy}", 6), name(f"shared-{strategy}")
        produce(topic, 600)
        options = {"partition.assignment.strategy": strategy, "session.timeout.ms": 10000, "heartbeat.interval.ms": 500}
        first, second = consumer(group, **options), consumer(group, **options)
        first.subscribe([topic])
        read(first, 600)
        first.commit(asynchronous=False)
        second.subscribe([topic])

        def balanced():
            first.poll(0.1)
            second.poll(0.1)
            return len(first.assignment()) == 3 and len(second.assignment()) == 3

        eventually(balanced, "three partitions each", 60)
        produce(topic, 100, first=600)
        values = []

        def all_read():
            values.extend(m.value() for client in (first, second) for m in client.consume(100, 0.2) if not m.error())
            return len(values) >= 100

        eventually(all_read, "both read the new records")
        equal(100, len(set(values)), "different values")
        second.close()

        def taken_over():
            first.poll(0.1)
            return len(first.assignment()) == 6

        eventually(taken_over, "the first takes over", 60)
        first.close()

    shared.__doc__ = f"two members share six partitions ({strategy})"
    checks.run(shared)


@checks.run
def groups_are_listed_described_and_deleted():
    topic, group = make_topic("admin-group", 2), name("admin-group")
    produce(topic, 10)
    client = consumer(group)
    client.subscribe([topic])
    read(client, 10)
    client.commit(asynchronous=False)
    description = admin.describe_consumer_groups([group])[group].result(30)
    equal("STABLE", description.state.name, "state")
    equal(1, len(description.members), "members")
    assert group in [listed.group_id for listed in admin.list_consumer_groups().result(30).valid]
    equal(KafkaError.NON_EMPTY_GROUP, error_code(lambda: admin.delete_consumer_groups([group])[group].result(30)))
    client.close()
    eventually(lambda: admin.describe_consumer_groups([group])[group].result(30).state.name == "EMPTY", "empty")
    offsets = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(30).topic_partitions
    equal(10, sum(partition.offset for partition in offsets), "sum of the committed offsets")
    admin.delete_consumer_groups([group])[group].result(30)
    assert group not in [listed.group_id for listed in admin.list_consumer_groups().result(30).valid]


@checks.run
def offsets_of_a_group_are_altered():
    topic, group = make_topic("alter-offsets"), name("alter-offsets")
    produce(topic, 10)
    change = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 7)])
    admin.alter_consumer_group_offsets([change])[group].result(30)
    client = consumer(group)
    client.subscribe([topic])
    equal(7, read(client, 3)[0].offset(), "first offset")
    client.close()


@checks.run
def a_topic_is_created_by_a_producer():
    topic = name("auto-created")
    produce(topic, 10)
    partitions = len(admin.list_topics(topic, timeout=30).topics[topic].partitions)
    equal(10, len(read_all(topic, 10, partitions)))


@checks.run
def a_wrong_secret_is_an_authentication_error():
    errors = []
    client = Producer({**BASE, "sasl.password": "wrong", "error_cb": errors.append})
    eventually(lambda: client.poll(0.1) is not None and any(error.code() == KafkaError._AUTHENTICATION for error in errors), "the error callback")


@checks.run
def end_of_partition_is_reported():
    topic = make_topic("eof")
    produce(topic, 5, partition=0)
    client = consumer(**{"enable.partition.eof": True})
    client.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    eventually(lambda: (m := client.poll(0.5)) is not None and m.error() is not None and m.error().code() == KafkaError._PARTITION_EOF, "end of partition")
    client.close()


checks.finish()
