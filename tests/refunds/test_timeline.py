"""What a customer sees: every step with its time, and never a claim that the rows do not prove."""

from __future__ import annotations

import re

import pytest

from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.review import ask_for_evidence, decline_request
from refund_plugin.refunds.services import cancel_request
from refund_plugin.refunds.timeline import NEXT_STEPS, STAFF_NEXT_STEPS, Timeline, timeline
from tests.factories import EBOOK, NOW, SALE, make_purchase
from tests.refunds.helpers import CLERK, ask, only_refund

pytestmark = pytest.mark.django_db


def seen(request: RefundRequest) -> Timeline:
    return timeline(RefundRequest.objects.get(pk=request.pk))


def codes(request: RefundRequest) -> list[tuple[str, str]]:
    return [(step.code, step.state) for step in seen(request).steps]


@pytest.fixture
def approved(policy):
    return ask(make_purchase())


def test_an_approved_request_shows_that_the_money_is_being_sent(approved):
    assert codes(approved) == [("asked", "done"), ("approved", "done"), ("sending", "now"), ("finished", "next")]
    assert seen(approved).status_code == "sending"
    assert not seen(approved).final


def test_a_finished_refund_shows_when_the_money_left(approved):
    drive_refunds()
    result = seen(approved)
    assert codes(approved) == [("asked", "done"), ("approved", "done"), ("sent", "done"), ("refunded", "done")]
    assert result.final
    assert all(step.at is not None for step in result.steps)
    assert "Visa •••• 4242" in result.steps[-1].title


@pytest.mark.parametrize("misbehaviour", ["timeout_after_commit", "timeout_before_commit"])
def test_an_unknown_outcome_is_never_called_refunded_or_failed(approved, gateway, misbehaviour):
    gateway.script(misbehaviour)
    drive_refunds()
    assert codes(approved)[2:] == [("checking", "now"), ("finished", "next")]
    assert seen(approved).settlement == "in_progress"


def test_a_pending_refund_waits_for_the_bank(approved, gateway):
    gateway.script("pending")
    drive_refunds()
    assert codes(approved)[2:] == [("sent", "done"), ("booking", "now"), ("finished", "next")]


def test_money_that_came_back_is_a_problem_and_not_a_success(approved):
    drive_refunds()
    refund = only_refund(approved)
    record_answer(refund_id=refund.pk, answer=GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id=refund.gateway_refund_id), now=NOW)
    assert codes(approved)[-1] == ("failed", "problem")
    assert seen(approved).status_code == "needs_person"
    assert not seen(approved).final


def test_a_review_says_who_looks_and_a_question_says_what_is_needed(policy):
    request = ask(make_purchase(lines=[SALE]), wants_person=True)
    assert codes(request) == [("asked", "done"), ("review", "done"), ("deciding", "now"), ("told", "next")]
    ask_for_evidence(request_id=request.pk, by=CLERK, question="A screenshot, please", now=NOW)
    assert any(step.code == "your_answer" and "screenshot" in step.detail for step in seen(request).steps)


def test_a_decline_by_a_person_carries_the_reason(policy):
    request = ask(make_purchase(lines=[SALE]), wants_person=True)
    decline_request(request_id=request.pk, by=CLERK, reason="Sold as final sale", now=NOW)
    assert seen(request).steps[-1].detail == "Sold as final sale"
    assert seen(request).final


def failed(request):
    drive_refunds()
    refund = only_refund(request)
    record_answer(refund_id=refund.pk, answer=GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id=refund.gateway_refund_id), now=NOW)


def asked_for_evidence(request):
    ask_for_evidence(request_id=request.pk, by=CLERK, question="A screenshot, please", now=NOW)


@pytest.mark.parametrize(
    ("lines", "then"),
    [
        ([SALE], None),
        ([SALE], asked_for_evidence),
        ([SALE], lambda request: decline_request(request_id=request.pk, by=CLERK, reason="Sold as final sale", now=NOW)),
        ([EBOOK], lambda request: cancel_request(request_id=request.pk, by=CLERK, now=NOW)),
        ([EBOOK], None),
        ([EBOOK], lambda request: drive_refunds()),
        ([EBOOK], failed),
    ],
    ids=["in review", "evidence", "declined", "taken back", "sending", "refunded", "failed"],
)
@pytest.mark.parametrize("misbehaviour", [None, "pending", "timeout_after_commit"])
def test_staff_read_about_the_customer_and_are_not_spoken_to_as_one(policy, gateway, lines, then, misbehaviour):
    request = ask(make_purchase(lines=lines), wants_person=lines == [SALE])
    Payment.objects.update(brand="", method="sepa_debit")
    if misbehaviour:
        gateway.script(misbehaviour)
    if then:
        then(request)

    told = timeline(RefundRequest.objects.get(pk=request.pk), for_staff=True)

    words = " ".join([told.next_step, *(f"{step.title} {step.detail}" for step in told.steps)])
    assert not re.search(r"\byou", words, re.IGNORECASE), words


def test_every_status_has_words_for_both():
    assert STAFF_NEXT_STEPS.keys() == NEXT_STEPS.keys()


def test_a_request_taken_back_shows_no_money_step(approved):
    cancel_request(request_id=approved.pk, by=CLERK, now=NOW)
    assert codes(approved) == [("asked", "done"), ("approved", "done"), ("canceled", "done")]
