"""Saleor's keys: detached signatures of webhooks, access tokens of the dashboard, and the published key set."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt import api_jws
from jwt.algorithms import RSAAlgorithm


class SigningKey:
    """One RSA key with its `kid`, as Saleor derives it from the public half (RFC 7638)."""

    def __init__(self) -> None:
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = json.loads(RSAAlgorithm.to_jwk(self.private.public_key()))
        members = {name: public[name] for name in ("e", "kty", "n")}
        self.kid = hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        self.jwk: dict[str, Any] = {**members, "use": "sig", "kid": self.kid, "alg": "RS256"}

    def sign_webhook(self, body: bytes) -> str:
        """Sign a body: a JWS whose payload is detached, so it reads `header..signature`."""
        headers = {"kid": self.kid, "crit": ["b64"]}
        return api_jws.encode(body, key=self.private, algorithm="RS256", headers=headers, is_payload_detached=True)

    def token(self, claims: dict[str, Any]) -> str:
        """Encode a JWT."""
        return jwt.encode(claims, self.private, algorithm="RS256", headers={"kid": self.kid})


def dashboard_claims(
    *,
    issuer: str,
    app_id: str,
    user_id: str,
    email: str,
    app_permissions: list[str],
    user_permissions: list[str],
    audience: str,
    extension_id: str,
    now: datetime,
    lifetime_seconds: int = 300,
) -> dict[str, Any]:
    """Build the claims of the token that the dashboard hands to an app's page: valid for five minutes.

    `permissions` are those that the user and the app both have.
    """
    claims: dict[str, Any] = {
        "iat": now,
        "exp": now + timedelta(seconds=lifetime_seconds),
        "iss": issuer,
        "owner": "saleor",
        "token": "standin",
        "email": email,
        "type": "thirdparty",
        "user_id": user_id,
        "is_staff": True,
        "app": app_id,
        "permissions": [name for name in user_permissions if name in app_permissions],
        "user_permissions": user_permissions,
    }
    if audience:
        claims["aud"] = audience
    if extension_id:
        claims["app_extension"] = extension_id
    return claims


def customer_claims(*, issuer: str, user_id: str, email: str, is_staff: bool, now: datetime, lifetime_seconds: int = 300) -> dict[str, Any]:
    """Build the claims of the access token that `tokenCreate` answers with: valid for five minutes."""
    return {
        "iat": now,
        "exp": now + timedelta(seconds=lifetime_seconds),
        "iss": issuer,
        "owner": "saleor",
        "token": "standin",
        "email": email,
        "type": "access",
        "user_id": user_id,
        "is_staff": is_staff,
    }


_FREE: list[SigningKey] = []


def borrow_key() -> SigningKey:
    """Take a key that nobody uses at the moment; making one takes a while."""
    return _FREE.pop() if _FREE else SigningKey()


def give_back(key: SigningKey) -> None:
    """Let another stand-in have the key."""
    _FREE.append(key)
