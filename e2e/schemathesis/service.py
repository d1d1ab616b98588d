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


class Objects:
    """Objects that stay while the suite runs, and new ones to be deleted."""

    def __init__(self):
        self.made = 0
        self.kept = {}

    def name(self, kind):
        self.made += 1
        return f"{kind}-{os.getpid()}-{self.made}"

    def keep(self, kind):
        """The id of the kind's object that stays."""
        if kind not in self.kept:
            self.kept[kind] = self.new(kind)
        return self.kept[kind]

    def new(self, kind):
        """The id of an object of the kind that nobody else uses; none if a quota is reached or the kind is not made by the API."""
        make = getattr(self, f"new_{kind.replace('-', '_')}", None)
        return make() if make else None

    def new_organization(self):
        return call("GET", "/org/v2/organizations")[1]["data"][0]["id"]

    def new_environment(self):
        return create("/org/v2/environments", {"display_name": self.name("environment")})

    def new_service_account(self):
        return create("/iam/v2/service-accounts", {"display_name": self.name("account"), "description": ""})

    def new_cluster(self):
        spec = {"display_name": self.name("cluster"), "availability": "SINGLE_ZONE", "cloud": "AWS", "region": "us-east-2",
                "config": {"kind": "Basic"}, "environment": {"id": self.keep("environment")}}
        return create("/cmk/v2/clusters", {"spec": spec})

    def new_api_key(self):
        spec = {"display_name": self.name("key"), "owner": {"id": self.keep("service-account"), "kind": "ServiceAccount"}}
        return create("/iam/v2/api-keys", {"spec": spec})
