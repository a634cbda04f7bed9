"""A Saleor of each version for the tests here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from refund_plugin.saleor.client import SaleorClient
from refund_plugin.saleor.models import SaleorInstallation
from tests.factories import MEMORY
from tests.saleor.standin import Standin
from tests.saleor.standin.django_transport import DjangoTransport
from tests.saleor.standin.world import App

MANIFEST = "http://testserver/refunds/saleor/manifest.json"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits before a read is tried again; how long a client would is told to tests that give it a `sleep` of their own."""
    monkeypatch.setitem(SaleorClient.__init__.__kwdefaults__, "sleep", lambda seconds: None)


@pytest.fixture(params=["3.22", "3.23"])
def saleor_version(request: pytest.FixtureRequest) -> str:
    """Both versions, one after the other."""
    return str(request.param)


@pytest.fixture
def saleor(saleor_version: str) -> Iterator[Standin]:
    """A running Saleor that reaches our App through Django's test client, whenever the test calls `saleor.work()`."""
    standin = Standin(saleor_version, transport=DjangoTransport()).start()
    yield standin
    standin.stop()


@dataclass(frozen=True)
class Installed:
    """Our App in a Saleor: the App as Saleor knows it, the row as we do."""

    app: App
    row: SaleorInstallation


@pytest.fixture
def saleor_options() -> dict[str, Any]:
    """The options of the Saleor in the settings; override it in a test's own module."""
    return {}


@pytest.fixture
def installed(db: None, settings: Any, saleor: Standin, saleor_options: dict[str, Any]) -> Installed:
    """Our App, installed through its manifest and handshake in a Saleor that the settings name."""
    settings.REFUND_PLUGIN = {**MEMORY, "SALEOR": {saleor.api_url: {"store": "paper-heron", **saleor_options}}}
    app = saleor.install(MANIFEST)
    return Installed(app, SaleorInstallation.objects.get(api_url=saleor.api_url))
