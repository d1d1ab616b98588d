"""The service under test: objects of a kind, made through its REST API as needed."""
import base64
import json
import os
import urllib.error
import urllib.request

REST_URL = os.environ["REST_URL"].rstrip("/")
KEY, SECRET = os.environ["CLOUD_API_KEY"], os.environ["CLOUD_API_SECRET"]
LIMIT_SECONDS = 30


def call(method, path, body=None):
    """The status and the JSON of an answer."""
    request = urllib.request.Request(REST_URL + path, method=method, data=json.dumps(body).encode() if body is not None else None)
    request.add_header("Authorization", "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode())
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_SECONDS) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as answer:
        return answer.code, json.loads(answer.read() or b"null")


def create(path, body):
    """The id of a new object; an error if the service refuses, unless it is for a quota."""
    status, answer = call("POST", path, body)
    if status == 402:
        return None
    assert status in (201, 202), f"POST {path} {body}: {status} {answer}"
    return answer["id"]


# Where the objects of a kind are.
COLLECTIONS = {
    "organization": "/org/v2/organizations",
    "environment": "/org/v2/environments",
    "service-account": "/iam/v2/service-accounts",
    "api-key": "/iam/v2/api-keys",
    "role-binding": "/iam/v2/role-bindings",
    "cluster": "/cmk/v2/clusters",
    "client-quota": "/kafka-quotas/v1/client-quotas",
    "scope": "/service-quota/v1/scopes",
    "applied-quota": "/service-quota/v1/applied-quotas",
    "user": "/iam/v2/users",
    "session": "/iam/v2/sessions",
    "audit-event": "/audit/v1/events",
}
# Kinds whose objects are there without being made.
GIVEN = {"organization", "scope", "applied-quota", "audit-event"}
# Kinds that cannot be listed.
UNLISTED = {"session"}
PASSWORD = "correct horse battery staple"


# The organization of the caller, in which everything is.
ROOT = "crn://confluent.cloud/organization=" + call("GET", COLLECTIONS["organization"])[1]["data"][0]["id"]


class Objects:
    """Objects that stay while the suite runs, and new ones to be deleted."""

    def __init__(self):
        self.made = 0
        self.kept = {}
        # What the first organization came with, such as the rights of the caller.
        self.first_ones = {one for kind in COLLECTIONS if kind not in UNLISTED for one in self.all(kind)}

    def name(self, kind):
        self.made += 1
        return f"{kind}-{os.getpid()}-{self.made}"

    def keep(self, kind):
        """The id of the kind's object that stays."""
        if kind not in self.kept:
            self.kept[kind] = self.all(kind)[0] if kind in GIVEN else self.new(kind)
        return self.kept[kind]

    def all(self, kind):
        """The ids on the first page of the list."""
        query = {
            "cluster": f"environment={os.environ['ENVIRONMENT_ID']}",
            "role-binding": f"crn_pattern={ROOT}",
            "client-quota": f"environment={os.environ['ENVIRONMENT_ID']}&spec.cluster={os.environ['CLUSTER_ID']}",
            "applied-quota": "scope=ORGANIZATION",
        }.get(kind, "")
        status, answer = call("GET", f"{COLLECTIONS[kind]}?page_size=100&{query}")
        assert status == 200, answer
        return [one["id"] for one in answer["data"]]

    def new(self, kind):
        """The id of an object of the kind that nobody else uses; none if a quota is reached or the API does not make them."""
        body = self.body(kind)
        return create(COLLECTIONS[kind], body) if body else None

    def body(self, kind):
        """What a POST for a new object of the kind takes."""
        make = getattr(self, f"{kind.replace('-', '_')}_body", None)
        return make() if make else None

    def environment_body(self):
        return {"display_name": self.name("environment")}

    def service_account_body(self):
        return {"display_name": self.name("account"), "description": ""}

    def cluster_body(self):
        return {"spec": {"display_name": self.name("cluster"), "availability": "SINGLE_ZONE", "cloud": "AWS", "region": "us-east-2",
                         "config": {"kind": "Basic"}, "environment": {"id": self.keep("environment")}}}

    def dedicated_cluster(self):
        """The id of the cluster that client quotas are for."""
        if "dedicated" not in self.kept:
            body = self.cluster_body()
            body["spec"]["config"] = {"kind": "Dedicated", "cku": 1}
            self.kept["dedicated"] = create(COLLECTIONS["cluster"], body)
        return self.kept["dedicated"]

    def crn_of_environment(self, environment):
        return f"{ROOT}/environment={environment}"

    def client_quota_body(self):
        account = create(COLLECTIONS["service-account"], self.service_account_body())
        return {"spec": {"display_name": self.name("quota"), "description": "", "principals": [{"id": account}],
                         "throughput": {"ingress_byte_rate": "1000000", "egress_byte_rate": "2000000"},
                         "cluster": {"id": self.dedicated_cluster()}, "environment": {"id": self.keep("environment")}}}

    def user_body(self):
        return {"email": f"{self.name('user')}@example.com", "full_name": "Made Up", "password": PASSWORD}

    def session_body(self):
        user = self.user_body()
        create(COLLECTIONS["user"], user)
        return {"email": user["email"], "password": PASSWORD}

    def api_key_body(self):
        return {"spec": {"display_name": self.name("key"), "owner": {"id": self.keep("service-account"), "kind": "ServiceAccount"}}}

    def role_binding_body(self):
        account = create(COLLECTIONS["service-account"], self.service_account_body())
        return {"principal": f"User:{account}", "role_name": "MetricsViewer", "crn_pattern": ROOT}
