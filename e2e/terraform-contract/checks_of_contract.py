"""Replays what Confluent's Terraform provider sends, step by step, and holds the answers against what it needs.

Needs REST_URL, CLOUD_API_KEY, CLOUD_API_SECRET of a service with brokers.
"""
import os

from checks import Checks, equal, eventually, name
from provider import LosingSession, Session, all_pages
from resources import Acl, ApiKey, ClientQuota, Cluster, Environment, Plan, RoleBinding, ServiceAccount, Topic, find_environment

cloud = Session(os.environ["REST_URL"], os.environ["CLOUD_API_KEY"], os.environ["CLOUD_API_SECRET"])
losing = LosingSession(os.environ["REST_URL"], os.environ["CLOUD_API_KEY"], os.environ["CLOUD_API_SECRET"])

environment = Environment(cloud, name("staging"))
account = ServiceAccount(cloud, name("app-manager"), "manages app")
cloud_key = ApiKey(cloud, account, "cloud-key", "Cloud key")
basic = Cluster(cloud, environment, "basic1", {"kind": "Basic"})
standard = Cluster(cloud, environment, "standard1", {"kind": "Standard"}, place=("GCP", "europe-west1"))
dedicated = Cluster(cloud, environment, "dedicated1", {"kind": "Dedicated", "cku": 1}, place=("AZURE", "westeurope"))
administrates_basic = RoleBinding(cloud, account, "CloudClusterAdmin", basic)
administrates_environment = RoleBinding(cloud, account, "EnvironmentAdmin", environment)
kafka_key = ApiKey(cloud, account, "kafka-key", "Kafka key", basic, after=[administrates_basic])
standard_key = ApiKey(cloud, account, "standard-key", "Kafka key", standard, after=[administrates_environment])
dedicated_key = ApiKey(cloud, account, "dedicated-key", "Kafka key", dedicated, after=[administrates_environment])
quota = ClientQuota(cloud, dedicated, account, "q1", "1000000", "2000000")
topic = Topic(kafka_key, "orders", 6, {"retention.ms": "86400000"})
dedicated_topic = Topic(dedicated_key, "orders", 3, {"cleanup.policy": "delete"})
standard_topic = Topic(standard_key, "orders", 3, {})
reader = ServiceAccount(cloud, name("app-reader"), "reads orders")
topic_acl = Acl(kafka_key, reader, resource_type="TOPIC", resource_name="orders", pattern_type="LITERAL", operation="READ", permission="ALLOW")
acls = [
    topic_acl,
    Acl(kafka_key, reader, resource_type="TOPIC", resource_name="orders", pattern_type="PREFIXED", operation="READ", permission="ALLOW"),
    Acl(kafka_key, reader, resource_type="TOPIC", resource_name="*", pattern_type="LITERAL", operation="DESCRIBE", permission="ALLOW"),
    Acl(kafka_key, reader, resource_type="TOPIC", resource_name="orders", pattern_type="LITERAL", operation="WRITE", permission="DENY"),
    Acl(kafka_key, reader, resource_type="GROUP", resource_name="app-", pattern_type="PREFIXED", operation="READ", permission="ALLOW"),
    Acl(kafka_key, reader, resource_type="CLUSTER", resource_name="kafka-cluster", pattern_type="LITERAL", operation="DESCRIBE", permission="ALLOW"),
    Acl(kafka_key, reader, resource_type="TRANSACTIONAL_ID", resource_name="*", pattern_type="LITERAL", operation="DESCRIBE", permission="ALLOW"),
]
plan = Plan([
    environment, account, cloud_key, basic, standard, dedicated, administrates_basic, administrates_environment, kafka_key,
    standard_key, dedicated_key, topic, standard_topic, dedicated_topic, quota, reader, *acls,
])


def apply():
    """apply: every resource is created, in Terraform's order and ten at a time"""
    plan.apply()


def empty_second_plan():
    """refresh: the second plan is empty"""
    plan.refresh()


def imports():
    """import: what the provider reads of an id that it is given gives the configuration back, twice"""
    for _ in range(2):
        plan.refresh()


def data_source_environment():
    """data sources: environment by id, by name, and all of them"""
    environment.read()
    equal([environment.id], [one["id"] for one in find_environment(cloud, environment.display_name)])
    every = all_pages(cloud, "/org/v2/environments", page_size=99)
    assert environment.id in [one["id"] for one in every], every


def data_source_organization():
    """data sources: the organization is in the resource name of the first environment"""
    first = cloud.get("/org/v2/environments").expect(200).json["data"][0]
    organization = first["metadata"]["resource_name"].removeprefix("crn://confluent.cloud/organization=").split("/")[0]
    equal(36, len(organization), "length of the organization's id")


def data_source_clusters():
    """data sources: clusters by id, by name, and all of an environment"""
    equal(basic.configured(), basic.read())
    every = all_pages(cloud, "/cmk/v2/clusters", environment=environment.id, page_size=99)
    equal(sorted(one.id for one in plan.resources if isinstance(one, Cluster)), sorted(one["id"] for one in every))
    equal([basic.id], [one["id"] for one in every if one["spec"]["display_name"] == basic.display_name])


def data_source_service_account():
    """data sources: a service account by name, filtered by the service"""
    found = cloud.get("/iam/v2/service-accounts", display_name=account.display_name).expect(200).json["data"]
    equal([account.id], [one["id"] for one in found])


def data_source_role_binding():
    """data sources: a role binding by id"""
    equal(administrates_basic.configured(), administrates_basic.read())


def data_source_topic():
    """data sources: a topic by its two reads"""
    equal(topic.configured(), topic.read())


def a_list_of_many_pages_has_an_end():
    """no list says "next": null, and following its links shows every object once"""
    extra = [Environment(cloud, name(f"page-{index}")) for index in range(3)]
    for one in extra:
        one.create()
    small, large = [[one["id"] for one in all_pages(cloud, "/org/v2/environments", page_size=size)] for size in (1, 99)]
    equal(sorted(small), sorted(large))
    equal(len(small), len(set(small)))
    for one in extra:
        one.delete()


def change_environment():
    """change: an environment's name"""
    environment.rename(name("staging2"))
    equal(environment.configured(), environment.read())


def change_service_account():
    """change: a service account's description"""
    account.describe_as("manages app 2")
    equal(account.configured(), account.read())


def change_api_key():
    """change: an API key's description"""
    kafka_key.describe_as("Kafka key 2")
    equal(kafka_key.configured(), kafka_key.read())


def change_cluster_name():
    """change: a cluster's name, with the environment in the body and not in the query"""
    basic.rename("basic2")
    equal(basic.configured(), basic.read())


def change_cluster_type():
    """change: Basic becomes Standard, keeping its topics; the way back is refused"""
    basic.config = {"kind": "Standard"}
    equal("Standard", basic.patch({"config": {"kind": "Standard"}}).expect(200).json["spec"]["config"]["kind"])
    equal(basic.configured(), basic.read())
    equal(topic.configured(), topic.read())
    answer = basic.patch({"config": {"kind": "Basic"}}).expect(400, 409, 422)
    assert answer.json["errors"][0]["detail"], answer
    equal(basic.configured(), basic.read())


def change_ckus():
    """change: a Dedicated cluster grows by a CKU and shrinks again"""
    for cku in (2, 1):
        dedicated.config = {"kind": "Dedicated", "cku": cku}
        dedicated.patch({"config": dedicated.config}).expect(200)
        eventually(lambda: dedicated.get().expect(200).json["status"].get("cku") == cku, f"{cku} CKUs")
        equal(dedicated.configured(), dedicated.read())


def change_client_quota():
    """change: the rates of a client quota"""
    quota.limit("3000000", "4000000")
    equal(quota.configured(), quota.read())


def change_acl():
    """change: an ACL is replaced, and deleting it leaves every other one"""
    topic_acl.delete()
    for other in acls[1:]:
        equal(other.configured(), other.read())
    topic_acl.create()


def change_topic_setting():
    """change: a topic's setting is in the next read; a removed one is no topic setting any more"""
    topic.alter({"retention.ms": "3600000"})
    topic.alter({"max.message.bytes": "1000000", "retention.ms": "7200000"})
    topic.alter({"max.message.bytes": None})


def change_partitions():
    """change: more partitions, without a read afterwards"""
    topic.grow(8)
    equal(topic.configured(), topic.read())


def a_topic_without_settings():
    """settings that nobody set never carry DYNAMIC_TOPIC_CONFIG"""
    plain = Topic(kafka_key, "plain", 1, {})
    plain.create()
    plain.delete()


def deleted_topic_is_gone():
    """a topic is 404 at the first request after its deletion, and its name is free"""
    for _ in range(3):
        short_lived = Topic(kafka_key, "short-lived", 2, {"retention.ms": "3600000"})
        short_lived.create()
        short_lived.delete()
        assert short_lived.is_gone()


def keys_work_at_once():
    """every new key works at the first request after the POST, every deleted one is refused at the first after the DELETE"""
    for index in range(10):
        for cluster in (None, basic):
            key = ApiKey(cloud, account, f"key-{index}", "short-lived", cluster)
            key.create()
            key.delete()
            path = "/org/v2/environments" if cluster is None else f"/kafka/v3/clusters/{basic.id}/topics"
            refused = key.session.get(path).expect(401)
            if cluster is None:
                assert "invalid API key" in refused.json["errors"][0]["detail"], refused


def bad_cloud_keys():
    """a bad Cloud key is told by the words "invalid API key", so that nothing is taken for deleted"""
    for key, secret in ((cloud_key.id, "wrong"), ("AAAAAAAAAAAAAAAA", "wrong"), (cloud_key.id, kafka_key.secret), ("", "")):
        bad = Session(cloud.base, key, secret)
        for path in (f"/org/v2/environments/{environment.id}", f"/iam/v2/service-accounts/{account.id}", f"/iam/v2/api-keys/{cloud_key.id}"):
            answer = bad.get(path).expect(401, 403)
            assert "invalid API key" in answer.text, answer
    # A Kafka key is none of the Cloud keys.
    answer = Session(cloud.base, kafka_key.id, kafka_key.secret).get(f"/org/v2/environments/{environment.id}").expect(401, 403)
    assert "invalid API key" in answer.text, answer


def bad_kafka_keys():
    """a bad Kafka key is 401 with a message"""
    answer = Session(basic.http_endpoint, kafka_key.id, "wrong").get(f"/kafka/v3/clusters/{basic.id}/topics/orders").expect(401)
    assert answer.json["message"], answer


def an_environment_in_use():
    """an environment with clusters is not deleted: 409 with a sentence"""
    answer = cloud.delete(f"/org/v2/environments/{environment.id}").expect(409)
    assert answer.json["errors"][0]["detail"], answer


def unknown_objects():
    """what does not exist is 404, so that a plan creates it again"""
    for path in ("/org/v2/environments/env-n0body00", "/iam/v2/service-accounts/sa-n0body00", "/iam/v2/api-keys/AAAAAAAAAAAAAAAA",
                 f"/cmk/v2/clusters/lkc-n0body00?environment={environment.id}"):
        cloud.get(path).expect(404)


def lost_answers():
    """a POST that is sent again because its answer was lost makes no second object, and a key's secret is the right one"""
    for _ in range(3):
        lost_environment = Environment(losing, name("lost"))
        lost_account = ServiceAccount(losing, name("lost"), "asked for twice")
        lost_cluster = Cluster(losing, lost_environment, "lost", {"kind": "Basic"})
        lost_binding = RoleBinding(losing, lost_account, "CloudClusterAdmin", lost_cluster)
        lost_keys = [ApiKey(losing, lost_account, "lost", "", cluster, after=[lost_binding]) for cluster in (None, lost_cluster)]
        lost_quota = ClientQuota(losing, dedicated, lost_account, name("lost"), "1000000", "2000000")
        lost = Plan([lost_environment, lost_account, lost_cluster, lost_binding, *lost_keys, lost_quota])
        lost.apply()
        lost.refresh()
        equal(1, len(find_environment(cloud, lost_environment.display_name)), "environments")
        accounts = cloud.get("/iam/v2/service-accounts", display_name=lost_account.display_name).expect(200).json["data"]
        equal(1, len(accounts), "service accounts")
        equal(1, len(all_pages(cloud, "/cmk/v2/clusters", environment=lost_environment.id)), "clusters")
        keys = all_pages(cloud, "/iam/v2/api-keys", **{"spec.owner": lost_account.id})
        equal(sorted(key.id for key in lost_keys), sorted(key["id"] for key in keys), "API keys")
        bindings = all_pages(cloud, "/iam/v2/role-bindings", crn_pattern=lost_cluster.rbac_crn, principal=f"User:{lost_account.id}")
        equal([lost_binding.id], [one["id"] for one in bindings], "role bindings")
        quotas = all_pages(cloud, "/kafka-quotas/v1/client-quotas", environment=environment.id, **{"spec.cluster": dedicated.id})
        equal(1, len([one for one in quotas if one["spec"]["display_name"] == lost_quota.display_name]), "client quotas")
        lost.destroy()


def keys_on_purpose():
    """two identical keys that are asked for on purpose are two"""
    twins = [ApiKey(cloud, account, "twin", "the same") for _ in range(2)]
    for twin in twins:
        twin.create()
    assert twins[0].id != twins[1].id and twins[0].secret != twins[1].secret, twins[0].id
    for twin in twins:
        twin.delete()


def destroy():
    """destroy: everything is gone at the first request after its deletion"""
    plan.destroy()
    for one in (cloud_key, kafka_key, standard_key, dedicated_key, quota, basic, standard, dedicated, account, reader, administrates_basic, environment):
        assert one.is_gone(), f"{type(one).__name__} {one.id}"
    equal([], find_environment(cloud, environment.display_name))


def apply_again():
    """apply, refresh and destroy once more, with the same names"""
    plan.apply()
    plan.refresh()
    plan.destroy()


checks = Checks("terraform-contract")
for check in (
    apply, empty_second_plan, imports, data_source_environment, data_source_organization, data_source_clusters,
    data_source_service_account, data_source_role_binding, data_source_topic, a_list_of_many_pages_has_an_end, change_environment, change_service_account,
    change_api_key, change_cluster_name, change_cluster_type, change_ckus, change_client_quota,
    change_acl, change_topic_setting, change_partitions, empty_second_plan, a_topic_without_settings,
    deleted_topic_is_gone, keys_work_at_once, bad_cloud_keys, bad_kafka_keys, an_environment_in_use, unknown_objects,
    lost_answers, keys_on_purpose, destroy, apply_again,
):
    checks.run(check)
checks.finish()
