"""A Saleor that says what a test tells it to say, and both clients that listen to it."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from refund_plugin.saleor import secrets
from refund_plugin.saleor.asynchronous import AsyncSaleorClient
from refund_plugin.saleor.client import SaleorClient
from refund_plugin.saleor.models import SaleorInstallation

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TOKEN = "a-token-of-exactly-30-letters."


@dataclass
class Said:
    """One answer; `hangs` says nothing until the test is over, `drops` hangs up, `trickles` never comes to its end."""

    document: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = "application/json"
    hangs: bool = False
    drops: bool = False
    trickles: bool = False


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    payload: Any

    @property
    def operation(self) -> str:
        return str(self.payload["operationName"])


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has heard enough."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class ScriptedSaleor:
    """Answers with what is scripted, in order; the last answer is repeated. Answers by operation go first."""

    def __init__(self) -> None:
        self.script: list[Said] = []
        self.by_operation: dict[str, Said] = {}
        self.keys: Said = Said(document={"keys": []})
        self.asked: list[Asked] = []
        self.keys_asked = 0
        self.over = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/graphql/"

    def says(self, *answers: Said) -> None:
        self.script = list(answers)

    def stop(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, asked: Asked) -> Said:
        self.asked.append(asked)
        if asked.operation in self.by_operation:
            return self.by_operation[asked.operation]
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        saleor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._say(saleor.answer(Asked("POST", self.path, {k.lower(): v for k, v in self.headers.items()}, payload)))

            def do_GET(self) -> None:
                saleor.keys_asked += 1
                self._say(saleor.keys if self.path == "/.well-known/jwks.json" else Said(status=404, document={}))

            def _say(self, said: Said) -> None:
                if said.hangs:
                    saleor.over.wait(30)
                if said.hangs or said.drops:
                    self.close_connection = True
                    return
                body = said.body if said.body is not None else json.dumps(said.document).encode()
                self.send_response(said.status)
                self.send_header("Content-Type", said.content_type)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self._write(said, body)
                except OSError:
                    self.close_connection = True  # the client has read enough

            def _write(self, said: Said, body: bytes) -> None:
                if said.trickles:
                    for byte in body:
                        if saleor.over.wait(0.02):
                            break
                        self.wfile.write(bytes([byte]))
                else:
                    self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        return Handler


@pytest.fixture
def saleor() -> Iterator[ScriptedSaleor]:
    """A Saleor without an answer yet."""
    server = ScriptedSaleor()
    yield server
    server.stop()


@dataclass
class Caller:
    """Calls through one of the two clients; `slept` are the pauses it made."""

    run: Callable[..., Any]
    slept: list[float] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    def execute(
        self, url: str, name: str, *, version: str = "3.23.1", variables: Mapping[str, object] | None = None, **options: Any
    ) -> Any:
        return self.run(self, url, name, version, variables or {}, options)


def _sync(caller: Caller, url: str, name: str, version: str, variables: Mapping[str, object], options: Mapping[str, Any]) -> Any:
    client = SaleorClient(
        url, TOKEN, version=version, sleep=caller.slept.append, chance=lambda: 1.0, on_version=caller.versions.append, **options
    )
    try:
        return client.execute(name, **variables)
    finally:
        client.close()


def _async(caller: Caller, url: str, name: str, version: str, variables: Mapping[str, object], options: Mapping[str, Any]) -> Any:
    async def sleep(seconds: float) -> None:
        caller.slept.append(seconds)

    async def call() -> Any:
        async with AsyncSaleorClient(
            url, TOKEN, version=version, sleep=sleep, chance=lambda: 1.0, on_version=caller.versions.append, **options
        ) as client:
            return await client.execute(name, **variables)

    return asyncio.run(call())


@pytest.fixture(params=[_sync, _async], ids=["sync", "async"])
def caller(request: pytest.FixtureRequest) -> Caller:
    """One client after the other."""
    return Caller(request.param)


@dataclass
class Signer:
    """A key of a Saleor."""

    kid: str
    key: rsa.RSAPrivateKey

    @property
    def jwk(self) -> dict[str, Any]:
        return {**json.loads(RSAAlgorithm.to_jwk(self.key.public_key())), "use": "sig", "kid": self.kid, "alg": "RS256"}

    def sign(self, body: bytes, **headers: object) -> str:
        """Sign as Saleor signs webhooks (saleor/core/jwt_manager.py)."""
        given = {"kid": self.kid, "crit": ["b64"], **headers}
        return jwt.api_jws.encode(body, self.key, algorithm="RS256", headers=given, is_payload_detached=True)

    def token(self, claims: Mapping[str, object]) -> str:
        return jwt.encode(dict(claims), self.key, algorithm="RS256", headers={"kid": self.kid})


_KEYS: dict[str, rsa.RSAPrivateKey] = {}


def signer(kid: str) -> Signer:
    """Return the key of this name; made once in a run, because making one takes long."""
    if kid not in _KEYS:
        _KEYS[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return Signer(kid, _KEYS[kid])


@pytest.fixture
def installation(db: None, saleor: ScriptedSaleor, settings: Any) -> SaleorInstallation:
    """An installation in the scripted Saleor, whose keys are not known yet."""
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "SALEOR": {saleor.url: {}}}
    saleor.keys = Said(document={"keys": [signer("first").jwk]})
    return SaleorInstallation.objects.create(
        slug="shop",
        api_url=saleor.url,
        app_id="QXBwOjE=",
        token_encrypted=secrets.encrypt(TOKEN),
        version="3.23.1",
        installed_at=NOW,
    )
