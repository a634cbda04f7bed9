"""The case page and the purchases: everything a person needs to decide, on one page, at a fixed cost."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.orders.access import record_access
from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.people import staff_actor
from refund_plugin.refunds.queries import requests_of_customer, requests_of_user
from refund_plugin.refunds.review import approve_request
from refund_plugin.refunds.sweep import sweep_once
from refund_plugin.refunds.tracking import tracking_token
from tests.factories import COURSE, EBOOK, LICENCE, SALE, make_purchase

pytestmark = pytest.mark.django_db


def page(client, case):
    return client.get(reverse("refund_cases:case", args=[case.pk])).content.decode()


def test_verdict_amount_words_and_facts_are_on_the_page(staff, case):
    html = page(staff, case)

    assert "The policy would give €18.20" in html
    assert "The last chapter is missing." in html
    assert "Downloads" in html and "The Slow Web" in html
    assert "ada@example.com" in html and case.purchase.number in html
    assert "The policy leaves this to a person." in html
    assert "Refunds, version 1" in html


def test_the_page_does_not_carry_the_customers_key(staff, case):
    assert tracking_token(case) not in page(staff, case)


def test_the_clause_and_the_version_link_to_the_policy_as_it_was(staff, case):
    html = page(staff, case)

    assert 'href="/policy/1/#unused"' in html
    assert 'href="/policy/1/#"' in html


def test_what_the_customer_wrote_is_never_markup(staff, make_case):
    html = page(staff, make_case(message="<script>alert(1)</script>"))

    assert "<script>alert(1)" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_the_verdict_is_the_one_of_the_moment_of_asking(staff, make_case):
    case = make_case()
    record_access(line=case.purchase.lines.get(), kind="downloaded", source_id="later", occurred_at=clock.now())

    assert "The policy would give €18.20" in page(staff, case)


def test_a_declined_line_that_a_person_should_see_says_so(staff, make_case):
    html = page(staff, make_case([SALE], wants_person=True))

    assert "The policy gives nothing by itself" in html
    assert "The customer asks that a person looks." in html


def test_the_money_shows_every_call_and_its_answer(staff, case, make_user, gateway):
    approve_request(request_id=case.pk, by=staff_actor(make_user("lee"), case.store), reason="Fine.", now=clock.now())
    sweep_once(clock.now())
    refund = Refund.objects.get()

    html = page(staff, case)

    assert refund.state == "succeeded"
    assert refund.gateway_refund_id in html
    assert "1 call to the payment provider" in html
    assert "€18.20 granted" in html and "lee: Fine." in html


def test_a_case_that_is_decided_offers_no_decision(staff, case, make_user):
    approve_request(request_id=case.pk, by=staff_actor(make_user("lee"), case.store), reason="Fine.", now=clock.now())

    assert 'data-a11y-dialog-show="refund-' not in page(staff, case)


def test_keyboard_shortcuts_are_on_the_buttons_and_written_beside_them(staff, case, make_case):
    make_case(email="grace@example.com")
    html = page(staff, case)

    shortcuts = dict(re.findall(r'aria-keyshortcuts="(\w)"[^>]*>(?:\s*<svg.*?</svg>)?\s*([\w ]+?)\s*<kbd>', html, re.S))
    assert shortcuts == {"a": "Approve", "d": "Decline", "e": "Ask the customer", "n": "Next request", "u": "Queue"}
    assert html.count('data-controller="w-kbd"') >= len(shortcuts)


def test_an_unknown_case_is_not_found(staff, case):
    assert staff.get(reverse("refund_cases:case", args=["00000000-0000-0000-0000-000000000000"])).status_code == 404


def test_a_bigger_case_costs_no_more_queries(staff, make_case, django_assert_num_queries):
    small, large = make_case(), make_case([EBOOK, LICENCE, COURSE], email="grace@example.com")
    page(staff, small)
    with django_assert_num_queries(23):
        page(staff, small)
    with django_assert_num_queries(23):
        page(staff, large)


def purchase_page(client, purchase):
    return client.get(reverse("refund_purchases:purchase", args=[purchase.pk]))


def test_a_purchase_is_found_by_order_number_and_email(staff, policy):
    mine, other = make_purchase(email="ada@example.com"), make_purchase(email="grace@example.com")

    by_number = staff.get(reverse("refund_purchases:index"), {"q": mine.number})
    by_email = staff.get(reverse("refund_purchases:index"), {"q": "grace@"})

    assert list(by_number.context["object_list"]) == [mine]
    assert list(by_email.context["object_list"]) == [other]
    assert [row.paid_minor for row in by_email.context["object_list"]] == [1820]


def test_the_purchase_page_says_what_the_policy_gives_now_and_changes_nothing(staff, policy):
    purchase = make_purchase(purchased_at=clock.now())

    html = purchase_page(staff, purchase).content.decode()

    assert "€18.20 could come back now" in html
    assert not RefundRequest.objects.exists()


def ask(client, purchase, **data):
    key = purchase_page(client, purchase).context["form"]["submission_key"].value()
    url = reverse("refund_purchases:purchase", args=[purchase.pk])
    return client.post(url, {"reason": "defective", "submission_key": key, "message": "", **data}, follow=True)


def test_staff_ask_for_a_customer_who_called(staff, policy):
    purchase = make_purchase(lines=[LICENCE], purchased_at=clock.now())

    response = ask(staff, purchase, message="Called at noon.", **{f"quantity_{purchase.lines.get().pk}": "2"})

    request = RefundRequest.objects.get()
    assert (request.channel, request.message, request.lines.get().quantity) == ("staff", "Called at noon.", 2)
    assert response.redirect_chain[-1][0] == reverse("refund_cases:case", args=[request.pk])


def test_asking_for_nothing_or_for_too_many_is_explained(staff, policy):
    purchase = make_purchase(lines=[LICENCE], purchased_at=clock.now())
    field = f"quantity_{purchase.lines.get().pk}"

    nothing = ask(staff, purchase, **{field: "0"}).content.decode()
    too_many = ask(staff, purchase, **{field: "4"}).content.decode()

    assert "Choose at least one thing to refund." in nothing
    assert "less than or equal to 3" in too_many
    assert not RefundRequest.objects.exists()


def test_pressing_twice_asks_once(staff, policy):
    purchase = make_purchase(lines=[LICENCE], purchased_at=clock.now())
    data = {"reason": "other", "submission_key": "same", "message": "", f"quantity_{purchase.lines.get().pk}": "1"}
    url = reverse("refund_purchases:purchase", args=[purchase.pk])

    first, second = staff.post(url, data), staff.post(url, data)

    assert first["Location"] == second["Location"]
    assert RefundRequest.objects.count() == 1


def test_a_purchase_that_is_refunded_offers_nothing_more(staff, policy, case, make_user, gateway):
    approve_request(request_id=case.pk, by=staff_actor(make_user("lee"), case.store), reason="Fine.", now=clock.now())
    answer = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id="re_1")
    record_answer(refund_id=Refund.objects.get().pk, answer=answer, now=clock.now())

    response = purchase_page(staff, case.purchase)

    assert "Nothing can be refunded by the policy now" in response.content.decode()
    assert case.reference in response.content.decode()
    assert "Ask for the refund" not in response.content.decode()


def test_a_longer_list_of_purchases_costs_no_more_queries(staff, policy, django_assert_num_queries):
    make_purchase()
    url = reverse("refund_purchases:index")
    staff.get(url)
    with django_assert_num_queries(13):
        staff.get(url)
    for number in range(5):
        make_purchase(lines=[EBOOK, LICENCE], email=f"{number}@example.com")
    with django_assert_num_queries(13):
        assert len(staff.get(url).context["object_list"]) == 6


def test_customers_and_signed_in_people_get_their_own_requests_newest_first(make_case, make_user):
    user = make_user("ada", ())
    first = make_case(user_id=user.pk)
    second = make_case(user_id=user.pk)
    make_case(email="grace@example.com")

    assert list(requests_of_user(user)) == [second, first]
    assert list(requests_of_customer([first.customer_id])) == [second, first]


def test_a_refund_that_waits_for_the_end_of_a_subscription_says_so_until_it_goes(staff, case):
    approve_request(request_id=case.pk, by=SYSTEM, reason="Fine.", now=clock.now())
    Refund.objects.update(waits_for="subscription")
    html = page(staff, case)
    assert "Waits until the payment provider has confirmed the end of the subscription." in html
    assert "The subscription is ended first" in html and "The money is on its way" not in html

    Refund.objects.update(waits_for="")
    assert "end of the subscription" not in page(staff, case)
