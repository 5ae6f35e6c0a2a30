"""A test CA for the tests of an ACME client; conftest.py makes a pytest fixture of it. Standard library only."""

import contextlib
import json
import os
import subprocess
import urllib.request

# Ports of its own for each, so that tests run beside each other.
ANYWHERE = [word for flag in ("--listen", "--manage", "--dns") for word in (flag, "127.0.0.1:0")]


class Ca:
    """A running test CA."""

    def __init__(self, hello):
        self.directory = hello["directory"]
        self.root = hello["root"]
        self.manage = hello["manage"]

    def call(self, method, path, body=None):
        """Calls the management interface; the answer's text."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.manage + path, data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()

    def fault(self, fault):
        """Puts a fault in force, such as "finalize:503 once"."""
        self.call("POST", "/faults", {"fault": fault})

    def advance(self, span):
        """Lets time pass, such as "30d"."""
        self.call("POST", "/clock", {"advance": span})

    def transcript(self):
        """Every exchange so far."""
        return [json.loads(line) for line in self.call("GET", "/transcript").splitlines()]

    def findings(self, level="MUST"):
        """What clients did wrong."""
        return [one for one in json.loads(self.call("GET", "/findings")) if one["level"] == level]


@contextlib.contextmanager
def running(*words):
    """Starts one, and ends it with the block."""
    command = [os.environ.get("CAIRN", "cairn"), "ca", "dev", "--json", *ANYWHERE, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Ca(json.loads(process.stdout.readline()))
        finally:
            process.terminate()
