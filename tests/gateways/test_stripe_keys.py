"""What Stripe keeps under an idempotency key, and when a key is really burnt."""

from __future__ import annotations

from typing import Any

import pytest

from demo.sandbox.process import SandboxServer
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.burning import KEY_BURNT, KEY_IN_USE, KEY_NOT_BURNT
from refund_plugin.gateways.stripe import StripeGateway
from refund_plugin.money import Money
from tests.gateways.rig import command_for
from tests.gateways.stub import stub_server
from tests.gateways.test_stripe import SandboxRig

CAPTURED = Money(1820, "EUR")
INTENT = {"id": "pi_1", "object": "payment_intent", "amount": 1820, "amount_received": 1820, "currency": "eur"}
TOO_MUCH = {"type": "invalid_request_error", "message": "Refund amount (€18.21) is greater than charge amount (€18.20)", "param": "amount"}
REPLAYED = {"Idempotent-Replayed": "true"}


@pytest.fixture
def rig(sandbox: SandboxServer) -> SandboxRig:
    return SandboxRig(sandbox)


def burn_against(*answers: Any, intent: dict[str, Any] = INTENT) -> tuple[GatewayAnswer, list[str]]:
    """Burn a key over a Stripe that gives these answers to a refund; return the verdict and the amounts that were sent."""
    with stub_server({"GET /v1/payment_intents/pi_1": intent, "POST /v1/refunds": list(answers)}) as stub:
        gateway = StripeGateway("sk_test_1", api_base=stub.url, read_timeout_seconds=5)
        verdict = gateway.burn(command_for("pi_1", Money(500, "EUR")), CAPTURED)
    return verdict, [params["amount"] for asked, params in stub.asked if asked == "POST /v1/refunds"]


def error(status: int, **said: str) -> tuple[int, dict[str, Any]]:
    return status, {"error": said}


def test_only_a_replayed_refusal_proves_that_a_key_is_burnt() -> None:
    verdict, sent = burn_against(error(400, **TOO_MUCH), (*error(400, **TOO_MUCH), REPLAYED))
    assert (verdict.kind, verdict.code) == (AnswerKind.DEFINITIVE_NO, KEY_BURNT)
    assert sent == ["1821", "1821"]


@pytest.mark.parametrize(
    "said",
    [
        TOO_MUCH,
        {"type": "invalid_request_error", "code": "charge_already_refunded"},
        {"type": "invalid_request_error", "code": "charge_disputed"},
    ],
    ids=["too much", "already refunded", "disputed"],
)
def test_a_refusal_that_is_not_kept_under_the_key_leaves_it_free(said: dict[str, str]) -> None:
    verdict, sent = burn_against(error(400, **said))
    assert (verdict.kind, verdict.code, len(sent)) == (AnswerKind.MAYBE_EXECUTED, KEY_NOT_BURNT, 2)


def test_a_key_that_is_being_used_now_is_not_burnt() -> None:
    in_use = error(409, type="idempotency_error", code="idempotency_key_in_use", message="There is currently another request.")
    verdict, sent = burn_against(in_use)
    assert (verdict.kind, verdict.code, len(sent)) == (AnswerKind.MAYBE_EXECUTED, KEY_IN_USE, 1)


@pytest.mark.parametrize(
    ("answer", "kind", "hold"),
    [
        (error(500, type="api_error"), AnswerKind.MAYBE_EXECUTED, False),
        (error(429, type="invalid_request_error", code="rate_limit"), AnswerKind.NOT_EXECUTED, False),
        (error(401, type="invalid_request_error"), AnswerKind.NOT_EXECUTED, True),
    ],
    ids=["500", "429", "401"],
)
def test_whatever_else_stripe_says_burns_nothing(answer: Any, kind: AnswerKind, hold: bool) -> None:
    verdict, sent = burn_against(answer)
    assert (verdict.kind, verdict.hold, len(sent)) == (kind, hold, 1)
    assert verdict.code != KEY_BURNT


def test_a_key_that_keeps_an_error_of_its_own_is_burnt_too() -> None:
    verdict, _sent = burn_against((*error(500, type="api_error"), REPLAYED))
    assert (verdict.kind, verdict.code) == (AnswerKind.DEFINITIVE_NO, KEY_BURNT)


@pytest.mark.parametrize(("authorised", "received"), [(9900, 0), (9900, 1820), (1820, 9900)])
def test_more_than_the_gateway_ever_had_is_sent_whatever_our_books_say(authorised: int, received: int) -> None:
    intent = {**INTENT, "amount": authorised, "amount_received": received}
    _verdict, sent = burn_against((*error(400, **TOO_MUCH), REPLAYED), intent=intent)
    assert sent == ["9901"]


def test_a_key_for_a_charge_of_an_old_integration_is_burnt_too(rig: SandboxRig) -> None:
    rig.pay(CAPTURED)
    (charge,) = rig.sandbox.get("state")["charges"]
    command = command_for(charge["id"], Money(500, "EUR"))
    assert rig.gateway.burn(command, CAPTURED).code == KEY_BURNT
    assert rig.gateway.refund(command).code == "idempotency_error"


def test_nothing_is_sent_for_a_payment_in_another_currency() -> None:
    verdict, sent = burn_against(error(400, **TOO_MUCH), intent={**INTENT, "currency": "usd"})
    assert (verdict.kind, verdict.code, sent) == (AnswerKind.MAYBE_EXECUTED, KEY_NOT_BURNT, [])


def test_nothing_is_sent_for_a_payment_that_cannot_be_read() -> None:
    verdict, sent = burn_against(error(400, **TOO_MUCH), intent={"object": "payment_intent"})
    assert (verdict.kind, verdict.code, sent) == (AnswerKind.MAYBE_EXECUTED, "unreadable_answer", [])


def test_a_stored_500_says_that_it_is_a_replay(rig: SandboxRig) -> None:
    payment = rig.pay(CAPTURED)
    command = command_for(payment, Money(500, "EUR"))
    rig.sandbox.post("faults", kind="error_after_commit")
    answers = [rig.gateway.refund(command) for _ in range(2)]
    assert [(answer.kind, answer.idempotent_replayed) for answer in answers] == [
        (AnswerKind.MAYBE_EXECUTED, False),
        (AnswerKind.MAYBE_EXECUTED, True),
    ]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"type": "invalid_request_error", "code": "lock_timeout"}, "lock_timeout"),
        ({"type": "invalid_request_error"}, "rate_limit"),
        ({}, "rate_limit"),
    ],
)
def test_a_429_never_ends_a_refund(said: dict[str, str], code: str) -> None:
    with stub_server({"POST /v1/refunds": error(429, **said)}) as stub:
        gateway = StripeGateway("sk_test_1", api_base=stub.url, read_timeout_seconds=5)
        answer = gateway.refund(command_for("pi_1", Money(500, "EUR")))
    assert (answer.kind, answer.code) == (AnswerKind.NOT_EXECUTED, code)


def test_a_rate_limit_is_not_kept_under_the_key(rig: SandboxRig) -> None:
    payment = rig.pay(CAPTURED)
    command = command_for(payment, Money(500, "EUR"))
    rig.misbehave("rate_limited")
    assert [rig.gateway.refund(command).kind for _ in range(2)] == [AnswerKind.NOT_EXECUTED, AnswerKind.SUCCEEDED]


def test_a_late_sender_behind_a_burnt_key_pays_nothing_whatever_stripe_said_to_the_first(rig: SandboxRig) -> None:
    payment = rig.pay(CAPTURED)
    command = command_for(payment, Money(500, "EUR"))
    rig.misbehave("timeout_before_commit")  # the first sender is lost on the way and arrives late
    rig.gateway.refund(command)
    assert rig.gateway.burn(command, CAPTURED).code == KEY_BURNT
    late = rig.gateway.refund(command)
    assert (late.kind, late.code) == (AnswerKind.MAYBE_EXECUTED, "idempotency_error")
    assert rig.refunds_of(payment) == 0
