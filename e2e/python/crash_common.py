"""What the writer and the checker of the crash suite share: how to log in and how to call the REST API."""
import base64
import json
import os
import urllib.request

BASE = {
    "bootstrap.servers": os.environ["BOOTSTRAP_SERVERS"],
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": os.environ["API_KEY"],
    "sasl.password": os.environ["API_SECRET"],
}


class Rest:
    """The public REST API; only Millstream has one."""

    def __init__(self):
        self.exists = "REST_URL" in os.environ
        if self.exists:
            login = f"{os.environ['CLOUD_API_KEY']}:{os.environ['CLOUD_API_SECRET']}"
            self.url = os.environ["REST_URL"].rstrip("/")
            self.authorization = "Basic " + base64.b64encode(login.encode()).decode()
            self.owner = self.call("GET", f"/iam/v2/api-keys/{os.environ['API_KEY']}")["spec"]["owner"]["id"]

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": self.authorization, "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers, method=method), timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def create_key(self, description):
        resource = {"id": os.environ["CLUSTER_ID"], "environment": os.environ["ENVIRONMENT_ID"]}
        spec = {"display_name": description, "description": description, "owner": {"id": self.owner}, "resource": resource}
        made = self.call("POST", "/iam/v2/api-keys", {"spec": spec})
        return made["id"], made["spec"]["secret"]

    def delete_key(self, key):
        self.call("DELETE", f"/iam/v2/api-keys/{key}")
