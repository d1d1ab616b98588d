"""Writes until it is killed and notes what the server acknowledged, one JSON object a line, after the acknowledgement came.

    crash_writer.py NOTES ROUND
"""
import json
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from crash_common import BASE, Rest

notes_path, round_number = sys.argv[1], sys.argv[2]
notes = open(notes_path, "a", encoding="utf-8")
lock = threading.Lock()


def note(**what):
    with lock:
        notes.write(json.dumps(what) + "\n")
        notes.flush()


def forever(action):
    def loop():
        number = 0
        while True:
            try:
                action(number)
            except Exception as problem:  # The server is about to be killed; what was not acknowledged is not noted.
                print(f"{action.__name__}: {problem}", flush=True)
                time.sleep(0.2)
            number += 1

    threading.Thread(target=loop, daemon=True).start()


admin = AdminClient(BASE)
records_topic = "crash-records"
if records_topic not in admin.list_topics(timeout=30).topics:
    admin.create_topics([NewTopic(records_topic, 3)])[records_topic].result(30)
    note(kind="topic", topic=records_topic, partitions=3)
    time.sleep(0.5)


def create_topic(number):
    topic = f"crash-{round_number}-{number}"
    admin.create_topics([NewTopic(topic, 1 + number % 3, config={"retention.ms": str(1000000 + number)})])[topic].result(30)
    note(kind="topic", topic=topic, partitions=1 + number % 3, retention=str(1000000 + number))
    if number % 4 == 3:
        # Once it is asked for, a deletion may happen even if its answer is cut off.
        note(kind="deleting-topic", topic=topic)
        admin.delete_topics([topic])[topic].result(30)
        note(kind="deleted-topic", topic=topic)
    time.sleep(0.05)


group = f"crash-group-{round_number}"
committer = Consumer({**BASE, "group.id": group, "enable.auto.commit": False})


def commit_offset(number):
    result = committer.commit(offsets=[TopicPartition(records_topic, number % 3, number + 1)], asynchronous=False)
    if result[0].error is None:
        note(kind="offset", group=group, partition=number % 3, offset=number + 1)
    time.sleep(0.01)


rest = Rest()


def create_key(number):
    key, secret = rest.create_key(f"crash {round_number} {number}")
    note(kind="key", key=key, secret=secret)
    if number % 3 == 2:
        note(kind="deleting-key", key=key)
        rest.delete_key(key)
        note(kind="deleted-key", key=key, secret=secret)
    time.sleep(0.1)


forever(create_topic)
forever(commit_offset)
if rest.exists:
    forever(create_key)


def delivered(error, message):
    if error is None:
        note(kind="record", partition=message.partition(), offset=message.offset(), value=message.value().decode())


producer = Producer({**BASE, "enable.idempotence": True, "linger.ms": 1, "compression.type": "lz4"})
number = 0
while True:
    try:
        producer.produce(records_topic, f"{round_number}/{number}", str(number), on_delivery=delivered)
        number += 1
        if number % 100 == 0:
            producer.poll(0.01)
    except (BufferError, KafkaException):
        producer.poll(0.1)
