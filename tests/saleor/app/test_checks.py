"""What `manage.py check` says of REFUND_PLUGIN["SALEOR"], with the line that fixes it."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from cryptography.fernet import Fernet

from refund_plugin import saleor_checks
from refund_plugin.clock import now
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.options import OPTIONS
from refund_plugin.stores.models import Store
from tests.documented import ROOT
from tests.factories import publish_policy
from tests.saleor.app.conftest import install, make_site
from tests.test_checks import STRIPE, told

pytestmark = pytest.mark.django_db

API = "https://shop.example/graphql/"


def saleor(options, address=API, **others):
    return {"GATEWAYS": {"default": STRIPE}, "BASE_TEMPLATE": "base.html", "SALEOR": {address: options}, **others}


def numbers() -> set[str]:
    return set(told()) - {"W003", "W004", "W005"}  # how this run's SQLite is set up


def test_an_empty_entry_is_enough(settings):
    settings.REFUND_PLUGIN = saleor({})
    assert numbers() == set()


def test_every_option_of_the_document_is_known(settings):
    make_site("books.example")
    settings.REFUND_PLUGIN = saleor(
        {
            "store": "books",
            "site": "books.example",
            "payment_account": "default",
            "product_types": ["e-book"],
            "metadata": {"digital": "yes"},
            "dashboard": "https://dashboard.shop.example",
            "app_url": "https://refunds.shop.example",
            "reasons": {"changed_mind": "not-needed"},
            "store_credit": "gift_card",
            "incentive": "voucher",
        }
    )
    assert numbers() == set()


def test_without_the_extra_the_line_that_installs_it_is_told(settings, monkeypatch):
    settings.REFUND_PLUGIN = saleor({})
    monkeypatch.setattr(saleor_checks, "find_spec", lambda name: None if name == "jwt" else find_spec(name))
    assert "jwt" in told()["E025"]
    assert "wagtail-refund-plugin[saleor]" in told()["E025"]


@pytest.mark.parametrize(
    "address",
    ["http://shop.example/graphql/", "shop.example", "ftp://shop.example/", "https://", "https://a:b@shop.example/", "https://[1"],
)
def test_an_address_that_a_token_may_not_be_sent_to_is_refused(settings, address):
    settings.REFUND_PLUGIN = saleor({}, address)
    assert address in told()["E026"]


@pytest.mark.parametrize("address", ["http://localhost:8000/graphql/", "http://127.0.0.1:8000/graphql/", "http://[::1]:8000/graphql/"])
def test_plain_http_is_fine_on_this_very_machine(settings, address):
    settings.REFUND_PLUGIN = saleor({}, address)
    assert numbers() == set()


def test_an_unknown_option_is_named_with_those_there_are(settings):
    settings.REFUND_PLUGIN = saleor({"shop": "books"})
    assert "shop" in told()["E027"]
    assert "payment_account" in told()["E027"]


def test_a_kind_of_store_credit_that_there_is_not_is_told_those_there_are(settings):
    settings.REFUND_PLUGIN = saleor({"store_credit": "coupon"})
    assert "coupon" in told()["E027"]
    assert "gift_card, voucher" in told()["E027"]


def test_every_option_has_its_row_in_the_document():
    section = (ROOT / "docs" / "saleor.md").read_text().partition("## Settings")[2].partition("\n## ")[0]
    assert {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")} == OPTIONS


def test_options_that_are_no_dict_are_refused(settings):
    settings.REFUND_PLUGIN = saleor(True)
    assert "Write {}" in told()["E027"]


def test_a_payment_account_that_is_not_there_is_named(settings):
    settings.REFUND_PLUGIN = saleor({"payment_account": "strpe"})
    assert "strpe" in told()["E028"]
    assert "default" in told()["E028"]


@pytest.mark.parametrize("key", ["secret", "", "a" * 43, None, "ä" * 44])
def test_a_key_that_encrypts_nothing_is_refused(settings, key):
    settings.REFUND_PLUGIN = saleor({}, ENCRYPTION_KEYS=[Fernet.generate_key().decode(), key])
    assert "generate_key" in told()["E029"]


def test_keys_may_stand_in_a_list_or_a_tuple(settings):
    for keys in ([Fernet.generate_key().decode()], (Fernet.generate_key().decode(),)):
        settings.REFUND_PLUGIN = saleor({}, ENCRYPTION_KEYS=keys)
        assert numbers() == set()


def test_two_saleors_may_not_share_a_name(settings):
    settings.REFUND_PLUGIN = saleor({"store": "books"}) | {
        "SALEOR": {API: {"store": "books"}, "https://b.example/graphql/": {"store": "books"}}
    }
    assert "books" in told()["E030"]


def test_a_saleor_may_not_take_the_name_of_an_account(settings):
    settings.REFUND_PLUGIN = saleor({"store": "main"}, GATEWAYS={"main": STRIPE})
    assert "main" in told()["E030"]


def test_a_saleor_may_be_the_default_store(settings):
    settings.REFUND_PLUGIN = saleor({"store": "books"}, STORE="books")
    assert numbers() == set()


def test_two_saleors_may_not_share_a_site(settings):
    settings.REFUND_PLUGIN = saleor({}) | {
        "SALEOR": {API: {"site": "books.example"}, "https://b.example/graphql/": {"site": "Books.example"}}
    }
    assert "books.example" in told()["E033"]


def test_a_site_that_is_not_there_is_told_until_it_is(settings):
    settings.REFUND_PLUGIN = saleor({"site": "books.example:8443"})
    assert "books.example:8443" in told()["W013"]
    make_site("books.example", port=8443)
    assert numbers() == set()


def test_options_that_are_no_dict_are_told_and_nothing_else_trips_over_them(settings):
    settings.REFUND_PLUGIN = saleor("books.example")
    assert numbers() == {"E027"}


def test_an_installed_saleor_that_the_settings_forgot_is_told(settings):
    settings.REFUND_PLUGIN = saleor({})
    SaleorInstallation.objects.create(slug="shop-example", api_url=API, installed_at=now())
    assert numbers() == set()
    settings.REFUND_PLUGIN = saleor({}, "https://other.example/graphql/")
    assert API in told()["W012"]
    SaleorInstallation.objects.update(is_active=False)
    assert numbers() == set()


def test_a_saleor_s_store_that_no_page_can_be_about_is_told_until_it_has_a_policy_or_a_site(settings):
    settings.REFUND_PLUGIN = saleor({})
    install(API, slug="shop-example")
    store = Store.objects.get(slug="shop-example")
    assert "shop-example" in told()["W014"]

    settings.REFUND_PLUGIN = saleor({}, STORE="shop-example")
    assert numbers() == set()
    settings.REFUND_PLUGIN = saleor({})
    Store.objects.filter(pk=store.pk).update(wagtail_site_id=make_site("books.example").pk)
    assert numbers() == set()
    Store.objects.filter(pk=store.pk).update(wagtail_site_id=None)
    publish_policy(store=store)
    assert numbers() == set()
