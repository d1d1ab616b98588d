"""The provider's resources: which requests each sends to be created, read, changed and deleted, and what it keeps of the answers.

`read` returns what a plan compares, or None if the object is gone. A plan is without change when it equals `configured`.
"""
import threading

from checks import equal, eventually
from provider import Session, all_pages


def reference(id, **kind):
    """As the provider writes a reference: with two empty fields."""
    return {"id": id, **kind, "related": "", "resource_name": ""}


class Resource:
    """`needs` are created before and deleted after this one."""

    needs = ()
    id = None

    def __init__(self, cloud):
        self.cloud = cloud

    def is_gone(self):
        return self.read() is None


class Environment(Resource):
    def __init__(self, cloud, display_name):
        super().__init__(cloud)
        self.display_name = display_name

    def create(self):
        answer = self.cloud.post("/org/v2/environments", {"display_name": self.display_name}).expect(200, 201, 202)
        self.id = answer.json["id"]
        equal(self.configured(), self.read(), "environment after create")

    def read(self):
        answer = self.cloud.get(f"/org/v2/environments/{self.id}").expect(200, 404)
        if answer.status == 404:
            return None
        body = answer.json
        equal(self.id, body["id"])
        crn = body["metadata"]["resource_name"]
        assert crn.startswith("crn://confluent.cloud/organization=") and crn.endswith(f"/environment={self.id}"), crn
        assert "stream_governance_config" not in body, "the provider would wait for a Schema Registry"
        self.crn = crn
        return {"display_name": body["display_name"]}

    def configured(self):
        return {"display_name": self.display_name}

    def rename(self, display_name):
        self.display_name = display_name
        answer = self.cloud.patch(f"/org/v2/environments/{self.id}", {"display_name": display_name}).expect(200)
        equal(display_name, answer.json["display_name"])

    def delete(self):
        self.cloud.delete(f"/org/v2/environments/{self.id}").expect(204)


class ServiceAccount(Resource):
    def __init__(self, cloud, display_name, description):
        super().__init__(cloud)
        self.display_name, self.description = display_name, description

    def create(self):
        body = {"display_name": self.display_name, "description": self.description}
        self.id = self.cloud.post("/iam/v2/service-accounts", body).expect(200, 201, 202).json["id"]
        equal(self.configured(), self.read(), "service account after create")

    def read(self):
        answer = self.cloud.get(f"/iam/v2/service-accounts/{self.id}").expect(200, 404)
        if answer.status == 404:
            return None
        body = answer.json
        equal(("iam/v2", "ServiceAccount", self.id), (body["api_version"], body["kind"], body["id"]))
        return {"display_name": body["display_name"], "description": body["description"]}

    def configured(self):
        return {"display_name": self.display_name, "description": self.description}

    def describe_as(self, description):
        self.description = description
        self.cloud.patch(f"/iam/v2/service-accounts/{self.id}", {"description": description}).expect(200)

    def delete(self):
        self.cloud.delete(f"/iam/v2/service-accounts/{self.id}").expect(204)


class Cluster(Resource):
    def __init__(self, cloud, environment, display_name, config, availability="SINGLE_ZONE", place=("AWS", "us-east-2")):
        super().__init__(cloud)
        self.needs = (environment,)
        self.environment, self.display_name, self.config, self.availability = environment, display_name, config, availability
        self.cloud_name, self.region = place

    def create(self):
        body = {"spec": {
            "display_name": self.display_name, "availability": self.availability, "cloud": self.cloud_name, "region": self.region,
            "config": self.config, "environment": reference(self.environment.id),
        }}
        answer = self.cloud.post("/cmk/v2/clusters", body).expect(200, 201, 202)
        self.id = answer.json["id"]
        eventually(self.is_provisioned, f"cluster {self.display_name} is PROVISIONED")
        self.environment.read()
        equal(self.configured(), self.read(), "cluster after create")

    def is_provisioned(self):
        phase = self.get().expect(200).json["status"]["phase"]
        assert phase in ("PROVISIONING", "PROVISIONED"), f"unexpected state {phase}"
        return phase == "PROVISIONED"

    def get(self):
        return self.cloud.get(f"/cmk/v2/clusters/{self.id}", environment=self.environment.id)

    def read(self):
        answer = self.get().expect(200, 404)
        if answer.status == 404:
            return None
        body, spec = answer.json, answer.json["spec"]
        equal(("cmk/v2", "Cluster", self.id), (body["api_version"], body["kind"], body["id"]))
        crn = body["metadata"]["resource_name"]
        assert crn.endswith(f"/cloud-cluster={self.id}/kafka={self.id}"), crn
        self.rbac_crn = crn.removesuffix(f"/kafka={self.id}")
        self.http_endpoint = spec["http_endpoint"].rstrip("/")
        assert self.http_endpoint.startswith("http") and spec["kafka_bootstrap_endpoint"], spec
        for endpoint in spec.get("endpoints", {}).values():
            equal({"kafka_bootstrap_endpoint", "http_endpoint", "connection_type"}, set(endpoint) & {
                "kafka_bootstrap_endpoint", "http_endpoint", "connection_type"}, "endpoint")
        # The provider takes the old and the new words for the same.
        availability = {"LOW": "SINGLE_ZONE", "HIGH": "MULTI_ZONE"}.get(spec["availability"], spec["availability"])
        config = {name: value for name, value in spec["config"].items() if name in ("kind", "cku")}
        return {
            "display_name": spec["display_name"], "availability": availability, "cloud": spec["cloud"], "region": spec["region"],
            "config": config, "environment": spec["environment"]["id"], "phase": body["status"]["phase"],
        }

    def configured(self):
        return {
            "display_name": self.display_name, "availability": self.availability, "cloud": self.cloud_name, "region": self.region,
            "config": self.config, "environment": self.environment.id, "phase": "PROVISIONED",
        }

    def patch(self, spec):
        """No query here: the environment is in the body."""
        body = {"spec": {**spec, "environment": reference(self.environment.id)}}
        return self.cloud.patch(f"/cmk/v2/clusters/{self.id}", body)

    def rename(self, display_name):
        self.display_name = display_name
        equal(display_name, self.patch({"display_name": display_name}).expect(200).json["spec"]["display_name"])

    def delete(self):
        self.cloud.delete(f"/cmk/v2/clusters/{self.id}", environment=self.environment.id).expect(204)
        # The provider polls until 404 or 403; the first answer shall be the 404.
        self.get().expect(404)


class ApiKey(Resource):
    """A Cloud key, or with `cluster` a Kafka key."""

    def __init__(self, cloud, owner, display_name, description, cluster=None, after=()):
        super().__init__(cloud)
        self.needs = (owner, *((cluster,) if cluster else ()), *after)
        self.owner, self.display_name, self.description, self.cluster = owner, display_name, description, cluster

    def create(self):
        answer = self.cloud.post("/iam/v2/api-keys", self.body()).expect(200, 201, 202)
        self.id, self.secret = answer.json["id"], answer.json["spec"]["secret"]
        # The provider waits for a minute and for two answers; here the first one counts.
        if self.cluster is None:
            self.session = Session(self.cloud.base, self.id, self.secret)
            self.session.get("/org/v2/environments").expect(200)
        else:
            self.cluster.get().expect(200)
            self.session = Session(self.cluster.http_endpoint, self.id, self.secret)
            for _ in range(2):
                self.session.get(f"/kafka/v3/clusters/{self.cluster.id}/topics").expect(200)
        equal(self.configured(), self.read(), "API key after create")

    def body(self):
        spec = {"display_name": self.display_name, "description": self.description,
                "owner": reference(self.owner.id, kind="ServiceAccount")}
        if self.cluster is not None:
            spec["resource"] = reference(self.cluster.id, kind="Cluster")
        return {"spec": spec}

    def read(self):
        answer = self.cloud.get(f"/iam/v2/api-keys/{self.id}").expect(200, 404)
        if answer.status == 404:
            return None
        spec = answer.json["spec"]
        equal(self.id, answer.json["id"])
        assert not spec.get("secret"), "the secret is shown a second time"
        owner, resource = spec["owner"], spec["resource"]
        equal(("ServiceAccount", "iam/v2"), (owner["kind"], owner["api_version"]))
        if resource["kind"] != "Cloud":
            equal(("Cluster", "cmk/v2"), (resource["kind"], resource["api_version"]))
        return {
            "display_name": spec["display_name"], "description": spec["description"], "owner": owner["id"],
            "cluster": None if resource["kind"] == "Cloud" else resource["id"],
        }

    def configured(self):
        cluster = self.cluster.id if self.cluster else None
        return {"display_name": self.display_name, "description": self.description, "owner": self.owner.id, "cluster": cluster}

    def describe_as(self, description):
        self.description = description
        self.cloud.patch(f"/iam/v2/api-keys/{self.id}", {"spec": {"description": description}}).expect(200)

    def delete(self):
        self.cloud.delete(f"/iam/v2/api-keys/{self.id}").expect(204)
        self.cloud.get(f"/iam/v2/api-keys/{self.id}").expect(404)


class RoleBinding(Resource):
    """`scope` has the CRN once it is created: an environment or a cluster."""

    def __init__(self, cloud, account, role_name, scope):
        super().__init__(cloud)
        self.needs = (account, scope)
        self.account, self.role_name, self.scope = account, role_name, scope

    def create(self):
        answer = self.cloud.post("/iam/v2/role-bindings", self.configured()).expect(200, 201, 202)
        self.id = answer.json["id"]
        equal(self.configured(), self.read(), "role binding after create")

    def read(self):
        answer = self.cloud.get(f"/iam/v2/role-bindings/{self.id}").expect(200, 404)
        return None if answer.status == 404 else self.of(answer.json)

    def of(self, body):
        equal(self.id, body["id"])
        return {"principal": body["principal"], "role_name": body["role_name"], "crn_pattern": body["crn_pattern"].replace("%3A", ":")}

    def configured(self):
        crn = self.scope.rbac_crn if isinstance(self.scope, Cluster) else self.scope.crn
        return {"principal": f"User:{self.account.id}", "role_name": self.role_name, "crn_pattern": crn}

    def delete(self):
        answer = self.cloud.delete(f"/iam/v2/role-bindings/{self.id}").expect(200, 204)
        if answer.status == 200:
            equal(self.configured(), self.of(answer.json), "the deleted role binding")
        self.cloud.get(f"/iam/v2/role-bindings/{self.id}").expect(404)


class ClientQuota(Resource):
    """Byte rates are strings."""

    def __init__(self, cloud, cluster, account, display_name, ingress, egress):
        super().__init__(cloud)
        self.needs = (cluster, account)
        self.cluster, self.account, self.display_name = cluster, account, display_name
        self.throughput = {"ingress_byte_rate": ingress, "egress_byte_rate": egress}

    def create(self):
        body = {"spec": {
            "display_name": self.display_name, "description": "a quota", "throughput": self.throughput,
            "cluster": reference(self.cluster.id), "environment": reference(self.cluster.environment.id),
            "principals": [reference(self.account.id)],
        }}
        self.id = self.cloud.post("/kafka-quotas/v1/client-quotas", body).expect(200, 201, 202).json["id"]
        equal(self.configured(), self.read(), "client quota after create")

    def read(self):
        answer = self.cloud.get(f"/kafka-quotas/v1/client-quotas/{self.id}").expect(200, 404)
        if answer.status == 404:
            return None
        spec = answer.json["spec"]
        return {
            "display_name": spec["display_name"], "throughput": spec["throughput"], "cluster": spec["cluster"]["id"],
            "environment": spec["environment"]["id"], "principals": [one["id"] for one in spec["principals"]],
        }

    def configured(self):
        return {
            "display_name": self.display_name, "throughput": self.throughput, "cluster": self.cluster.id,
            "environment": self.cluster.environment.id, "principals": [self.account.id],
        }

    def limit(self, ingress, egress):
        self.throughput = {"ingress_byte_rate": ingress, "egress_byte_rate": egress}
        body = {"spec": {"throughput": self.throughput}}
        self.cloud.patch(f"/kafka-quotas/v1/client-quotas/{self.id}", body).expect(200)

    def delete(self):
        self.cloud.delete(f"/kafka-quotas/v1/client-quotas/{self.id}").expect(204)


class Acl(Resource):
    def __init__(self, key, account, **rule):
        super().__init__(key.cloud)
        self.needs = (key, account)
        self.key, self.account, self.rule = key, account, rule

    @property
    def path(self):
        return f"/kafka/v3/clusters/{self.key.cluster.id}/acls"

    def configured(self):
        return {**self.rule, "principal": f"User:{self.account.id}", "host": "*"}

    def create(self):
        answer = self.key.session.post(self.path, self.configured()).expect(200, 201)
        equal("", answer.text, "body of the answer to an ACL")
        assert self.read() is not None

    def read(self):
        """Asked for by all seven filters: exactly one row, or none when it is gone. The principal of the answer is ignored."""
        rows = self.key.session.get(self.path, **self.configured()).expect(200).json["data"]
        assert len(rows) <= 1, f"{len(rows)} rows for one ACL: {rows}"
        if not rows:
            return None
        return {name: self.configured()[name] if name == "principal" else rows[0][name] for name in self.configured()}

    def delete(self):
        answer = self.key.session.delete(self.path, **self.configured()).expect(200)
        equal(1, len(answer.json["data"]), "deleted ACLs")
        assert self.is_gone()


class Topic(Resource):
    def __init__(self, key, name, partitions, configs):
        super().__init__(key.cloud)
        self.needs = (key,)
        self.key, self.name, self.partitions, self.configs = key, name, partitions, dict(configs)

    @property
    def path(self):
        return f"/kafka/v3/clusters/{self.key.cluster.id}/topics"

    def create(self):
        body = {"topic_name": self.name, "partitions_count": self.partitions,
                "configs": [{"name": name, "value": value} for name, value in self.configs.items()]}
        self.key.session.post(self.path, body).expect(200, 201)
        equal(self.configured(), self.read(), "topic after create")

    def read(self):
        answer = self.key.session.get(f"{self.path}/{self.name}").expect(200, 404)
        if answer.status == 404:
            equal(40403, answer.json["error_code"])
            assert answer.json["message"], answer
            return None
        body = answer.json
        configs = self.key.session.get(f"{self.path}/{self.name}/configs").expect(200).json["data"]
        ours = {one["name"]: one["value"] for one in configs if one["source"] == "DYNAMIC_TOPIC_CONFIG"}
        assert len(configs) > len(ours), "settings at their default are listed too"
        return {"topic_name": body["topic_name"], "partitions_count": body["partitions_count"], "configs": ours}

    def configured(self):
        return {"topic_name": self.name, "partitions_count": self.partitions, "configs": self.configs}

    def alter(self, changes):
        """`None` removes a setting."""
        data = [{"name": name, "operation": "DELETE"} if value is None else {"name": name, "value": value}
                for name, value in changes.items()]
        self.key.session.post(f"{self.path}/{self.name}/configs:alter", {"data": data}).expect(204)
        for name, value in changes.items():
            if value is None:
                self.configs.pop(name)
            else:
                self.configs[name] = value
        # The new value must be there at once.
        equal(self.configured(), self.read(), "topic after a change")

    def grow(self, partitions):
        self.partitions = partitions
        self.key.session.patch(f"{self.path}/{self.name}", {"partitions_count": partitions}).expect(200)

    def delete(self):
        self.key.session.delete(f"{self.path}/{self.name}").expect(204)
        self.key.session.get(f"{self.path}/{self.name}").expect(404)


class Plan:
    """Resources in Terraform's order: each after what it needs, independent ones at the same time."""

    PARALLELISM = 10

    def __init__(self, resources):
        self.resources = resources

    def apply(self):
        self.walk(lambda one: one.create(), lambda one: one.needs)

    def refresh(self):
        """Fails unless the second plan is empty."""
        def compare(one):
            equal(one.configured(), one.read(), f"{type(one).__name__} {one.id} in a plan")
        self.walk(compare, lambda one: one.needs)

    def destroy(self):
        users = {one: [other for other in self.resources if one in other.needs] for one in self.resources}
        self.walk(lambda one: one.delete(), lambda one: users[one])

    def walk(self, act, wait_for):
        done = {one: threading.Event() for one in self.resources}
        slots, problems = threading.Semaphore(self.PARALLELISM), []

        def run(one):
            for other in wait_for(one):
                if other in done:
                    done[other].wait()
            with slots:
                if not problems:
                    try:
                        act(one)
                    except BaseException as problem:
                        problems.append(problem)
            done[one].set()

        threads = [threading.Thread(target=run, args=(one,), daemon=True) for one in self.resources]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if problems:
            raise problems[0]


def find_environment(cloud, display_name):
    """The data source by name: all pages, filtered in the client."""
    return [one for one in all_pages(cloud, "/org/v2/environments", page_size=99) if one["display_name"] == display_name]
