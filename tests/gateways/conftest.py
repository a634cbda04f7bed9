from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.sandbox.process import SandboxServer


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def sandbox(sandbox_process: SandboxServer) -> SandboxServer:
    """A sandbox that has forgotten every other test."""
    sandbox_process.post("reset")
    return sandbox_process
