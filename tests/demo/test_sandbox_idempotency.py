"""Idempotency keys and faults in the sandbox."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import stripe

from demo.sandbox.process import SandboxServer
from tests.demo.conftest import client_of
from tests.demo.test_sandbox_refunds import error_of, pay


def refund(client: stripe.StripeClient, intent: stripe.PaymentIntent, key: str, **params: Any) -> stripe.Refund:
    given: Any = {"payment_intent": intent.id, "amount": 500, **params}
    return client.v1.refunds.create(given, {"idempotency_key": key})


def headers_of(answer: stripe.StripeObject) -> Any:
    assert answer.last_response is not None
    return answer.last_response.headers


def test_a_replayed_key_gets_the_first_answer_and_says_so(client: stripe.StripeClient) -> None:
    intent = pay(client)
    first, second = refund(client, intent, "k"), refund(client, intent, "k")
    assert first.to_dict() == second.to_dict()
    assert "Idempotent-Replayed" not in headers_of(first)
    assert headers_of(second)["Idempotent-Replayed"] == "true"
    assert headers_of(second)["Original-Request"] == headers_of(first)["Request-Id"]
    assert len(client.v1.refunds.list().data) == 1


@pytest.mark.parametrize("other", [{"amount": 501}, {"metadata": {"a": "b"}}, {"reason": "duplicate"}])
def test_a_key_with_other_parameters_is_an_idempotency_error(client: stripe.StripeClient, other: dict[str, Any]) -> None:
    intent = pay(client)
    refund(client, intent, "k")
    error = error_of(lambda: refund(client, intent, "k", **other))
    assert isinstance(error, stripe.IdempotencyError)
    assert error.http_status == 400
    assert "same parameters" in str(error)
    assert len(client.v1.refunds.list().data) == 1


def test_a_key_for_another_endpoint_is_an_idempotency_error(client: stripe.StripeClient) -> None:
    intent = pay(client)
    made = refund(client, intent, "k")
    error = error_of(client.v1.refunds.update, made.id, {"metadata": {"a": "b"}}, {"idempotency_key": "k"})
    assert isinstance(error, stripe.IdempotencyError)
    assert "same endpoint" in str(error)


def test_a_key_that_is_being_executed_is_in_use(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    sandbox.post("faults", kind="slow_before", milliseconds=1500, times=2)  # whoever comes first holds the key that long
    made, errors = send_at_once(sandbox, intent, count=2)
    assert [(error.http_status, error.error and error.error.code) for error in errors] == [(409, "idempotency_key_in_use")]
    assert refund(client, intent, "k").id == made[0]
    assert len(client.v1.refunds.list().data) == 1


def test_many_at_once_with_one_key_make_one_refund(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    made, errors = send_at_once(sandbox, intent, count=8)
    (only,) = client.v1.refunds.list().data
    assert set(made) == {only.id}
    assert {error.http_status for error in errors} <= {409}


def send_at_once(sandbox: SandboxServer, intent: stripe.PaymentIntent, count: int) -> tuple[list[str], list[stripe.StripeError]]:
    made: list[str] = []
    errors: list[stripe.StripeError] = []

    def send() -> None:
        try:
            made.append(refund(client_of(sandbox), intent, "k").id)
        except stripe.StripeError as error:
            errors.append(error)

    threads = [threading.Thread(target=send) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return made, errors


def test_a_refusal_after_execution_began_is_replayed_even_when_it_would_work_now(
    sandbox: SandboxServer, client: stripe.StripeClient
) -> None:
    intent = pay(client)
    whole = client.v1.refunds.create({"payment_intent": intent.id})
    assert error_of(lambda: refund(client, intent, "k")).code == "charge_already_refunded"
    sandbox.post(f"refunds/{whole.id}/fail")
    error = error_of(lambda: refund(client, intent, "k"))
    assert error.code == "charge_already_refunded"
    assert error.headers is not None
    assert error.headers["Idempotent-Replayed"] == "true"
    assert refund(client, intent, "another").status == "succeeded"


def test_a_failed_validation_does_not_use_up_the_key(client: stripe.StripeClient) -> None:
    intent = pay(client)
    assert error_of(lambda: refund(client, intent, "k", amount=0)).http_status == 400
    assert refund(client, intent, "k").status == "succeeded"


@pytest.mark.parametrize(("status", "replayed"), [(409, False), (429, False), (503, False), (500, True)])
def test_only_a_500_belongs_to_the_key(sandbox: SandboxServer, client: stripe.StripeClient, status: int, replayed: bool) -> None:
    intent = pay(client)
    sandbox.post("faults", kind="status", status=status)
    assert error_of(lambda: refund(client, intent, "k")).http_status == status
    if replayed:
        assert error_of(lambda: refund(client, intent, "k")).http_status == status
    else:
        assert refund(client, intent, "k").status == "succeeded"
    assert len(client.v1.refunds.list().data) == (0 if replayed else 1)


def test_keys_are_forgotten_after_a_day(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    first = refund(client, intent, "k")
    sandbox.post("clock", advance_seconds=24 * 3600 - 60)
    assert refund(client, intent, "k").id == first.id
    sandbox.post("clock", advance_seconds=120)
    assert refund(client, intent, "k").id != first.id


def test_keys_belong_to_an_account(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    refund(client, pay(client), "k")
    other = client_of(sandbox, stripe_account="acct_other")
    assert refund(other, pay(other), "k").status == "succeeded"


def test_a_key_is_at_most_255_characters(client: stripe.StripeClient) -> None:
    intent = pay(client)
    assert refund(client, intent, "k" * 255).status == "succeeded"
    assert isinstance(error_of(lambda: refund(client, intent, "k" * 256)), stripe.IdempotencyError)


def test_an_answer_lost_after_the_commit_and_a_replay_make_one_refund(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    sandbox.post("faults", kind="drop_after_commit")
    assert isinstance(error_of(lambda: refund(client, intent, "k")), stripe.APIConnectionError)
    (made,) = client.v1.refunds.list().data
    assert refund(client, intent, "k").id == made.id
    assert len(client.v1.refunds.list().data) == 1


def test_without_a_key_a_lost_answer_and_a_retry_pay_twice_as_they_would_at_stripe(
    sandbox: SandboxServer, client: stripe.StripeClient
) -> None:
    intent = pay(client)
    sandbox.post("faults", kind="drop_after_commit")
    params: Any = {"payment_intent": intent.id, "amount": 500}
    assert isinstance(error_of(client.v1.refunds.create, params), stripe.APIConnectionError)
    client.v1.refunds.create(params)
    assert len(client.v1.refunds.list().data) == 2


def test_a_request_dropped_on_the_way_does_nothing(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    sandbox.post("faults", kind="drop_before_send", times=2)
    for _ in range(2):
        assert isinstance(error_of(lambda: refund(client, intent, "k")), stripe.APIConnectionError)
    assert client.v1.refunds.list().data == []
    assert refund(client, intent, "k").status == "succeeded"


def test_faults_hit_only_the_calls_they_are_for_and_can_be_called_off(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    sandbox.post("faults", kind="status", status=503, times=5, path="/v1/refunds")
    intent = pay(client)
    assert error_of(lambda: refund(client, intent, "k")).http_status == 503
    (planned,) = sandbox.get("state")["faults"]
    assert (planned["kind"], planned["times"], planned["status"]) == ("status", 4, 503)
    sandbox.post("faults/clear")
    assert refund(client, intent, "k").status == "succeeded"
