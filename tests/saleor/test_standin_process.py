"""The stand-in as a process of its own, steered over HTTP."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from tests.services import wait_until

ROOT = Path(__file__).parents[2]


class Remote:
    """A running process and its control."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.api_url = process.stdout.readline().removeprefix("saleor: ").strip()
        self.base = self.api_url.removesuffix("/graphql/")

    def post(self, verb: str, **wish: Any) -> requests.Response:
        """Wish for something."""
        return requests.post(f"{self.base}/_control/{verb}", json=wish, timeout=30)

    def do(self, verb: str, **wish: Any) -> dict[str, Any]:
        """Wish for something that works."""
        answer = self.post(verb, **wish)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told


@pytest.fixture
def remote(saleor_version: str) -> Iterator[Remote]:
    """A process of each version."""
    command = [sys.executable, "-m", "tests.saleor.standin", "--version", saleor_version]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Remote(process)
        finally:
            process.terminate()


def test_an_order_is_paid_and_given_back_through_the_control(remote: Remote, saleor_version: str) -> None:
    assert remote.do("state")["version"].startswith(saleor_version)
    remote.do("other", default="async")
    order = remote.do("add_order", lines=[{"price": "30.00"}], number="1042")
    paid = remote.do("pay", order=order["order"])
    assert (paid["charged"], paid["refunded"]) == ("30.00", "0")
    grant = remote.do("grant", order=order["order"], transaction=paid["transaction"], amount="20.00")
    remote.do("send_refunds", grants=[grant["grant"]])
    wait_until(lambda: bool(remote.do("other", settle=True)["paid"]), timeout_seconds=30, what="the other app: is asked and pays")
    (told,) = remote.do("state")["orders"]
    assert (told["grants"][0]["status"], told["transactions"][0]["refunded"]) == ("SUCCESS", "20.00")


def test_what_saleor_refuses_and_what_is_not_understood_is_told_apart(remote: Remote) -> None:
    order = remote.do("add_order")
    paid = remote.do("pay", order=order["order"])
    refused = remote.post("grant", order=order["order"], transaction=paid["transaction"], amount="31.00")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "AMOUNT_GREATER_THAN_AVAILABLE")
    assert remote.post("grant", order="nothing").status_code == 400
    assert remote.post("fly").status_code == 404
    assert remote.post("install", manifest_url="http://127.0.0.1:9/manifest.json").status_code == 409


def test_a_customer_who_signs_in_gets_a_token_that_the_published_keys_verify(remote: Remote) -> None:
    user = remote.do("add_user", email="ada@example.com")["user"]
    token = remote.do("sign_in", user=user)["token"]
    (key,) = requests.get(f"{remote.base}/.well-known/jwks.json", timeout=30).json()["keys"]
    claims = jwt.decode(token, jwt.PyJWK(key), algorithms=["RS256"])
    assert (claims["type"], claims["user_id"], claims["is_staff"]) == ("access", user, False)
    assert remote.post("sign_in", user="nobody").status_code == 400
