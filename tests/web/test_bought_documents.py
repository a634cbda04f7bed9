"""Documents in Wagtail that were bought: recorded for their buyer before they are served, and closed to others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.test import Client
from wagtail.documents.models import Document
from wagtail.models import Collection

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.orders.access import correct_access
from refund_plugin.orders.models import AccessEvent
from refund_plugin.orders.queries import usage_of
from refund_plugin.refunds.access.models import AccessState
from tests.factories import EBOOK, MEMORY
from tests.web.conftest import buy, soup, words

pytestmark = pytest.mark.django_db


def sku_of(document):
    """Stand for a shop's own function: the document's title begins with the SKU."""
    return document.title.partition(":")[0] if ":" in document.title else ""


@pytest.fixture(autouse=True)
def shop(gateway, settings, tmp_path):
    settings.REFUND_PLUGIN = {**MEMORY, "DOCUMENT_SKU": "tests.web.test_bought_documents.sku_of"}
    settings.MEDIA_ROOT = tmp_path
    if Collection.get_first_root_node() is None:  # Wagtail's migrations make it
        Collection.add_root(name="Root")


@pytest.fixture
def document():
    return Document.objects.create(title=f"{EBOOK.sku}: The Slow Web", file=ContentFile(b"Once upon a time", "slow-web.txt"))


@pytest.fixture
def ada():
    client = Client()
    client.user = get_user_model().objects.create_user("ada", "ada@example.com", "secret")
    client.force_login(client.user)
    return client


@pytest.fixture
def line(ada):
    return buy(user_id=ada.user.pk).lines.get()


def body(answer):
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def downloads(line):
    return usage_of([line])[line.pk].downloads


def test_a_document_is_recorded_for_its_buyer_and_served(ada, line, document):
    answer = ada.get(document.url)

    assert body(answer) == b"Once upon a time"
    fact = AccessEvent.objects.get()
    assert (fact.line, fact.kind, fact.source) == (line, "downloaded", "document")


def test_opening_it_again_counts_once_a_day(ada, line, document, monkeypatch):
    morning = datetime(2026, 3, 9, 8, tzinfo=UTC)
    for moment in (morning, morning + timedelta(hours=15), morning + timedelta(hours=16)):
        monkeypatch.setattr(clock, "now", lambda moment=moment: moment)
        ada.get(document.url, headers={"Range": "bytes=5-"})

    assert downloads(line) == 2


def test_two_documents_of_one_product_are_two_downloads(ada, line, document):
    extra = Document.objects.create(title=f"{EBOOK.sku}: Maps", file=ContentFile(b"Here be dragons", "maps.txt"))
    for each in (document, extra):
        ada.get(each.url)

    assert downloads(line) == 2


def test_after_a_correction_the_next_download_of_that_day_counts(ada, line, document):
    ada.get(document.url)
    correct_access(fact_id=AccessEvent.objects.get().pk, reason="failed", note="0 bytes.", by=SYSTEM, now=clock.now())
    assert downloads(line) == 0

    ada.get(document.url)
    ada.get(document.url)

    assert downloads(line) == 1


def test_documents_that_are_not_sold_are_served_to_everybody_and_nothing_is_recorded(client, line):
    leaflet = Document.objects.create(title="Leaflet", file=ContentFile(b"Read me", "leaflet.txt"))

    assert body(client.get(leaflet.url)) == b"Read me"
    assert not AccessEvent.objects.exists()


@pytest.mark.parametrize("who", ["a visitor", "another customer"])
def test_whoever_has_not_bought_it_is_told_kindly_and_gets_nothing(client, line, document, who):
    if who == "another customer":
        client.force_login(get_user_model().objects.create_user("grace", "grace@example.com", "secret"))
    answer = client.get(document.url)

    assert answer.status_code == 403
    assert words(soup(answer), "h1") == "This belongs to those who bought it"
    assert "no-store" in answer["Cache-Control"] and "default-src 'self'" in answer["Content-Security-Policy"]
    assert not AccessEvent.objects.exists()


def test_editors_open_it_without_a_record(admin_client, line, document):
    assert body(admin_client.get(document.url)) == b"Once upon a time"
    assert not AccessEvent.objects.exists()


def test_what_is_frozen_stays_closed(ada, line, document):
    AccessState.objects.create(line=line, changed_at=clock.now(), due_at=clock.now(), wanted_frozen=1)
    answer = ada.get(document.url)

    assert (answer.status_code, words(soup(answer), "h1")) == (403, "This rests while your refund is on its way")
    assert not AccessEvent.objects.exists()


def test_bought_twice_it_is_the_first_that_is_used_and_after_its_refund_the_other(ada, line, document):
    later = buy(user_id=ada.user.pk, days_ago=1).lines.get()
    ada.get(document.url)
    assert (downloads(line), downloads(later)) == (1, 0)

    AccessState.objects.create(line=line, changed_at=clock.now(), due_at=clock.now(), wanted_revoked=1)
    ada.get(document.url)
    assert (downloads(line), downloads(later)) == (1, 1)


@pytest.mark.parametrize("how", ["head", "prefetch"])
def test_who_only_looks_gets_nothing_and_nothing_is_recorded(ada, line, document, how):
    answer = ada.head(document.url) if how == "head" else ada.get(document.url, headers={"Sec-Purpose": "prefetch"})

    assert (answer.status_code, answer.content) == (200 if how == "head" else 204, b"")
    assert not AccessEvent.objects.exists()


def test_without_the_setting_documents_are_served_as_ever(client, line, document, settings):
    settings.REFUND_PLUGIN = MEMORY

    assert body(client.get(document.url)) == b"Once upon a time"
    assert not AccessEvent.objects.exists()
