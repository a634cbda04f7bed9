"""The first page: which purchase, with one answer for an unknown order and a wrong address."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.web.proof import MAX_PROOFS, PROOF_LASTS, SESSION_KEY, purchase_page
from tests.factories import MEMORY, SALE
from tests.web.conftest import EMAIL, buy, look_up, problems, soup, words

pytestmark = pytest.mark.django_db
ASK = "/refunds/"


def without_token(content: bytes) -> bytes:
    return re.sub(rb'name="csrfmiddlewaretoken" value="[^"]+"', b"", content)


def test_the_conditions_stand_before_the_form(client, policy):
    page = soup(client.get(ASK))
    bullets = [item.get_text() for item in page.select(".refund-short li")]
    assert any("30 days to change your mind" in bullet for bullet in bullets)
    assert any("sold at a final discount." in bullet for bullet in bullets)
    assert str(page).index("refund-short") < str(page).index('name="number"')


def test_without_a_policy_the_form_still_works(client, gateway):
    purchase = buy()
    assert client.get(ASK).status_code == 200
    assert look_up(client, purchase.number).status_code == 302


def test_order_number_and_address_together_open_the_purchase(client, policy):
    purchase = buy()
    response = look_up(client, f" #{purchase.number} ", EMAIL.upper())
    assert response["Location"] == purchase_page(purchase)
    assert client.get(response["Location"]).status_code == 200


def test_an_unknown_order_and_a_wrong_address_get_the_same_answer_and_the_same_work(client, policy, bare_host, django_assert_num_queries):
    with django_assert_num_queries(7) as unknown_work:
        unknown = look_up(client, "77001", "eve@example.com")
    buy(number="77001", email="ada@example.com")
    with django_assert_num_queries(7) as wrong_work:
        wrong = look_up(client, "77001", "eve@example.com")
    assert unknown.status_code == wrong.status_code == 422
    assert without_token(unknown.content) == without_token(wrong.content)
    assert [q["sql"].split(" ")[0] for q in unknown_work.captured_queries] == [q["sql"].split(" ")[0] for q in wrong_work.captured_queries]
    assert problems(soup(wrong)) == [
        ("We could not find this order with this e-mail address. Check both: they are on your receipt.", "#id_number")
    ]


def test_empty_and_malformed_answers_say_what_was_expected_beside_the_field(client, policy):
    page = soup(client.post(ASK, {"number": "", "email": "ada"}))
    assert problems(page) == [
        ("Enter your order number, for example 1042.", "#id_number"),
        ("Enter an e-mail address like name@example.com.", "#id_email"),
    ]
    field = page.select_one("#id_email")
    assert field["aria-invalid"] == "true"
    assert field["value"] == "ada"
    described = " ".join(page.select_one(f"#{name}").get_text() for name in field["aria-describedby"].split())
    assert "Enter an e-mail address like name@example.com." in described
    assert page.title.get_text().startswith("Error:")


@pytest.mark.parametrize("number", ["1\x002", "’ OR 1=1", "x" * 500, "😀"])
def test_strange_order_numbers_are_answered_like_any_unknown_one(client, policy, number):
    assert look_up(client, number).status_code == 422


def test_too_many_tries_are_paused_whatever_changes(settings, gateway):
    settings.REFUND_PLUGIN = {**MEMORY, "LIMIT_LOOKUP": (1, 600)}
    purchase = buy()
    for network in range(5):
        assert look_up(Client(REMOTE_ADDR=f"10.{network}.0.1"), purchase.number, "eve@example.com").status_code == 422
    paused = look_up(Client(REMOTE_ADDR="10.9.0.1"), purchase.number)
    assert paused.status_code == 429
    assert 0 < int(paused["Retry-After"]) <= 600
    assert "we pause for 10 minutes" in words(soup(paused))
    assert Client().get(purchase_page(purchase)).status_code == 404


def test_one_network_that_tries_on_and_on_locks_nobody_out(settings, gateway):
    settings.REFUND_PLUGIN = {**MEMORY, "LIMIT_LOOKUP": (3, 600)}
    purchase = buy()
    blocked = Client(REMOTE_ADDR="10.0.0.1")
    answers = [look_up(blocked, purchase.number, "eve@example.com").status_code for _try in range(20)]
    answers += [look_up(blocked, "no-such", purchase.customer.email).status_code for _try in range(20)]
    assert answers == [422] * 3 + [429] * 37
    assert look_up(Client(REMOTE_ADDR="10.1.0.1"), purchase.number).status_code == 302


def test_one_network_cannot_try_many_orders(settings, gateway):
    settings.REFUND_PLUGIN = {**MEMORY, "LIMIT_LOOKUP": (3, 600)}
    answers = [look_up(Client(REMOTE_ADDR=f"10.0.0.{n}"), str(n), f"{n}@example.com").status_code for n in range(4)]
    assert answers == [422, 422, 422, 429]


def test_the_form_needs_a_csrf_token(policy):
    purchase = buy()
    strict = Client(enforce_csrf_checks=True)
    assert look_up(strict, purchase.number).status_code == 403
    assert SESSION_KEY not in strict.session


def test_looking_changes_nothing(client, policy, bare_host, django_assert_num_queries):
    with django_assert_num_queries(4) as captured:
        client.get(ASK)
    assert all(query["sql"].startswith("SELECT") for query in captured.captured_queries)
    assert not client.session.keys()


def test_a_link_from_the_shop_can_bring_the_order_number(client, policy):
    assert soup(client.get(ASK, {"order": "1042"})).select_one("#id_number")["value"] == "1042"


def test_who_is_signed_in_chooses_from_their_purchases(client, policy, django_user_model):
    ada, eve = (django_user_model.objects.create_user(name, f"{name}@example.com", "pw") for name in ("ada", "eve"))
    mine, foreign = buy(user_id=ada.pk), buy(SALE, email="eve@example.com", user_id=eve.pk)
    client.force_login(ada)
    links = [link["href"] for link in soup(client.get(ASK)).select(".refund-card a")]
    assert links == [purchase_page(mine)]
    assert client.get(links[0]).status_code == 200
    assert client.get(purchase_page(foreign)).status_code == 404


def test_buying_with_someone_elses_address_opens_none_of_their_purchases(client, policy, django_user_model):
    mallory = django_user_model.objects.create_user("mallory", "mallory@example.com", "pw")
    foreign, own = buy(), buy(user_id=mallory.pk)
    client.force_login(mallory)
    assert [link["href"] for link in soup(client.get(ASK)).select(".refund-card a")] == [purchase_page(own)]
    assert client.get(purchase_page(own)).status_code == 200
    assert client.get(purchase_page(foreign)).status_code == 404


def test_older_purchases_are_one_click_away(client, policy, django_user_model):
    ada = django_user_model.objects.create_user("ada", "ada@example.com", "pw")
    for _n in range(6):
        buy(user_id=ada.pk)
    client.force_login(ada)
    page = soup(client.get(ASK))
    assert len(page.select(".refund-card")) == 5
    assert "All my purchases" in words(page)
    assert len(soup(client.get("/refunds/mine/")).select(".refund-card")) == 6


def test_a_proof_ends_after_a_while(client, policy):
    purchase = buy()
    look_up(client, purchase.number)
    with clock.travel(PROOF_LASTS):
        assert client.get(purchase_page(purchase)).status_code == 404


def test_a_session_remembers_a_limited_number_of_proofs(client, policy, settings):
    settings.REFUND_PLUGIN = {**MEMORY, "LIMIT_LOOKUP": (100, 600)}
    purchases = [buy() for _n in range(MAX_PROOFS + 1)]
    for purchase in purchases:
        look_up(client, purchase.number)
    assert client.get(purchase_page(purchases[0])).status_code == 404
    assert client.get(purchase_page(purchases[-1])).status_code == 200


def test_a_session_that_somebody_knew_before_does_not_see_the_proof(client, policy):
    client.get(ASK)
    session = client.session
    session["host"] = "basket"
    session.save()
    client.cookies["sessionid"] = session.session_key
    purchase = buy()
    look_up(client, purchase.number)
    assert client.session["host"] == "basket"
    planted = Client()
    planted.cookies["sessionid"] = session.session_key
    assert planted.get(purchase_page(purchase)).status_code == 404


def test_the_address_is_the_namespaced_one(db):
    assert reverse("refund_plugin:ask") == ASK
