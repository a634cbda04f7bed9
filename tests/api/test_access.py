"""`accessRecord`: a download server tells what was used, with a token that can do nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from refund_plugin.actor import Action
from refund_plugin.orders.models import AccessEvent
from refund_plugin.orders.queries import usage_of
from tests.api.helpers import everything, line_id
from tests.factories import EBOOK, NOW, line_with, make_purchase

RECORD = """mutation ($input: AccessRecordInput!) {
  accessRecord(input: $input) { accessFact { lineId kind amount occurredAt } errors { field message code } }
}"""


@pytest.fixture
def token(service_token) -> str:
    return service_token(Action.RECORD_ACCESS)


@pytest.fixture
def line(store):
    return make_purchase().lines.get()


def told(line, **changes):
    return {"input": {"lineId": line_id(line), "kind": "DOWNLOADED", "sourceId": "log-7", **changes}}


def test_a_use_told_twice_is_recorded_once(send, token, line):
    answers = [send(RECORD, told(line), token=token) for _time in range(2)]

    fact = {"lineId": line_id(line), "kind": "DOWNLOADED", "amount": 1, "occurredAt": NOW.isoformat()}
    assert [answer.data for answer in answers] == [{"accessFact": fact, "errors": []}] * 2
    event = AccessEvent.objects.get()
    assert (event.line, event.source, event.source_id) == (line, "api", "log-7")


def test_a_line_can_be_named_by_order_number_and_sku(send, token, line):
    named = {"lineId": None, "orderNumber": f"#{line.purchase.number}", "sku": line.sku}
    moment = (NOW - timedelta(days=1)).isoformat()
    answer = send(RECORD, told(line, kind="VIEWED", amount=40, occurredAt=moment, source="player", **named), token=token)

    assert answer.codes == []
    assert answer.data["accessFact"]["occurredAt"] == moment
    assert usage_of([line])[line.pk].share_viewed_percent == 40


@pytest.mark.parametrize("who", ["nobody", "the customer", "staff", "a superuser", "a token with other scopes"])
def test_whoever_has_no_token_for_it_gets_the_same_answer_and_nothing_is_recorded(send, person, service_token, admin_client, line, who):
    others = tuple(action for action in Action if action is not Action.RECORD_ACCESS)
    options = {
        "nobody": dict,
        "the customer": lambda: {"client": person("ada")},
        "staff": lambda: {"client": person("sam", *others)},
        "a superuser": lambda: {"client": admin_client},
        "a token with other scopes": lambda: {"token": service_token(*others)},
    }[who]()
    before = everything()

    assert send(RECORD, told(line), **options).codes == [(None, "NOT_ALLOWED")]
    assert not AccessEvent.objects.exists()
    assert everything() == before


def test_a_wrong_token_and_an_unknown_one_are_told_apart_by_nothing(send, token, line):
    answers = [send(RECORD, told(line), token=wrong) for wrong in (token[:-1] + ("a" if token[-1] != "a" else "b"), "rpt_00000000_unknown")]

    assert [answer.status for answer in answers] == [401, 401]
    assert answers[0].body == answers[1].body
    assert not AccessEvent.objects.exists()


def test_the_token_opens_nothing_else(send, token, line):
    assert send("RefundQuote", {"orderNumber": line.purchase.number}, token=token).codes == [("email", "REQUIRED")]


def test_an_unknown_line_and_one_of_another_store_read_the_same(send, token, other_store, line):
    foreign = make_purchase(store=other_store, number="F-1", captured=False, payments=[]).lines.get()
    unknown = [send(RECORD, told(line, lineId="UHVyY2hhc2VMaW5lOjk5OTk5OQ=="), token=token), send(RECORD, told(foreign), token=token)]

    assert unknown[0].body == unknown[1].body
    assert unknown[0].codes == [("lineId", "NOT_FOUND")]
    named = {"lineId": None, "orderNumber": "F-1", "sku": foreign.sku}
    assert send(RECORD, told(foreign, **named), token=token).codes == [("sku", "NOT_FOUND")]
    assert not AccessEvent.objects.exists()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"lineId": None}, ("lineId", "REQUIRED")),
        ({"lineId": "nonsense"}, ("lineId", "INVALID")),
        ({"amount": 0}, ("amount", "INVALID")),
        ({"kind": "STREAMED", "amount": 101}, ("amount", "INVALID")),
        ({"sourceId": ""}, ("sourceId", "REQUIRED")),
        ({"source": "Our CDN"}, ("source", "INVALID")),
        ({"occurredAt": "2026-03-09T13:00:00"}, ("occurredAt", "INVALID")),
        ({"occurredAt": "2027-03-09T13:00:00Z"}, ("occurredAt", "INVALID")),
        ({"lineId": None, "orderNumber": "1\x00", "sku": "x"}, ("orderNumber", "INVALID")),
    ],
)
def test_what_cannot_be_recorded_says_what_was_expected(send, token, line, changes, error):
    assert send(RECORD, told(line, **changes), token=token).codes == [error]
    assert not AccessEvent.objects.exists()


def test_a_kind_that_nobody_knows_is_refused_by_the_schema(send, token, line):
    assert "SMELLED" in send(RECORD, told(line, kind="SMELLED"), token=token).failure["message"]


def test_an_order_with_the_same_sku_twice_wants_the_lines_id(send, token, store):
    purchase = make_purchase(lines=[EBOOK, line_with(EBOOK, name="For a friend")])
    named = {"lineId": None, "orderNumber": purchase.number, "sku": EBOOK.sku}

    assert send(RECORD, told(purchase.lines.first(), **named), token=token).codes == [("sku", "INVALID")]


def test_a_token_that_tells_too_much_is_told_to_wait(send, token, service_token, line, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "LIMIT_ACCESS": (2, 60)}
    codes = [send(RECORD, told(line, sourceId=f"{n}"), token=token).codes for n in range(3)]

    assert codes == [[], [], [(None, "RATE_LIMITED")]]
    assert send(RECORD, told(line, sourceId="other"), token=service_token(Action.RECORD_ACCESS)).codes == []


@pytest.mark.parametrize(("times", "statements"), [(0, 5), (1, 4)], ids=["a new fact", "a repeated one"])
def test_recording_takes_a_fixed_number_of_statements(send, token, line, times, statements):
    for _time in range(times):
        send(RECORD, told(line), token=token)
    with CaptureQueriesContext(connection) as queries:
        send(RECORD, told(line), token=token)

    # token, tries counted, line, the fact looked for, and written when it is new
    assert len([query for query in queries if "SAVEPOINT" not in query["sql"]]) == statements
