"""Taking an approved refund back: only while nothing was sent of it, and the books, the customer and the lists agree."""

from __future__ import annotations

from dataclasses import replace

import pytest

from refund_plugin.actor import SYSTEM, Action
from refund_plugin.errors import NotAllowed, NotFound, Required, WrongState
from refund_plugin.events.models import Event
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.execute import claim_due
from refund_plugin.refunds.ledger.verify import verify
from refund_plugin.refunds.models import Alert, Refund, RefundRequest, WaitsFor
from refund_plugin.refunds.queries import needs_person, staff_queue
from refund_plugin.refunds.states import RefundState
from refund_plugin.refunds.take_back import take_back_refund
from refund_plugin.refunds.timeline import timeline
from tests.factories import NOW, make_purchase
from tests.refunds.helpers import CLERK, ask, balances, only_refund

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def purchase(policy):
    return make_purchase()


@pytest.fixture
def request_(purchase):
    return ask(purchase)


@pytest.fixture
def refund(request_):
    return only_refund(request_)


def take_back(refund, by=CLERK, reason="The bank has paid it."):
    return take_back_refund(refund_id=refund.pk, by=by, reason=reason, now=NOW)


def test_what_is_taken_back_is_never_sent_and_frees_what_it_held(refund, purchase, gateway):
    taken = take_back(refund)
    drive_refunds()

    assert (taken.state, taken.owed, taken.failure_code, taken.failure_message) == (
        "canceled",
        False,
        "taken_back",
        "The bank has paid it.",
    )
    assert not gateway.sent and balances(purchase) == ([(0, 0)], [(0, 0)])
    assert verify().fine
    assert Event.objects.order_by("pk").last().kind == "refund_canceled"
    assert only_refund(ask(purchase)).state == RefundState.RESERVED  # it may be asked for again


def test_a_refund_that_waits_for_a_person_for_ever_can_be_ended_and_needs_nobody_then(refund, request_):
    Refund.objects.update(waits_for=WaitsFor.PERSON, needs_person="the payment is disputed")
    raise_alert(kind="dispute_opened", key="x", why="why", refund=refund, now=NOW)
    assert staff_queue(filters=needs_person()).filter(pk=request_.pk).exists()

    take_back(refund)

    assert not staff_queue(filters=needs_person()).filter(pk=request_.pk).exists()
    assert Alert.objects.get().note == "The bank has paid it."


def test_the_customer_reads_that_it_was_taken_back_and_not_why_and_never_that_money_comes(refund, request_):
    take_back(refund)

    theirs, ours = timeline(RefundRequest.objects.get()), timeline(RefundRequest.objects.get(), for_staff=True)
    assert theirs.status_code == "given_up" and "nothing more is sent" in theirs.next_step
    assert [(step.code, step.title) for step in theirs.steps][-1] == ("taken_back", "The money was not sent")
    assert "took it back" in theirs.steps[-1].detail and "bank has paid" not in theirs.steps[-1].detail
    assert ours.steps[-1].detail == "The bank has paid it."


def test_calls_that_surely_did_nothing_are_no_bar(refund, gateway):
    gateway.script("refused_connection")
    drive_refunds()

    assert take_back(refund).state == RefundState.CANCELED


@pytest.mark.parametrize("misbehaviour", ["timeout_before_commit", "pending", None])
def test_what_was_sent_or_may_have_been_is_not_taken_back(refund, gateway, misbehaviour):
    gateway.script(*[misbehaviour] if misbehaviour else [])
    drive_refunds()
    before = Refund.objects.values().get()

    with pytest.raises(WrongState, match="not sent"):
        take_back(refund)
    assert Refund.objects.values().get() == before


@pytest.mark.parametrize(("changes", "why"), [({"list_first": True}, "restored from a backup"), ({"lease_until": NOW}, "A worker")])
def test_what_may_be_in_somebodys_hands_is_not_taken_back(refund, changes, why):
    Refund.objects.update(**changes)

    with pytest.raises(WrongState, match=why):
        take_back(refund)


def test_what_a_worker_holds_is_not_taken_back(refund):
    claim_due(batch=1)

    with pytest.raises(WrongState):
        take_back(refund)


@pytest.mark.parametrize(
    ("by", "reason", "error"),
    [
        (replace(CLERK, actions=frozenset(Action) - {Action.APPROVE}), "Why.", NotAllowed),
        (replace(CLERK, limit_minor={"EUR": 1819}), "Why.", NotAllowed),
        (replace(CLERK, email="ada@example.com"), "Why.", NotAllowed),
        (replace(CLERK, store_id=10**9), "Why.", NotFound),
        (SYSTEM, " ", Required),
    ],
    ids=["without the permission", "above the limit", "their own purchase", "another store", "without a reason"],
)
def test_who_may_not_is_refused_and_nothing_changed(refund, by, reason, error):
    with pytest.raises(error):
        take_back(refund, by=by, reason=reason)
    assert Refund.objects.get().state == RefundState.RESERVED
