"""The staff's page "Saleor": what to do to install, how each installation stands, and who may see it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.urls import reverse

from refund_plugin.clock import now
from refund_plugin.events.heartbeats import beat
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.orders.models import SalesBackfill
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.staff.saleor import installations
from tests.saleor.app.conftest import API, OTHER_API, install

pytestmark = pytest.mark.django_db


@pytest.fixture
def shown(admin_client):
    """The page as an administrator sees it, its white space folded."""

    def read() -> str:
        answer = admin_client.get(reverse("refund_saleor:index"))
        assert answer.status_code == 200
        return " ".join(answer.content.decode().split())

    return read


def test_before_the_installation_it_says_who_may_and_which_address_to_give(allowed, shown):
    page = shown()
    assert API in page
    assert OTHER_API in page
    assert "http://testserver/refunds/saleor/manifest.json" in page


def test_an_installation_in_use_tells_its_version_permissions_and_when_it_was_well(installation, shown):
    beat("saleor:shop-example", now=now())
    page = shown()
    assert "in use" in page
    assert "3.23.28" in page
    assert "HANDLE_PAYMENTS, MANAGE_ORDERS" in page
    assert "not looked at yet" not in page
    assert f"<li>{API}</li>" not in page
    assert f"<li>{OTHER_API}</li>" in page


def test_an_account_on_hold_says_why(installation, shown):
    GatewayAccount.objects.filter(slug="shop-example").update(on_hold=True, hold_reason="the App lacks HANDLE_PAYMENTS")
    page = shown()
    assert "on hold" in page
    assert "the App lacks HANDLE_PAYMENTS" in page


def test_a_removed_app_and_one_that_the_settings_forgot_say_what_to_do(installation, shown, settings):
    settings.REFUND_PLUGIN = settings.REFUND_PLUGIN | {"SALEOR": {OTHER_API: {}}}
    assert "not in the settings any more" in shown()
    SaleorInstallation.objects.update(is_active=False, token_encrypted="", removed_at=now())
    page = shown()
    assert "the App was removed" in page
    assert "Install the App again" in page


def test_the_progress_of_the_older_orders_is_shown_until_they_are_read(installation, shown):
    row = SalesBackfill.objects.create(
        account=GatewayAccount.objects.get(slug="shop-example"), counts={"created": 30, "ignored": 20}, expected=200, changed_at=now()
    )
    page = shown()
    assert "50 of about 200" in page
    assert 'max="1" value="0.25"' in page
    SalesBackfill.objects.filter(pk=row.pk).update(finished_at=now() - timedelta(minutes=1))
    page = shown()
    assert "<progress" not in page
    assert "50 read, finished" in page


def test_whether_only_our_own_webhooks_are_believed_is_shown(installation, shown):
    assert "do not carry our secret yet" in shown()
    SaleorInstallation.objects.update(webhook_secret_set_at=now())
    page = shown()
    assert "do not carry our secret yet" not in page
    assert "no other App can imitate them" in page


def test_the_token_and_the_secret_are_not_on_the_page(installation, shown):
    SaleorInstallation.objects.update(webhook_secret_encrypted="kept-encrypted")
    page = shown()
    assert installation.token_encrypted not in page
    assert "kept-encrypted" not in page


def test_many_installations_cost_four_queries(allowed, db, django_assert_num_queries):
    for number in range(5):
        install(f"https://{number}.example/graphql/", slug=f"shop-{number}", app_id=f"app-{number}")
    with django_assert_num_queries(4):
        assert len(installations()) == 5


def test_only_those_who_may_see_cases_see_it(installation, client):
    user = get_user_model().objects.create_user("editor", "editor@example.com", "x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(content_type__app_label="wagtailadmin", codename="access_admin"))
    client.force_login(user)
    answer = client.get(reverse("refund_saleor:index"))
    assert answer.status_code == 302
    assert API not in answer.content.decode()


def test_a_site_without_saleor_has_no_such_item_in_its_menu(admin_client, settings, allowed):
    home = reverse("refund_alerts:index")
    assert reverse("refund_saleor:index") in admin_client.get(home).content.decode()
    settings.REFUND_PLUGIN = {key: value for key, value in settings.REFUND_PLUGIN.items() if key != "SALEOR"}
    assert reverse("refund_saleor:index") not in admin_client.get(home).content.decode()
