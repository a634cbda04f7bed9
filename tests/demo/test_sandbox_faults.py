"""Faults by chance, rate limits, lists that lag, forgotten keys, and the numbers that tell what happened."""

from __future__ import annotations

import http.client
import threading
import urllib.error
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import stripe

from demo.sandbox.process import SandboxServer
from tests.demo.conftest import client_of
from tests.demo.test_sandbox_idempotency import refund
from tests.demo.test_sandbox_refunds import error_of, pay


def refusal_of(sandbox: SandboxServer, path: str, **wish: Any) -> int:
    with pytest.raises(urllib.error.HTTPError) as caught:
        sandbox.post(path, **wish)
    with caught.value as refused:
        return refused.code


def drops_of(sandbox: SandboxServer, seed: int, calls: int = 40) -> list[bool]:
    """Send refunds of which about 30 % lose their answer; return which did."""
    sandbox.post("reset")
    client = client_of(sandbox)
    intent = pay(client, 100_000)
    sandbox.post("faults", kind="drop_after_commit", probability=0.3, seed=seed, path="/v1/refunds")
    lost = []
    for number in range(calls):
        try:
            refund(client, intent, f"k{number}", amount=100)
        except stripe.APIConnectionError:
            lost.append(True)
        else:
            lost.append(False)
    return lost


def test_a_share_of_the_answers_is_lost_and_the_same_seed_loses_the_same_ones(sandbox: SandboxServer) -> None:
    first = drops_of(sandbox, seed=7)
    assert 4 <= sum(first) <= 22
    assert drops_of(sandbox, seed=7) == first
    assert drops_of(sandbox, seed=8) != first
    assert sandbox.get("counters")["refunds"]["made"] == len(first)  # all were executed, also those whose answer was lost


def test_a_plan_with_a_probability_goes_on_until_it_is_called_off(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    sandbox.post("faults", kind="status", status=429, probability=1)
    assert {error_of(lambda: refund(client, intent, "k")).http_status for _ in range(5)} == {429}
    (plan,) = sandbox.get("state")["faults"]
    assert (plan["times"], plan["hits"], plan["probability"]) == (None, 5, 1)
    sandbox.post("faults/clear")
    assert refund(client, intent, "k").status == "succeeded"


def test_an_answer_that_breaks_off_in_the_middle_was_executed(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    sandbox.post("faults", kind="cut_mid_body")
    assert isinstance(error_of(lambda: refund(client, intent, "k")), stripe.APIConnectionError)
    (made,) = client.v1.refunds.list().data
    assert refund(client, intent, "k").id == made.id
    assert sandbox.get("counters")["requests"]["POST /v1/refunds"] == {"200": 1, "cut": 1, "replayed": 1}


def test_the_headers_and_half_of_the_body_arrive_before_the_cut(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    sandbox.post("faults", kind="cut_mid_body")
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=10)
    headers = {"Authorization": f"Bearer {sandbox.api_key}", "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/v1/refunds", urlencode({"payment_intent": intent.id}), headers)
    answer = connection.getresponse()
    assert answer.status == 200
    with pytest.raises(http.client.IncompleteRead) as caught:
        answer.read()
    assert caught.value.partial.startswith(b'{"id": "re_')
    assert caught.value.expected in range(len(caught.value.partial) - 1, len(caught.value.partial) + 2)
    connection.close()


@pytest.mark.parametrize(("status", "stored"), [(500, False), (503, True)])
def test_whether_an_error_belongs_to_its_key_can_be_said(
    sandbox: SandboxServer, client: stripe.StripeClient, status: int, stored: bool
) -> None:
    intent = pay(client)
    sandbox.post("faults", kind="status", status=status, stored=stored)
    assert error_of(lambda: refund(client, intent, "k")).http_status == status
    if stored:
        again = error_of(lambda: refund(client, intent, "k"))
        assert (again.http_status, (again.headers or {})["Idempotent-Replayed"]) == (status, "true")
    else:
        assert refund(client, intent, "k").status == "succeeded"


@pytest.mark.parametrize(
    ("outcome", "at_once", "at_last"),
    [
        ("pending", "pending", "pending"),
        ("pending_then_succeeded", "pending", "succeeded"),
        ("pending_then_failed", "pending", "failed"),
        ("fail_after_success", "succeeded", "failed"),
        ("requires_action", "requires_action", "requires_action"),
    ],
)
def test_what_becomes_of_a_refund_can_be_said(
    sandbox: SandboxServer, client: stripe.StripeClient, outcome: str, at_once: str, at_last: str
) -> None:
    intent = pay(client)
    sandbox.post("faults", kind="outcome", outcome=outcome, after_ms=60_000, failure_reason="declined")
    made = refund(client, intent, "k")
    assert made.status == at_once
    sandbox.post("clock", advance_seconds=61)
    wait_until(lambda: client.v1.refunds.retrieve(made.id).status == at_last)
    assert refund(client, intent, "another").status == "succeeded"  # the plan was for one


def test_a_replayed_key_uses_up_no_outcome(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    first = refund(client, intent, "k")
    sandbox.post("faults", kind="outcome", outcome="pending")
    assert refund(client, intent, "k").id == first.id
    assert refund(client, intent, "another").status == "pending"


@pytest.mark.parametrize(
    "wish",
    [
        {"kind": "weather"},
        {"kind": "status", "status": 200},
        {"kind": "slow_before", "milliseconds": 0},
        {"kind": "status", "probability": 1.5},
        {"kind": "outcome", "outcome": "weather"},
        {"kind": "drop_before_send", "colour": 1},
    ],
)
def test_faults_that_make_no_sense_are_refused(sandbox: SandboxServer, wish: dict[str, Any]) -> None:
    assert refusal_of(sandbox, "faults", **wish) == 400
    assert sandbox.get("state")["faults"] == []


def test_requests_over_the_limit_are_refused_and_use_up_no_key(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    sandbox.post("limits", rate=0.001, burst=2)
    assert [refund(client, intent, f"k{number}").status for number in range(2)] == ["succeeded"] * 2
    error = error_of(lambda: refund(client, intent, "k2"))
    assert (error.http_status, error.error and error.error.code) == (429, "rate_limit")
    assert client.v1.refunds.list().data != []  # another endpoint has a bucket of its own
    other = client_of(sandbox, stripe_account="acct_other")
    assert error_of(lambda: refund(other, intent, "k2")).code == "resource_missing"  # and so has another account
    sandbox.post("limits", rate=None)
    assert refund(client, intent, "k2").status == "succeeded"
    assert sandbox.get("counters")["requests"]["POST /v1/refunds"] == {"200": 3, "404": 1, "429": 1}


def test_tokens_come_back_with_time(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    sandbox.post("limits", rate=20, burst=1)
    made = 0

    def try_again() -> bool:
        nonlocal made
        try:
            refund(client, intent, f"k{made}", amount=1)
        except stripe.RateLimitError:
            return False
        made += 1
        return made == 4

    wait_until(try_again)


def test_a_new_refund_is_found_by_its_id_before_it_is_listed(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    sandbox.post("listings", lag_ms=3_600_000)
    made = refund(client, intent, "k")
    assert client.v1.refunds.retrieve(made.id).id == made.id
    assert client.v1.refunds.list({"payment_intent": intent.id}).data == []
    sandbox.post("listings", lag_ms=0)
    assert [item.id for item in client.v1.refunds.list({"payment_intent": intent.id}).data] == [made.id]


def test_keys_can_be_forgotten_before_their_day_is_over(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    first = refund(client, intent, "k")
    sandbox.post("clock", advance_seconds=100)
    second = refund(client, intent, "k2")
    assert sandbox.post("keys/forget", older_than_seconds=50) == {"forgotten": 2}  # the payment had a key of the SDK's own
    assert refund(client, intent, "k2").id == second.id
    assert refund(client, intent, "k").id != first.id
    assert sandbox.post("keys/forget")["forgotten"] == 2


def test_the_numbers_tell_who_was_paid_and_who_was_paid_twice(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    one, two = pay(client), pay(client)
    for key, intent, owner in (("a", one, "x"), ("a", one, "x"), ("b", one, "y"), ("c", two, "y"), ("d", two, "z")):
        refund(client, intent, key, metadata={"refund_id": owner})
    failed = refund(client, two, "e", metadata={"refund_id": "z"})
    sandbox.post(f"refunds/{failed.id}/fail")
    counters = sandbox.get("counters")
    assert counters["requests"]["POST /v1/refunds"] == {"200": 6, "replayed": 1}
    assert counters["refunds"] == {
        "made": 5,
        "amount": 2000,
        "by_status": {"failed": 1, "succeeded": 4},
        "by_payment": {one.id: {"count": 2, "amount": 1000}, two.id: {"count": 2, "amount": 1000}},
        "by_refund_id": {"x": {"count": 1, "amount": 500}, "y": {"count": 2, "amount": 1000}, "z": {"count": 1, "amount": 500}},
        "more_than_once": ["y"],
    }
    assert sandbox.post("counters/reset")["requests"] == {}


def test_many_payments_are_laid_down_at_once(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    made = sandbox.post("payments/bulk", count=250, amount=2000, currency="eur")["ids"]
    named = sandbox.post("payments/bulk", ids=["pi_one", "pi_two"], amount=1500, currency="usd")["ids"]
    assert (len(set(made)), named) == (250, ["pi_one", "pi_two"])
    assert client.v1.refunds.create({"payment_intent": made[-1]}).amount == 2000
    assert client.v1.refunds.create({"payment_intent": "pi_two"}).amount == 1500
    assert client.v1.events.list({"type": "payment_intent.succeeded"}).data == []


def test_connections_stay_open_and_many_at_once_get_one_refund_each(sandbox: SandboxServer) -> None:
    ids = sandbox.post("payments/bulk", count=120, amount=2000, currency="eur")["ids"]
    headers = {"Authorization": f"Bearer {sandbox.api_key}", "Content-Type": "application/x-www-form-urlencoded"}
    statuses: list[int] = []
    sockets: list[set[int]] = []

    def send(share: list[str]) -> None:
        connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=30)
        used = set()
        for intent_id in share:
            body = urlencode({"payment_intent": intent_id, "amount": 500, "metadata[refund_id]": intent_id})
            connection.request("POST", "/v1/refunds", body, {**headers, "Idempotency-Key": intent_id})
            used.add(connection.sock.fileno())
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        sockets.append(used)
        connection.close()

    threads = [threading.Thread(target=send, args=(ids[start::12],)) for start in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 120
    assert all(len(used) == 1 for used in sockets)
    refunds = sandbox.get("counters")["refunds"]
    assert (len(refunds["by_refund_id"]), refunds["more_than_once"], refunds["amount"]) == (120, [], 60_000)


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is true; the pause in between only saves the processor."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if true():
            return
        pause.wait(0.02)
    raise AssertionError("it did not come true in time")
