"""Checks that everything the server acknowledged before it was killed is still there.

    crash_checker.py NOTES ROUND
"""
import json
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from checks import Checks, equal, eventually
from crash_common import BASE

notes_path, round_number = sys.argv[1], sys.argv[2]


def load():
    """Complete lines only: the writer was killed in the middle of its last one."""
    with open(notes_path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.endswith("\n")]


notes = load()
admin = AdminClient(BASE)
checks = Checks("crash")


def of(kind):
    return [note for note in notes if note["kind"] == kind]


def read_everything():
    client = Consumer({**BASE, "group.id": "unused", "auto.offset.reset": "earliest", "enable.auto.commit": False})
    ends = {partition: client.get_watermark_offsets(TopicPartition("crash-records", partition), timeout=30) for partition in range(3)}
    client.assign([TopicPartition("crash-records", partition, OFFSET_BEGINNING) for partition in range(3)])
    expected = sum(high - low for low, high in ends.values())
    found, deadline = {}, time.monotonic() + 60
    while len(found) < expected and time.monotonic() < deadline:
        for message in client.consume(5000, 0.2):
            if message.error():
                raise KafkaException(message.error())
            where = (message.partition(), message.offset())
            assert where not in found, f"offset {where} was delivered twice"
            found[where] = message.value().decode()
    client.close()
    equal(expected, len(found), "records between the log's start and its end")
    return found


def records():
    found = read_everything()
    missing = [note for note in of("record") if found.get((note["partition"], note["offset"])) != note["value"]]
    assert not missing, f"{len(missing)} of {len(of('record'))} acknowledged records are lost or changed, the first: {missing[0]}"
    equal(len(found), len(set(found.values())), "different values: an idempotent producer writes once")


def topics():
    gone = {note["topic"] for note in of("deleted-topic")}
    doubtful = {note["topic"] for note in of("deleting-topic")}
    listed = admin.list_topics(timeout=30).topics
    for note in of("topic"):
        if note["topic"] not in doubtful:
            assert note["topic"] in listed, f"topic {note['topic']} is lost"
            equal(note["partitions"], len(listed[note["topic"]].partitions), f"partitions of {note['topic']}")
    assert not gone & set(listed), f"deleted topics are back: {gone & set(listed)}"


def configs():
    doubtful = {note["topic"] for note in of("deleting-topic")}
    kept = [note for note in of("topic") if "retention" in note and note["topic"] not in doubtful]
    resources = [ConfigResource(ResourceType.TOPIC, note["topic"]) for note in kept]
    described = {resource.name: future.result(30) for resource, future in admin.describe_configs(resources).items()}
    for note in kept:
        equal(note["retention"], described[note["topic"]]["retention.ms"].value, f"retention.ms of {note['topic']}")


def offsets():
    last = {}
    for note in of("offset"):
        last[(note["group"], note["partition"])] = note["offset"]
    for group in {group for group, _ in last}:
        found = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(30).topic_partitions
        committed = {partition.partition: partition.offset for partition in found}
        for (owner, partition), offset in last.items():
            if owner == group:
                # A commit whose answer was cut off may have been kept as well.
                assert committed.get(partition, -1) >= offset, f"{group} [{partition}]: committed {offset}, found {committed.get(partition)}"


def logs_in(note):
    """Whether the server lets the key in; it must say so, one way or the other."""
    errors = []
    # A producer, because its error callback is called by poll.
    client = Producer({**BASE, "sasl.username": note["key"], "sasl.password": note["secret"], "error_cb": errors.append})
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        client.poll(0.1)
        if any(error.code() == KafkaError._AUTHENTICATION for error in errors):
            return False
        try:
            client.list_topics(timeout=0.5)
            return True
        except KafkaException:
            pass
    raise AssertionError(f"key {note['key']} was neither let in nor refused: {errors}")


def keys():
    doubtful = {note["key"] for note in of("deleting-key")}
    for note in of("key")[-20:]:
        if note["key"] not in doubtful:
            eventually(lambda: logs_in(note), f"key {note['key']} is let in", 20)


def deleted_keys():
    for note in of("deleted-key")[-5:]:
        assert not logs_in(note), f"deleted key {note['key']} is let in again"


for check, kind in ((records, "record"), (topics, "topic"), (configs, "topic"), (offsets, "offset"), (keys, "key"), (deleted_keys, "deleted-key")):
    if of(kind):
        check.__doc__ = f"round {round_number}: {check.__name__.replace('_', ' ')} are there ({len(of(kind))} acknowledged)"
        checks.run(check)
checks.finish()
