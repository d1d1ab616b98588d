"""What is in the Kafka cluster under test: a topic, and a group with a member that reads it; and requests that are right.

The cluster is a Dedicated one: a smaller one would answer most requests of a run with 429.
"""
import base64
import itertools
import time

from kafka import KafkaConsumer

from service import call, create

STAYS = "stays"
GROUP = "readers"
LIMIT_SECONDS = 60
# The member only has to be there.
NO_POLL_FOR_MS = 3_600_000


class KafkaObjects:
    def __init__(self, objects):
        self.objects = objects
        self.turn = itertools.count()
        self.cluster = objects.dedicated_cluster()
        self.path = f"/kafka/v3/clusters/{self.cluster}"
        bootstrap = self.wait_until_provisioned()
        owner = objects.keep("service-account")
        root = objects.crn_of_environment(objects.keep("environment"))
        create("/iam/v2/role-bindings", {"principal": f"User:{owner}", "role_name": "CloudClusterAdmin",
                                         "crn_pattern": f"{root}/cloud-cluster={self.cluster}"})
        status, key = call("POST", "/iam/v2/api-keys", {"spec": {"display_name": "kafka", "owner": {"id": owner},
                                                                 "resource": {"id": self.cluster}}})
        assert status == 202, key
        self.key, self.secret = key["id"], key["spec"]["secret"]
        self.new_topic(STAYS)
        self.consumer = self.start_consumer(bootstrap)
        status, members = call("GET", f"{self.path}/consumer-groups/{GROUP}/consumers")
        assert status == 200, members
        self.member = members["data"][0]["consumer_id"]

    def wait_until_provisioned(self):
        """Where clients bootstrap from."""
        deadline = time.monotonic() + LIMIT_SECONDS
        path = f"/cmk/v2/clusters/{self.cluster}?environment={self.objects.keep('environment')}"
        while time.monotonic() < deadline:
            status, cluster = call("GET", path)
            assert status == 200, cluster
            if cluster["status"]["phase"] == "PROVISIONED":
                return cluster["spec"]["kafka_bootstrap_endpoint"].split("://")[-1]
            time.sleep(0.05)
        raise AssertionError(f"{self.cluster} did not become PROVISIONED")

    def start_consumer(self, bootstrap):
        # A partition has a lag once an offset is committed.
        status, report = call("POST", f"{self.path}/topics/{STAYS}/records", {"partition_id": 0})
        assert status == 200, report
        consumer = KafkaConsumer(
            STAYS, bootstrap_servers=bootstrap, security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN", group_id=GROUP,
            sasl_plain_username=self.key, sasl_plain_password=self.secret, auto_offset_reset="earliest",
            enable_auto_commit=False, max_poll_interval_ms=NO_POLL_FOR_MS, client_id="reader")
        # In one go: kafka-python 3.0.12 forgets the answer to a SyncGroup that comes while a poll ends.
        assert any(consumer.poll(timeout_ms=LIMIT_SECONDS * 1000).values()), "the consumer reads nothing"
        consumer.commit()
        return consumer

    def new_topic(self, name=None):
        name = name or f"topic-{next(self.turn)}"
        status, answer = call("POST", f"{self.path}/topics", {"topic_name": name, "partitions_count": 1})
        assert status in (201, 429), answer
        return name

    def parameters(self, case):
        """Values for the parameters of the path, so that something is there."""
        deletes_topic = case.method.upper() == "DELETE" and case.path.endswith("/topics/{topic_name}")
        values = {"cluster_id": self.cluster, "topic_name": self.new_topic() if deletes_topic else STAYS, "name": "retention.ms",
                  "partition_id": 0, "broker_id": self.broker(), "consumer_group_id": GROUP, "consumer_id": self.member}
        return {name: values.get(name, value) for name, value in case.path_parameters.items()}

    def broker(self):
        if not hasattr(self, "broker_id"):
            status, replicas = call("GET", f"{self.path}/topics/{STAYS}/partitions/0/replicas")
            assert status == 200, replicas
            self.broker_id = replicas["data"][0]["broker_id"]
        return self.broker_id

    def acl(self):
        return {"resource_type": "TOPIC", "resource_name": f"acl-{next(self.turn)}", "pattern_type": "LITERAL", "permission": "ALLOW",
                "principal": f"User:{self.objects.keep('service-account')}", "host": "*", "operation": "READ"}

    def body(self, case):
        """A body that the operation takes; none if it takes none."""
        value = base64.b64encode(b"value").decode()
        makers = {
            ("POST", "/topics"): lambda: {"topic_name": f"topic-{next(self.turn)}", "validate_only": next(self.turn) % 2 == 0},
            ("PATCH", "/topics/{topic_name}"): lambda: {"partitions_count": 2 + next(self.turn)},
            ("POST", "/acls"): self.acl,
            ("POST", "/acls:batch"): lambda: {"data": [self.acl()]},
            ("POST", "/topics/{topic_name}/configs:alter"): lambda: {"data": [{"name": "retention.ms", "value": "3600000"}]},
            ("PUT", "/topics/{topic_name}/configs/{name}"): lambda: {"value": "3600000"},
            ("POST", "/topics/{topic_name}/records"): lambda: {"partition_id": 0, "value": {"type": "BINARY", "data": value}},
        }
        make = makers.get((case.method.upper(), case.path.removeprefix("/kafka/v3/clusters/{cluster_id}")))
        return make() if make else None

    def query(self, case):
        """Filters that the operation takes."""
        if case.method.upper() == "DELETE" and case.path.endswith("/acls"):
            return self.acl()
        return {}
