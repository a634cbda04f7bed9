"""A voucher besides any refund, through the admin's pages."""

from __future__ import annotations

import pytest
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.events.services import deliver_due
from refund_plugin.messaging.models import Message
from refund_plugin.refunds.incentives.models import Incentive
from refund_plugin.refunds.manual.services import claim_by_hand, give_proof
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.review import approve_request
from refund_plugin.staff.evidence import gather_evidence
from refund_plugin.stores import registry
from refund_plugin.stores.base import CreditKind, StoreUnavailable
from tests.issuing_store import IssuingStore
from tests.staff.conftest import ALL
from tests.staff.helpers import do, verb_url, whole_state
from tests.staff.test_disputes import dispute_of

pytestmark = pytest.mark.django_db

FORM = {"worth": "10.00", "unit": "EUR", "days": "90", "reason": "Long wait.", "message": "Sorry!", "key": "one"}


@pytest.fixture
def shop(monkeypatch):
    made = IssuingStore()
    monkeypatch.setitem(registry._adapters, "local", made)
    return made


@pytest.fixture
def giver(make_user, sign_in):
    """The browser of someone who may give."""
    return sign_in(make_user("giver", (*ALL, "give_incentives")))


def page_of(client, case):
    return client.get(reverse("refund_cases:case", args=[case.pk])).content.decode()


def test_it_is_offered_to_who_may_where_the_store_issues_such(giver, staff, case, shop):
    assert "Give a voucher" in page_of(giver, case)
    assert "Give a voucher" not in page_of(staff, case)
    shop.kind = CreditKind.GIFT_CARD
    assert "Give a gift card" in page_of(giver, case)
    shop.kind = None
    assert "Give a" not in page_of(giver, case)
    assert giver.get(verb_url("give", case)).status_code == 404


def test_giving_it_issues_it_and_says_so(giver, case, shop):
    answer = do(giver, "give", case, **FORM)
    assert "The store has issued a voucher of" in answer.content.decode()
    (told,) = shop.issued
    assert (told.worth.minor, told.code) == (1000, Incentive.objects.get().code) and told.code not in repr(told)
    assert told.code not in page_of(giver, case) and "Given besides: a voucher of" in page_of(giver, case)


def test_what_staff_read_of_the_mail_and_hand_to_a_bank_leaves_out_the_code(giver, case, shop):
    do(giver, "give", case, **FORM)
    deliver_due()
    letter, code = Message.objects.get(kind="incentive"), Incentive.objects.get().code
    assert code in letter.text and letter.sent_at
    assert letter.subject in page_of(giver, case) and code not in page_of(giver, case)
    evidence = gather_evidence(dispute_of(case.purchase), now=clock.now())
    assert letter.subject in str(evidence) and code not in str(evidence)


def test_a_bank_does_not_read_the_code_of_store_credit_either(case, shop):
    code = "TD2Y-PAZC-4HEQ"
    approve_request(request_id=case.pk, by=SYSTEM, reason="Fine.", now=clock.now())
    refund = Refund.objects.get()
    claim_by_hand(refund_id=refund.pk, by=SYSTEM, now=clock.now())
    give_proof(refund_id=refund.pk, by=SYSTEM, method="store_credit", reference=code, paid_on=clock.now().date(), now=clock.now())
    deliver_due()
    assert code in Message.objects.get(kind="paid").text
    evidence = str(gather_evidence(dispute_of(case.purchase), now=clock.now()))
    assert "Given as store credit" in evidence and code not in evidence


def test_percent_is_taken_as_such(giver, case, shop):
    do(giver, "give", case, **{**FORM, "worth": "15", "unit": "percent"})
    assert shop.issued[0].worth == 15


def test_without_the_permission_the_form_is_refused_and_nothing_changes(staff, case, shop):
    before = whole_state(case)
    assert staff.get(verb_url("give", case)).status_code == 302
    do(staff, "give", case, **FORM)
    assert whole_state(case) == before and not Incentive.objects.exists() and not shop.issued


@pytest.mark.parametrize(
    "wrong",
    [
        {"worth": ""},
        {"worth": "x"},
        {"worth": "10.001"},
        {"worth": "999"},
        {"worth": "1.5", "unit": "percent"},
        {"days": "1"},
        {"reason": ""},
    ],
)
def test_what_is_wrong_is_told_beside_what_was_typed(giver, case, shop, wrong):
    answer = do(giver, "give", case, **{**FORM, **wrong})
    assert answer.context["form"].errors and not Incentive.objects.exists()


def test_what_the_store_has_not_issued_is_taken_back(giver, staff, case, shop):
    shop.fails.append(StoreUnavailable("no answer"))
    assert "has not confirmed" in do(giver, "give", case, **FORM).content.decode()
    url = reverse("refund_cases:take_back_incentive", args=[case.pk, Incentive.objects.get().pk])
    assert url in page_of(giver, case) and "no answer" in giver.get(url).content.decode()
    seen = giver.get(url).context["form"]["seen"].value()
    staff.post(url, {"seen": seen})
    assert Incentive.objects.get().state == "waiting"
    assert "taken back" in giver.post(url, {"seen": seen}, follow=True).content.decode()
    assert Incentive.objects.get().state == "canceled" and url not in page_of(giver, case)
