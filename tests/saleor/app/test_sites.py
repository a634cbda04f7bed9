"""Each Saleor's store may have a Wagtail site, by the option `site`: the policy and the customer pages there are that store's."""

from __future__ import annotations

import logging

import pytest
from wagtail.models import Site

from refund_plugin.clock import now
from refund_plugin.saleor_app import upkeep
from refund_plugin.saleor_app.install import prove_token, record_installation
from refund_plugin.saleor_app.sites import keep_site
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import store_for_site
from tests.factories import NOW
from tests.saleor.app.conftest import API, WELL, make_site

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("allowed")]


@pytest.fixture
def site(db) -> Site:
    return make_site("books.example")


@pytest.fixture
def named(settings) -> None:
    settings.REFUND_PLUGIN = settings.REFUND_PLUGIN | {"SALEOR": {API: {"site": "Books.example"}}}


def test_the_installation_gives_the_store_its_site(call_back, site, named):
    record_installation(proven=prove_token(api_url=API, token="new-token"), now=NOW)
    assert store_for_site(wagtail_site_id=site.pk).slug == "shop-example"
    assert store_for_site(wagtail_site_id=None).slug == "default"


def test_a_site_that_is_named_later_is_given_at_the_next_look(installation, site, named, monkeypatch):
    monkeypatch.setattr(upkeep, "read_app", lambda client: WELL)
    monkeypatch.setattr(upkeep, "keep_webhook_secret", lambda installation: "")
    assert upkeep.look_after_installations(now()) == 1
    assert store_for_site(wagtail_site_id=site.pk).slug == "shop-example"


def test_a_site_that_is_not_there_stops_no_installation_and_is_told(call_back, named, caplog):
    with caplog.at_level(logging.WARNING):
        installation = record_installation(proven=prove_token(api_url=API, token="new-token"), now=NOW)
    assert "books.example" in caplog.text
    assert "books.example" in keep_site(installation)
    assert Store.objects.get(slug="shop-example").wagtail_site_id is None


def test_the_site_of_another_store_stays_that_store_s(installation, site, named):
    other = Store.objects.create(slug="other", name="Other", timezone="UTC", wagtail_site_id=site.pk)
    assert "“other”" in keep_site(installation)
    assert store_for_site(wagtail_site_id=site.pk) == other


def test_of_two_sites_of_one_host_the_port_tells_which(installation, site, settings):
    second = make_site("books.example", port=8443)
    settings.REFUND_PLUGIN = settings.REFUND_PLUGIN | {"SALEOR": {API: {"site": "books.example:8443"}}}
    assert keep_site(installation) == ""
    assert Store.objects.get(slug="shop-example").wagtail_site_id == second.pk


def test_without_the_option_nothing_is_changed(installation, site, django_assert_num_queries):
    Store.objects.filter(slug="shop-example").update(wagtail_site_id=site.pk)
    with django_assert_num_queries(0):
        assert keep_site(installation) == ""
    assert Store.objects.get(slug="shop-example").wagtail_site_id == site.pk
