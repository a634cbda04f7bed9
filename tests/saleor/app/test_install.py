"""The handshake: nobody signs it, so only what the allowed Saleor itself says of the token makes an installation."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from django.db import connections

from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.orders.models import SalesBackfill
from refund_plugin.saleor.errors import SaleorPermissionDenied, SaleorTokenInvalid, SaleorUnreachable
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.secrets import decrypt
from refund_plugin.saleor_app.handshake import TRIES
from refund_plugin.saleor_app.install import prove_token, record_installation, remove_installation
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import ensure_default_store, store_for_site
from tests.factories import NOW, make_purchase
from tests.saleor.app.conftest import API, APP, OTHER_API

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("allowed")]


def nothing_was_made() -> bool:
    saleors = Store.objects.filter(adapter="saleor").exists() or GatewayAccount.objects.filter(kind="saleor").exists()
    return not saleors and not SaleorInstallation.objects.exists()


def test_a_token_that_the_saleor_confirms_installs_the_app_with_its_store_and_account(call_back, register):
    answer = register()
    assert answer.status_code == 200
    assert call_back.asked == [API]
    row = SaleorInstallation.objects.get()
    assert (row.slug, row.api_url, row.app_id, row.version, row.is_active) == ("shop-example", API, APP, "3.23.28", True)
    assert row.permissions == ["HANDLE_PAYMENTS", "MANAGE_ORDERS"]
    store, account = Store.objects.get(slug="shop-example"), GatewayAccount.objects.get(slug="shop-example")
    assert (store.name, store.adapter, store.timezone) == ("Paper Heron", "saleor", "Europe/Berlin")
    assert (account.kind, account.livemode, account.on_hold) == ("saleor", True, False)


def test_the_orders_that_are_there_already_are_read_by_workers(call_back, register):
    register()
    backfill = SalesBackfill.objects.get()
    assert (backfill.account.slug, backfill.is_automatic, backfill.finished_at) == ("shop-example", True, None)


def test_the_token_is_kept_encrypted_and_is_in_no_log_and_no_answer(call_back, register, caplog):
    with caplog.at_level(logging.DEBUG):
        answer = register()
    row = SaleorInstallation.objects.get()
    assert "new-token" not in row.token_encrypted
    assert decrypt(row.token_encrypted) == "new-token"
    assert "new-token" not in caplog.text + answer.content.decode() + repr(row)
    proven = prove_token(api_url=API, token="new-token")
    assert "new-token" not in repr(proven)


def test_two_saleors_become_two_stores(call_back, register):
    assert register().status_code == register(api_url=OTHER_API).status_code == 200
    assert set(SaleorInstallation.objects.values_list("slug", "api_url")) == {("shop-example", API), ("other", OTHER_API)}
    assert set(Store.objects.filter(adapter="saleor").values_list("slug", flat=True)) == {"shop-example", "other"}


@pytest.mark.parametrize(
    "address", ["", "https://evil.example/graphql/", "https://shop.example.evil.example/graphql/", "http://shop.example/graphql/"]
)
def test_an_address_that_the_settings_do_not_name_is_refused_and_never_called(call_back, register, address):
    answer = register(api_url=address)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "NOT_ALLOWED")
    assert answer.json()["error"]["message"]
    assert call_back.asked == []
    assert nothing_was_made()


@pytest.mark.parametrize(
    "address", ["https://shop.example/graphql", "HTTPS://SHOP.example:443/graphql/", " https://shop.example/graphql/ "]
)
def test_another_spelling_of_an_allowed_address_is_the_same_installation(call_back, register, address):
    assert register().status_code == register(api_url=address).status_code == 200
    assert call_back.asked == [API, API]
    assert SaleorInstallation.objects.get().api_url == API


@pytest.mark.parametrize("error", [SaleorTokenInvalid("AppRead"), SaleorPermissionDenied("AppRead", ["AUTHENTICATED_APP"])])
def test_a_token_that_the_saleor_does_not_know_is_refused(call_back, register, error):
    call_back.answers["new-token"] = error
    answer = register()
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "TOKEN_UNKNOWN")
    assert nothing_was_made()


def test_another_apps_token_does_not_make_that_app_ours(call_back, register):
    call_back.answers["new-token"] = replace(call_back.answers["new-token"], identifier="evil.app")
    assert register().json()["error"]["code"] == "TOKEN_UNKNOWN"
    assert nothing_was_made()


def test_a_wrong_token_leaves_the_installation_that_is_there_as_it_was(call_back, register):
    register()
    before = SaleorInstallation.objects.values().get()
    assert register({"auth_token": "guessed"}).status_code == 400
    assert SaleorInstallation.objects.values().get() == before


def test_a_saleor_that_is_down_or_answers_garbage_is_told_apart_from_a_wrong_token(call_back, register):
    call_back.answers["new-token"] = SaleorUnreachable("AppRead")
    answer = register()
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "NOT_CONFIRMED")
    assert nothing_was_made()


@pytest.mark.parametrize(("version", "status"), [("3.19.9", 400), ("3.20.0", 200), ("3.23.28", 200), ("3.24.0-a.1", 200), ("banana", 400)])
def test_versions_from_3_20_on_are_taken_and_older_ones_are_told_what_to_do(call_back, register, version, status):
    call_back.answers["new-token"] = replace(call_back.answers["new-token"], version=version)
    answer = register()
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"]["code"] == "VERSION_UNSUPPORTED"
        assert nothing_was_made()


def test_a_permission_that_is_missing_is_named(call_back, register):
    call_back.answers["new-token"] = replace(call_back.answers["new-token"], permissions=("MANAGE_ORDERS",))
    error = register().json()["error"]
    assert error["code"] == "PERMISSIONS_MISSING"
    assert "HANDLE_PAYMENTS" in error["message"]
    assert "MANAGE_ORDERS" not in error["message"]
    assert nothing_was_made()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        {},
        {"auth_token": None},
        {"auth_token": ""},
        {"auth_token": 7},
        {"auth_token": "x" * 1001},
        {"auth_token": "a\r\nb"},
    ],
)
def test_a_body_without_a_usable_token_is_refused_without_a_call(call_back, register, body):
    answer = register(body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "TOKEN_MISSING")
    assert call_back.asked == []


@pytest.mark.parametrize("size", [9_000, 10 * 1024 * 1024])
def test_a_body_that_is_too_large_is_refused_without_a_call(call_back, register, size):
    answer = register({"auth_token": "new-token", "more": "x" * size})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "TOO_LARGE")
    assert call_back.asked == []
    assert nothing_was_made()


def test_one_network_may_not_try_for_ever(call_back, register):
    for _try in range(TRIES.count):
        register({"auth_token": "guessed"}, REMOTE_ADDR="203.0.113.7")
    asked = len(call_back.asked)
    answer = register(REMOTE_ADDR="203.0.113.8")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "RATE_LIMITED")
    assert len(call_back.asked) == asked
    assert register(REMOTE_ADDR="198.51.100.1").status_code == 200


def test_installing_again_replaces_the_token_lifts_the_hold_and_keeps_the_store(call_back, register):
    register()
    first = SaleorInstallation.objects.get()
    store = Store.objects.get(slug=first.slug)
    remove_installation(installation=first, app_id=APP, now=NOW)
    call_back.answers["second"] = replace(call_back.answers["new-token"], id="QXBwOjI=", version="3.22.67")
    assert register({"auth_token": "second"}).status_code == 200
    row = SaleorInstallation.objects.get()
    assert (row.pk, row.slug, row.app_id, row.version) == (first.pk, first.slug, "QXBwOjI=", "3.22.67")
    assert (row.is_active, row.removed_at) == (True, None)
    assert decrypt(row.token_encrypted) == "second"
    assert Store.objects.get(slug=row.slug) == store
    assert not GatewayAccount.objects.get(slug=row.slug).on_hold


def test_the_late_news_that_the_earlier_app_was_removed_does_not_end_the_new_installation(call_back, register):
    register()
    call_back.answers["second"] = replace(call_back.answers["new-token"], id="QXBwOjI=")
    register({"auth_token": "second"})
    row = SaleorInstallation.objects.get()
    assert not remove_installation(installation=row, app_id=APP, now=NOW)
    assert SaleorInstallation.objects.get().is_active
    assert remove_installation(installation=row, app_id="QXBwOjI=", now=NOW)
    assert not SaleorInstallation.objects.get().is_active


def test_the_slug_stays_when_the_settings_give_another_name_later(call_back, register, settings):
    register()
    settings.REFUND_PLUGIN = settings.REFUND_PLUGIN | {"SALEOR": {API: {"store": "renamed"}}}
    assert register().status_code == 200
    assert SaleorInstallation.objects.get().slug == "shop-example"
    assert not Store.objects.filter(slug="renamed").exists()


@pytest.mark.parametrize("taken", ["store", "account", "saleor"])
def test_a_name_that_belongs_to_somebody_else_is_not_taken_over(call_back, register, taken):
    if taken == "store":
        Store.objects.create(slug="shop-example", name="Ours", timezone="UTC")
    elif taken == "account":
        GatewayAccount.objects.create(slug="shop-example", kind="stripe")
    else:
        SaleorInstallation.objects.create(slug="shop-example", api_url="https://moved.example/graphql/", installed_at=NOW)
    answer = register()
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "STORE_TAKEN")
    assert "shop-example" in answer.json()["error"]["message"]
    assert not SaleorInstallation.objects.filter(api_url=API).exists()


@pytest.fixture
def default_store(settings):
    """The store that `migrate` made by the name that the Saleor is to have."""
    settings.REFUND_PLUGIN = settings.REFUND_PLUGIN | {"STORE": "shop-example"}
    return ensure_default_store()


def test_a_default_store_of_the_same_name_becomes_the_saleor_s_with_its_policy_and_pages(call_back, register, default_store):
    assert register().status_code == 200
    assert Store.objects.get(adapter="saleor") == default_store == store_for_site(wagtail_site_id=None)
    assert SaleorInstallation.objects.get().slug == default_store.slug


def test_a_default_store_in_which_something_was_bought_is_not_taken_over(call_back, register, default_store):
    make_purchase(store=default_store)
    assert register().json()["error"]["code"] == "STORE_TAKEN"
    assert nothing_was_made()


@pytest.mark.django_db(transaction=True)
def test_two_installations_at_once_make_one_row(call_back):
    barrier = Barrier(4)

    def install(number: int) -> None:
        proven = prove_token(api_url=API, token="new-token")
        barrier.wait(10)
        try:
            record_installation(proven=replace(proven, token=f"token {number}"), now=NOW)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(install, range(4)))
    row = SaleorInstallation.objects.get()
    assert decrypt(row.token_encrypted).startswith("token ")
    assert Store.objects.filter(adapter="saleor").count() == GatewayAccount.objects.filter(kind="saleor").count() == 1


def test_only_a_post_is_heard(client):
    assert client.get("/refunds/saleor/register/").status_code == 405
