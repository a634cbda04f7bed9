"""The Python client over real HTTP."""

from __future__ import annotations

import uuid
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.client import RefundClient, RefundClientError
from refund_plugin.money import Money
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.review import ask_for_evidence
from tests.api.conftest import URL
from tests.factories import EBOOK, NOW, SALE, make_purchase
from tests.refunds.helpers import CLERK

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("policy")]


@pytest.fixture
def client(live_server, policy) -> RefundClient:
    return RefundClient(live_server.url + URL)


def test_from_the_question_to_the_money(client):
    purchase = make_purchase(lines=[EBOOK, SALE])
    quote = client.quote(purchase.number, "ada@example.com")
    assert quote.total == Money(1820, "EUR")
    book, font = quote.lines
    assert (book.askable, book.verdict.outcome, book.verdict.amount) == (True, "APPROVE", Money(1820, "EUR"))
    assert (font.askable, font.verdict.outcome, font.verdict.clause_url) == (False, "DECLINE", "/policy/1/#final-sale")
    asked = client.request_refund(purchase.number, "ada@example.com", lines={book.id: 1}, reason="changed_mind")
    assert asked.status == "APPROVED"
    sending = client.track(asked.tracking_token)
    assert (sending.settlement, sending.final) == ("IN_PROGRESS", False)
    drive_refunds()
    done = client.track(asked.tracking_token)
    assert (done.settlement, done.final, done.amount) == ("COMPLETE", True, Money(1820, "EUR"))
    assert done.timeline[-1].code == "refunded"
    assert done.timeline[-1].amount == Money(1820, "EUR")


def test_what_was_quoted_is_kept_or_told_and_never_less_is_asked_for_unseen(client, monkeypatch):
    purchase = make_purchase()
    quote = client.quote(purchase.number, "ada@example.com")
    ask = {"lines": {quote.lines[0].id: 1}, "reason": "other", "promise": quote.promise}
    monkeypatch.setattr(clock, "now", lambda: quote.kept_until + timedelta(days=365))
    with pytest.raises(RefundClientError) as told:
        client.request_refund(purchase.number, "ada@example.com", **ask)
    assert told.value.code == "QUOTE_CHANGED" and not RefundRequest.objects.exists()
    monkeypatch.setattr(clock, "now", lambda: quote.kept_until - timedelta(seconds=1))
    assert client.request_refund(purchase.number, "ada@example.com", **ask).status == "APPROVED"


def test_a_call_that_is_made_again_with_its_key_asks_once(client):
    purchase = make_purchase()
    (line,) = client.quote(purchase.number, "ada@example.com").lines
    key = str(uuid.uuid4())
    asked = [
        client.request_refund(purchase.number, "ada@example.com", lines={line.id: 1}, reason="OTHER", client_key=key) for _try in range(2)
    ]
    assert asked[0] == asked[1]
    assert RefundRequest.objects.count() == 1


def test_a_request_is_taken_back(client):
    purchase = make_purchase()
    (line,) = client.quote(purchase.number, "ada@example.com").lines
    asked = client.request_refund(purchase.number, "ada@example.com", lines={line.id: 1}, reason="other")
    assert client.cancel(asked.tracking_token).status == "CANCELED"
    with pytest.raises(RefundClientError) as told:
        client.cancel(asked.tracking_token)
    assert told.value.code == "WRONG_STATE"


def test_a_question_of_the_shop_is_answered(client):
    purchase = make_purchase(lines=[SALE])
    (line,) = client.quote(purchase.number, "ada@example.com").lines
    asked = client.request_refund(purchase.number, "ada@example.com", lines={line.id: 1}, reason="defective", wants_person=True)
    ask_for_evidence(request_id=RefundRequest.objects.get().pk, by=CLERK, question="Which file?", now=NOW)
    assert client.track(asked.tracking_token).evidence_question == "Which file?"
    assert client.answer_evidence(asked.tracking_token, "The second.").status == "IN_REVIEW"


def test_errors_name_field_and_code(client):
    purchase = make_purchase()
    (line,) = client.quote(purchase.number, "ada@example.com").lines
    with pytest.raises(RefundClientError) as told:
        client.request_refund(purchase.number, "ada@example.com", lines={line.id: 2}, reason="other")
    assert (told.value.field, told.value.code) == ("lines", "QUANTITY_TOO_HIGH")
    with pytest.raises(RefundClientError) as told:
        client.quote(purchase.number, "eve@example.com")
    assert told.value.code == "NOT_FOUND"
    with pytest.raises(RefundClientError) as told:
        client.track("nonsense")
    assert told.value.code == "NOT_FOUND"
    with pytest.raises(RefundClientError) as told:
        client.mail_purchases("nonsense")
    assert (told.value.field, told.value.code) == ("email", "INVALID")


def test_a_mail_with_the_purchases_is_asked_for(client):
    client.mail_purchases("nobody@example.com")


def test_a_program_needs_no_address(live_server, service_token):
    purchase = make_purchase()
    program = RefundClient(live_server.url + URL, token=service_token(Action.VIEW_CASES))
    assert program.quote(purchase.number).order_number == purchase.number


def test_a_token_that_is_not_valid_is_told(live_server):
    with pytest.raises(RefundClientError) as told:
        RefundClient(live_server.url + URL, token="rpt_00000000_nothing").quote("1", "ada@example.com")
    assert told.value.code == "INVALID_TOKEN"


def test_a_wrong_argument_is_told(client):
    with pytest.raises(RefundClientError) as told:
        client.request_refund("1", "ada@example.com", lines={"x": 1}, reason="no such reason")
    assert "RefundReason" in told.value.message


def test_no_redirect_carries_the_tokens_elsewhere():
    heard = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            heard.append(self.path)
            self.send_response(307)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(RefundClientError) as told:
            RefundClient(f"http://127.0.0.1:{server.server_port}/", token="rpt_1_x").quote("1", "ada@example.com")
        server.shutdown()
    assert (told.value.code, heard) == ("UNREACHABLE", ["/"])


def test_a_shop_that_does_not_answer_is_told_apart():
    with pytest.raises(RefundClientError) as told:
        RefundClient("http://127.0.0.1:9/", timeout=1).quote("1", "ada@example.com")
    assert told.value.code == "UNREACHABLE"
