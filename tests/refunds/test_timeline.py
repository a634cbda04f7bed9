"""What a customer sees: every step with its time, and never a claim that the rows do not prove."""

from __future__ import annotations

import re

import pytest

from refund_plugin.events.models import Delivery, Event
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import Refund, RefundRequest, WaitsFor
from refund_plugin.refunds.outcomes import NOT_ENDED, record_answer
from refund_plugin.refunds.queries import case
from refund_plugin.refunds.review import ask_for_evidence, decline_request
from refund_plugin.refunds.services import cancel_request
from refund_plugin.refunds.subscriptions.models import SubscriptionEnd
from refund_plugin.refunds.subscriptions.services import confirm_ended
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


class TestASubscription:
    """The refund waits until the subscription has ended; the timeline says so and claims nothing else."""

    @pytest.fixture
    def waiting(self, policy):
        purchase = make_purchase()
        Payment.objects.update(subscription_id="sub_1")
        request = ask(purchase)
        Refund.objects.update(waits_for=WaitsFor.SUBSCRIPTION)
        refund = only_refund(request)
        self.end = SubscriptionEnd.objects.create(
            account=refund.account, subscription_id="sub_1", payment=refund.payment, quoted_at=NOW, due_at=NOW
        )
        return request

    def read(self, request: RefundRequest, **options: bool) -> Timeline:
        return timeline(case(request.pk), **options)

    def test_its_end_is_what_happens_now_and_the_sending_comes_next(self, waiting):
        told = self.read(waiting)
        assert [(step.code, step.state) for step in told.steps[2:]] == [
            ("ending_subscription", "now"),
            ("sending", "next"),
            ("finished", "next"),
        ]
        assert told.status_code == "waiting_subscription" and told.settlement == "in_progress" and not told.final
        assert "on its way" not in told.next_step and "subscription" in told.next_step

    @pytest.mark.django_db(transaction=True)
    def test_once_it_has_ended_the_step_has_its_time_and_the_sending_begins(self, waiting):
        assert confirm_ended(account=self.end.account, subscription_id="sub_1", now=NOW)
        told = self.read(waiting)
        assert [(step.code, step.state, step.at) for step in told.steps[2:4]] == [
            ("subscription_ended", "done", NOW),
            ("sending", "now", None),
        ]
        assert told.status_code == "sending"
        assert Event.objects.filter(kind="subscription_ended", case=waiting.pk).count() == 1
        assert not confirm_ended(account=self.end.account, subscription_id="sub_1", now=NOW)
        assert Event.objects.filter(kind="subscription_ended").count() == 1
        assert not Delivery.objects.filter(event__kind="subscription_ended").exists()

    @pytest.mark.django_db(transaction=True)
    def test_a_refund_that_was_taken_back_hears_of_no_end(self, waiting):
        cancel_request(request_id=waiting.pk, by=CLERK, now=NOW)
        confirm_ended(account=self.end.account, subscription_id="sub_1", now=NOW)
        assert not Event.objects.filter(kind="subscription_ended").exists()

    def test_an_end_that_was_refused_waits_for_a_person_in_friendly_words(self, waiting):
        Refund.objects.update(waits_for=WaitsFor.PERSON, needs_person=NOT_ENDED)
        told = self.read(waiting)
        step = told.steps[2]
        assert (step.code, step.state) == ("waits_for_person", "now") and told.status_code == "needs_person"
        assert "subscription has to end" in step.detail and "you need not do anything" in step.detail
        assert self.read(waiting, for_staff=True).steps[2].detail == NOT_ENDED


def test_a_refund_that_a_person_must_check_never_says_that_it_is_being_sent(approved):
    Refund.objects.update(waits_for=WaitsFor.PERSON, needs_person="more has gone than was paid")
    step = seen(approved).steps[2]
    assert (step.code, step.state) == ("waits_for_person", "now")
    assert "more has gone" not in step.detail and "you need not do anything" in step.detail
    assert timeline(RefundRequest.objects.get(pk=approved.pk), for_staff=True).steps[2].detail == "more has gone than was paid"
