"""A small shop that has sold something and has no refund policy yet, for the editor who writes one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from django.test.utils import override_settings
from pytest_django.live_server_helper import LiveServer
from wagtail.models import Locale, Page, Site

from refund_plugin import clock
from refund_plugin.gateways.memory import _ledgers
from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.stores.services import ensure_default_store
from tests.factories import COURSE, EBOOK, make_purchase

SETTINGS = {
    "STORE_NAME": "Paper Heron",
    "BASE_TEMPLATE": "base.html",
    "GATEWAYS": {"main": {"kind": "memory"}},
    "RATE_PER_SECOND": 0,
    "RECONCILE_HOURS": 0,
}
ORDER = "PH-2001"


@dataclass(frozen=True, slots=True)
class World:
    """Where the shop answers, and who is signed in.

    Attributes:
        session: the session cookie of an editor who may do everything.
        home: id of the page below which the policy is written.
    """

    url: str
    session: str
    home: int


@contextmanager
def editor_world() -> Iterator[World]:
    """Serve the shop from this process until the block ends; the database is empty afterwards."""
    server = LiveServer("127.0.0.1")
    try:
        with override_settings(REFUND_PLUGIN={**SETTINGS, "PUBLIC_URL": server.url}, ALLOWED_HOSTS=["127.0.0.1"]):
            yield _seed(server.url)
    finally:
        server.stop()
        _ledgers.clear()
        call_command("flush", interactive=False, verbosity=0)


def _seed(url: str) -> World:
    _ledgers.clear()
    ensure_accounts()
    ensure_default_store()
    locale, _made = Locale.objects.get_or_create(language_code="en")
    root = Page.objects.filter(depth=1).first() or Page.add_root(title="Root", slug="root", locale=locale)
    home = root.add_child(instance=Page(title="Paper Heron", slug="front", locale=locale))
    Site.objects.all().delete()
    Site.objects.create(hostname="127.0.0.1", port=int(url.rpartition(":")[2]), root_page=home, is_default_site=True)
    make_purchase(lines=[EBOOK, COURSE], number=ORDER, purchased_at=clock.now() - timedelta(days=6))
    user = get_user_model().objects.create_superuser("writer", "writer@example.com", "secret", first_name="Wanda", last_name="Writer")
    client = Client()
    client.force_login(user)
    return World(url=url, session=client.cookies["sessionid"].value, home=home.pk)
