from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stripe

from demo.sandbox.process import SandboxServer
from tests.demo.receiver import Receiver


def client_of(server: SandboxServer, **options: Any) -> stripe.StripeClient:
    return stripe.StripeClient(options.pop("api_key", server.api_key), base_addresses={"api": server.url}, max_network_retries=0, **options)


@pytest.fixture
def client(sandbox: SandboxServer) -> stripe.StripeClient:
    return client_of(sandbox)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as shop:
        yield shop


@pytest.fixture
def start() -> Iterator[Callable[..., SandboxServer]]:
    """Start sandboxes of one's own; they end with the test."""
    servers: list[SandboxServer] = []

    def start_one(**options: Any) -> SandboxServer:
        servers.append(SandboxServer(**options))
        return servers[-1].start()

    yield start_one
    for server in servers:
        server.stop()
