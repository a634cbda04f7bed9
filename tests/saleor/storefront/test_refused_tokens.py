"""A token that does not prove a customer of this very Saleor gets one answer, whatever is wrong with it, and changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from refund_plugin import clock
from refund_plugin.api.tokens import create_token
from refund_plugin.orders.models import Purchase
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.signatures import verify_webhook
from refund_plugin.stores.models import Store
from tests.api.helpers import everything, question
from tests.saleor.conftest import MANIFEST
from tests.saleor.standin import Standin
from tests.saleor.standin.signing import SigningKey
from tests.saleor.standin.world import User
from tests.saleor.storefront.conftest import Storefront

pytestmark = pytest.mark.django_db

FORGED = SigningKey()
Make = Callable[[Storefront, User], str]


def signed_for_an_app(front: Storefront, user: User) -> str:
    """Return what another App makes of a webhook's body of its own choice: lenient base64 reads good claims in it."""
    _header, claims, _signature = front.saleor.customer_token(user).split(".")
    body = f'{{"":"{claims}"}}'
    header, _empty, signature = front.saleor.keys[-1].sign_webhook(body.encode()).split(".")
    return ".".join((header, body, signature))


WRONG: dict[str, Make] = {
    "over": lambda front, user: front.saleor.customer_token(user, lifetime_seconds=-1),
    "never over": lambda front, user: front.saleor.customer_token(user, exp=None),
    "another key": lambda front, user: front.saleor.customer_token(user, key=FORGED),
    "another issuer": lambda front, user: front.saleor.customer_token(user, issuer="https://other.example/graphql/"),
    "to renew others": lambda front, user: front.saleor.customer_token(user, type="refresh"),
    "to change an address": lambda front, user: front.saleor.customer_token(user, type="confirm-email-change"),
    "of a plugin": lambda front, user: front.saleor.customer_token(user, owner="mirumee.authentication.openidconnect"),
    "of staff": lambda front, user: front.saleor.customer_token(user, is_staff=True),
    "of somebody": lambda front, user: front.saleor.customer_token(user, is_staff=None),
    "of nobody": lambda front, user: front.saleor.customer_token(user, user_id=""),
    "for the dashboard": lambda front, user: front.saleor.dashboard_token(user, front.shop.app),
    "for an app": lambda front, user: front.saleor.customer_token(user, app=front.shop.app.id),
    "a webhook's body": signed_for_an_app,
    "cut": lambda front, user: front.saleor.customer_token(user)[:-9],
    "long": lambda front, user: front.saleor.customer_token(user, more="x" * 20_000),
    "no token": lambda front, user: "Rosebud",
    "the App's own": lambda front, user: next(iter(front.shop.app.tokens)),
}


def refused(storefront: Storefront, buyer: User, **options: Any) -> dict[str, Any]:
    """Ask with a token for what `buyer` has bought, see that it is refused and that nothing has changed, and return the answer."""
    purchase = Purchase.objects.filter(metadata__saleor_customer=buyer.id).first() or storefront.buys(buyer)
    before = everything()
    answer = storefront.send("RefundRequestCreate", question(purchase, email=None), **options)
    assert answer.status == 401
    assert everything() == before
    listed = storefront.send("Purchases", **options)
    assert (listed.status, listed.body) == (answer.status, answer.body)
    return answer.body


@pytest.fixture
def usual(storefront: Storefront, ada: User) -> dict[str, Any]:
    """The answer to a token that says nothing."""
    return refused(storefront, ada, token="a.b.c")


def test_whatever_is_wrong_the_answer_is_the_same(storefront: Storefront, ada: User, usual: dict[str, Any]) -> None:
    assert usual["errors"][0]["extensions"]["code"] == "INVALID_TOKEN"
    for name, make in WRONG.items():
        assert refused(storefront, ada, token=make(storefront, ada)) == usual, name


def test_a_wrong_token_is_refused_also_where_none_would_be_needed(storefront: Storefront, ada: User) -> None:
    assert storefront.send("RefundPolicy", token="a.b.c").status == 401
    assert storefront.send("RefundPolicy", user=ada).status == 200


def test_a_member_of_the_staff_sees_nothing_with_the_token_of_their_own_sign_in(storefront: Storefront, ada: User, usual: Any) -> None:
    storefront.buys(ada)
    boss = storefront.saleor.add_user("boss@shop.example", staff_permissions=["MANAGE_ORDERS", "HANDLE_PAYMENTS"])
    assert refused(storefront, boss, user=boss) == usual


def test_another_saleors_customer_is_nobody_here_whichever_address_is_named(
    storefront: Storefront, ada: User, usual: Any, other_saleor: Standin, settings: Any
) -> None:
    twin = other_saleor.add_user("ada@example.com")
    twin.id = ada.id
    foreign = other_saleor.customer_token(twin)
    assert refused(storefront, ada, token=foreign) == usual
    assert refused(storefront, ada, token=foreign, api_url=other_saleor.api_url) == usual

    both = {**settings.REFUND_PLUGIN["SALEOR"], other_saleor.api_url: {"store": "second"}}
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "SALEOR": both, "PUBLIC_URL": ""}
    other_saleor.install(MANIFEST)
    assert storefront.send("Purchases", token=foreign, api_url=other_saleor.api_url).data["edges"] == []
    assert refused(storefront, ada, token=foreign) == usual
    assert refused(storefront, ada, user=ada, api_url=other_saleor.api_url) == usual
    claims_to_be_ours = other_saleor.customer_token(twin, issuer=storefront.saleor.api_url)
    assert refused(storefront, ada, token=claims_to_be_ours) == usual


def test_an_address_that_no_saleor_has_is_answered_alike(storefront: Storefront, ada: User, usual: Any) -> None:
    own = storefront.saleor.api_url
    for address in ("https://nowhere.example/graphql/", "no address", "\x00", "http://[", "https://a:b@c/", f"{own}\x00", f"{own}?x"):
        assert refused(storefront, ada, user=ada, api_url=address) == usual, address


def test_a_saleor_that_removed_the_app_or_is_not_named_any_more_knows_no_customers(
    storefront: Storefront, ada: User, usual: Any, settings: Any
) -> None:
    kept = settings.REFUND_PLUGIN
    purchase = storefront.buys(ada)
    settings.REFUND_PLUGIN = {**kept, "SALEOR": {}}
    assert storefront.send("RefundQuote", {"orderNumber": purchase.number}, user=ada).body == usual
    settings.REFUND_PLUGIN = kept
    assert storefront.send("RefundQuote", {"orderNumber": purchase.number}, user=ada).codes == []
    SaleorInstallation.objects.update(is_active=False)
    assert storefront.send("RefundQuote", {"orderNumber": purchase.number}, user=ada).body == usual


def test_a_service_token_of_another_store_does_not_vouch(storefront: Storefront, ada: User, usual: Any) -> None:
    other = Store.objects.create(slug="other", name="Other", timezone="UTC")
    _row, service = create_token(store=other, name="other", scopes=[], now=clock.now())
    assert refused(storefront, ada, user=ada, service=service) == usual


def test_without_the_extra_a_token_is_as_good_as_none(storefront: Storefront, ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    purchase = storefront.buys(ada)
    monkeypatch.setitem(sys.modules, "refund_plugin.saleor.signatures", None)
    named = {"orderNumber": purchase.number, "channel": "paper-heron"}
    assert storefront.send("RefundQuote", named, user=ada).codes == [("email", "REQUIRED")]
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(get_user_model().objects.create_user(username="ada", password="secret"))
    assert storefront.send("RefundQuote", named, user=ada, client=browser).status == 403


# ---- no lever


def test_made_up_keys_make_us_ask_saleor_once_a_minute_and_use_up_nothing_that_its_deliveries_need(
    storefront: Storefront, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    storefront.buys(ada)
    asked = count_readings(storefront.saleor, monkeypatch)
    read_at = SaleorInstallation.objects.get().keys_read_at
    for _time in range(5):
        assert storefront.send("Purchases", token=storefront.saleor.customer_token(ada, key=SigningKey())).status == 401
    assert asked == [1]
    assert SaleorInstallation.objects.get().keys_read_at == read_at
    with clock.travel(timedelta(seconds=61)):
        made_up = storefront.saleor.customer_token(ada, key=SigningKey(), lifetime_seconds=900)
        assert storefront.send("Purchases", token=made_up).status == 401
    assert asked == [2]


def test_after_a_change_of_keys_customers_and_deliveries_are_believed_again_at_once(storefront: Storefront, ada: User) -> None:
    purchase = storefront.buys(ada)
    storefront.saleor.rotate_keys()
    SaleorInstallation.objects.update(keys_read_at=None)
    assert storefront.send("Purchases", token=storefront.saleor.customer_token(ada, key=SigningKey())).status == 401
    assert storefront.numbers(ada) == [purchase.number]
    body = b"{}"
    signature = storefront.saleor.keys[-1].sign_webhook(body)
    verify_webhook(body=body, signature=signature, installation=SaleorInstallation.objects.get(), now=clock.now())


def count_readings(saleor: Standin, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count, from now on, how often the stand-in is asked for its keys."""
    counted, jwks = [0], saleor.jwks

    def counting() -> dict[str, Any]:
        counted[0] += 1
        return jwks()

    monkeypatch.setattr(saleor, "jwks", counting)
    return counted


def test_a_wrong_token_costs_a_look_for_the_installation_and_one_counter(storefront: Storefront, ada: User) -> None:
    storefront.buys(ada)
    forged = storefront.saleor.customer_token(ada, lifetime_seconds=-1)
    storefront.send("Purchases", token=forged)
    with CaptureQueriesContext(connection) as queries:
        storefront.send("Purchases", token=forged)
    assert len(queries) == 2, "\n".join(query["sql"] for query in queries)


# ---- limits


@pytest.fixture
def limited(storefront: Storefront, settings: Any) -> None:
    """Three requests of a customer, and two questions for money."""
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "LIMIT_CUSTOMER": (3, 600), "LIMIT_REQUEST": (2, 600)}


def network(number: int) -> dict[str, Any]:
    """Return where a request comes from."""
    return {"REMOTE_ADDR": f"10.0.{number}.7"}


def test_wrong_tokens_from_one_network_end_and_keep_nobody_else_out(storefront: Storefront, ada: User, limited: None) -> None:
    storefront.buys(ada)
    tries = [storefront.send("Purchases", token="a.b.c", **network(1)) for _time in range(5)]
    assert [answer.status for answer in tries] == [401] * 3 + [429] * 2
    assert tries[-1].failure["extensions"]["code"] == "RATE_LIMITED"
    assert storefront.send("Purchases", user=ada, **network(1)).status == 429
    assert storefront.send("Purchases", user=ada, **network(2)).status == 200


def test_one_customer_from_many_networks_ends_and_another_does_not(storefront: Storefront, ada: User, eve: User, limited: None) -> None:
    storefront.buys(ada)
    assert [storefront.send("Purchases", user=ada, **network(n)).status for n in range(4)] == [200] * 3 + [429]
    assert storefront.send("Purchases", user=eve, **network(9)).status == 200


def test_behind_the_shops_server_only_the_customer_is_counted(storefront: Storefront, ada: User, eve: User, limited: None) -> None:
    storefront.buys(ada)
    _row, service = create_token(store=storefront.shop.store, name="storefront", scopes=[], now=clock.now())
    seen = [storefront.send("Purchases", user=user, service=service).status for user in (ada, eve) for _time in range(4)]
    assert seen == [200, 200, 200, 429] * 2


def test_a_customer_asks_for_money_as_often_as_anybody_although_for_other_purchases(
    storefront: Storefront, ada: User, settings: Any
) -> None:
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "LIMIT_REQUEST": (2, 600)}
    bought = [storefront.buys(ada) for _time in range(3)]
    questions = [question(purchase, email=None) for purchase in bought]
    asked = [storefront.send("RefundRequestCreate", each, user=ada, **network(n)).codes for n, each in enumerate(questions)]
    assert asked == [[], [], [(None, "RATE_LIMITED")]]


def test_behind_the_shops_server_one_customer_guesses_as_little_as_one_network_and_keeps_nobody_else_out(
    storefront: Storefront, ada: User, eve: User, settings: Any
) -> None:
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "LIMIT_LOOKUP": (2, 600)}
    guest = storefront.buys(None, email="guest@example.com")
    _row, service = create_token(store=storefront.shop.store, name="storefront", scopes=[], now=clock.now())

    def look(user: User, email: str) -> list[Any]:
        return storefront.send("RefundQuote", {"orderNumber": guest.number, "email": email}, user=user, service=service).codes

    guesses = [look(eve, f"guess-{number}@example.com") for number in range(12)]
    assert guesses == [[(None, "NOT_FOUND")]] * 2 + [[(None, "RATE_LIMITED")]] * 10
    assert look(ada, "guest@example.com") == []
