"""Tries of order number and e-mail are limited by address, by order and by network, and only where a stranger could guess."""

from __future__ import annotations

import pytest

from refund_plugin.actor import Action
from refund_plugin.orders.lookup import count_request
from refund_plugin.refunds.models import RefundRequest
from tests.api.helpers import question
from tests.factories import NOW, make_purchase

pytestmark = pytest.mark.usefixtures("policy")


@pytest.fixture
def limited(settings):
    """Three tries of each kind."""
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "LIMIT_LOOKUP": (3, 600), "LIMIT_MAIL": (3, 3600), "LIMIT_REQUEST": (3, 600)}


def guess(send, number="1042", email="ada@example.com", **extra):
    return send("RefundQuote", {"orderNumber": number, "email": email}, **extra).codes


def network(number: int) -> dict[str, str]:
    return {"REMOTE_ADDR": f"10.0.{number}.7"}


MISS, PAUSED = [(None, "NOT_FOUND")], [(None, "RATE_LIMITED")]


def test_guessing_numbers_for_one_address_from_many_networks_ends(send, limited):
    assert [guess(send, number=f"{n}", **network(n)) for n in range(16)] == [MISS] * 15 + [PAUSED]


def test_guessing_addresses_of_one_order_from_many_networks_ends_and_hides_a_right_guess(send, limited):
    purchase = make_purchase(number="A-7")
    spelt = ["A-7", "#a-7", " a-7"] * 5
    tries = [guess(send, number=number, email=f"{n}@example.com", **network(n)) for n, number in enumerate(spelt)]
    assert tries == [MISS] * 15
    assert guess(send, number="A-7", email=purchase.customer.email, **network(99)) == PAUSED


def test_what_a_paused_network_tries_on_counts_for_nobody_else(send, limited):
    purchase = make_purchase()
    tries = [guess(send, number=purchase.number, email=f"{n}@example.com", **network(1)) for n in range(20)]
    tries += [guess(send, number=f"{n}", email=purchase.customer.email, **network(1)) for n in range(20)]
    assert tries == [MISS] * 3 + [PAUSED] * 37
    assert guess(send, number=purchase.number, email=purchase.customer.email, **network(2)) == []


def test_looking_at_ones_own_order_uses_up_nothing_but_the_networks_tries(send, limited):
    purchase = make_purchase()
    seen = [guess(send, number=purchase.number, email=purchase.customer.email, **network(n)) for n in range(20)]
    assert seen == [[]] * 20


def test_asking_with_wrong_addresses_does_not_use_up_the_buyers_questions(send, limited):
    purchase = make_purchase()
    wrong = [send("RefundRequestCreate", question(purchase, email=f"{n}@example.com"), **network(n)).codes for n in range(10)]
    assert wrong == [MISS] * 10
    assert send("RefundRequestCreate", question(purchase), **network(99)).codes == []


def test_both_doors_count_a_buyers_questions_together(send, limited, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "LIMIT_REQUEST": (1, 600)}
    purchase = make_purchase()
    count_request(purchase=purchase, network="of the web", now=NOW)
    assert send("RefundRequestCreate", question(purchase)).codes == PAUSED


def test_guessing_from_one_network_ends_for_the_whole_network(send, limited):
    for n in range(3):
        assert guess(send, number=f"{n}", email=f"{n}@example.com", REMOTE_ADDR=f"10.0.0.{n}") == [(None, "NOT_FOUND")]
    assert guess(send, number="4", email="4@example.com", REMOTE_ADDR="10.0.0.200") == [(None, "RATE_LIMITED")]
    assert guess(send, number="5", email="5@example.com", REMOTE_ADDR="10.0.1.1") == [(None, "NOT_FOUND")]


def test_networks_of_ipv6_are_counted_by_their_first_half(send, limited):
    for n in range(3):
        guess(send, number=f"{n}", email=f"{n}@example.com", REMOTE_ADDR=f"2001:db8::{n}")
    assert guess(send, number="4", email="4@example.com", REMOTE_ADDR="2001:db8::ffff:1") == [(None, "RATE_LIMITED")]
    assert guess(send, number="5", email="5@example.com", REMOTE_ADDR="2001:db8:0:1::1") == [(None, "NOT_FOUND")]


def test_a_made_up_forwarding_header_does_not_make_another_network(send, limited):
    for n in range(3):
        guess(send, number=f"{n}", email=f"{n}@example.com", HTTP_X_FORWARDED_FOR=f"10.0.{n}.1")
    assert guess(send, number="4", email="4@example.com", HTTP_X_FORWARDED_FOR="10.0.9.1") == [(None, "RATE_LIMITED")]


def test_behind_a_proxy_the_address_it_saw_counts_and_not_what_stood_before(send, limited, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "TRUSTED_PROXIES": 1}
    for n in range(3):
        guess(send, number=f"{n}", email=f"{n}@example.com", HTTP_X_FORWARDED_FOR=f"10.0.{n}.1, 192.0.2.7")
    assert guess(send, number="4", email="4@example.com", HTTP_X_FORWARDED_FOR="10.9.9.9, 192.0.2.9") == [(None, "RATE_LIMITED")]
    assert guess(send, number="5", email="5@example.com", HTTP_X_FORWARDED_FOR="192.0.2.7, 198.51.100.1") == [(None, "NOT_FOUND")]


def test_the_refusal_tells_when_to_come_back_and_hides_a_right_guess(send, limited):
    purchase = make_purchase()
    for _n in range(3):
        guess(send, number=purchase.number, email="eve@example.com")
    answer = send("RefundQuote", {"orderNumber": purchase.number, "email": purchase.customer.email})
    assert answer.codes == [(None, "RATE_LIMITED")]
    assert answer.data["errors"][0]["retryAfterSeconds"] == 600
    assert answer.data["refundQuote"] is None


def test_aliases_in_one_operation_are_counted_one_by_one(send, limited):
    fields = " ".join(f'q{n}: refundQuote(orderNumber: "{n}", email: "ada@example.com") {{ errors {{ code }} }}' for n in range(5))
    body = send(f"{{ {fields} }}").body["data"]
    assert [body[f"q{n}"]["errors"][0]["code"] for n in range(5)] == ["NOT_FOUND"] * 3 + ["RATE_LIMITED"] * 2


def test_asking_for_money_has_a_limit_of_its_own(send, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "LIMIT_REQUEST": (1, 600)}
    purchase = make_purchase()
    assert send("RefundRequestCreate", question(purchase)).codes == []
    assert send("RefundRequestCreate", question(purchase)).codes == [(None, "RATE_LIMITED")]
    assert guess(send, number=purchase.number) == []
    assert RefundRequest.objects.count() == 1


def test_a_signed_in_customer_is_limited_by_their_own_questions(send, person, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "LIMIT_REQUEST": (1, 600)}
    ada = person("ada")
    variables = question(make_purchase(user_id=ada.user.pk), email=None)
    assert send("RefundRequestCreate", variables, client=ada).codes == []
    assert send("RefundRequestCreate", variables, client=ada).codes == [(None, "RATE_LIMITED")]


def test_a_programs_customers_do_not_share_its_network(send, limited, service_token):
    token = service_token(Action.VIEW_CASES)
    assert [guess(send, number=f"{n}", email=f"{n}@example.com", token=token) for n in range(5)] == [[(None, "NOT_FOUND")]] * 5


def test_mailing_purchases_is_limited_by_address_and_by_network(send, limited):
    def mail(email, **extra):
        return send("PurchaseListSend", {"email": email}, **extra).codes

    assert [mail("ada@example.com", **network(n)) for n in range(4)] == [[]] * 3 + [[(None, "RATE_LIMITED")]]
    assert [mail(f"{n}@example.com", **network(9)) for n in range(4)] == [[]] * 3 + [[(None, "RATE_LIMITED")]]
