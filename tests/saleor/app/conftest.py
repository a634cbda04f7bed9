"""A Saleor that has installed the App, its keys and its signatures; the handshake itself is tested against the stand-in."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client
from jwt.algorithms import RSAAlgorithm
from wagtail.models import Locale, Page, Site

from refund_plugin.clock import now
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.saleor.data import AppData
from refund_plugin.saleor.errors import SaleorTokenInvalid
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.secrets import encrypt
from refund_plugin.saleor_app import install as handshake_services
from refund_plugin.saleor_app.manifest import APP_ID, PERMISSIONS
from refund_plugin.stores.models import Store
from tests.factories import MEMORY

API = "https://shop.example/graphql/"
OTHER_API = "https://other.example/graphql/"
APP = "QXBwOjE="
WELL = AppData(
    id=APP,
    identifier=APP_ID,
    name="Refunds",
    is_active=True,
    permissions=tuple(PERMISSIONS),
    version="3.23.28",
    shop_name="Paper Heron",
)
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwks(key: rsa.RSAPrivateKey, *, kid: str = "one") -> dict[str, Any]:
    """Return a key as Saleor publishes it."""
    told = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
    return {"keys": [told | {"kid": kid, "use": "sig", "alg": "RS256"}]}


def sign(body: bytes, *, key: Any = KEY, kid: str = "one", algorithm: str = "RS256") -> str:
    """Sign as Saleor does: a detached JWS whose payload is the body itself."""
    return jwt.api_jws.encode(body, key, algorithm=algorithm, headers={"kid": kid, "crit": ["b64"]}, is_payload_detached=True)


def install(api_url: str, *, slug: str, key: rsa.RSAPrivateKey = KEY, app_id: str = APP) -> SaleorInstallation:
    """Make the rows that a handshake makes."""
    Store.objects.create(slug=slug, name=slug, adapter="saleor", timezone="UTC")
    GatewayAccount.objects.create(slug=slug, kind="saleor", livemode=True)
    return SaleorInstallation.objects.create(
        slug=slug,
        api_url=api_url,
        app_id=app_id,
        token_encrypted=encrypt(f"token of {slug}"),
        version="3.23.28",
        permissions=sorted(PERMISSIONS),
        keys=jwks(key),
        keys_read_at=now(),  # so that no test asks the network for keys
        installed_at=now(),
    )


def make_site(hostname: str, *, port: int = 80) -> Site:
    """Make a Wagtail site, which needs a page to begin at."""
    locale, _made = Locale.objects.get_or_create(language_code="en")
    root = Page.objects.filter(depth=1).first() or Page.add_root(title="Root", slug="root", locale=locale)
    return Site.objects.create(hostname=hostname, port=port, root_page=root)


@pytest.fixture
def allowed(settings: Any) -> None:
    """Two Saleors may install the App."""
    settings.REFUND_PLUGIN = MEMORY | {"SALEOR": {API: {}, OTHER_API: {"store": "other"}}}


@pytest.fixture
def installation(db: None, allowed: None) -> SaleorInstallation:
    """One of them has."""
    return install(API, slug="shop-example")


Send = Callable[..., Any]


@pytest.fixture
def send(client: Client) -> Send:
    """Post a body to the door for events as Saleor does."""

    def post(body: bytes | dict[str, Any], *, signature: str | None = None, api_url: str = API, **headers: str) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        told = {"Saleor-Api-Url": api_url, "Saleor-Signature": sign(raw) if signature is None else signature, **headers}
        return client.post("/refunds/saleor/webhooks/", raw, content_type="application/json", headers=told)

    return post


class CallBack:
    """What the Saleors answer when they are asked about a token, by the token; an error is raised. No token is known at first."""

    def __init__(self) -> None:
        self.answers: dict[str, AppData | Exception] = {}
        self.asked: list[str] = []

    def read_app(self, client: SimpleNamespace) -> AppData:
        """Stand in for `read_app`."""
        self.asked.append(client.api_url)
        answer = self.answers.get(client.token) or SaleorTokenInvalid("AppRead")
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def call_back(monkeypatch: pytest.MonkeyPatch) -> CallBack:
    """Saleors that know the token `new-token` as our App's."""
    answering = CallBack()
    answering.answers["new-token"] = WELL
    monkeypatch.setattr(
        handshake_services, "SaleorClient", lambda api_url, token, **_options: SimpleNamespace(api_url=api_url, token=token)
    )
    monkeypatch.setattr(handshake_services, "read_app", answering.read_app)
    return answering


@pytest.fixture
def register(client: Client) -> Send:
    """Post a token to the door for installations as Saleor does."""

    def post(body: object = None, *, api_url: str = API, **options: Any) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps({"auth_token": "new-token"} if body is None else body).encode()
        headers = {"Saleor-Api-Url": api_url, "Saleor-Domain": "shop.example", "Saleor-Schema-Version": "3.23"}
        return client.post("/refunds/saleor/register/", raw, content_type="application/json", headers=headers, **options)

    return post
