from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from demo.sandbox.process import SandboxServer
from refund_plugin.errors import WebhookRejected
from refund_plugin.gateways.base import AnswerKind
from refund_plugin.gateways.facts import WebhookRefund
from refund_plugin.gateways.stripe import StripeGateway
from refund_plugin.gateways.stripe_amounts import from_stripe_amount, smallest_step, to_stripe_amount
from refund_plugin.money import EXPONENTS, Money
from tests.gateways.conformance import GatewayConformance
from tests.gateways.conformance_sales import OrderBookConformance, OrderBookRig, Sold
from tests.gateways.rig import command_for

SECRET = "whsec_test"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def gateway_at(url: str, api_key: str = "sk_test_1", **options: Any) -> StripeGateway:
    return StripeGateway(api_key, api_base=url, webhook_secret=SECRET, **{"read_timeout_seconds": 5, **options})


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class SandboxRig(OrderBookRig):
    def __init__(self, sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        self.gateway = gateway_at(sandbox.url, sandbox.api_key)
        self.disputes: dict[str, str] = {}

    def pay(self, captured: Money, *, refunds_pend: bool = False) -> str:
        method = "pm_card_pendingRefund" if refunds_pend else "pm_card_visa"
        payment = self.sandbox.post("payments", amount=to_stripe_amount(captured), currency=captured.currency, payment_method=method)
        return str(payment["id"])

    def misbehave(self, how: str) -> None:
        match how:
            case "timeout_after_commit":
                self.sandbox.post("faults", kind="drop_after_commit")
            case "timeout_before_commit":
                self.sandbox.post("faults", kind="drop_before_send")
            case "rate_limited":
                self.sandbox.post("faults", kind="status", status=429)
            case "bad_key":
                self.gateway = gateway_at(self.sandbox.url, api_key="sk_test_somebody_else")
            case "refused_connection":
                self.gateway = gateway_at(f"http://127.0.0.1:{closed_port()}")

    def end(self, gateway_refund_id: str, kind: AnswerKind) -> None:
        self.sandbox.post(f"refunds/{gateway_refund_id}/{'settle' if kind == AnswerKind.SUCCEEDED else 'fail'}")

    def refunds_of(self, payment: str) -> int:
        return sum(refund["payment_intent"] == payment for refund in self.sandbox.get("state")["refunds"])

    def refund_elsewhere(self, payment: str, amount: Money) -> str:
        return str(self.sandbox.post("refunds", payment_intent=payment, amount=to_stripe_amount(amount))["id"])

    def break_next_listing(self) -> None:
        self.sandbox.post("faults", kind="drop_before_send", method="GET")

    def lag_listings(self, seconds: float) -> None:
        self.sandbox.post("listings", lag_ms=int(seconds * 1000))

    def forget_keys(self) -> None:
        self.sandbox.post("keys/forget", older_than_seconds=0)

    def sell_ebooks(self) -> Sold:
        product = {"sku": "EBOOK-1", "product_type": "ebook", "units": "3"}
        return Sold(self._sell("payment", name="E-book", amount=600, quantity=2, metadata=product)["id"], "checkout_session")

    def sell_plan(self) -> Sold:
        session = self._sell("subscription", name="Plan", amount=2400)
        return Sold(session["invoice"], "invoice", session["subscription"])

    def _sell(self, mode: str, **line: Any) -> dict[str, Any]:
        taxed = {**line, "tax_percent": 20, "tax_inclusive": True}
        buyer = {"email": "ada@example.com", "name": "Ada Lovelace", "country": "DE"}
        sold: dict[str, Any] = self.sandbox.post("sales", mode=mode, currency="eur", lines=[taxed], **buyer)
        return sold

    def dispute(self, payment: str) -> None:
        self.disputes[payment] = self.sandbox.post("disputes", payment_intent=payment)["id"]

    def win_dispute(self, payment: str) -> None:
        self.sandbox.post(f"disputes/{self.disputes[payment]}/win")

    def authorise(self, amount: Money) -> str:
        payment = self.sandbox.post("payments", amount=to_stripe_amount(amount), currency=amount.currency, capture_method="manual")
        return str(payment["id"])


@pytest.fixture
def rig(sandbox: SandboxServer) -> SandboxRig:
    return SandboxRig(sandbox)


class TestStripeGateway(GatewayConformance, OrderBookConformance):
    """Over real HTTP, with the real SDK."""


def test_our_ids_travel_in_the_metadata(rig: SandboxRig) -> None:
    payment = rig.pay(Money(1820, "EUR"))
    command = command_for(payment, Money(100, "EUR"))
    rig.gateway.refund(command)
    (refund,) = rig.sandbox.get("state")["refunds"]
    assert refund["metadata"] == {"installation": "shop-1", "refund_id": str(command.refund_id)}
    assert refund["reason"] == "requested_by_customer"


def test_what_is_kept_of_an_answer_is_json_without_the_key(rig: SandboxRig) -> None:
    payment = rig.pay(Money(1820, "EUR"))
    answers = [rig.gateway.refund(command_for(payment, Money(minor, "EUR"))) for minor in (100, 5000)]
    rig.misbehave("bad_key")
    answers.append(rig.gateway.refund(command_for(payment, Money(100, "EUR"))))
    text = json.dumps([answer.raw for answer in answers])
    assert rig.sandbox.api_key not in text
    assert "sk_test_somebody_else" not in text
    assert answers[0].raw["id"] == answers[0].gateway_refund_id
    assert str(answers[0].raw["request_id"]).startswith("req_")


@pytest.mark.parametrize("status", [409, 500, 502, 503])
def test_a_server_in_trouble_leaves_the_refund_doubtful(rig: SandboxRig, status: int) -> None:
    payment = rig.pay(Money(1820, "EUR"))
    rig.sandbox.post("faults", kind="status", status=status)
    assert rig.gateway.refund(command_for(payment, Money(100, "EUR"))).kind == AnswerKind.MAYBE_EXECUTED


def test_an_answer_that_comes_too_late_is_doubtful_and_the_refund_is_found(rig: SandboxRig) -> None:
    payment = rig.pay(Money(1820, "EUR"))
    command = command_for(payment, Money(100, "EUR"))
    rig.sandbox.post("faults", kind="slow_after", milliseconds=3000)
    impatient = gateway_at(rig.sandbox.url, rig.sandbox.api_key, read_timeout_seconds=0.3)
    assert impatient.refund(command).kind == AnswerKind.MAYBE_EXECUTED
    found = rig.gateway.find(gateway_payment_id=payment, refund_id=command.refund_id)
    assert found is not None
    assert found.kind == AnswerKind.SUCCEEDED


def test_a_replayed_500_stays_doubtful_but_the_listing_knows_the_refund(rig: SandboxRig) -> None:
    payment = rig.pay(Money(1820, "EUR"))
    command = command_for(payment, Money(100, "EUR"))
    rig.sandbox.post("faults", kind="error_after_commit")
    assert [rig.gateway.refund(command).kind for _ in range(2)] == [AnswerKind.MAYBE_EXECUTED] * 2
    found = rig.gateway.find(gateway_payment_id=payment, refund_id=command.refund_id)
    assert found is not None
    assert found.kind == AnswerKind.SUCCEEDED


def test_the_oldest_of_many_refunds_is_found_behind_the_first_page(rig: SandboxRig) -> None:
    payment = rig.pay(Money(20000, "EUR"))
    first = command_for(payment, Money(1, "EUR"))
    rig.gateway.refund(first)
    for _ in range(101):
        rig.gateway.refund(command_for(payment, Money(1, "EUR")))
    assert rig.gateway.find(gateway_payment_id=payment, refund_id=first.refund_id) is not None
    assert rig.gateway.find(gateway_payment_id=payment, refund_id=uuid4()) is None


def test_a_listing_that_breaks_off_is_never_taken_for_absence(rig: SandboxRig) -> None:
    payment = rig.pay(Money(20000, "EUR"))
    for _ in range(101):
        rig.gateway.refund(command_for(payment, Money(1, "EUR")))
    rig.sandbox.post("faults", kind="slow_before", milliseconds=1, method="GET")  # the first page
    rig.sandbox.post("faults", kind="drop_before_send", method="GET")
    answer = rig.gateway.find(gateway_payment_id=payment, refund_id=uuid4())
    assert answer is not None
    assert answer.kind == AnswerKind.MAYBE_EXECUTED
    rig.sandbox.post("faults", kind="status", status=404, method="GET")
    answer = rig.gateway.find(gateway_payment_id=payment, refund_id=uuid4())
    assert answer is not None
    assert answer.kind == AnswerKind.MAYBE_EXECUTED


def test_a_charge_of_an_old_integration_is_refunded_and_found_too(rig: SandboxRig) -> None:
    rig.pay(Money(1820, "EUR"))
    (charge,) = rig.sandbox.get("state")["charges"]
    command = command_for(charge["id"], Money(100, "EUR"))
    assert rig.gateway.refund(command).kind == AnswerKind.SUCCEEDED
    assert rig.gateway.find(gateway_payment_id=charge["id"], refund_id=command.refund_id) is not None


def test_the_banks_trace_number_is_told_once_it_is_known(rig: SandboxRig) -> None:
    payment = rig.pay(Money(1820, "EUR"))
    answer = rig.gateway.refund(command_for(payment, Money(100, "EUR")))
    assert answer.trace_reference == ""
    rig.end(answer.gateway_refund_id, AnswerKind.SUCCEEDED)
    assert len(rig.gateway.retrieve(answer.gateway_refund_id).trace_reference) == 23


def test_why_a_bank_returned_a_refund_is_told(rig: SandboxRig) -> None:
    payment = rig.pay(Money(1820, "EUR"))
    refund_id = rig.gateway.refund(command_for(payment, Money(100, "EUR"))).gateway_refund_id
    rig.sandbox.post(f"refunds/{refund_id}/fail", failure_reason="lost_or_stolen_card")
    answer = rig.gateway.retrieve(refund_id)
    assert (answer.kind, answer.code) == (AnswerKind.FAILED, "lost_or_stolen_card")


@contextmanager
def server_that_says(answer: bytes) -> Iterator[str]:
    """Answer every request with these bytes, as a broken proxy might."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = 0
            while (line := self.rfile.readline().strip()) != b"":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.rfile.read(length)
            self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def http(status: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Connection: close", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http("200 OK", b'{"object": "refund", "id"', length=500), AnswerKind.MAYBE_EXECUTED),
        (http("200 OK", b"<html>hello</html>"), AnswerKind.MAYBE_EXECUTED),
        (http("200 OK", b'{"object": "list", "data": []}'), AnswerKind.MAYBE_EXECUTED),
        (http("200 OK", b'{"object": "refund", "id": "re_1", "status": "invented"}'), AnswerKind.MAYBE_EXECUTED),
        (http("400 Bad Request", b"<html>blocked by a firewall</html>"), AnswerKind.MAYBE_EXECUTED),
        (http("502 Bad Gateway", b"<html>nobody home</html>"), AnswerKind.MAYBE_EXECUTED),
        (http("403 Forbidden", b"{}"), AnswerKind.NOT_EXECUTED),
        (http("429 Too Many Requests", b"slow down"), AnswerKind.NOT_EXECUTED),
        (b"", AnswerKind.MAYBE_EXECUTED),
    ],
    ids=["cut in the body", "a web page", "not a refund", "unknown status", "proxy's 400", "proxy's 502", "403", "429", "silence"],
)
def test_only_stripes_own_words_are_believed(answer: bytes, kind: AnswerKind) -> None:
    with server_that_says(answer) as url:
        assert gateway_at(url).refund(command_for("pi_1", Money(100, "EUR"))).kind == kind


def test_a_rate_limit_says_how_long_to_wait() -> None:
    body = b'{"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many."}}'
    with server_that_says(http("429 Too Many Requests", body, "Retry-After: 7")) as url:
        assert gateway_at(url).refund(command_for("pi_1", Money(100, "EUR"))).retry_after_seconds == 7


def test_a_ping_tells_a_wrong_key_from_an_outage(sandbox: SandboxServer) -> None:
    wrong = gateway_at(sandbox.url, api_key="sk_test_wrong").ping()
    assert (wrong.kind, wrong.hold) == (AnswerKind.NOT_EXECUTED, True)
    away = gateway_at(f"http://127.0.0.1:{closed_port()}").ping()
    assert (away.kind, away.hold) == (AnswerKind.NOT_EXECUTED, False)


@given(currency=st.sampled_from(sorted(EXPONENTS)), steps=st.integers(min_value=0, max_value=10**9))
def test_every_amount_in_steps_comes_back_as_it_was_sent(currency: str, steps: int) -> None:
    money = Money(steps * smallest_step(currency), currency)
    assert from_stripe_amount(to_stripe_amount(money), currency.lower()) == money


@pytest.mark.parametrize(
    ("money", "sent"),
    [(Money(1820, "EUR"), 1820), (Money(1200, "JPY"), 1200), (Money(1230, "KWD"), 1230), (Money(15, "ISK"), 1500), (Money(500, "MGA"), 5)],
)
def test_amounts_are_sent_in_stripes_unit(money: Money, sent: int) -> None:
    assert to_stripe_amount(money) == sent


def test_an_amount_that_stripe_cannot_pay_out_is_a_defect_of_the_caller() -> None:
    with pytest.raises(ValueError, match="multiple of 10"):
        to_stripe_amount(Money(1234, "KWD"))


def webhook_body(event_type: str = "refund.updated", **refund: Any) -> bytes:
    about = {
        "id": "re_1",
        "object": "refund",
        "amount": 500,
        "currency": "eur",
        "status": "succeeded",
        "payment_intent": "pi_1",
        "charge": "ch_1",
        "metadata": {},
        **refund,
    }
    event = {"id": "evt_1", "object": "event", "type": event_type, "livemode": False, "created": 1772452800, "data": {"object": about}}
    return json.dumps(event).encode()


def parse(body: bytes, *, at: datetime = NOW, secret: str = SECRET, now: datetime = NOW) -> WebhookRefund | None:
    signature = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, int(at.timestamp()))
    gateway = gateway_at("http://127.0.0.1:1")
    told = gateway.read_event(gateway.verify_webhook(body=body, signature=signature, now=now))
    assert told is None or isinstance(told, WebhookRefund)
    return told


def test_a_webhook_tells_the_refund_by_our_id() -> None:
    refund_id = uuid4()
    told = parse(webhook_body("refund.failed", status="failed", failure_reason="declined", metadata={"refund_id": str(refund_id)}))
    assert told is not None
    assert (told.event_id, told.event_type, told.livemode, told.created) == ("evt_1", "refund.failed", False, NOW)
    assert (told.gateway_payment_id, told.refund_id) == ("pi_1", refund_id)
    assert (told.answer.kind, told.answer.code, told.answer.amount) == (AnswerKind.FAILED, "declined", Money(500, "EUR"))


@pytest.mark.parametrize("metadata", [{}, {"refund_id": "made by hand"}, None])
def test_a_refund_made_elsewhere_has_no_id_of_ours(metadata: dict[str, str] | None) -> None:
    told = parse(webhook_body(metadata=metadata))
    assert told is not None
    assert told.refund_id is None


def test_other_events_are_none_of_our_business() -> None:
    assert parse(webhook_body("charge.refunded")) is None


@pytest.mark.parametrize("seconds", [-300, 0, 60])
def test_a_webhook_within_the_tolerance_is_accepted(seconds: int) -> None:
    assert parse(webhook_body(), at=NOW + timedelta(seconds=seconds)) is not None


@pytest.mark.parametrize("seconds", [-301, 61, 86400])
def test_a_webhook_from_the_past_or_the_future_is_refused(seconds: int) -> None:
    with pytest.raises(WebhookRejected):
        parse(webhook_body(), at=NOW + timedelta(seconds=seconds))


def test_a_webhook_signed_with_another_secret_is_refused() -> None:
    with pytest.raises(WebhookRejected):
        parse(webhook_body(), secret="whsec_other")


@pytest.mark.parametrize("written", ["t=+{old}", "t= {old}", "t={old} ", "t={old}=x", "t=0_{old}", "t=000000{old}", "t=-0,t={old}"])
def test_an_old_signature_is_not_made_young_by_a_second_time(written: str) -> None:
    body, old = webhook_body(), int((NOW - timedelta(days=1)).timestamp())
    signed = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET, old).partition(",")[2]
    header = f"{written.format(old=old)},t={int(NOW.timestamp())},{signed}"
    with pytest.raises(WebhookRejected):
        gateway_at("http://127.0.0.1:1").verify_webhook(body=body, signature=header, now=NOW)


@pytest.mark.parametrize("signature", ["", "nonsense", "t=1,v0=abc", "t=x,v1=abc"])
def test_a_malformed_signature_is_refused(signature: str) -> None:
    with pytest.raises(WebhookRejected):
        gateway_at("http://127.0.0.1:1").verify_webhook(body=webhook_body(), signature=signature, now=NOW)


def test_a_gateway_without_a_webhook_secret_believes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    # the SDK's own refusal came late in its life
    monkeypatch.setattr(stripe.WebhookSignature, "verify_header", lambda *arguments: True)
    body = webhook_body()
    signature = stripe.WebhookSignature.generate_signature_header(body.decode(), "", int(NOW.timestamp()))
    with pytest.raises(WebhookRejected):
        StripeGateway("sk_test_1").verify_webhook(body=body, signature=signature, now=NOW)


def test_a_body_that_is_no_json_is_refused_even_when_signed() -> None:
    with pytest.raises(WebhookRejected):
        parse(b"not json")
