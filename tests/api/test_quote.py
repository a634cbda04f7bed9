"""`refundQuote`: can it be refunded, how much, why, until when."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from refund_plugin import clock
from refund_plugin.actor import SYSTEM, Action
from refund_plugin.orders.access import correct_access, record_access
from refund_plugin.orders.models import AccessEvent
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.rules import Defective, MoneyBack, UnusedOnly
from tests.api.helpers import asked_for, line_id, question
from tests.factories import EBOOK, LICENCE, NOW, SALE, line_with, make_purchase, publish_policy

pytestmark = pytest.mark.usefixtures("policy")


def quote(send, purchase, **changes):
    return send("RefundQuote", {"orderNumber": purchase.number, "email": purchase.customer.email, **changes})


def test_each_line_tells_amount_reason_facts_and_until_when(send):
    purchase = make_purchase(lines=[EBOOK, SALE])
    told = quote(send, purchase).data["refundQuote"]
    book, font = told["lines"]
    assert told["orderNumber"] == purchase.number
    assert told["total"] == {"currency": "EUR", "amount": 18.2, "minorAmount": 1820}
    assert book["askable"]
    assert book["verdict"]["outcome"] == "APPROVE"
    assert book["verdict"]["reason"] == "CLAUSE_HOLDS"
    assert book["verdict"]["clause"]["anchor"] == "unused"
    assert book["verdict"]["clause"]["url"] == "/policy/1/#unused"
    assert told["policyUrl"] == "/policy/1/"
    assert book["verdict"]["askUntil"] is not None
    assert {"label", "value"} == set(book["verdict"]["facts"][0])
    assert not font["askable"]
    assert font["verdict"]["outcome"] == "DECLINE"
    assert font["verdict"]["amount"]["minorAmount"] == 0
    assert "final discount" in font["verdict"]["explanation"]


def test_a_download_is_named_as_the_reason_for_a_refusal(send):
    publish_policy(clauses=[UnusedOnly(anchor="unused", window_days=30)], now=NOW - timedelta(days=100))
    purchase = make_purchase()
    AccessEvent.objects.create(line=purchase.lines.get(), kind="downloaded", source_id="d1", occurred_at=NOW)
    verdict = quote(send, purchase).data["refundQuote"]["lines"][0]["verdict"]
    assert verdict["outcome"] == "DECLINE"
    assert verdict["reason"] == "CONDITIONS_MISSED"
    assert any("1" in fact["value"] for fact in verdict["facts"])


NOT_COUNTED = """query ($number: String!, $email: String!) {
  refundQuote(orderNumber: $number, email: $email) { refundQuote { lines { notCounted verdict { outcome } } } errors { code } }
}"""


def test_a_use_that_was_corrected_is_told_with_its_reason_and_asked_for_all_lines_at_once(send):
    publish_policy(clauses=[UnusedOnly(anchor="unused", window_days=30)], now=NOW - timedelta(days=100))
    purchase = make_purchase(lines=[EBOOK, LICENCE])
    fact = record_access(line=purchase.lines.first(), kind="downloaded", source_id="d1", occurred_at=NOW)
    asked = {"number": purchase.number, "email": purchase.customer.email}
    correct_access(fact_id=fact.pk, reason="failed", note="0 bytes.", by=SYSTEM, now=NOW)
    with CaptureQueriesContext(connection) as plain:
        quote(send, purchase)
    with CaptureQueriesContext(connection) as asking:
        lines = send(NOT_COUNTED, asked).data["refundQuote"]["lines"]

    assert [line["verdict"]["outcome"] for line in lines] == ["APPROVE", "APPROVE"]
    assert [line["notCounted"] for line in lines] == [["Not counted: downloaded on March 9, 2026, because it failed."], []]
    assert len(asking) == len(plain) + 1


def test_only_the_named_lines_and_quantities_are_judged(send):
    purchase = make_purchase(lines=[EBOOK, LICENCE])
    licence = purchase.lines.get(sku=LICENCE.sku)
    lines = quote(send, purchase, lines=[{"lineId": line_id(licence), "quantity": 2}]).data["refundQuote"]["lines"]
    assert [(line["line"]["sku"], line["quantity"], line["verdict"]["amount"]["minorAmount"]) for line in lines] == [(LICENCE.sku, 2, 1600)]


def test_a_currency_without_decimals_keeps_its_minor_units(send):
    purchase = make_purchase(lines=[line_with(EBOOK, paid_minor=1500, tax_minor=0)], currency="JPY")
    assert quote(send, purchase).data["refundQuote"]["total"] == {"currency": "JPY", "amount": 1500.0, "minorAmount": 1500}


def test_an_amount_beyond_32_bits_is_exact(send):
    purchase = make_purchase(lines=[line_with(EBOOK, paid_minor=9_007_199_254, tax_minor=0)], currency="VND")
    assert quote(send, purchase).data["refundQuote"]["total"]["minorAmount"] == 9_007_199_254


def test_an_unknown_number_and_a_wrong_address_read_the_same(send):
    purchase = make_purchase()
    unknown = send("RefundQuote", {"orderNumber": "no-such", "email": purchase.customer.email})
    wrong = quote(send, purchase, email="eve@example.com")
    assert unknown.body == wrong.body
    assert wrong.codes == [(None, "NOT_FOUND")]


def test_another_stores_purchase_is_not_found_in_this_one(send, other_store):
    purchase = make_purchase(store=other_store)
    assert quote(send, purchase).codes == [(None, "NOT_FOUND")]
    assert quote(send, purchase, channel="other").data["refundQuote"]["orderNumber"] == purchase.number


@pytest.mark.parametrize(
    ("line", "code"),
    [("garbage", "INVALID"), ("UHVyY2hhc2VMaW5lOjA=", "INVALID"), ("UmVmdW5kUmVxdWVzdDox", "INVALID"), ("UHVyY2hhc2VMaW5lOsKy", "INVALID")],
)
def test_a_line_that_is_not_the_purchases_is_told(send, line, code):
    assert quote(send, make_purchase(), lines=[{"lineId": line}]).codes == [("lines", code)]


def test_the_same_line_twice_is_told(send):
    purchase = make_purchase(lines=[LICENCE])
    line = {"lineId": line_id(purchase.lines.get()), "quantity": 1}
    assert quote(send, purchase, lines=[line, line]).codes == [("lines", "INVALID")]


def test_more_than_is_left_is_told_with_what_is_left(send):
    purchase = make_purchase(lines=[LICENCE])
    answer = quote(send, purchase, lines=[{"lineId": line_id(purchase.lines.get()), "quantity": 4}])
    assert answer.codes == [("lines", "QUANTITY_TOO_HIGH")]
    assert "3" in answer.data["errors"][0]["message"]


def test_a_refunded_line_says_so_and_stays_in_the_quote(send):
    purchase = make_purchase(lines=[EBOOK, LICENCE])
    asked_for(purchase, lines={purchase.lines.get(sku=EBOOK.sku).pk: 1})
    book, licence = quote(send, purchase).data["refundQuote"]["lines"]
    assert book["verdict"]["reason"] == "ALREADY_REFUNDED"
    assert licence["askable"]


def test_signed_in_customers_need_no_address_for_their_own_purchase_only(send, person):
    ada, eve = person("ada"), person("eve")
    purchase = make_purchase(user_id=ada.user.pk)
    variables = {"orderNumber": purchase.number}
    assert send("RefundQuote", variables, client=ada).data["refundQuote"]["orderNumber"] == purchase.number
    assert send("RefundQuote", variables, client=eve).codes == [(None, "NOT_FOUND")]


def test_strangers_are_asked_for_the_address(send):
    assert send("RefundQuote", {"orderNumber": make_purchase().number}).codes == [("email", "REQUIRED")]


def test_a_program_that_may_view_cases_needs_no_address_in_its_own_store_only(send, service_token, other_store):
    variables = {"orderNumber": make_purchase().number}
    assert send("RefundQuote", variables, token=service_token(Action.VIEW_CASES)).data["refundQuote"] is not None
    assert send("RefundQuote", variables, token=service_token(Action.VIEW_CASES, store=other_store)).codes == [(None, "NOT_FOUND")]
    assert send("RefundQuote", variables, token=service_token()).codes == [("email", "REQUIRED")]


def test_a_program_cannot_name_another_store(send, service_token, other_store):
    variables = {"orderNumber": make_purchase().number, "channel": "other"}
    assert send("RefundQuote", variables, token=service_token(Action.VIEW_CASES)).codes == [("channel", "NOT_FOUND")]


def test_a_purchase_without_a_policy_goes_to_a_person(send):
    purchase = make_purchase(purchased_at=NOW.replace(year=2020))
    told = quote(send, purchase).data["refundQuote"]
    assert told["policyVersion"] is None
    assert told["lines"][0]["verdict"]["outcome"] == "REVIEW"


TRIED = """query ($number: String!, $email: String, $skip: Int) {
  refundQuote(orderNumber: $number, email: $email, skip: $skip) { refundQuote {
    promise keptUntil lineCount total { minorAmount }
    lines { line { name } ifFaulty { outcome amount { minorAmount } } verdict { ends considered {
      title held explanation conditions { label value state missedBy needed } } } }
  } errors { code } }
}"""


def tried(send, purchase, **variables):
    return send(TRIED, {"number": purchase.number, "email": purchase.customer.email, **variables}).data["refundQuote"]


def test_every_clause_that_was_tried_says_by_how_much_it_was_missed(send, store):
    publish_policy(store=store, clauses=[MoneyBack(anchor="a", title="Two days", window_days=2), MoneyBack(anchor="b", window_days=30)])
    [line] = tried(send, make_purchase())["lines"]
    missed, held = line["verdict"]["considered"]
    assert (missed["title"], missed["held"], held["held"]) == ("Two days", "MISSED", "HELD")
    assert missed["explanation"] == "Missed: 4 days too late. It would apply with: within 2 days of buying."
    assert missed["conditions"] == [
        {
            "label": "Bought",
            "value": "6 days ago (2 allowed)",
            "state": "missed",
            "missedBy": "4 days too late",
            "needed": "within 2 days of buying",
        }
    ]
    assert line["verdict"]["ends"].startswith("You can ask for this until April 2, 2026")


def test_a_quote_says_what_the_report_of_a_fault_would_give(send, store):
    publish_policy(store=store, clauses=[Defective(anchor="faulty"), MoneyBack(anchor="b", window_days=2)])
    assert tried(send, make_purchase())["lines"][0]["ifFaulty"] == {"outcome": "REVIEW", "amount": {"minorAmount": 1820}}


def test_a_promise_is_kept_and_less_than_was_quoted_is_never_asked_for(send, store, monkeypatch):
    publish_policy(store=store, clauses=[UnusedOnly(anchor="u", window_days=6)])
    purchase = make_purchase()
    told = tried(send, purchase)
    tomorrow = NOW + timedelta(days=1)
    monkeypatch.setattr(clock, "now", lambda: tomorrow)
    late = send("RefundRequestCreate", question(purchase, promise=told["promise"]))
    assert late.codes == [("lines", "QUOTE_CHANGED")]
    assert not RefundRequest.objects.exists()
    monkeypatch.setattr(clock, "now", lambda: NOW + timedelta(minutes=29))
    assert send("RefundRequestCreate", question(purchase, promise=told["promise"])).codes == []


def test_a_quote_of_many_lines_is_read_in_parts(send, store, policy):
    lines = [line_with(EBOOK, sku=f"BOOK-{number}", name=f"Book {number}", paid_minor=100, tax_minor=0) for number in range(203)]
    purchase = make_purchase(lines=lines)
    first, rest, past = (tried(send, purchase, skip=skip) for skip in (0, 200, 1000))
    assert (len(first["lines"]), len(rest["lines"]), len(past["lines"])) == (200, 3, 0)
    assert first["lineCount"] == rest["lineCount"] == 203
    assert rest["lines"][0]["line"]["name"] == "Book 200"
    assert first["total"] == rest["total"]
