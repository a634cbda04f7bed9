"""The pages of refunds that were made elsewhere, and the form that says what they were for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.services import default_account
from refund_plugin.money import Money
from refund_plugin.refunds.externals import Seen, record_seen
from refund_plugin.refunds.models import Allocation, Refund
from tests.factories import EBOOK, LICENCE, make_purchase

pytestmark = pytest.mark.django_db


def refunded_elsewhere(purchase, minor=2000, kind=AnswerKind.SUCCEEDED, *, name="re_1", at=0):
    seen = Seen(
        gateway_payment_id=purchase.payments.get().gateway_payment_id,
        refund_id=None,
        installation="",
        answer=GatewayAnswer(kind=kind, gateway_refund_id=name, amount=Money(minor, "EUR")),
        told_at=clock.now() + timedelta(seconds=at),
    )
    record_seen(account=default_account(), seen=[seen], now=clock.now())
    return Refund.objects.get(gateway_refund_id=name)


def url(refund):
    return reverse("refund_externals:external", args=[refund.pk])


@pytest.fixture
def purchase(policy):
    return make_purchase(lines=[EBOOK, LICENCE], purchased_at=clock.now() - timedelta(days=6))


@pytest.fixture
def fields(purchase):
    return [f"amount_{line.pk}" for line in purchase.lines.all()]


def test_the_list_shows_what_is_assigned_and_what_is_not_in_a_fixed_number_of_statements(purchase, staff, django_assert_max_num_queries):
    refunded_elsewhere(purchase)
    for number in range(5):
        refunded_elsewhere(make_purchase(), 100, name=f"re_more_{number}")

    with django_assert_max_num_queries(25):
        page = staff.get(reverse("refund_externals:index"))

    assert page.context["object_list"].count() == 6 and "€20.00" in page.content.decode()


def test_the_form_suggests_and_assigns(purchase, staff, fields):
    refund = refunded_elsewhere(purchase)
    form = staff.get(url(refund)).context["form"]
    assert [str(form[name].value()) for name in fields] == ["18.20", "1.80"]

    staff.post(url(refund), {fields[0]: "4.00", fields[1]: "16", "reason": "She called."})

    assert list(Allocation.objects.order_by("line__position").values_list("gross_minor", "quantity")) == [(400, 0), (1600, 2)]
    page = staff.get(url(refund))
    assert page.context["form"] is None and "What it was for" in page.content.decode()


@pytest.mark.parametrize(
    "entered",
    [("1.00", "1.00", "Why."), ("20.00", "1.00", "Why."), ("4.00", "16.00", ""), ("-1.00", "21.00", "Why."), ("4.001", "15.999", "Why.")],
)
def test_what_does_not_add_up_is_shown_again_and_nothing_changed(purchase, staff, fields, entered):
    refund = refunded_elsewhere(purchase)

    page = staff.post(url(refund), {fields[0]: entered[0], fields[1]: entered[1], "reason": entered[2]})

    assert page.status_code == 200 and page.context["form"].errors
    assert not Allocation.objects.exists()


def test_the_sum_that_was_expected_is_named(purchase, staff, fields):
    page = staff.post(url(refunded_elsewhere(purchase)), {fields[0]: "1.00", "reason": "Why."})

    assert "The amounts add up to 1.00 EUR; the refund is 20.00 EUR." in page.content.decode()


def test_more_gone_than_was_paid_is_said(purchase, staff):
    refunded_elsewhere(purchase, 4220, name="re_all")

    assert "more is gone" in staff.get(url(refunded_elsewhere(purchase, 500))).content.decode()


def test_money_that_came_back_needs_no_lines(purchase, staff):
    refund = refunded_elsewhere(purchase)
    refunded_elsewhere(purchase, 2000, AnswerKind.FAILED, at=5)

    page = staff.get(url(refund))
    assert page.context["form"] is None and "nothing to assign" in page.content.decode()


def test_an_ordinary_refund_has_no_page_here(staff, case):
    from refund_plugin.actor import SYSTEM
    from refund_plugin.refunds.review import approve_request

    approve_request(request_id=case.pk, by=SYSTEM, reason="Fine.", now=clock.now())

    assert staff.get(url(Refund.objects.get())).status_code == 404


@pytest.mark.parametrize("permissions", [(), ("approve_refunds",), ("view_cases",)], ids=["none", "approve only", "see only"])
def test_who_may_not_assigns_nothing(purchase, make_user, sign_in, fields, permissions):
    refund = refunded_elsewhere(purchase)
    client = sign_in(make_user(permissions=permissions))

    opened = client.get(url(refund))
    client.post(url(refund), {fields[0]: "18.20", fields[1]: "1.80", "reason": "Why."})

    assert (opened.status_code == 200) is ("view_cases" in permissions)
    assert not Allocation.objects.exists()
