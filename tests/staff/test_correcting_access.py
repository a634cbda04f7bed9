"""A person says that a recorded use does not count: from the case page, with a reason, once."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup
from django.template.loader import render_to_string
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.orders.access import record_access
from refund_plugin.orders.models import AccessCorrection
from refund_plugin.orders.queries import usage_of
from refund_plugin.refunds.models import Dispute
from refund_plugin.staff.evidence import gather_evidence
from refund_plugin.staff.use import MOST_SHOWN
from refund_plugin.staff.verbs import seen_stamp

pytestmark = pytest.mark.django_db

CORRECTOR = ("view_cases", "correct_access")


@pytest.fixture
def fact(case):
    return record_access(line=case.purchase.lines.get(), kind="downloaded", source_id="log-7", source="cdn", occurred_at=clock.now())


@pytest.fixture
def corrector(make_user, sign_in):
    return sign_in(make_user("lee", CORRECTOR))


def url(case, fact):
    return reverse("refund_cases:access", args=[case.pk, fact.pk])


def case_page(client, case):
    return BeautifulSoup(client.get(reverse("refund_cases:case", args=[case.pk])).content, "html.parser")


def correct(client, case, fact, **changes):
    data = {"seen": seen_stamp(case), "reason": "failed", "note": "The log says 0 bytes.", **changes}
    return client.post(url(case, fact), data, follow=True)


def test_a_record_is_corrected_from_the_case_page(corrector, case, fact):
    link = case_page(corrector, case).select_one(f'a[href="{url(case, fact)}"]')
    assert link["aria-label"].startswith("Correct this record: The Slow Web: downloaded, ")
    form = corrector.get(link["href"]).content.decode()
    assert "told by cdn" in form and "it failed" in form

    answer = correct(corrector, case, fact).content.decode()

    assert "It does not count any more." in answer
    correction = AccessCorrection.objects.get()
    assert (correction.event, correction.reason, correction.note, correction.actor_kind) == (
        fact,
        "failed",
        "The log says 0 bytes.",
        "staff",
    )
    assert usage_of([fact.line])[fact.line_id].downloads == 0


def test_a_corrected_record_stays_on_the_page_with_its_reason_and_cannot_be_corrected_again(corrector, case, fact):
    correct(corrector, case, fact)
    page = case_page(corrector, case)
    assert page.select_one("li s").get_text() == "The Slow Web: downloaded"
    assert "does not count: it failed. The log says 0 bytes." in " ".join(page.get_text(" ").split())
    assert not page.select(f'a[href="{url(case, fact)}"]')

    again = correct(corrector, case, fact, reason="twice").content.decode()

    assert "corrected before" in again
    assert AccessCorrection.objects.get().reason == "failed"


@pytest.mark.parametrize(("changes", "text"), [({"reason": ""}, "Choose one of the reasons."), ({"note": " "}, "Say what you found")])
def test_a_correction_without_its_reason_is_asked_for_it_and_nothing_changes(corrector, case, fact, changes, text):
    assert text in correct(corrector, case, fact, **changes).content.decode()
    assert not AccessCorrection.objects.exists()


@pytest.mark.parametrize("permissions", [(), ("correct_access",), ("view_cases",), ("view_cases", "approve_refunds", "pay_by_hand")])
def test_without_both_permissions_nothing_opens_and_nothing_changes(case, fact, make_user, sign_in, permissions):
    client = sign_in(make_user("kim", permissions))

    assert client.get(url(case, fact)).status_code in (302, 403)
    correct(client, case, fact)
    assert not AccessCorrection.objects.exists()
    if "view_cases" in permissions:
        page = case_page(client, case)
        assert "The Slow Web: downloaded" in page.get_text()
        assert not page.select(f'a[href="{url(case, fact)}"]')


def test_nobody_corrects_the_record_of_what_they_bought(make_case, make_user, sign_in):
    user = make_user("lee", CORRECTOR)
    case = make_case(user_id=user.pk)
    fact = record_access(line=case.purchase.lines.get(), kind="downloaded", source_id="1", occurred_at=clock.now())

    assert "a colleague has to correct it" in correct(sign_in(user), case, fact).content.decode()
    assert not AccessCorrection.objects.exists()


def test_a_record_of_another_purchase_is_not_found_through_this_case(corrector, case, make_case):
    other = make_case(email="grace@example.com")
    fact = record_access(line=other.purchase.lines.get(), kind="downloaded", source_id="1", occurred_at=clock.now())

    assert corrector.get(url(case, fact)).status_code == 404
    assert correct(corrector, case, fact).status_code == 404
    assert not AccessCorrection.objects.exists()


def test_a_line_used_very_often_shows_the_newest_uses_only(corrector, case):
    for number in range(MOST_SHOWN + 5):
        record_access(line=case.purchase.lines.get(), kind="consumed", source_id=str(number), occurred_at=clock.now())

    assert len(case_page(corrector, case).select('a[aria-label^="Correct this record"]')) == MOST_SHOWN


def test_a_bank_is_shown_the_record_and_that_it_does_not_count(corrector, case, fact):
    correct(corrector, case, fact)
    purchase = case.purchase
    dispute = Dispute(payment=purchase.payments.get(), amount_minor=1820, currency="EUR", opened_at=clock.now())

    evidence = gather_evidence(dispute, now=clock.now())

    assert [(use["what"], use["told_by"], use["does_not_count"]) for use in evidence["access"]] == [("downloaded", "cdn", "it failed")]
    assert "downloaded (does not count: it failed)" in render_to_string("refund_plugin/staff/evidence.html", {"evidence": evidence})
