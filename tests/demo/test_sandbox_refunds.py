"""Payments and refunds in the sandbox, through Stripe's own SDK over real HTTP."""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from typing import Any

import pytest
import stripe

from demo.sandbox.process import SandboxServer
from tests.demo.conftest import client_of


def pay(
    client: stripe.StripeClient, amount: int = 1820, currency: str = "eur", payment_method: str = "pm_card_visa"
) -> stripe.PaymentIntent:
    return client.v1.payment_intents.create(
        {"amount": amount, "currency": currency, "payment_method": payment_method, "confirm": True, "return_url": "https://shop.example"}
    )


def error_of(call: Any, *args: Any) -> stripe.StripeError:
    with pytest.raises(stripe.StripeError) as caught:
        call(*args)
    return caught.value


def metadata_of(refund: stripe.Refund) -> dict[str, str]:
    metadata: dict[str, str] = refund.to_dict()["metadata"]
    return metadata


def test_a_confirmed_payment_is_paid_and_has_a_captured_charge(client: stripe.StripeClient) -> None:
    intent = pay(client)
    charge = client.v1.charges.retrieve(str(intent.latest_charge))
    assert (intent.status, intent.amount_received) == ("succeeded", 1820)
    assert (charge.paid, charge.amount_captured, charge.amount_refunded, charge.payment_intent) == (True, 1820, 0, intent.id)
    assert [item.id for item in client.v1.charges.list({"payment_intent": intent.id}).data] == [charge.id]


def test_a_payment_can_be_confirmed_in_a_second_step(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 1820, "currency": "eur"})
    assert intent.status == "requires_payment_method"
    assert error_of(client.v1.refunds.create, {"payment_intent": intent.id}).code == "payment_intent_unexpected_state"
    assert client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_amex"}).status == "succeeded"


def test_a_declined_card_pays_nothing(client: stripe.StripeClient) -> None:
    error = error_of(pay, client, 1820, "eur", "pm_card_chargeDeclined")
    assert isinstance(error, stripe.CardError)
    assert (error.http_status, error.code) == (402, "card_declined")
    assert client.v1.charges.list().data == []


def test_parts_of_a_payment_go_back_with_reason_and_metadata(client: stripe.StripeClient) -> None:
    intent = pay(client)
    refund = client.v1.refunds.create(
        {"payment_intent": intent.id, "amount": 500, "reason": "requested_by_customer", "metadata": {"order": "1042"}}
    )
    assert (refund.status, refund.amount, refund.reason, refund.charge) == ("succeeded", 500, "requested_by_customer", intent.latest_charge)
    assert metadata_of(client.v1.refunds.retrieve(refund.id)) == {"order": "1042"}
    charge = client.v1.charges.retrieve(str(intent.latest_charge))
    assert (charge.amount_refunded, charge.refunded) == (500, False)


def test_a_refund_without_an_amount_gives_back_the_rest(client: stripe.StripeClient) -> None:
    intent = pay(client)
    client.v1.refunds.create({"charge": str(intent.latest_charge), "amount": 500})
    assert client.v1.refunds.create({"payment_intent": intent.id}).amount == 1320
    assert client.v1.charges.retrieve(str(intent.latest_charge)).refunded is True


def test_more_than_was_paid_or_is_left_is_refused_in_stripes_words(client: stripe.StripeClient) -> None:
    intent = pay(client)
    error = error_of(client.v1.refunds.create, {"payment_intent": intent.id, "amount": 1821})
    assert (error.http_status, error.user_message) == (400, "Refund amount (€18.21) is greater than charge amount (€18.20)")
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 1000})
    error = error_of(client.v1.refunds.create, {"payment_intent": intent.id, "amount": 821})
    assert error.user_message == "Refund amount (€8.21) is greater than unrefunded amount on charge (€8.20)"
    assert len(client.v1.refunds.list().data) == 1


def test_a_payment_that_went_back_fully_cannot_go_back_again(client: stripe.StripeClient) -> None:
    intent = pay(client)
    client.v1.refunds.create({"payment_intent": intent.id})
    error = error_of(client.v1.refunds.create, {"payment_intent": intent.id, "amount": 1})
    assert (error.http_status, error.code) == (400, "charge_already_refunded")
    assert error.user_message == f"Charge {intent.latest_charge} has already been refunded."


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"amount": 0}, "parameter_invalid_integer", "amount"),
        ({"amount": -5}, "parameter_invalid_integer", "amount"),
        ({"amount": "12.5"}, "parameter_invalid_integer", "amount"),
        ({"amount": ""}, "parameter_invalid_empty", "amount"),
        ({"reason": "did not like it"}, None, "reason"),
        ({"colour": "red"}, "parameter_unknown", "colour"),
        ({"metadata": {"k" * 41: "v"}}, None, "metadata"),
        ({"metadata": {"k": "v" * 501}}, None, "metadata[k]"),
        ({"metadata": {f"k{number}": "v" for number in range(51)}}, None, "metadata"),
        ({"expand": ["weather"]}, None, "expand"),
    ],
)
def test_parameters_stripe_would_refuse_are_refused(
    client: stripe.StripeClient, params: dict[str, Any], code: str | None, param: str
) -> None:
    intent = pay(client)
    error = error_of(client.v1.refunds.create, {"payment_intent": intent.id, **params})
    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.code, error.param) == (400, code, param)
    assert client.v1.refunds.list().data == []


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        (49, "eur", "amount_too_small"),
        (100_000_000, "eur", "amount_too_large"),
        (1234, "kwd", "parameter_invalid_integer"),
        (1550, "isk", "parameter_invalid_integer"),
        (1000, "xyz", None),
        (1000, "EUR", None),
    ],
)
def test_payments_that_stripe_would_refuse_are_refused(client: stripe.StripeClient, amount: int, currency: str, code: str | None) -> None:
    assert error_of(pay, client, amount, currency).code == code


def test_unknown_objects_are_missing(client: stripe.StripeClient) -> None:
    for call, argument in (
        (client.v1.refunds.create, {"payment_intent": "pi_nobody"}),
        (client.v1.refunds.retrieve, "re_nobody"),
        (client.v1.charges.retrieve, "ch_nobody"),
        (client.v1.refunds.list, {"payment_intent": "pi_nobody"}),
    ):
        error = error_of(call, argument)
        assert (error.http_status, error.code) == (404, "resource_missing")


def test_metadata_is_merged_and_values_can_be_removed(client: stripe.StripeClient) -> None:
    intent = pay(client)
    refund = client.v1.refunds.create({"payment_intent": intent.id, "metadata": {"a": "1", "b": "2"}})
    assert metadata_of(client.v1.refunds.update(refund.id, {"metadata": {"b": "", "c": "3"}})) == {"a": "1", "c": "3"}
    assert metadata_of(client.v1.refunds.update(refund.id, {"metadata": ""})) == {}
    assert error_of(client.v1.refunds.update, refund.id, {"amount": 5}).code == "parameter_unknown"


def test_lists_come_newest_first_in_pages_of_one_payment(client: stripe.StripeClient) -> None:
    intent, other = pay(client), pay(client)
    made = [client.v1.refunds.create({"payment_intent": intent.id, "amount": 10}).id for _ in range(7)]
    client.v1.refunds.create({"payment_intent": other.id, "amount": 10})
    newest_first = made[::-1]
    page = client.v1.refunds.list({"payment_intent": intent.id, "limit": 3})
    assert ([item.id for item in page.data], page.has_more) == (newest_first[:3], True)
    page = client.v1.refunds.list({"charge": str(intent.latest_charge), "limit": 4, "starting_after": newest_first[2]})
    assert ([item.id for item in page.data], page.has_more) == (newest_first[3:], False)
    page = client.v1.refunds.list({"payment_intent": intent.id, "limit": 2, "ending_before": newest_first[3]})
    assert ([item.id for item in page.data], page.has_more) == (newest_first[1:3], True)
    assert [item.id for item in client.v1.refunds.list({"payment_intent": intent.id, "limit": 2}).auto_paging_iter()] == newest_first


def test_lists_refuse_limits_and_cursors_they_do_not_know(client: stripe.StripeClient) -> None:
    assert error_of(client.v1.refunds.list, {"limit": 101}).http_status == 400
    assert error_of(client.v1.refunds.list, {"limit": 0}).http_status == 400
    error = error_of(client.v1.refunds.list, {"starting_after": "re_nobody"})
    assert (error.http_status, error.code) == (400, "resource_missing")


def test_references_can_be_expanded(client: stripe.StripeClient) -> None:
    intent = pay(client)
    refund = client.v1.refunds.create({"payment_intent": intent.id, "amount": 10, "expand": ["charge", "payment_intent.latest_charge"]})
    body = refund.to_dict()
    assert body["charge"]["id"] == body["payment_intent"]["latest_charge"]["id"] == intent.latest_charge
    listed = client.v1.refunds.list({"expand": ["data.charge"]}).data[0].to_dict()
    assert listed["charge"]["amount_refunded"] == 10


def test_a_wrong_key_is_refused_and_not_shown(sandbox: SandboxServer) -> None:
    error = error_of(client_of(sandbox, api_key="sk_test_0123456789abcdef").v1.refunds.list)
    assert isinstance(error, stripe.AuthenticationError)
    assert error.http_status == 401
    assert "0123456789" not in str(error)


def test_basic_authentication_works_and_none_does_not(sandbox: SandboxServer) -> None:
    credentials = base64.b64encode(f"{sandbox.api_key}:".encode()).decode()
    request = urllib.request.Request(f"{sandbox.url}/v1/refunds", headers={"Authorization": f"Basic {credentials}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{sandbox.url}/v1/refunds", timeout=10)
    with caught.value as refused:
        assert refused.code == 401


def test_connected_accounts_do_not_see_each_others_money(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    other = client_of(sandbox, stripe_account="acct_other")
    assert error_of(other.v1.refunds.create, {"payment_intent": intent.id}).code == "resource_missing"
    assert other.v1.payment_intents.list().data == []


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/json"}, b"{}", 400),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"a" * (1 << 20) + b"a", 413),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"\xff=1", 400),
    ],
    ids=["json", "too large", "not utf-8"],
)
def test_bodies_that_are_no_forms_or_too_large_are_refused(
    sandbox: SandboxServer, headers: dict[str, str], body: bytes, status: int
) -> None:
    request = urllib.request.Request(f"{sandbox.url}/v1/refunds", body, {"Authorization": f"Bearer {sandbox.api_key}", **headers})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    with caught.value as refused:
        assert refused.code == status


def test_answers_carry_a_request_id_and_echo_the_version(sandbox: SandboxServer) -> None:
    listing = client_of(sandbox, stripe_version="2024-06-20").v1.refunds.list()
    assert listing.last_response is not None
    headers = listing.last_response.headers
    assert headers["Request-Id"].startswith("req_")
    assert headers["Stripe-Version"] == "2024-06-20"
