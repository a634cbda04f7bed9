"""The system checks: each names what would cost money, mail or trust, and the line that fixes it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.checks import run_checks
from wagtail.models import Locale, Page, Site

from tests.factories import MEMORY

pytestmark = pytest.mark.django_db

STRIPE = {"kind": "stripe", "api_key": "sk_test_1", "webhook_secret": "whsec_1"}


def told(*, deploy: bool = False) -> dict[str, str]:
    """Return what the plugin's checks say, by their number: message and hint."""
    found = run_checks(include_deployment_checks=deploy, databases=["default"])
    return {item.id.partition(".")[2]: f"{item.msg} {item.hint}" for item in found if str(item.id).startswith("refund_plugin.")}


def with_stripe(**options: Any) -> dict[str, Any]:
    return {"GATEWAYS": {"default": {**STRIPE, **options}}, "BASE_TEMPLATE": "base.html"}


def money_checks() -> set[str]:
    return set(told()) - {"W003", "W004", "W005"}  # how this run's SQLite is set up


def test_a_complete_configuration_is_told_nothing(settings):
    settings.REFUND_PLUGIN = with_stripe()
    assert money_checks() == set()


def test_a_key_may_not_be_sent_again_after_the_gateway_may_have_forgotten_it(settings):
    for hours, fine in ((0, False), (1, True), (21, True), (22, False), (48, False)):
        settings.REFUND_PLUGIN = MEMORY | {"KEY_REPLAY_HOURS": hours}
        assert ("E022" not in told()) is fine


def test_a_lease_that_ends_before_a_call_is_named_with_the_account(settings):
    settings.REFUND_PLUGIN = with_stripe() | {"LEASE_SECONDS": 13}
    assert "over the account default may take 13 s" in told()["W010"]
    settings.REFUND_PLUGIN = with_stripe(read_timeout_seconds=5) | {"LEASE_SECONDS": 13}
    assert "W010" not in told()


def test_a_live_key_without_livemode_is_told_the_line_that_is_missing(settings):
    settings.REFUND_PLUGIN = with_stripe(api_key="sk_live_1")
    assert '["default"]["livemode"] = True' in told()["E006"]
    settings.REFUND_PLUGIN = with_stripe(api_key="sk_live_1", livemode=True)
    assert money_checks() == set()


def test_without_a_signing_secret_it_is_said_that_webhooks_are_refused(settings):
    settings.REFUND_PLUGIN = with_stripe(webhook_secret="")
    assert "every webhook is refused" in told()["W006"]


def test_an_account_that_is_no_dict_is_an_error_and_breaks_no_other_check(settings):
    settings.REFUND_PLUGIN = {"GATEWAYS": {"default": "stripe"}}
    assert "E003" in told()


@pytest.mark.parametrize("amounts", [10000, {"EUR": "10000"}, {"EUR": 100.5}, {"EUR": -1}, {"euro": 10000}, {"EUR": True}])
def test_a_limit_of_staff_that_cannot_be_read_is_an_error(settings, amounts):
    settings.REFUND_PLUGIN = MEMORY | {"STAFF_LIMITS": {"Refund staff": amounts}}
    assert "Refund staff" in told()["E023"]


def test_a_limit_for_a_group_that_is_not_there_is_named_because_it_limits_nobody(settings):
    settings.REFUND_PLUGIN = MEMORY | {"STAFF_LIMITS": {"Refund staf": {"EUR": 10000}}}
    assert '"Refund staf"' in told()["W007"]
    Group.objects.create(name="Refund staf")
    assert "W007" not in told()


def test_an_order_book_for_a_store_that_is_not_there_is_named(settings):
    settings.REFUND_PLUGIN = with_stripe() | {"ORDER_BOOKS": {"default": "books"}}
    assert '"books"' in told()["W008"]
    settings.REFUND_PLUGIN = with_stripe() | {"ORDER_BOOKS": {"default": ""}}
    assert "W008" not in told()


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/", "https://shop.example/x", "https://Shop.example", "*", "", 7])
def test_an_origin_that_no_browser_would_write_is_named_because_it_allows_nobody(settings, origin):
    settings.REFUND_PLUGIN = MEMORY | {"STOREFRONT_ORIGINS": [origin]}
    assert f'"{origin}"' in told()["E032"]
    settings.REFUND_PLUGIN = MEMORY | {"STOREFRONT_ORIGINS": ["https://shop.example", "http://localhost:3000"]}
    assert "E032" not in told()


@pytest.mark.parametrize(("address", "fine"), [("shop.example", False), ("//shop.example", False), ("https://shop.example", True)])
def test_links_in_mail_need_a_whole_address(settings, address, fine):
    settings.REFUND_PLUGIN = MEMORY | {"PUBLIC_URL": address}
    assert ("E024" not in told()) is fine


def test_before_going_live_links_and_senders_of_this_machine_are_named(settings):
    settings.REFUND_PLUGIN = MEMORY
    settings.DEFAULT_FROM_EMAIL = "webmaster@localhost"
    locale, _made = Locale.objects.get_or_create(language_code="en")
    root = Page.objects.filter(depth=1).first() or Page.add_root(title="Root", slug="root", locale=locale)
    Site.objects.update_or_create(is_default_site=True, defaults={"hostname": "localhost", "root_page": root})
    assert {"W009", "W011"} & set(told()) == set()
    assert {"W009", "W011"} <= set(told(deploy=True))
    settings.DEFAULT_FROM_EMAIL = "Paper Heron <hello@shop.example>"
    Site.objects.filter(is_default_site=True).update(hostname="shop.example")
    assert {"W009", "W011"} & set(told(deploy=True)) == set()


@pytest.mark.parametrize(
    ("configured", "problem"),
    [
        ({"amount": {"EUR": 2000, "*": 0}, "percent": 100, "per_customer": 0}, ""),
        ({"amounts": {}}, "is not one of amount, percent, per_customer"),
        ({"amount": 5}, "is not a dict"),
        ({"amount": {"XYZ": 5}}, "unknown currency"),
        ({"amount": {"EUR": -1}}, "no number of minor units"),
        ({"percent": 101}, "no whole number from 0 to 100"),
        ({"per_customer": 1.5}, "no whole number"),
    ],
)
def test_how_much_people_may_give_can_be_read_or_is_told(settings, configured, problem):
    settings.REFUND_PLUGIN = MEMORY | {"INCENTIVES": configured}
    assert (problem in told()["E031"]) if problem else ("E031" not in told())
