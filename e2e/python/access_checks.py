"""Who may do what, as confluent-kafka (librdkafka) sees it: ACLs of the AdminClient, role bindings of the REST API.

Needs BOOTSTRAP_SERVERS, API_KEY, API_SECRET of an administrator and, for what only Millstream has, REST_URL.
"""
import os

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient, NewTopic, ResourcePatternType, ResourceType,
)

from checks import Checks, equal, name
from crash_common import BASE, Rest

rest = Rest()
admin = AdminClient(BASE)
checks = Checks("access")


def account(what):
    """A service account without any right, and how it logs in."""
    made = rest.call("POST", "/iam/v2/service-accounts", {"display_name": name(what), "description": what})["id"]
    rest.owner = made
    key, secret = rest.create_key(what)
    return made, {**BASE, "sasl.username": key, "sasl.password": secret}


def make_topic(what):
    topic = name(what)
    admin.create_topics([NewTopic(topic, 1)])[topic].result(30)
    return topic


def acl(principal, resource_type, resource, operation, permission=AclPermissionType.ALLOW, pattern=ResourcePatternType.LITERAL):
    return AclBinding(resource_type, resource, pattern, f"User:{principal}", "*", operation, permission)


def create_acls(*bindings):
    for future in admin.create_acls(list(bindings)).values():
        future.result(30)


def delete_acls(binding):
    filters = AclBindingFilter(binding.restype, binding.name, binding.resource_pattern_type, binding.principal, binding.host,
                               binding.operation, binding.permission_type)
    for future in admin.delete_acls([filters]).values():
        equal(1, len(future.result(30)), "deleted ACLs")


def send(producer, topic):
    """The error code of the delivery report of one record; None if it was stored."""
    # librdkafka remembers a refusal until it sees the topic again.
    producer.list_topics(topic, timeout=30)
    reports = []
    try:
        producer.produce(topic, b"value", on_delivery=lambda error, message: reports.append(error and error.code()))
    except KafkaException as refused:
        return refused.args[0].code()
    equal(0, producer.flush(60), "records left in the producer")
    return reports[0]


def refusal(action):
    """The error code that an action raises."""
    try:
        action()
    except KafkaException as refused:
        return refused.args[0].code()
    raise AssertionError("it was allowed")


def read_one(client):
    """One record, or the error code that came in its place."""
    for _ in range(60):
        message = client.poll(1)
        if message is not None:
            return message.error().code() if message.error() else message.value()
    raise AssertionError("neither a record nor an error came")


@checks.run
def a_key_without_rights_sees_an_empty_cluster_and_may_do_nothing():
    topic = make_topic("nobody")
    _, login = account("nobody")
    client = AdminClient(login)
    equal({}, client.list_topics(timeout=30).topics, "topics")
    equal(KafkaError.TOPIC_AUTHORIZATION_FAILED, send(Producer(login), topic), "delivery report")
    own = name("own")
    topics = client.create_topics([NewTopic(own, 1)])
    equal(KafkaError.TOPIC_AUTHORIZATION_FAILED, refusal(lambda: topics[own].result(30)), "creation of a topic")
    wanted = acl("sa-x", ResourceType.TOPIC, "a", AclOperation.READ)
    acls = client.create_acls([wanted])
    equal(KafkaError.CLUSTER_AUTHORIZATION_FAILED, refusal(lambda: acls[wanted].result(30)), "creation of an ACL")


@checks.run
def a_reader_reads_with_its_group_and_cannot_write():
    topic, group = make_topic("read-only"), name("readers")
    principal, login = account("reader")
    create_acls(acl(principal, ResourceType.TOPIC, topic, AclOperation.READ),
                acl(principal, ResourceType.GROUP, "readers", AclOperation.READ, pattern=ResourcePatternType.PREFIXED))
    equal(None, send(Producer(BASE), topic), "delivery report of the administrator")
    client = Consumer({**login, "group.id": group, "auto.offset.reset": "earliest"})
    client.subscribe([topic])
    equal(b"value", read_one(client), "record")
    client.close()
    equal([topic], list(AdminClient(login).list_topics(timeout=30).topics), "topics that it sees")
    equal(KafkaError.TOPIC_AUTHORIZATION_FAILED, send(Producer(login), topic), "delivery report")
    other = Consumer({**login, "group.id": name("others")})
    other.subscribe([topic])
    equal(KafkaError.GROUP_AUTHORIZATION_FAILED, read_one(other), "another group")
    other.close()


@checks.run
def a_denial_beats_a_wildcard_that_allows():
    topic = make_topic("denied")
    principal, login = account("denied")
    denial = acl(principal, ResourceType.TOPIC, topic[:-1], AclOperation.WRITE, AclPermissionType.DENY, ResourcePatternType.PREFIXED)
    create_acls(acl("*", ResourceType.TOPIC, "*", AclOperation.WRITE), denial)
    producer = Producer(login)
    equal(KafkaError.TOPIC_AUTHORIZATION_FAILED, send(producer, topic), "delivery report")
    delete_acls(denial)
    equal(None, send(producer, topic), "delivery report on the same connection")
    delete_acls(acl("*", ResourceType.TOPIC, "*", AclOperation.WRITE))


@checks.run
def a_role_binding_works_on_an_open_connection_and_ends_there():
    topic = make_topic("role")
    principal, login = account("role")
    producer = Producer(login)
    equal(KafkaError.TOPIC_AUTHORIZATION_FAILED, send(producer, topic), "delivery report before")
    cluster = rest.call("GET", f"/cmk/v2/clusters/{os.environ['CLUSTER_ID']}?environment={os.environ['ENVIRONMENT_ID']}")
    binding = {"principal": f"User:{principal}", "role_name": "CloudClusterAdmin", "crn_pattern": cluster["metadata"]["resource_name"]}
    made = rest.call("POST", "/iam/v2/role-bindings", binding)["id"]
    equal(None, send(producer, topic), "delivery report with the role")
    rest.call("DELETE", f"/iam/v2/role-bindings/{made}")
    equal(KafkaError.TOPIC_AUTHORIZATION_FAILED, send(producer, topic), "delivery report after")


@checks.run
def an_idempotent_producer_needs_to_write_somewhere():
    topic = make_topic("idempotent")
    principal, login = account("idempotent")
    create_acls(acl(principal, ResourceType.TOPIC, topic, AclOperation.WRITE))
    equal(None, send(Producer({**login, "enable.idempotence": True}), topic), "delivery report")


@checks.run
def offsets_of_a_hidden_topic_are_refused():
    topic = make_topic("hidden")
    _, login = account("hidden")
    client = Consumer({**login, "group.id": name("hidden")})
    code = refusal(lambda: client.get_watermark_offsets(TopicPartition(topic, 0), timeout=30))
    # librdkafka learns first from the metadata that the topic is not for it.
    assert code in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC), code
    client.close()


checks.finish()
