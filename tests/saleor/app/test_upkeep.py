"""A token that Saleor does not know any more, and a permission that was taken away, are noticed and named."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from refund_plugin import duties
from refund_plugin.clock import now
from refund_plugin.events.heartbeats import last_beat
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.refunds.models import Alert
from refund_plugin.saleor.data import WebhookData
from refund_plugin.saleor.errors import SaleorPermissionDenied, SaleorTokenInvalid, SaleorUnreachable, SaleorVersionUnsupported
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor_app import upkeep
from refund_plugin.saleor_app.manifest import EVENTS, PERMISSIONS
from refund_plugin.saleor_app.upkeep import look_after_installations, look_at_installation
from tests.saleor.app.conftest import OTHER_API, WELL, install

pytestmark = pytest.mark.django_db

ALL = WebhookData(id="1", name="Orders and payments", is_active=True, target_url="https://a.example", events=tuple(EVENTS))


@pytest.fixture
def says(monkeypatch, installation):
    """Let Saleor answer so; an exception is raised."""

    def say(answer: object, webhooks: tuple[WebhookData, ...] = (ALL,)) -> None:
        def read(client):
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(upkeep, "read_app", read)
        monkeypatch.setattr(upkeep, "read_webhooks", lambda client: webhooks)
        monkeypatch.setattr(upkeep, "keep_webhook_secret", lambda installation: "")

    return say


def account() -> GatewayAccount:
    return GatewayAccount.objects.get(slug="shop-example")


def test_an_installation_that_is_well_leaves_a_sign_of_life_and_what_it_said(says, installation):
    says(replace(WELL, version="3.23.29", permissions=(*PERMISSIONS, "MANAGE_DISCOUNTS")))
    assert look_after_installations(now()) == 1
    installation.refresh_from_db()
    assert (installation.version, installation.permissions) == ("3.23.29", ["HANDLE_PAYMENTS", "MANAGE_DISCOUNTS", "MANAGE_ORDERS"])
    assert last_beat("saleor:shop-example") is not None
    assert not account().on_hold
    assert not Alert.objects.exists()


def test_a_permission_that_was_taken_away_is_named_and_nothing_more_is_sent_until_it_is_back(says, installation):
    says(replace(WELL, permissions=("MANAGE_ORDERS",)))
    assert "HANDLE_PAYMENTS" in look_at_installation(installation, now=now())
    assert account().on_hold
    assert "HANDLE_PAYMENTS" in account().hold_reason
    assert last_beat("saleor:shop-example") is None
    alert = Alert.objects.get()
    assert (alert.kind, alert.store.slug, alert.account.slug) == ("saleor_refuses", "shop-example", "shop-example")
    assert "HANDLE_PAYMENTS" in alert.why
    look_at_installation(installation, now=now())
    assert Alert.objects.count() == 1
    says(WELL)
    assert look_at_installation(installation, now=now()) == ""
    assert (account().on_hold, account().hold_reason) == (False, "")


@pytest.mark.parametrize(
    "error",
    [SaleorTokenInvalid("AppRead"), SaleorPermissionDenied("AppRead", ["MANAGE_ORDERS"]), SaleorVersionUnsupported("AppRead", "too old")],
)
def test_what_does_not_end_by_itself_holds_the_account_and_tells_staff(says, installation, error):
    says(error)
    assert look_after_installations(now()) == 0
    assert (account().on_hold, account().hold_reason) == (True, str(error.message)[:200])
    assert Alert.objects.get().why == str(error.message)
    installation.refresh_from_db()
    assert installation.is_active
    assert installation.token_encrypted


def test_a_token_that_cannot_be_decrypted_says_what_to_do(says, installation):
    says(WELL)
    SaleorInstallation.objects.update(token_encrypted="not ours")
    installation.refresh_from_db()
    assert "ENCRYPTION_KEYS" in look_at_installation(installation, now=now())
    assert account().on_hold


def test_a_saleor_that_is_down_holds_nothing(says, installation):
    says(SaleorUnreachable("AppRead"))
    assert look_after_installations(now()) == 0
    assert not account().on_hold
    assert not Alert.objects.exists()


def test_an_answer_to_the_old_token_does_not_hold_what_was_installed_anew_meanwhile(says, installation):
    says(SaleorTokenInvalid("AppRead"))
    SaleorInstallation.objects.update(token_encrypted="that of the new installation")
    # the row as it was read before
    assert look_at_installation(installation, now=now())
    assert not account().on_hold
    assert not Alert.objects.exists()


def test_one_saleor_that_refuses_us_does_not_hide_the_others(says, installation, monkeypatch):
    install(OTHER_API, slug="other", app_id="QXBwOjk=")
    says(WELL)

    def read(client):
        if client.api_url == OTHER_API:
            return replace(WELL, id="QXBwOjk=")
        raise SaleorTokenInvalid("AppRead")

    monkeypatch.setattr(upkeep, "read_app", read)
    assert look_after_installations(now()) == 1
    assert account().on_hold
    assert not GatewayAccount.objects.get(slug="other").on_hold


def test_the_sweep_looks_every_ten_minutes_and_only_where_a_saleor_is_named(says, installation, settings, monkeypatch):
    (duty,) = (duty for duty in duties.duties() if duty.name == "look_after_saleor")
    assert duty.every_seconds == 600
    says(WELL)
    assert duty.run(now()) == 1
    settings.REFUND_PLUGIN = {}
    assert duty.run(now()) == 0


def command(*args: str) -> tuple[str, str]:
    out = StringIO()
    try:
        call_command("refunds_saleor", *args, stdout=out)
    except CommandError as error:
        return out.getvalue(), f"{error.returncode}: {error}"
    return out.getvalue(), ""


def test_the_command_lists_the_installations_without_asking_them(installation):
    text, refused = command()
    assert "shop-example: https://shop.example/graphql/, Saleor 3.23.28, installed" in text
    assert refused == ""


def test_the_command_says_that_there_is_none_and_where_to_begin(db):
    assert 'REFUND_PLUGIN["SALEOR"]' in command()[0]


def test_the_check_says_that_all_is_well(says):
    says(WELL)
    text, refused = command("--check")
    assert "all is well" in text
    assert refused == ""


def test_the_check_names_a_missing_permission_and_fails(says):
    says(replace(WELL, permissions=("HANDLE_PAYMENTS",)))
    text, refused = command("--check", "--json")
    (told,) = json.loads(text)
    assert "MANAGE_ORDERS" in told["problems"][0]
    assert refused.startswith("1: ")


def test_the_check_names_a_webhook_that_is_off_and_an_event_that_does_not_come(says):
    says(WELL, (replace(ALL, is_active=False),))
    assert "“Orders and payments” is switched off" in command("--check")[0]
    says(WELL, (replace(ALL, events=tuple(EVENTS - {"ORDER_UPDATED"})),))
    text, refused = command("--check", "shop-example")
    assert "does not deliver ORDER_UPDATED" in text
    assert refused.startswith("1: ")


def test_a_removed_installation_is_listed_as_such_and_not_asked(says, installation):
    says(SaleorUnreachable("AppRead"))
    SaleorInstallation.objects.update(is_active=False, removed_at=now())
    text, refused = command("--check")
    assert "removed" in text
    assert refused == ""


def test_a_slug_that_is_not_there_is_answered_with_those_that_are(installation):
    _text, refused = command("shop-exmple")
    assert refused.startswith("2: ")
    assert "shop-example" in refused
