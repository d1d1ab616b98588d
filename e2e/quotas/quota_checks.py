"""Rates and limits of a cluster, measured with the Java client, with librdkafka (which ignores throttle times) and with bare sockets.

Needs REST_URL, CLOUD_API_KEY, CLOUD_API_SECRET of a service with brokers, and CHECKS_JAR. A Basic cluster of one eCKU has 5 MB/s in,
15 MB/s out, 300 requests/s, 20 connections and 30 partitions.
"""
import functools
import os
import subprocess
import threading
import time
import urllib.request

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from checks import Checks, eventually, name
from provider import Session
from resources import ApiKey, Cluster, Environment, Plan, RoleBinding, ServiceAccount, reference
from wire import METADATA, Wire

MB = 1_000_000
VALUE = os.urandom(10_000)
PARTITIONS = 6
START_SECONDS = 3
WINDOW_SECONDS = int(os.environ.get("WINDOW_SECONDS", "10"))
MOST_BUFFERED = 2_000
# What a consumer may fetch in the start and the window, and some more.
FILL_BYTES = 15 * MB * (START_SECONDS + WINDOW_SECONDS + 4)

cloud = Session(os.environ["REST_URL"], os.environ["CLOUD_API_KEY"], os.environ["CLOUD_API_SECRET"])
environment = Environment(cloud, name("quotas"))
account = ServiceAccount(cloud, name("quotas"), "is held to quotas")
cluster = Cluster(cloud, environment, "quotas", {"kind": "Basic"})
binding = RoleBinding(cloud, account, "CloudClusterAdmin", cluster)
key = ApiKey(cloud, account, "quotas", "of the quota checks", cluster, after=[binding])
topic = name("rates")


def main():
    checks = Checks("quotas")
    checks.run(set_up)
    for check in (
        java_producer, librdkafka_producer, java_consumer, librdkafka_consumer, requests, live_change, connections, partitions,
        client_quota,
    ):
        checks.run(check)
    checks.finish()


def set_up():
    """a cluster without a cap takes all that the consumers will fetch"""
    Plan([environment, account, cluster, binding, key]).apply()
    create(topic, PARTITIONS)
    producer = Producer({**client(), "linger.ms": 5, "batch.size": 900_000})
    for index in range(FILL_BYTES // len(VALUE)):
        send(producer, index)
    assert producer.flush(120) == 0
    set_units(1)


def java_producer():
    """the Java producer gets the cluster's 5 MB/s, within a tenth"""
    rate, throttle = java("produce")
    within(5 * MB, rate)
    assert throttle > 0, "the client knows of no throttle time"


def librdkafka_producer():
    """librdkafka gets the cluster's 5 MB/s, within a tenth, although it ignores throttle times"""
    within(5 * MB, produce_rate())


def java_consumer():
    """the Java consumer gets the cluster's 15 MB/s, within a tenth"""
    rate, throttle = java("consume")
    within(15 * MB, rate)
    assert throttle > 0, "the client knows of no throttle time"


def librdkafka_consumer():
    """librdkafka fetches the cluster's 15 MB/s, within a tenth"""
    consumer = Consumer({**client(), "group.id": "none", "enable.auto.commit": False, "queued.max.messages.kbytes": 4_096})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    window, received = Window(), 0
    while not window.is_over(received):
        received += sum(len(message.value()) for message in consumer.consume(500, 0.1) if not message.error())
    consumer.close()
    within(15 * MB, window.rate())


def requests():
    """300 requests a second are answered, however many are sent at once"""
    wire = Wire(bootstrap(), key.id, key.secret)
    sent = 300 * (START_SECONDS + WINDOW_SECONDS)
    sender = threading.Thread(target=wire.socket.sendall, args=(wire.frame(METADATA, 1, b"\0\0\0\0") * sent,))
    sender.start()
    window, answered = Window(), 0
    while answered < sent and not window.is_over(answered):
        wire.receive()
        answered += 1
    wire.close()
    sender.join(30)
    within(300, window.rate())


def live_change():
    """a change of the cap is in force within a second, also for a connection that waits"""
    rates = {}
    producing = threading.Thread(target=lambda: rates.update(rate=produce_rate(before=lambda: set_units(4))))
    producing.start()
    producing.join()
    set_units(1)
    within(20 * MB, rates["rate"])


def connections():
    """the twentieth connection is let in, the next one is told why not"""
    # Looked up, as one that is opened to find out would count itself.
    eventually(lambda: counted_connections() == 0, "earlier connections are gone")
    wires = []
    try:
        while len(wires) < 30:
            wires.append(Wire(bootstrap(), key.id, key.secret))
            if wires[-1].code != 0:
                break
        assert len(wires) == 21, f"connection {len(wires)} is the first that is refused"
        assert "as many connections as its type and size allow: 20" in wires[-1].message, wires[-1].message
    finally:
        for wire in wires:
            wire.close()


def counted_connections():
    """The cluster's connections as its metrics have them."""
    request = urllib.request.Request(f"{cloud.base}/v2/metrics/cloud/export?resource.kafka.id={cluster.id}", headers={
        "Authorization": cloud.headers["Authorization"],
    })
    with urllib.request.urlopen(request, timeout=30) as answer:
        page = answer.read().decode()
    values = [line.rsplit(" ", 1)[1] for line in page.splitlines() if line.startswith("confluent_kafka_server_active_connection_count{")]
    assert len(values) == 1, page
    return int(values[0])


def partitions():
    """the thirtieth partition is created, one more is refused by name"""
    eventually(lambda: open_connections(1) == 1, "earlier connections are gone")
    create(name("last"), 30 - PARTITIONS)
    try:
        create(name("too-many"), 1)
    except KafkaException as problem:
        assert "30 of 30 are in use" in str(problem), problem
    else:
        raise AssertionError("the thirty-first partition was created")


def client_quota():
    """a client quota holds its principal, a change of it is in force at once, and it ends when it is deleted"""
    global key
    dedicated = Cluster(fresh_session(), environment, "dedicated", {"kind": "Dedicated", "cku": 1})
    administrates = RoleBinding(cloud, account, "CloudClusterAdmin", dedicated)
    key = ApiKey(cloud, account, "dedicated", "of the client quota", dedicated, after=[administrates])
    Plan([dedicated, administrates, key]).apply()
    create(topic, PARTITIONS)
    quota = {"spec": {
        "display_name": "two megabytes", "description": "", "throughput": throughput(2 * MB),
        "cluster": reference(dedicated.id, environment=environment.id), "principals": [reference(account.id)],
        "environment": reference(environment.id),
    }}
    path = "/kafka-quotas/v1/client-quotas"
    path += "/" + fresh_session().post(path, quota).expect(202).json["id"]
    within(2 * MB, produce_rate())
    change = {"spec": {"throughput": throughput(6 * MB)}}
    within(6 * MB, produce_rate(before=lambda: fresh_session().patch(path, change).expect(200)))
    fresh_session().delete(path).expect(204)
    rate = produce_rate()
    assert rate > 7 * MB, f"{rate:,.0f} bytes per second without the quota"


def throughput(rate):
    return {"ingress_byte_rate": str(rate), "egress_byte_rate": str(rate)}


def create(topic_name, count):
    # The client ends with its name, and with it what it was asked for.
    admin = AdminClient(client())
    admin.create_topics([NewTopic(topic_name, count)])[topic_name].result(30)


def client():
    return {
        "bootstrap.servers": bootstrap(), "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN",
        "sasl.username": key.id, "sasl.password": key.secret,
    }


@functools.cache
def bootstrap_of(where):
    return where.get().expect(200).json["spec"]["kafka_bootstrap_endpoint"].removeprefix("SASL_PLAINTEXT://")


def bootstrap():
    """Of the cluster that the key is for."""
    return bootstrap_of(key.cluster)


def fresh_session():
    """A connection of its own: one that was idle during a measurement may be closed by now."""
    return Session(cloud.base, os.environ["CLOUD_API_KEY"], os.environ["CLOUD_API_SECRET"])


def set_units(units):
    cluster.cloud = fresh_session()
    cluster.patch({"config": {"kind": "Basic", "max_ecku": units}}).expect(200)


def open_connections(more):
    """How many of so many new connections are let in."""
    wires = [Wire(bootstrap(), key.id, key.secret) for _ in range(more)]
    for wire in wires:
        wire.close()
    return sum(wire.code == 0 for wire in wires)


def produce_rate(before=lambda: None):
    """Bytes per second that librdkafka gets acknowledged; `before` is called between the start and the window."""
    acknowledged = [0]

    def count(problem, message):
        acknowledged[0] += 0 if problem else len(message.value())

    producer = Producer({**client(), "linger.ms": 5, "batch.size": 262_144, "queue.buffering.max.messages": MOST_BUFFERED})
    window, index = Window(before), 0
    while not window.is_over(acknowledged[0]):
        send(producer, index, count)
        index += 1
    producer.purge()
    producer.flush(1)
    return window.rate()


def send(producer, index, count=None):
    while True:
        try:
            producer.produce(topic, VALUE, partition=index % PARTITIONS, on_delivery=count)
            producer.poll(0)
            return
        except BufferError:
            producer.poll(0.01)
            if count:
                return


def java(what):
    """Bytes per second and the largest throttle time in ms that the Java client reports."""
    properties = os.path.join(os.environ["BUILD_DIR"], "client.properties")
    with open(properties, "w", encoding="utf-8") as file:
        file.write(
            f"bootstrap.servers={bootstrap()}\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n"
            "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "
            f'username="{key.id}" password="{key.secret}";\n'
        )
    command = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", os.environ["CHECKS_JAR"],
               "io.millstream.e2e.Rate", properties, what, topic, str(PARTITIONS), str(WINDOW_SECONDS)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60 + 2 * WINDOW_SECONDS).stdout
    _, rate, _, throttle = output.split()
    return float(rate), float(throttle)


class Window:
    """Counts from the end of the start to the end of the window."""

    def __init__(self, before=lambda: None):
        self.before = before
        self.starts = time.monotonic() + START_SECONDS
        self.at_start = None

    def is_over(self, count):
        now = time.monotonic()
        if now < self.starts:
            return False
        if self.at_start is None:
            self.before()
            now = time.monotonic()
            self.at_start, self.began = count, now
        self.counted, self.elapsed = count - self.at_start, now - self.began
        return self.elapsed >= WINDOW_SECONDS

    def rate(self):
        return self.counted / self.elapsed


def within(limit, rate):
    print(f"     {rate:,.0f} of {limit:,} per second: {rate / limit:.3f}")
    assert 0.9 <= rate / limit <= 1.1, f"{rate:,.0f} per second where {limit:,} are allowed"


if __name__ == "__main__":
    main()
