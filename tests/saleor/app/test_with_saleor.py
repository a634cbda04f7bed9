"""The App in a whole Saleor, through HTTP: installed, told of orders, cut off, removed, installed again."""

from __future__ import annotations

import pytest
from django.db import OperationalError

from refund_plugin.clock import now
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.refunds.models import Alert
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.secrets import decrypt
from refund_plugin.saleor_app import webhooks
from refund_plugin.saleor_app.manifest import EVENTS, PERMISSIONS
from refund_plugin.saleor_app.upkeep import look_after_installations, look_at_deliveries
from refund_plugin.stores.models import Store
from refund_plugin.webhooks.models import WebhookEvent
from tests.saleor.conftest import MANIFEST
from tests.saleor.standin.install import InstallRefused
from tests.saleor.standin.traps import Fault

pytestmark = pytest.mark.django_db


def kinds() -> list[str]:
    return sorted(WebhookEvent.objects.values_list("event_type", flat=True))


def account() -> GatewayAccount:
    return GatewayAccount.objects.get(slug="paper-heron")


def test_the_app_is_installed_with_a_token_that_works_and_all_its_webhooks(saleor, installed):
    assert (installed.row.slug, installed.row.app_id, installed.row.is_active) == ("paper-heron", installed.app.id, True)
    assert decrypt(installed.row.token_encrypted) in installed.app.tokens
    assert installed.row.permissions == sorted(PERMISSIONS) == sorted(installed.app.permissions)
    assert {event for webhook in installed.app.webhooks for event in webhook.events} == EVENTS
    assert look_after_installations(now()) == 1
    assert look_at_deliveries(installed.row) == []


def test_a_saleor_that_the_settings_do_not_name_is_told_so_and_keeps_no_app(saleor, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "SALEOR": {"https://shop.example/graphql/": {}}}
    with pytest.raises(InstallRefused, match="may not install"):
        saleor.install(MANIFEST)
    assert not SaleorInstallation.objects.exists()


@pytest.mark.parametrize("kind", ["garbage", "html", "500", "502", "drop", "redirect"])
def test_a_saleor_that_does_not_answer_the_call_back_keeps_no_app(saleor, settings, kind):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "SALEOR": {saleor.api_url: {}}}
    saleor.traps.add(Fault(kind, operation="AppRead", times=10))
    with pytest.raises(InstallRefused):
        saleor.install(MANIFEST)
    assert not SaleorInstallation.objects.exists()
    assert not Store.objects.filter(adapter="saleor").exists()


def test_a_paid_order_is_heard_of_once_although_saleor_tells_it_twice(saleor, installed):
    order = saleor.add_order(lines=[{"price": "30.00", "quantity": 1}])
    saleor.pay(order, amount="30.00")
    saleor.work()
    heard = kinds()
    assert "order_fully_paid" in heard
    assert {event.body["order"] for event in WebhookEvent.objects.all()} == {order.id}
    for delivery in list(saleor.post.sent):
        saleor.post.enqueue(delivery)
    saleor.work()
    assert kinds() == heard


def test_after_the_keys_were_rotated_events_are_heard_at_the_latest_with_the_next_delivery(saleor, installed):
    order = saleor.add_order(lines=[{"price": "30.00", "quantity": 1}])
    saleor.tell("ORDER_UPDATED", order)
    saleor.work()
    assert kinds() == ["order_updated"]
    saleor.rotate_keys(keep_old=False)
    SaleorInstallation.objects.update(keys_read_at=None)  # a minute later
    saleor.tell("ORDER_CANCELLED", order)
    saleor.work()
    assert kinds() == ["order_cancelled", "order_updated"]


def test_an_event_that_could_not_be_kept_comes_again_and_is_kept(saleor, installed, monkeypatch):
    keep, failures = webhooks.keep_event, iter((True, False))

    def flaky(**told):
        if next(failures):
            raise OperationalError
        return keep(**told)

    monkeypatch.setattr(webhooks, "keep_event", flaky)
    saleor.tell("ORDER_UPDATED", saleor.add_order(lines=[{"price": "30.00", "quantity": 1}]))
    saleor.work()
    assert kinds() == []
    saleor.clock.advance(10)
    saleor.work()
    assert kinds() == ["order_updated"]


def test_a_permission_that_saleor_takes_away_is_named_and_giving_it_back_mends_all(saleor, installed):
    installed.app.permissions.remove("HANDLE_PAYMENTS")
    assert look_after_installations(now()) == 0
    assert account().on_hold
    assert "HANDLE_PAYMENTS" in account().hold_reason
    assert "MANAGE_ORDERS" not in account().hold_reason
    assert Alert.objects.get().kind == "saleor_refuses"
    installed.app.permissions.append("HANDLE_PAYMENTS")
    assert look_after_installations(now()) == 1
    assert not account().on_hold


def test_a_removed_app_is_forgotten_or_at_the_latest_noticed_when_its_token_is_tried(saleor, installed):
    saleor.uninstall(installed.app)
    saleor.work()
    look_after_installations(now())
    row = SaleorInstallation.objects.get()
    assert account().on_hold
    assert account().hold_reason
    assert row.is_active is bool(row.token_encrypted)
    assert Store.objects.filter(slug="paper-heron").exists()


def test_installing_again_goes_on_with_the_same_store_and_the_old_removal_told_late_ends_nothing(saleor, installed):
    saleor.uninstall(installed.app)  # its news wait
    app = saleor.install(MANIFEST)
    saleor.work()
    row = SaleorInstallation.objects.get()
    assert (row.pk, row.app_id, row.is_active) == (installed.row.pk, app.id, True)
    assert decrypt(row.token_encrypted) in app.tokens
    assert look_after_installations(now()) == 1
    assert not account().on_hold
