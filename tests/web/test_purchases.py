"""Purchases by mail: one answer for known and unknown addresses, and a link that opens only its owner's list."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.events.models import Event
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.tracking import LIST_MAX_AGE, purchases_token
from refund_plugin.web.proof import purchase_page
from tests.factories import MEMORY, SALE
from tests.web.conftest import buy, form_data, problems, soup, words

pytestmark = pytest.mark.django_db
PURCHASES = "/refunds/purchases/"


def list_page(customer) -> str:
    return reverse("refund_plugin:purchase_list", args=[purchases_token(customer)])


def without_values(sql: str) -> str:
    return re.sub(r"'[^']*'|\bs\d+_x\d+|\b\d+\b|NULL", "?", sql)


def test_known_and_unknown_addresses_get_the_same_answer_and_the_same_statements(client, policy, django_assert_num_queries):
    buy(email="ada@example.com")
    answers, statements = [], []
    for email in ("ada@example.com", "eve@example.com"):
        with django_assert_num_queries(9) as work:
            answers.append(client.post(PURCHASES, {"email": email}))
        statements.append([without_values(query["sql"]) for query in work.captured_queries])
    assert [answer["Location"] for answer in answers] == ["/refunds/purchases/sent/"] * 2
    assert answers[0].content == answers[1].content
    assert statements[0] == statements[1]
    assert Event.objects.filter(kind="purchase_list_asked").count() == 2


def test_a_malformed_address_is_answered_beside_the_field(client, db):
    response = client.post(PURCHASES, {"email": "ada"})
    assert response.status_code == 422
    assert problems(soup(response)) == [("Enter an e-mail address like name@example.com.", "#id_email")]
    assert not Event.objects.exists()


def test_one_address_and_one_network_can_ask_only_so_often(settings, gateway):
    settings.REFUND_PLUGIN = {**MEMORY, "LIMIT_MAIL": (2, 3600)}
    by_address = [Client(REMOTE_ADDR=f"10.{n}.0.1").post(PURCHASES, {"email": "ada@example.com"}).status_code for n in range(3)]
    by_network = [Client(REMOTE_ADDR="10.9.0.1").post(PURCHASES, {"email": f"{n}@example.com"}).status_code for n in range(3)]
    assert by_address == by_network == [302, 302, 429]


def test_a_network_that_is_paused_uses_up_nobodys_address(settings, gateway):
    settings.REFUND_PLUGIN = {**MEMORY, "LIMIT_MAIL": (2, 3600)}
    blocked = Client(REMOTE_ADDR="10.9.0.1")
    assert [blocked.post(PURCHASES, {"email": f"{n}@example.com"}).status_code for n in range(2)] == [302, 302]
    assert {blocked.post(PURCHASES, {"email": "ada@example.com"}).status_code for _try in range(5)} == {429}
    assert Client(REMOTE_ADDR="10.1.0.1").post(PURCHASES, {"email": "ada@example.com"}).status_code == 302


def test_asking_needs_a_csrf_token(db):
    assert Client(enforce_csrf_checks=True).post(PURCHASES, {"email": "ada@example.com"}).status_code == 403
    assert not Event.objects.exists()


def test_the_mailed_link_lists_the_purchases_and_opens_them(client, policy):
    purchase, foreign = buy(), buy(SALE, email="eve@example.com")
    page = soup(client.get(list_page(purchase.customer)))
    [link] = page.select(".refund-card a")
    assert purchase.number in link.get_text()
    assert foreign.number not in words(page)
    opened = soup(client.get(link["href"]))
    assert words(opened, "h1") == "You can get €18.20 back"
    assert client.post(link["href"], form_data(opened)).status_code == 302
    assert RefundRequest.objects.get().purchase == purchase
    again = soup(client.get(list_page(purchase.customer)))
    assert RefundRequest.objects.get().reference in words(again)


def test_the_link_of_one_customer_opens_nothing_of_another(client, policy):
    ada, eve = buy(), buy(email="eve@example.com")
    crossed = purchase_page(eve, list_token=purchases_token(ada.customer))
    assert client.get(crossed).status_code == 404
    assert client.post(crossed, {"line": [eve.lines.get().pk]}).status_code == 404
    assert client.get(purchase_page(eve)).status_code == 404


def test_the_link_ends(client, policy):
    purchase = buy()
    token = purchases_token(purchase.customer)
    forged = client.get(reverse("refund_plugin:purchase_list", args=[token[:-1] + "x"]))
    assert forged.status_code == 404
    with time_machine.travel(datetime.now(UTC) + LIST_MAX_AGE + timedelta(seconds=1)):
        ended = client.get(reverse("refund_plugin:purchase_list", args=[token]))
    assert (ended.status_code, ended.content) == (404, forged.content)
    assert LIST_MAX_AGE.days == 2
    assert "The link works for two days." in words(soup(client.get("/refunds/purchases/sent/")))


def test_looking_at_the_list_changes_nothing(client, policy):
    purchase = buy()
    client.get(list_page(purchase.customer))
    assert not client.session.keys()
    assert clock.now() > purchase.purchased_at


def test_a_proof_ends_when_the_purchase_passes_to_another_customer(client, policy):
    purchase, other = buy(email="ada@example.com"), buy(email="grace@example.com")
    client.post("/refunds/", {"number": purchase.number, "email": "ada@example.com"})
    assert client.get(purchase_page(purchase)).status_code == 200

    purchase.customer = other.customer
    purchase.save()
    assert client.get(purchase_page(purchase)).status_code == 404
