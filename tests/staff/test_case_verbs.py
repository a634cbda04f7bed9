"""Approve, decline, ask, send again: through the pages, with everything that can keep them from happening."""

from __future__ import annotations

import pytest
from django.db import connections
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.refunds.models import Decision, Refund, RefundRequest
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.people import staff_actor
from refund_plugin.refunds.review import approve_request
from refund_plugin.staff.verbs import seen_stamp
from tests.factories import EBOOK, LICENCE, SALE
from tests.staff.helpers import do, verb_url, whole_state

pytestmark = pytest.mark.django_db


def amount_field(case, index=0):
    return f"amount_{case.lines.order_by('line__position')[index].line_id}"


def test_approving_what_the_policy_gives_holds_the_money_and_records_who_and_why(staff, case):
    response = do(staff, "approve", case, reason="A chapter is missing.", **{amount_field(case): "18.20"})

    case.refresh_from_db()
    decision = case.decisions.last()
    assert response.redirect_chain[-1][0] == reverse("refund_cases:case", args=[case.pk])
    assert case.state == "approved"
    assert [(refund.amount_minor, refund.origin) for refund in case.refunds.all()] == [(1820, "staff")]
    assert (decision.outcome, decision.reason, decision.is_override) == ("approved", "A chapter is missing.", False)
    assert (decision.actor_kind, decision.actor_label) == ("staff", "sam")
    assert "is approved" in response.content.decode()


def test_the_approve_form_starts_with_what_the_policy_gives(staff, case):
    form = staff.get(verb_url("approve", case)).context["form"]

    assert str(form[amount_field(case)].value()) == "18.20"


def test_a_lower_amount_is_granted_as_entered_and_marked_as_an_override(staff, case):
    do(staff, "approve", case, reason="Half, as agreed on the telephone.", **{amount_field(case): "9.10"})

    assert Refund.objects.get().amount_minor == 910
    assert Decision.objects.last().is_override


def test_lines_are_granted_one_by_one_and_an_empty_one_gets_nothing(staff, make_case):
    case = make_case([EBOOK, LICENCE])

    do(staff, "approve", case, reason="Only the licence.", **{amount_field(case, 0): "", amount_field(case, 1): "8.00"})

    assert {a.line.sku: a.gross_minor for a in Refund.objects.get().allocations.all()} == {"GRAIN-1": 800}


@pytest.mark.parametrize(
    ("entered", "said"),
    [
        ("18.21", "less than or equal to 18.2"),
        ("-1", "greater than or equal to 0"),
        ("1.234", "2 decimal places"),
        ("0", "above zero"),
        ("x", "number"),
    ],
)
def test_an_amount_that_cannot_be_is_explained_and_nothing_changes(staff, case, entered, said):
    before = whole_state(case)

    response = do(staff, "approve", case, reason="Why not.", **{amount_field(case): entered})

    assert said in response.content.decode()
    assert whole_state(case) == before


def test_yen_have_no_decimals(staff, make_case):
    case = make_case([SALE], currency="JPY", wants_person=True)

    response = do(staff, "approve", case, reason="Half.", **{amount_field(case): "9.5"})

    assert "decimal places" in response.content.decode()
    assert not Refund.objects.exists()


def test_declining_tells_the_reason_and_moves_no_money(staff, case):
    do(staff, "decline", case, reason="The chapter is there, on page 210.")

    case.refresh_from_db()
    assert case.state == "declined"
    assert case.decisions.last().reason == "The chapter is there, on page 210."
    assert not Refund.objects.exists()


def test_a_question_to_the_customer_waits_for_the_answer(staff, case):
    do(staff, "ask", case, question="Which edition do you have?")

    case.refresh_from_db()
    assert (case.state, case.evidence_question) == ("needs_evidence", "Which edition do you have?")


@pytest.mark.parametrize(("verb", "field"), [("approve", "reason"), ("decline", "reason"), ("ask", "question")])
@pytest.mark.parametrize("text", ["", "   "])
def test_nothing_is_decided_without_a_reason(staff, case, verb, field, text):
    before = whole_state(case)

    response = do(staff, verb, case, **{field: text, amount_field(case): "18.20"})

    assert field in response.context["form"].errors
    assert whole_state(case) == before


@pytest.mark.parametrize("verb", ["approve", "decline", "ask"])
def test_a_page_that_is_stale_changes_nothing_and_says_so(staff, case, verb):
    stale = {"seen": seen_stamp(case), "reason": "Late.", "question": "Late?", amount_field(case): "18.20"}
    do(staff, "ask", case, question="Which edition?")
    before = whole_state(case)

    response = staff.post(verb_url(verb, case), stale, follow=True)

    assert "changed in the meantime" in response.content.decode()
    assert whole_state(case) == before


def test_a_double_click_on_approve_pays_once(staff, case):
    data = {"seen": seen_stamp(case), "reason": "Fine.", amount_field(case): "18.20"}

    staff.post(verb_url("approve", case), data)
    second = staff.post(verb_url("approve", case), data, follow=True)

    assert "changed in the meantime" in second.content.decode()
    assert Refund.objects.count() == 1


def test_what_was_written_on_a_stale_page_is_not_lost(staff, case):
    stale = seen_stamp(case)
    do(staff, "ask", case, question="Which edition?")

    response = staff.post(verb_url("decline", case), {"seen": stale, "reason": "A long and careful answer."})

    assert "A long and careful answer." in response.content.decode()


@pytest.mark.parametrize("verb", ["approve", "decline", "ask"])
def test_opening_a_verbs_page_changes_nothing(staff, case, verb):
    before = whole_state(case)

    assert staff.get(verb_url(verb, case)).status_code == 200
    assert whole_state(case) == before


def test_after_a_decision_the_next_request_is_one_click_away(staff, case, make_case):
    other = make_case(email="grace@example.com")

    response = do(staff, "decline", case, reason="No.")

    assert reverse("refund_cases:case", args=[other.pk]) in response.content.decode()


def failed_refund(case, gateway, make_user):
    by = staff_actor(make_user("lee"), case.store)
    approve_request(request_id=case.pk, by=by, reason="Fine.", now=clock.now())
    refund = case.refunds.get()
    Refund.objects.filter(pk=refund.pk).update(state="processing")
    answer = GatewayAnswer(kind=AnswerKind.FAILED, code="expired_or_canceled_card", message="The card was canceled.")
    record_answer(refund_id=refund.pk, answer=answer, now=clock.now())
    case.refresh_from_db()
    return refund


def retry_url(case, refund):
    return reverse("refund_cases:retry", args=[case.pk, refund.pk])


def test_a_failed_refund_is_sent_again_as_a_successor_with_a_reason(staff, case, gateway, make_user):
    refund = failed_refund(case, gateway, make_user)

    page = staff.get(reverse("refund_cases:case", args=[case.pk])).content.decode()
    staff.post(retry_url(case, refund), {"seen": seen_stamp(case), "reason": "The customer has a new card."})

    assert "The card was canceled." in page and retry_url(case, refund) in page
    assert refund.successor.amount_minor == refund.amount_minor
    assert retry_url(case, refund) not in staff.get(reverse("refund_cases:case", args=[case.pk])).content.decode()


def test_a_failed_refund_is_not_sent_twice_nor_from_another_case(staff, case, gateway, make_user, make_case):
    refund = failed_refund(case, gateway, make_user)
    other = make_case(email="grace@example.com")
    data = {"seen": seen_stamp(case), "reason": "Again."}

    staff.post(retry_url(case, refund), data)
    second = staff.post(retry_url(case, refund), data, follow=True)
    foreign = staff.post(retry_url(other, refund), {**data, "seen": seen_stamp(other)})

    assert "Only a failed refund that nobody has tried again" in second.content.decode()
    assert foreign.status_code == 404
    assert Refund.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_views_commit_their_own_work_in_a_host_that_wraps_requests_in_transactions(staff, case, settings):
    connections["default"].settings_dict["ATOMIC_REQUESTS"] = True
    try:
        do(staff, "approve", case, reason="Fine.", **{amount_field(case): "18.20"})
    finally:
        connections["default"].settings_dict["ATOMIC_REQUESTS"] = False

    assert RefundRequest.objects.get(pk=case.pk).state == "approved"
