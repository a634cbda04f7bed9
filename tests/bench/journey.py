"""How long after the customer's click the payment gateway gets the refund, in the real demo with all its processes."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refund_plugin import documents
from tests.bench.figures import Row, at_most, percentile
from tests.services import free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
# each asks for a quote first, and the shop allows one network 20 tries in ten minutes
REQUESTS = 9
START_SECONDS, ARRIVAL_SECONDS, STOP_SECONDS = 180.0, 30.0, 30.0
LOOK_AGAIN_SECONDS = 0.005
PRODUCT = "EB-SLOWWEB"


class DemoFailed(RuntimeError):
    """The demo did not come up, or did not answer as expected."""


@dataclass(frozen=True, slots=True)
class Demo:
    """Where the demo's parts answer, without a trailing slash."""

    shop: str
    sandbox: str


@contextmanager
def running_demo() -> Iterator[Demo]:
    """Run the whole demo with throw-away state on a free port; end it with everything it started.

    Raises:
        DemoFailed: it did not become ready; the message carries what it said.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="refund-bench-") as folder:
        environment = {**os.environ, "PORT": str(port), "SHOP_STATE_DIR": folder, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "demo.supervisor"],
            cwd=ROOT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.extend(process.stdout or ()), daemon=True)
        reader.start()
        try:
            ready = f"ready: http://127.0.0.1:{port}/"
            try:
                wait_until(
                    lambda: process.poll() is not None or any(line.startswith(ready) for line in said),
                    timeout_seconds=START_SECONDS,
                    what="the start of the demo",
                )
            except TimeoutError as error:
                raise DemoFailed(f"{error}\n{''.join(said)}") from error
            if process.poll() is not None:
                reader.join(timeout=STOP_SECONDS)
                raise DemoFailed("".join(said))
            addresses = json.loads((Path(folder) / "addresses.json").read_text())
            yield Demo(addresses["shop"], addresses["sandbox"])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=STOP_SECONDS)


def measure() -> list[Row]:
    """Return the rows of the way to the gateway."""
    with running_demo() as demo:
        customers = [Customer(demo, f"bench{number}@example.com") for number in range(REQUESTS)]
        for customer in customers:
            customer.buy()
        taken = [customer.seconds_until_the_gateway_has_it() for customer in customers]
    name = f"From the click to the gateway in the demo, {REQUESTS} requests"
    return [at_most(f"{name}, slowest", max(taken), 2, "s"), Row("  p50", f"{percentile(taken, 50):.2f} s")]


class Customer:
    """Someone with a browser of their own who buys a book and asks for the money back."""

    def __init__(self, demo: Demo, email: str) -> None:
        self.demo = demo
        self.email = email
        self.number = ""
        self.cookies = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies))

    def buy(self) -> None:
        """Buy the book through the shop's checkout."""
        url = f"{self.demo.shop}/checkout/{PRODUCT}/"
        page = self._open(url)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        if token is None:
            raise DemoFailed("The checkout page has no form.")
        fields = {"csrfmiddlewaretoken": token[1], "name": "Ada", "email": self.email, "country": "DE"}
        request = urllib.request.Request(url, urllib.parse.urlencode(fields).encode(), {"Referer": url})
        with self.opener.open(request, timeout=30) as answer:
            found = re.search(r"/checkout/([^/]+)/thanks/", answer.geturl())
        if found is None:
            raise DemoFailed("The checkout did not lead to an order.")
        self.number = found[1]

    def seconds_until_the_gateway_has_it(self) -> float:
        """Ask for a refund, and return the seconds from sending the question to the refund's appearance at the sandbox."""
        quote = self._graphql("RefundQuote", {"orderNumber": self.number, "email": self.email})["refundQuote"]
        lines = [{"lineId": line["line"]["id"], "quantity": line["quantity"]} for line in quote["lines"]]
        asked = {"orderNumber": self.number, "email": self.email, "lines": lines, "reason": "CHANGED_MIND", "clientKey": str(uuid.uuid4())}
        before = self._refunds()
        started = time.monotonic()
        status = self._graphql("RefundRequestCreate", {"input": asked})["refundRequest"]["status"]
        if status != "APPROVED":
            raise DemoFailed(f"The demo's policy was to approve order {self.number}, and the request is {status}.")
        while self._refunds() == before:
            if time.monotonic() - started > ARRIVAL_SECONDS:
                raise DemoFailed(f"The refund of order {self.number} did not reach the sandbox within {ARRIVAL_SECONDS:.0f} s.")
            time.sleep(LOOK_AGAIN_SECONDS)
        return time.monotonic() - started

    def _refunds(self) -> int:
        count: int = json.loads(self._open(f"{self.demo.sandbox}/_sandbox/state"))["counts"]["refunds"]
        return count

    def _graphql(self, name: str, variables: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps({"query": documents.operation(f"storefront/{name}"), "variables": variables}).encode()
        request = urllib.request.Request(f"{self.demo.shop}/refunds/graphql/", body, {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as response:
            answer = json.load(response)
        if answer.get("errors"):
            raise DemoFailed(f"{name} was not answered: {answer['errors']}")
        (result,) = answer["data"].values()
        if result["errors"]:
            raise DemoFailed(f"{name} was refused: {result['errors']}")
        return dict(result)

    def _open(self, url: str) -> str:
        with self.opener.open(url, timeout=30) as answer:
            text: str = answer.read().decode()
        return text
