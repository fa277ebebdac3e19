"""What the Python client tests share: counting checks, and an organization of their own on the server."""

import contextlib
import json
import os
import sys
import traceback
import urllib.request
import uuid

ALL_SCOPES = [
    "meters:read",
    "meters:write",
    "events:read",
    "events:write",
    "customers:read",
    "customers:write",
    "customer_meters:read",
]


class Checks:
    """Counts what holds and what does not; a failed check is printed and the rest goes on."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.where = ""

    def true(self, what, condition, detail=""):
        if condition:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAIL {self.where}: {what} {detail}".rstrip())

    def equal(self, what, actual, expected):
        # 5 == 5.0 in Python; the type matters where a test says so with `same`.
        self.true(what, actual == expected, f"\n     got      {actual!r}\n     expected {expected!r}")

    def same(self, what, actual, expected):
        """Equal, and of the same type."""
        self.equal(what, (type(actual), actual), (type(expected), expected))

    @contextlib.contextmanager
    def section(self, name):
        """A group of checks that stops at its first exception, without stopping the others."""
        outer = self.where
        self.where = f"{outer} / {name}" if outer else name
        try:
            yield
        except Exception:  # whatever a client throws is a finding
            self.failed += 1
            print(f"FAIL {self.where}: stopped by an exception")
            traceback.print_exc(file=sys.stdout)
        finally:
            self.where = outer

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed or not self.passed else 0)


class Server:
    """The server under test, as its operator sees it."""

    def __init__(self):
        self.url = os.environ["FLOE_URL"].rstrip("/")
        self.root_token = os.environ["FLOE_ROOT_TOKEN"]
        # A token of an organization that owns nothing the tests make.
        self.stranger_token = os.environ["FLOE_TOKEN"]

    def post(self, path, body):
        request = urllib.request.Request(
            self.url + path,
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.root_token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def new_organization(self, client):
        """An empty organization, named after the client; returns its id."""
        slug = f"{client}-{uuid.uuid4().hex[:12]}"
        return self.post("/v1/organizations/", {"name": slug, "slug": slug})["id"]

    def new_token(self, organization_id, scopes=ALL_SCOPES):
        body = {"organization_id": organization_id, "comment": "client test", "scopes": scopes}
        return self.post("/v1/organization-access-tokens/", body)["token"]
