"""What a signed-in customer sees of their own, and what they do not see of others."""

from __future__ import annotations

import pytest

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.refunds.services import request_refund
from tests.factories import COURSE, SALE
from tests.web.conftest import buy, soup, words

pytestmark = pytest.mark.django_db
MINE = "/refunds/mine/"


@pytest.fixture
def ada(django_user_model):
    return django_user_model.objects.create_user("ada", "ada@example.com", "pw")


def request_for(purchase):
    lines = {line.pk: line.quantity for line in purchase.lines.all()}
    return request_refund(purchase_id=purchase.pk, lines=lines, reason="other", by=SYSTEM, submission_key="1", now=clock.now())


def test_refunds_and_purchases_are_listed_and_open(client, policy, ada):
    bought, refunded = buy(user_id=ada.pk), buy(COURSE, user_id=ada.pk)
    foreign = request_for(buy(SALE, email="eve@example.com"))
    request = request_for(refunded)
    client.force_login(ada)
    page = soup(client.get(MINE))
    text = words(page)
    assert request.reference in text
    assert "On its way" in text
    assert f"Order {bought.number}" in text
    assert foreign.reference not in text
    for link in page.select(".refund-card a"):
        assert client.get(link["href"]).status_code == 200


def test_buying_with_someone_elses_address_lists_none_of_their_purchases_and_refunds(client, policy, ada):
    foreign, refunded = buy(email="victim@example.com"), request_for(buy(COURSE, email="victim@example.com"))
    own = buy(email="victim@example.com", user_id=ada.pk)
    client.force_login(ada)
    text = words(soup(client.get(MINE)))
    assert f"Order {own.number}" in text
    assert f"Order {foreign.number}" not in text
    assert refunded.reference not in text


def test_nothing_yet_says_what_to_do(client, policy, ada):
    client.force_login(ada)
    page = soup(client.get(MINE))
    assert "You have not asked for a refund." in words(page)
    assert page.select_one(".refund-empty a")["href"] == "/refunds/purchases/"


def test_who_is_not_signed_in_learns_two_ways(client, db):
    page = soup(client.get(MINE))
    links = [link["href"] for link in page.select(".refund-actions a")]
    assert links == ["/login/?next=%2Frefunds%2Fmine%2F", "/refunds/purchases/"]


def test_the_number_of_queries_does_not_grow_with_the_list(client, policy, ada, bare_host, django_assert_num_queries):
    def count(number):
        with django_assert_num_queries(number):
            client.get(MINE)

    client.force_login(ada)
    request_for(buy(user_id=ada.pk))
    # session, user, site, store; requests with lines, decisions, refunds with payments; purchases with lines
    count(11)
    for _n in range(3):
        request_for(buy(COURSE, user_id=ada.pk))
    count(11)
