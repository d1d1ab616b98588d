"""Kinds of clusters as their owners see them: Basic becomes Standard under load, and a Dedicated cluster from creation to the last file.

Needs BOOTSTRAP_SERVERS, API_KEY, API_SECRET, REST_URL, ENVIRONMENT_ID, CLUSTER_ID, CLOUD_API_KEY, CLOUD_API_SECRET, DATA_DIR; CHECKS_JAR and
BUILD_DIR for the program in Java.
"""
import base64
import json
import os
import pathlib
import subprocess
import threading
import time
import urllib.error
import urllib.request

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from checks import Checks, equal, eventually, name

ENVIRONMENT = os.environ["ENVIRONMENT_ID"]
DATA_DIR = pathlib.Path(os.environ["DATA_DIR"])
CLOUD_KEY = base64.b64encode(f"{os.environ['CLOUD_API_KEY']}:{os.environ['CLOUD_API_SECRET']}".encode()).decode()
# What the issue asks for; the local agent needs a fraction of it.
DEDICATED_LIMIT_SECONDS = 5


def call(method, path, body=None):
    """Status and JSON of a request with the Cloud API key."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(os.environ["REST_URL"] + path, data=data, method=method)
    request.add_header("Authorization", "Basic " + CLOUD_KEY)
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    return status, json.loads(text) if text else {}


def expect(status, method, path, body=None):
    found, answer = call(method, path, body)
    assert found == status, f"{method} {path}: expected {status}, got {found}: {answer}"
    return answer


def read(cluster):
    return expect(200, "GET", f"/cmk/v2/clusters/{cluster}?environment={ENVIRONMENT}")


def change(cluster, spec):
    return call("PATCH", f"/cmk/v2/clusters/{cluster}", {"spec": {**spec, "environment": {"id": ENVIRONMENT}}})


def create(config, **more):
    spec = {"display_name": name(config["kind"]), "availability": "SINGLE_ZONE", "cloud": "GCP", "region": "europe-west4",
            "config": config, "environment": {"id": ENVIRONMENT}, **more}
    return expect(202, "POST", "/cmk/v2/clusters", {"spec": spec})


def provisioned(cluster):
    eventually(lambda: read(cluster)["status"]["phase"] == "PROVISIONED", f"{cluster} is provisioned")
    return read(cluster)


def client_with_key_of(cluster):
    """The configuration of a client, with a new key of a new service account that administers the cluster."""
    account = expect(201, "POST", "/iam/v2/service-accounts", {"display_name": name(f"of-{cluster['id']}"), "description": ""})["id"]
    crn = cluster["metadata"]["resource_name"].rsplit("/", 1)[0]
    expect(201, "POST", "/iam/v2/role-bindings", {"principal": f"User:{account}", "role_name": "CloudClusterAdmin", "crn_pattern": crn})
    key = expect(202, "POST", "/iam/v2/api-keys", {"spec": {
        "display_name": "key", "description": "", "owner": {"id": account, "kind": "ServiceAccount"},
        "resource": {"id": cluster["id"], "kind": "Cluster"}}})
    return {"bootstrap.servers": cluster["spec"]["kafka_bootstrap_endpoint"], "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN", "sasl.username": key["id"], "sasl.password": key["spec"]["secret"]}


def make_topic(client, topic, partitions):
    # The client must live until it is answered.
    admin = AdminClient(client)
    admin.create_topics([NewTopic(topic, partitions)])[topic].result(30)


def produce(client, topic, values):
    failures = []
    producer = Producer(client)
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error) if error else None)
    equal(0, producer.flush(30), "messages that were not delivered")
    equal([], failures, "failures")


def consume(client, topic, count):
    consumer = Consumer({**client, "group.id": name("readers"), "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    values = []
    deadline = time.monotonic() + 30
    while len(values) < count and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is not None and not message.error():
            values.append(message.value().decode())
    consumer.close()
    return values


def a_basic_cluster_becomes_standard_without_a_failed_produce():
    """Basic becomes Standard without a failed produce"""
    cluster = provisioned(create({"kind": "Basic"})["id"])
    client, topic = client_with_key_of(cluster), name("under-load")
    make_topic(client, topic, 3)
    failures, delivered, stop = [], [], threading.Event()

    def report(error, message):
        failures.append(error) if error else delivered.append(message.offset())

    def write():
        # No second attempt: a single refused request fails the check.
        producer = Producer({**client, "retries": 0, "linger.ms": 1})
        while not stop.is_set():
            producer.produce(topic, b"record", on_delivery=report)
            producer.poll(0.001)
        producer.flush(30)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        eventually(lambda: len(delivered) > 100, "records are delivered before the change")
        status, answer = change(cluster["id"], {"config": {"kind": "Standard"}})
        equal((200, "Standard"), (status, answer.get("spec", {}).get("config", {}).get("kind")))
        after_change = len(delivered)
        eventually(lambda: len(delivered) > after_change + 100, "records are delivered after the change")
    finally:
        stop.set()
        writer.join()
    equal([], failures, "failures")
    status, answer = change(cluster["id"], {"config": {"kind": "Basic"}})
    equal((422, "/spec/config/kind"), (status, answer["errors"][0]["source"]["pointer"]))
    expect(204, "DELETE", f"/cmk/v2/clusters/{cluster['id']}?environment={ENVIRONMENT}")


class JavaUnderLoad:
    """The idempotent producer of Apache Kafka's Java client, writing in the background."""

    def __init__(self, client, topic):
        properties = pathlib.Path(os.environ["BUILD_DIR"]) / "under-load.properties"
        properties.write_text(
            f"bootstrap.servers={client['bootstrap.servers'].replace('SASL_PLAINTEXT://', '')}\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n"
            "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "
            f'username="{client["sasl.username"]}" password="{client["sasl.password"]}";\n')
        command = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", os.environ["CHECKS_JAR"]]
        self.process = subprocess.Popen([*command, "io.millstream.e2e.UnderLoad", properties, topic], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout))
        self.reader.start()

    def delivered(self):
        counts = [int(line.split()[1]) for line in self.lines if line.startswith("delivered ")]
        return counts[-1] if counts else 0

    def finish(self):
        """Ends the writing; fails unless every record was delivered once, in order, at the first attempt."""
        self.process.stdin.close()
        status = self.process.wait(120)
        self.reader.join()
        problems = [line for line in self.lines if not line.startswith("delivered ")]
        assert status == 0 and len(problems) == 1 and problems[0].startswith("end of "), problems


def the_idempotent_producer_of_java_does_not_notice_the_change():
    """Basic becomes Standard under Java's idempotent producer: no record refused, repeated, lost, doubled or out of order"""
    cluster = provisioned(create({"kind": "Basic"})["id"])
    client, topic = client_with_key_of(cluster), name("under-java")
    make_topic(client, topic, 3)
    writer = JavaUnderLoad(client, topic)
    try:
        eventually(lambda: writer.delivered() > 1_000, "records are delivered before the change")
        equal(200, change(cluster["id"], {"config": {"kind": "Standard"}})[0])
        after_change = writer.delivered()
        eventually(lambda: writer.delivered() > after_change + 1_000, "records are delivered after the change")
    finally:
        writer.finish()
    expect(204, "DELETE", f"/cmk/v2/clusters/{cluster['id']}?environment={ENVIRONMENT}")


def folders(path):
    return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []


def a_dedicated_cluster_from_creation_to_its_last_file():
    """Dedicated: created within seconds, used, resized, protected, deleted with every file"""
    before = (folders(DATA_DIR / "dedicated"), folders(DATA_DIR / "object-store" / "millstream"))
    began = time.monotonic()
    cluster = provisioned(create({"kind": "Dedicated", "cku": 1}, deletion_protection=True)["id"])
    took = time.monotonic() - began
    print(f"     Dedicated create to PROVISIONED: {took:.2f} s")
    assert took < DEDICATED_LIMIT_SECONDS, f"took {took:.2f} s"
    assert cluster["spec"]["kafka_bootstrap_endpoint"] != os.environ["BOOTSTRAP_SERVERS"], "it has a broker of its own"
    client, topic = client_with_key_of(cluster), name("mine")
    make_topic(client, topic, 6)
    values = [f"record {number}" for number in range(1000)]
    produce(client, topic, values)
    equal(sorted(values), sorted(consume(client, topic, len(values))), "records")

    status, _ = change(cluster["id"], {"config": {"kind": "Dedicated", "cku": 3}})
    equal(200, status)
    eventually(lambda: read(cluster["id"])["status"]["cku"] == 3, "the new size")
    status, answer = change(cluster["id"], {"config": {"kind": "Dedicated", "cku": 1}})
    equal((422, "/spec/config/cku"), (status, answer["errors"][0]["source"]["pointer"]))
    produce(client, topic, ["after the resize"])

    path = f"/cmk/v2/clusters/{cluster['id']}?environment={ENVIRONMENT}"
    expect(409, "DELETE", path)
    equal(200, change(cluster["id"], {"deletion_protection": False})[0])
    expect(204, "DELETE", path)
    expect(404, "GET", path)
    files = lambda: (folders(DATA_DIR / "dedicated"), folders(DATA_DIR / "object-store" / "millstream"))
    eventually(lambda: files() == before, "its files are gone")
    try:
        AdminClient(client).list_topics(timeout=2)
    except KafkaException:
        return
    raise AssertionError("its broker still answers")


def two_dedicated_clusters_do_not_see_each_other():
    """Two Dedicated clusters have brokers of their own and keys that do not fit the other"""
    one, two = (provisioned(create({"kind": "Dedicated", "cku": 1}, display_name=name(which))["id"]) for which in ("one", "two"))
    assert one["spec"]["kafka_bootstrap_endpoint"] != two["spec"]["kafka_bootstrap_endpoint"]
    first, second = client_with_key_of(one), client_with_key_of(two)
    make_topic(first, "same", 1)
    equal([], [topic for topic in AdminClient(second).list_topics(timeout=30).topics])
    wrong = {**first, "bootstrap.servers": second["bootstrap.servers"]}
    try:
        AdminClient(wrong).list_topics(timeout=2)
    except KafkaException:
        pass
    else:
        raise AssertionError("a key opens a cluster that is not its own")
    for cluster in (one, two):
        expect(204, "DELETE", f"/cmk/v2/clusters/{cluster['id']}?environment={ENVIRONMENT}")


checks = Checks("clusters")
checks.run(a_basic_cluster_becomes_standard_without_a_failed_produce)
checks.run(the_idempotent_producer_of_java_does_not_notice_the_change)
checks.run(a_dedicated_cluster_from_creation_to_its_last_file)
checks.run(two_dedicated_clusters_do_not_see_each_other)
checks.finish()
