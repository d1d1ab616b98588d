"""kafka-python, a client with its own implementation of the protocol. Needs BOOTSTRAP_SERVERS, API_KEY, API_SECRET."""
import os
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.structs import OffsetAndMetadata

from checks import Checks, equal, eventually, name

BASE = {
    "bootstrap_servers": os.environ["BOOTSTRAP_SERVERS"],
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "PLAIN",
    "sasl_plain_username": os.environ["API_KEY"],
    "sasl_plain_password": os.environ["API_SECRET"],
}
admin = KafkaAdminClient(**BASE)


def make_topic(what, partitions=1, configs=None):
    topic = name(what)
    admin.create_topics({topic: {"num_partitions": partitions, "configs": configs or {}}}, wait_for_metadata=True)
    # Looked up until the leaders answer: the client retries what is not ready yet.
    admin.list_partition_offsets({TopicPartition(topic, partition): -1 for partition in range(partitions)})
    return topic


def produce(topic, count, first=0, partition=None, **options):
    producer = KafkaProducer(**BASE, **options)
    try:
        pending = [
            producer.send(topic, key=f"key-{number}".encode(), value=f"value-{number}".encode(), partition=partition)
            for number in range(first, first + count)
        ]
        producer.flush(60)
        return [future.get(60) for future in pending]
    finally:
        producer.close(10)


def consumer(*topics, **options):
    return KafkaConsumer(*topics, **{**BASE, "auto_offset_reset": "earliest", "enable_auto_commit": False, **options})


def read(client, count, seconds=30):
    records, deadline = [], time.monotonic() + seconds
    while len(records) < count and time.monotonic() < deadline:
        # Not in short turns: kafka-python 3.0.12 forgets the answer to a SyncGroup that comes while a poll ends.
        left_ms = max(1, int((deadline - time.monotonic()) * 1000))
        for batch in client.poll(timeout_ms=left_ms).values():
            records.extend(batch)
    equal(count, len(records), "records read")
    return records


def read_all(topic, count, partitions=1):
    client = consumer()
    try:
        client.assign([TopicPartition(topic, partition) for partition in range(partitions)])
        client.seek_to_beginning()
        return read(client, count)
    finally:
        client.close()


def fails_with(kind, call):
    try:
        result = call()
    except kind:
        return
    raise AssertionError(f"expected {kind.__name__}, got {result!r}")


checks = Checks("kafka-python")


@checks.run
def the_cluster_is_described():
    cluster = admin.describe_cluster()
    assert cluster["cluster_id"] and cluster["brokers"], cluster


@checks.run
def a_topic_is_created_listed_described_and_deleted():
    topic = make_topic("life", 3, {"retention.ms": "100000"})
    assert topic in admin.list_topics()
    equal(3, len(admin.describe_topics([topic])[0]["partitions"]), "partitions")
    admin.delete_topics([topic])
    eventually(lambda: topic not in admin.list_topics(), "topic is gone")


@checks.run
def an_existing_topic_is_not_created_again():
    topic = make_topic("twice")
    fails_with(errors.TopicAlreadyExistsError, lambda: admin.create_topics([topic]))


@checks.run
def partitions_are_added():
    topic = make_topic("grown")
    admin.create_partitions({topic: 4})
    eventually(lambda: len(admin.describe_topics([topic])[0]["partitions"]) == 4, "four partitions")


@checks.run
def configs_are_described_and_altered():
    topic = make_topic("configs", 1, {"retention.ms": "100000"})

    def value():
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        return found["topic"][topic]["retention.ms"]["value"]

    equal("100000", value())
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": (AlterConfigOp.SET, "200000")})])
    eventually(lambda: value() == "200000", "the new value")


@checks.run
def records_come_back_in_order():
    topic = make_topic("order")
    acknowledged = produce(topic, 2000, partition=0)
    equal(list(range(2000)), [metadata.offset for metadata in acknowledged], "offsets acknowledged")
    equal([f"value-{number}".encode() for number in range(2000)], [record.value for record in read_all(topic, 2000)], "values")


@checks.run
def an_idempotent_producer_writes_once():
    topic = make_topic("idempotent", 3)
    produce(topic, 3000, enable_idempotence=True)
    equal(3000, len({record.value for record in read_all(topic, 3000, 3)}), "different values")


@checks.run
def gzip_is_read_back_unchanged():
    topic = make_topic("gzip")
    produce(topic, 2000, partition=0, compression_type="gzip", linger_ms=20)
    equal([f"value-{number}".encode() for number in range(2000)], [record.value for record in read_all(topic, 2000)], "values")


for acks in (0, 1, "all"):

    def acknowledged(acks=acks):
        topic = make_topic(f"acks-{acks}")
        produce(topic, 300, acks=acks, enable_idempotence=False)
        equal(300, len(read_all(topic, 300)))

    acknowledged.__doc__ = f"acks={acks}"
    checks.run(acknowledged)


@checks.run
def headers_and_timestamps_survive():
    topic = make_topic("headers")
    when = int(time.time() * 1000) - 5000
    producer = KafkaProducer(**BASE)
    producer.send(topic, value=b"v", headers=[("a", b"1"), ("b", b"")], timestamp_ms=when).get(30)
    producer.close(10)
    record = read_all(topic, 1)[0]
    equal([("a", b"1"), ("b", b"")], list(record.headers), "headers")
    equal(when, record.timestamp, "timestamp")


@checks.run
def a_record_that_is_too_large_is_refused():
    topic = make_topic("too-large", 1, {"max.message.bytes": "20000"})
    producer = KafkaProducer(**BASE, max_request_size=5000000)
    fails_with(errors.MessageSizeTooLargeError, lambda: producer.send(topic, value=b"x" * 100000).get(30))
    producer.close(10)


@checks.run
def offsets_are_found_by_time():
    topic = make_topic("by-time")
    partition = TopicPartition(topic, 0)
    start = int(time.time() * 1000) - 1000000
    producer = KafkaProducer(**BASE)
    for number in range(100):
        producer.send(topic, value=b"v", timestamp_ms=start + number * 1000)
    producer.close(30)
    client = consumer()
    equal(42, client.offsets_for_times({partition: start + 42000})[partition].offset, "offset")
    equal(None, client.offsets_for_times({partition: start + 500000})[partition], "offset after the end")
    equal({partition: 0}, client.beginning_offsets([partition]), "beginning")
    equal({partition: 100}, client.end_offsets([partition]), "end")
    client.close()


@checks.run
def seek_reads_from_any_offset():
    topic = make_topic("seek")
    partition = TopicPartition(topic, 0)
    produce(topic, 300, partition=0)
    client = consumer(max_poll_records=1)
    client.assign([partition])
    for offset in (299, 3, 150):
        client.seek(partition, offset)
        equal(offset, read(client, 1)[0].offset, "offset after seek")
    client.close()


@checks.run
def deleted_records_are_gone():
    topic = make_topic("delete-records")
    produce(topic, 100, partition=0)
    admin.delete_records({TopicPartition(topic, 0): 70})
    equal(70, read_all(topic, 30)[0].offset, "first offset")


@checks.run
def a_group_commits_and_goes_on_where_it_was():
    topic, group = make_topic("commit", 3), name("commit")
    produce(topic, 300)
    client = consumer(topic, group_id=group)
    read(client, 300)
    client.commit()
    client.close()
    produce(topic, 30, first=300)
    client = consumer(topic, group_id=group)
    values = {record.value for record in read(client, 30)}
    client.close()
    assert b"value-300" in values and b"value-329" in values


@checks.run
def two_members_share_six_partitions():
    topic, group = make_topic("shared", 6), name("shared")
    produce(topic, 600)
    options = {"group_id": group, "session_timeout_ms": 10000, "heartbeat_interval_ms": 500}
    first = consumer(topic, **options)
    read(first, 600)
    first.commit()
    second = consumer(topic, **options)

    def balanced():
        first.poll(timeout_ms=100)
        second.poll(timeout_ms=100)
        return len(first.assignment()) == 3 and len(second.assignment()) == 3

    eventually(balanced, "three partitions each", 60)
    second.close()

    def taken_over():
        first.poll(timeout_ms=100)
        return len(first.assignment()) == 6

    eventually(taken_over, "the first takes over", 60)
    first.close()


@checks.run
def groups_are_listed_described_and_deleted():
    topic, group = make_topic("admin-group"), name("admin-group")
    produce(topic, 10)
    client = consumer(topic, group_id=group)
    read(client, 10)
    client.commit()
    assert group in [listed["group_id"] for listed in admin.list_groups()]
    equal("Stable", admin.describe_groups([group])[group]["group_state"], "state")
    client.close()
    eventually(lambda: admin.describe_groups([group])[group]["group_state"] == "Empty", "empty")
    partition = TopicPartition(topic, 0)
    equal(10, admin.list_group_offsets({group: [partition]})[group][partition].offset, "committed offset")
    equal({group: "OK"}, admin.delete_groups([group]), "deletion")
    assert group not in [listed["group_id"] for listed in admin.list_groups()]


@checks.run
def offsets_of_a_group_are_altered():
    topic, group = make_topic("alter-offsets"), name("alter-offsets")
    produce(topic, 10)
    admin.alter_group_offsets(group, {TopicPartition(topic, 0): OffsetAndMetadata(7, "", -1)})
    client = consumer(topic, group_id=group)
    equal(7, read(client, 3)[0].offset, "first offset")
    client.close()


@checks.run
def a_topic_is_created_by_a_producer():
    topic = name("auto-created")
    produce(topic, 10)
    partitions = len(admin.describe_topics([topic])[0]["partitions"])
    equal(10, len(read_all(topic, 10, partitions)))


@checks.run
def a_wrong_secret_is_an_authentication_error():
    wrong = {**BASE, "sasl_plain_password": "wrong"}
    fails_with(errors.KafkaError, lambda: KafkaAdminClient(**wrong, bootstrap_timeout_ms=5000).list_topics())


checks.finish()
