"""The queue: what it shows first, its tabs, filters, search, order, counts and cost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.events.models import Heartbeat
from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.refunds.people import staff_actor
from refund_plugin.refunds.queries import next_case, staff_queue
from refund_plugin.refunds.review import approve_request
from refund_plugin.refunds.states import RefundState
from tests.factories import EBOOK, LICENCE, SALE, line_with
from tests.staff.helpers import do

pytestmark = pytest.mark.django_db


def queue(client, **query):
    return client.get(reverse("refund_cases:index"), query)


def references(response):
    return [row.reference for row in response.context["object_list"]]


def approve(case, user):
    return approve_request(request_id=case.pk, by=staff_actor(user, case.store), reason="Fine.", now=clock.now())


@pytest.fixture
def approved(make_case, make_user):
    case = make_case(email="approved@example.com")
    approve(case, make_user("lee"))
    return case


def test_it_opens_with_what_needs_a_person_the_longest_wait_first(staff, make_case, approved):
    young = make_case(email="young@example.com")
    old = make_case(email="old@example.com", now=clock.now() - timedelta(days=3))

    assert references(queue(staff)) == [old.reference, young.reference]


def test_a_question_to_the_customer_stays_in_sight(staff, case):
    do(staff, "ask", case, question="Which edition?")

    assert references(queue(staff)) == [case.reference]
    assert references(queue(staff, show="needs_evidence")) == [case.reference]
    assert references(queue(staff, show="in_review")) == []


def test_an_approved_request_whose_money_failed_needs_a_person_again(staff, approved):
    assert references(queue(staff)) == []

    Refund.objects.update(state=RefundState.FAILED)

    assert references(queue(staff)) == [approved.reference]
    assert "money is stuck" in queue(staff, show="money").content.decode()


def test_a_refund_with_an_alert_needs_a_person_until_it_is_answered(staff, approved):
    Refund.objects.update(needs_person="the gateway names a second object")

    assert references(queue(staff, show="money")) == [approved.reference]


def test_a_failed_refund_that_was_sent_again_needs_nobody(staff, approved):
    failed = Refund.objects.get()
    Refund.objects.update(state=RefundState.FAILED, needs_person="declined by the bank", owed=False)
    failed.refresh_from_db()
    fields = {f.attname: getattr(failed, f.attname) for f in Refund._meta.concrete_fields if not f.primary_key}
    Refund.objects.create(
        **{
            **fields,
            "state": RefundState.SUCCEEDED,
            "owed": True,
            "needs_person": "",
            "idempotency_key": "other",
            "supersedes_id": failed.pk,
        }
    )

    assert references(queue(staff)) == []


def test_tabs_count_what_they_show(staff, case, approved):
    response = queue(staff)

    for tab in response.context["tabs"]:
        assert tab["count"] == len(references(queue(staff, show=tab["value"]))), tab["value"]
    assert {tab["value"]: tab["count"] for tab in response.context["tabs"]} == {
        "needs_person": 1,
        "in_review": 1,
        "needs_evidence": 0,
        "money": 0,
        "everything": 2,
    }


@pytest.mark.parametrize("query", ["reference", "order", "e-mail"])
def test_search_finds_by_reference_order_number_and_email(staff, case, make_case, query):
    make_case(email="grace@example.com")
    words = {"reference": case.reference.lower(), "order": case.purchase.number, "e-mail": "ADA@"}

    assert references(queue(staff, q=words[query])) == [case.reference]


def test_a_search_without_a_match_leads_to_all_requests_and_to_purchases(staff, case):
    page = queue(staff, q="nobody & co").content.decode()

    assert "No request matches" in page
    assert "?show=everything&amp;q=nobody%20%26%20co" in page
    assert reverse("refund_purchases:index") + "?q=nobody%20%26%20co" in page


def test_empty_states_say_what_to_do(staff, policy):
    assert "Nobody is waiting for you" in queue(staff).content.decode()
    assert "Nobody has asked for a refund yet" in queue(staff, show="everything").content.decode()
    assert "Show what needs a person" in queue(staff, show="money").content.decode()


def test_filters_narrow_by_state_reason_age_and_store(staff, case, approved, make_case):
    old = make_case(email="old@example.com", now=clock.now() - timedelta(days=8))
    RefundRequest.objects.filter(pk=old.pk).update(reason="defective")

    assert references(queue(staff, show="everything", state="approved")) == [approved.reference]
    assert references(queue(staff, reason="defective")) == [old.reference]
    assert references(queue(staff, age="7")) == [old.reference]
    assert references(queue(staff, age="14")) == []
    assert references(queue(staff, store=str(case.store_id))) == [old.reference, case.reference]


def test_amounts_are_filtered_in_whole_units_of_each_currency(staff, make_case):
    euro = make_case([line_with(SALE, paid_minor=1000)], wants_person=True, email="euro@example.com")
    yen = make_case([line_with(SALE, paid_minor=10)], wants_person=True, currency="JPY", email="yen@example.com")
    dinar = make_case([line_with(SALE, paid_minor=9990)], wants_person=True, currency="KWD", email="dinar@example.com")

    assert set(references(queue(staff, amount_from="10"))) == {euro.reference, yen.reference}
    assert references(queue(staff, amount_to="9.99")) == [dinar.reference]


def test_the_amount_is_what_was_paid_for_the_units_asked_for_and_later_what_was_granted(staff, make_case):
    case = make_case([EBOOK, LICENCE])
    assert [row.amount_minor for row in queue(staff).context["object_list"]] == [1820 + 2400]

    line = case.lines.order_by("line__position")[1].line_id
    do(staff, "approve", case, reason="Part.", **{f"amount_{line}": "5.00"})

    assert [row.amount_minor for row in queue(staff, show="everything").context["object_list"]] == [500]


@pytest.mark.parametrize(("quantity", "asked", "paid_minor"), [(200_000, 199_999, 90_000_000_000_001), (3, 2, 1000), (7, 7, 1000)])
def test_the_amount_of_many_dear_units_is_exact(make_case, quantity, asked, paid_minor):
    case = make_case([line_with(SALE, quantity=quantity, paid_minor=paid_minor)], wants_person=True)
    case.lines.update(quantity=asked)

    assert [row.amount_minor for row in staff_queue()] == [paid_minor * asked // quantity]


def test_columns_sort(staff, make_case):
    small = make_case([line_with(EBOOK, paid_minor=500, tax_minor=0)], email="b@example.com")
    large = make_case([line_with(EBOOK, paid_minor=5000)], email="a@example.com")

    assert references(queue(staff, ordering="-amount_minor")) == [large.reference, small.reference]
    assert references(queue(staff, ordering="customer__email")) == [large.reference, small.reference]


def test_the_next_case_is_the_next_older_wait_and_goes_round(make_case):
    now = clock.now()
    first, second, third = (make_case(email=f"{n}@example.com", now=now - timedelta(days=3 - n)) for n in range(3))

    assert [next_case(first), next_case(second), next_case(third)] == [second, third, first]


def test_there_is_no_next_case_when_nobody_else_waits(case):
    assert next_case(case) is None


def test_a_silent_worker_is_told_with_what_to_do(staff, case):
    assert "No background worker is running" not in queue(staff).content.decode()

    Heartbeat.objects.update(beat_at=clock.now() - timedelta(minutes=10))
    page = queue(staff).content.decode()
    assert "No background worker is running" in page and "10 minutes" in page.replace("\xa0", " ")

    Heartbeat.objects.all().delete()
    assert "No background worker is running" in queue(staff).content.decode()


def test_the_menu_and_the_home_page_tell_how_many_wait(staff, case):
    home = staff.get(reverse("wagtailadmin_home")).content.decode()

    assert "Refunds (1)" in home
    assert case.reference in home and "Refunds that need a person" in home


def test_the_home_page_and_menu_hide_refunds_from_others(case, make_user, sign_in):
    home = sign_in(make_user(permissions=())).get(reverse("wagtailadmin_home")).content.decode()

    assert case.reference not in home and "refund" not in home.lower()


def test_a_longer_queue_costs_no_more_queries(staff, make_case, django_assert_num_queries):
    make_case([EBOOK, LICENCE])
    queue(staff)
    with django_assert_num_queries(17):
        queue(staff)
    for number in range(6):
        make_case([EBOOK, LICENCE], email=f"{number}@example.com")
    with django_assert_num_queries(17):
        assert len(references(queue(staff))) == 7


def test_the_results_alone_are_a_fragment(staff, case):
    page = staff.get(reverse("refund_cases:index_results")).content.decode()

    assert case.reference in page and "<html" not in page
