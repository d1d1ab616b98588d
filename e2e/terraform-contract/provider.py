"""The HTTP client of Confluent's Terraform provider: the headers that it sends, and what it makes of an answer.

Every answer is held against what is true of all of them: no null link in a list, JSON where JSON is announced, no 5xx, a request id.
"""
import base64
import gzip
import http.client
import json
import threading
import time
import urllib.parse

from checks import equal

USER_AGENT = "Terraform/1.11.4 (+https://www.terraform.io) Terraform-Plugin-SDK/2.10.1 terraform-provider-confluent/2.83.4 (https://confluent.cloud)"
LIMIT_SECONDS = 60
# The provider sends a failed request again after a second.
FIRST_RETRY_SECONDS = 1


class Answer:
    def __init__(self, request, status, headers, body):
        self.request = request
        self.status = status
        self.headers = headers
        self.text = body.decode("utf-8")

    @property
    def json(self):
        assert self.headers.get("content-type", "").startswith("application/json"), f"not JSON: {self}"
        return json.loads(self.text)

    def expect(self, *statuses):
        assert self.status in statuses, f"expected {' or '.join(map(str, statuses))}: {self}"
        return self

    def __str__(self):
        return f"{self.request} answered {self.status}: {self.text[:600]}"


class Session:
    """One base URL and one key. Each thread has a connection of its own, as the provider's pool gives it."""

    def __init__(self, base, key, secret):
        self.base = base.rstrip("/")
        self.key = key
        token = base64.b64encode(f"{key}:{secret}".encode()).decode()
        self.headers = {
            "User-Agent": USER_AGENT, "Accept": "application/json", "Authorization": f"Basic {token}", "Accept-Encoding": "gzip",
        }
        self.local = threading.local()

    def get(self, path, **query):
        return self.send("GET", path, query)

    def delete(self, path, **query):
        return self.send("DELETE", path, query)

    def post(self, path, body):
        return self.send("POST", path, {}, body)

    def patch(self, path, body):
        return self.send("PATCH", path, {}, body)

    def send(self, method, path, query, body=None):
        target = path + ("?" + urllib.parse.urlencode(sorted(query.items()), quote_via=urllib.parse.quote) if query else "")
        url = urllib.parse.urlsplit(self.base + target)
        connection = self.connection(url)
        try:
            write_request(connection, method, url, self.headers, body)
            response = connection.getresponse()
            content = response.read()
        except BaseException:
            connection.close()
            raise
        headers = {name.lower(): value for name, value in response.getheaders()}
        if headers.get("content-encoding") == "gzip":
            content = gzip.decompress(content)
        answer = Answer(f"{method} {target}", response.status, headers, content)
        check_every_answer(answer)
        return answer

    def connection(self, url):
        open_connections = self.local.__dict__.setdefault("connections", {})
        if url.netloc not in open_connections:
            open_connections[url.netloc] = http.client.HTTPConnection(url.netloc, timeout=LIMIT_SECONDS)
        return open_connections[url.netloc]

    def send_and_hang_up(self, path, body):
        """A POST whose answer never arrives: the connection is closed as soon as the request is out."""
        url = urllib.parse.urlsplit(self.base + path)
        connection = http.client.HTTPConnection(url.netloc, timeout=LIMIT_SECONDS)
        write_request(connection, "POST", url, self.headers, body)
        connection.close()


class LosingSession(Session):
    """Whatever it creates is asked for twice: the answer to the first POST is lost, as when a connection breaks."""

    def post(self, path, body):
        self.send_and_hang_up(path, body)
        time.sleep(FIRST_RETRY_SECONDS)
        return super().post(path, body)


def write_request(connection, method, url, headers, body):
    target = url.path + (f"?{url.query}" if url.query else "")
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    if body is None:
        connection.endheaders()
        return
    content = json.dumps(body, separators=(",", ":")).encode()
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(content)))
    connection.endheaders(content)


def check_every_answer(answer):
    # The provider would retry a 5xx and lose its body; here nothing is retried.
    assert answer.status < 500, f"a server error: {answer}"
    assert answer.headers.get("x-request-id"), f"no X-Request-Id: {answer}"
    if answer.status == 204:
        equal("", answer.text, f"body of {answer.request}")
    if not answer.text:
        return
    body = answer.json
    if isinstance(body, dict) and "data" in body and isinstance(body["data"], list):
        next_page = body.get("metadata", {}).get("next", "")
        assert next_page is not None, f'"next": null crashes the provider: {answer}'
        assert next_page == "" or "page_token=" in urllib.parse.urlsplit(next_page).query, f"no page_token: {next_page}"
    if answer.status >= 400 and "/kafka/v3/" not in answer.request:
        error = body["errors"][0]
        equal(str(answer.status), error["status"], f"status in the body of {answer}")
        assert error["detail"] and error["code"], f"an error without detail or code: {answer}"


def all_pages(session, path, **query):
    """What a list with page_size=99 gives a client that follows every link."""
    answer = session.get(path, **query).expect(200)
    found = answer.json["data"]
    for _ in range(100):
        link = answer.json["metadata"].get("next", "")
        if not link:
            return found
        token = urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)["page_token"][0]
        answer = session.get(path, **query, page_token=token).expect(200)
        found += answer.json["data"]
    raise AssertionError(f"{path} has no last page")
