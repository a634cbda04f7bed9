"""Dealing with one refund on the case page: paying by hand, the proof, giving it back, giving it up, and having looked."""

from __future__ import annotations

import pytest
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.actor import SYSTEM, Action
from refund_plugin.events.models import Event
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.queries import case as case_of
from refund_plugin.refunds.review import approve_request
from refund_plugin.refunds.states import RefundState
from refund_plugin.refunds.timeline import timeline
from refund_plugin.staff.refund_verbs import REFUND_VERBS
from refund_plugin.staff.verbs import seen_stamp
from tests.staff.conftest import ALL

pytestmark = pytest.mark.django_db

EVERYTHING = (*ALL, "pay_by_hand")
NAMES = [verb.name for verb in REFUND_VERBS]


@pytest.fixture
def payer(make_user, sign_in):
    """The browser of somebody who may do everything, also pay by hand."""
    return sign_in(make_user("petra", EVERYTHING))


@pytest.fixture
def refund(case):
    """18.20 EUR, approved and not sent yet."""
    approve_request(request_id=case.pk, by=SYSTEM, reason="Fine.", now=clock.now())
    case.refresh_from_db()
    return Refund.objects.get()


def url(name, refund):
    return reverse(f"refund_cases:refund_{name}", args=[refund.request_id, refund.pk])


def page_of(client, refund):
    return client.get(reverse("refund_cases:case", args=[refund.request_id])).content.decode()


def press(client, name, refund, **data):
    refund.request.refresh_from_db()
    return client.post(url(name, refund), {"seen": seen_stamp(refund.request), **data}, follow=True)


def offered(client, refund):
    page = page_of(client, refund)
    return [name for name in NAMES if url(name, refund) in page]


def test_somebody_claims_pays_and_records_it_on_the_case_page(refund, payer):
    assert offered(payer, refund) == ["claim", "take_back"]
    asked = payer.get(url("claim", refund)).content.decode()
    assert "€18.20" in asked and f"Refund {refund.request.reference}, order " in asked and "ada@example.com" in asked
    assert "Ask the customer for their account" in asked

    told = press(payer, "claim", refund).content.decode()
    assert "€18.20 is yours to pay" in told and "petra pays it by hand since" in told
    assert offered(payer, refund) == ["proof", "release"]

    data = {"method": "bank", "reference": "Transfer 4711", "paid_on": clock.now().date().isoformat(), "note": "On the phone."}
    told = press(payer, "proof", refund, **data).content.decode()

    refund.refresh_from_db()
    assert refund.state == RefundState.MANUAL_PAID and "€18.20 is recorded as paid." in told
    assert "Transfer 4711" in told and "Paid by a person" in told and "On the phone." in told
    assert offered(payer, refund) == ["bounced"]


def test_who_may_only_look_does_not_read_the_code_of_store_credit(refund, payer, staff):
    code = "TD2Y-PAZC-4HEQ"
    press(payer, "claim", refund)
    press(payer, "proof", refund, method="store_credit", reference=code, paid_on=clock.now().date().isoformat())

    assert code in page_of(payer, refund)
    assert code not in page_of(staff, refund) and "… 4HEQ" in page_of(staff, refund)
    assert code not in str(timeline(case_of(refund.request_id), for_staff=True))  # programs read this one too


def test_a_payment_that_came_back_can_be_sent_again_paid_again_or_given_up(refund, payer):
    press(payer, "claim", refund)
    press(payer, "proof", refund, method="other", reference="x", paid_on=clock.now().date().isoformat())

    told = press(payer, "bounced", refund, reason="Account closed.").content.decode()

    assert "€18.20 came back and is owed again." in told and "Account closed." in told
    assert offered(payer, refund) == ["claim", "give_up"]
    assert reverse("refund_cases:retry", args=[refund.request_id, refund.pk]) in page_of(payer, refund)


def test_what_is_given_up_needs_nobody_any_more(refund, payer):
    record_answer(refund_id=refund.pk, answer=GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id="re_1"), now=clock.now())
    Refund.objects.update(needs_person="")
    queue = reverse("refund_cases:index") + "?show=money"
    assert refund.request.reference in payer.get(queue).content.decode()

    press(payer, "give_up", refund, reason="She got a new copy instead.")

    refund.refresh_from_db()
    assert not refund.owed and offered(payer, refund) == []
    assert refund.request.reference not in payer.get(queue).content.decode()
    assert "Nothing is owed any more" in page_of(payer, refund)
    assert reverse("refund_cases:retry", args=[refund.request_id, refund.pk]) not in page_of(payer, refund)


def test_what_waits_for_ever_is_taken_back_with_a_reason_and_the_page_says_so(refund, payer):
    Refund.objects.update(waits_for="person", needs_person="the payment is disputed")
    asked = payer.get(url("take_back", refund)).content.decode()
    assert "It was not sent yet, and never will be." in asked

    press(payer, "take_back", refund, reason="")
    assert Refund.objects.get().state == RefundState.RESERVED
    told = press(payer, "take_back", refund, reason="The bank has paid it.").content.decode()

    assert "€18.20 is taken back and is not sent." in told and "The bank has paid it." in told
    assert Refund.objects.get().state == RefundState.CANCELED and offered(payer, refund) == []
    assert refund.request.reference not in payer.get(reverse("refund_cases:index") + "?show=money").content.decode()


def test_giving_it_back_asks_whether_nobody_has_paid(refund, payer):
    press(payer, "claim", refund)

    refused = press(payer, "release", refund).content.decode()
    assert "Make sure first" in refused and Refund.objects.get().state == RefundState.MANUAL_CLAIMED
    press(payer, "release", refund, not_paid="on")

    assert Refund.objects.get().state == RefundState.RESERVED


def test_a_flag_goes_away_once_somebody_has_looked_and_says_what_they_found(refund, payer):
    Refund.objects.update(needs_person="the gateway names a second object")
    assert "look" in offered(payer, refund)

    press(payer, "look", refund, note="")
    assert Refund.objects.get().needs_person
    press(payer, "look", refund, note="It is a test object.")

    assert not Refund.objects.get().needs_person and Event.objects.filter(kind="refund_looked_at").exists()
    assert "look" not in offered(payer, refund)


def test_the_page_says_why_it_cannot_be_paid_by_hand(refund, payer):
    Refund.objects.update(maybe_executed=True)

    assert "Not by hand now:" in page_of(payer, refund) and "after its “no” you can pay by hand" in page_of(payer, refund)
    opened = payer.get(url("claim", refund))
    assert opened.context["fits"] is False and "after its “no” you can pay by hand" in opened.content.decode()
    press(payer, "claim", refund)
    assert Refund.objects.get().state == RefundState.RESERVED


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("reference", "", "This field is required"),
        ("paid_on", "2020-01-01", "before the purchase"),
        ("paid_on", "2999-01-01", "in the future"),
        ("method", "cash", "Select a valid choice"),
    ],
)
def test_an_incomplete_proof_is_shown_again_with_what_is_missing(refund, payer, field, value, why):
    press(payer, "claim", refund)
    data = {"method": "bank", "reference": "Transfer 4711", "paid_on": clock.now().date().isoformat(), field: value}

    told = press(payer, "proof", refund, **data).content.decode()

    assert why in told and Refund.objects.get().state == RefundState.MANUAL_CLAIMED


def _bring(refund, name, payer):
    if name in ("proof", "release", "bounced"):
        press(payer, "claim", refund)
    if name == "bounced":
        press(payer, "proof", refund, method="bank", reference="x", paid_on=clock.now().date().isoformat())
    if name == "give_up":
        record_answer(refund_id=refund.pk, answer=GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id="re_1"), now=clock.now())
    if name == "look":
        Refund.objects.update(needs_person="why")


DATA = {"method": "bank", "reference": "x", "reason": "Why.", "note": "Why.", "not_paid": "on"}


@pytest.mark.parametrize("verb", REFUND_VERBS, ids=NAMES)
@pytest.mark.parametrize("seeing", [True, False], ids=["sees cases", "sees none"])
@pytest.mark.parametrize("holding", [True, False], ids=["holds it", "holds every other"])
def test_each_verb_needs_its_permission_and_sight_of_the_case(refund, payer, make_user, sign_in, verb, seeing, holding):
    _bring(refund, verb.name, payer)
    others = {action.value for action in Action} - {verb.action.value, "view_cases"}
    # whoever gives the proof of a colleague's claim may approve, too
    permissions = {verb.action.value, "approve_refunds"} if holding else others
    client = sign_in(make_user("other", [*permissions, *(["view_cases"] if seeing else [])]))
    before = Refund.objects.values().get()

    opened = client.get(url(verb.name, refund))
    press(client, verb.name, refund, paid_on=clock.now().date().isoformat(), **DATA)

    allowed = seeing and holding
    assert (opened.status_code == 200) is allowed
    assert (Refund.objects.values().get() != before) is allowed


@pytest.mark.parametrize("name", NAMES)
def test_a_get_changes_nothing(refund, payer, name):
    _bring(refund, name, payer)
    before = Refund.objects.values().get()

    payer.get(url(name, refund))

    assert Refund.objects.values().get() == before


def test_a_refund_of_another_case_is_not_found(refund, make_case, payer):
    other = make_case(email="bob@example.com")

    assert payer.get(reverse("refund_cases:refund_claim", args=[other.pk, refund.pk])).status_code == 404


def test_nobody_pays_their_own_refund(make_case, make_user, sign_in):
    user = make_user("sam", EVERYTHING)
    case = make_case(user_id=user.pk)
    approve_request(request_id=case.pk, by=SYSTEM, reason="Fine.", now=clock.now())
    refund = Refund.objects.get()

    told = press(sign_in(user), "claim", refund).content.decode()

    assert "This is your own request" in told and Refund.objects.get().state == RefundState.RESERVED


def test_what_the_machine_has_paid_offers_nothing(refund, payer):
    Refund.objects.update(state=RefundState.PROCESSING)
    Refund.objects.update(state=RefundState.SUCCEEDED)

    assert offered(payer, refund) == []
