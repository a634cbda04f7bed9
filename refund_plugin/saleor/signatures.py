"""Proof that a call comes from a Saleor: its webhooks' signatures, and the tokens its dashboard gives to staff.

RS256 alone, whatever a header says: an HMAC "signed" with the public key, or no algorithm at all, must not verify. The body of a
webhook that Saleor sends again after a 5xx is empty and signed all the same; what that means is for the door to say.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from refund_plugin.saleor.errors import KeysUnavailable, SignatureInvalid, TokenInvalid
from refund_plugin.saleor.keys import MayAsk, claim_reading, key_for
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.options import normalised

ALGORITHM = "RS256"
MAX_SIGNATURE_CHARACTERS = 8_192
MAX_TOKEN_CHARACTERS = 16_384
_MAX_KID_CHARACTERS = 200
_THIRD_PARTY = "thirdparty"
_ACCESS = "access"


@dataclass(frozen=True, slots=True)
class DashboardUser:
    """Who opened one of our pages in Saleor's dashboard, as Saleor signed it.

    Attributes:
        user_id: Saleor's global id.
        permissions: what the person and the App (or the extension) may both do, such as MANAGE_ORDERS.
        user_permissions: all that the person may do.
        app_extension: global id of the extension it was given for; "" for the App's own page.
    """

    user_id: str
    email: str = field(repr=False)
    permissions: frozenset[str]
    user_permissions: frozenset[str]
    expires_at: datetime
    app_extension: str = ""


@dataclass(frozen=True, slots=True)
class CustomerUser:
    """A customer who is signed in at a Saleor's storefront.

    Attributes:
        user_id: Saleor's global id.
        email: as the account has it; where an account may be used before it is confirmed, nobody has proven it.
    """

    user_id: str
    email: str = field(repr=False)
    expires_at: datetime


def verify_webhook(*, body: bytes, signature: str, installation: SaleorInstallation, now: datetime) -> None:
    """Check that a body was signed by an installation's Saleor: a detached JWS (RFC 7797).

    Args:
        signature: of the header `Saleor-Signature`.
        now: UTC; decides whether unknown keys may be asked for.
    Raises:
        SignatureInvalid: it was not.
        KeysUnavailable: it may be, with a key that could not be read now; worth another delivery.
    """
    parts = signature.split(".") if len(signature) <= MAX_SIGNATURE_CHARACTERS else []
    if len(parts) != 3 or parts[1]:
        raise SignatureInvalid
    header = _header(parts[0])
    if header.get("b64") is not False or header.get("crit") != ["b64"]:
        raise SignatureInvalid
    key = key_for(installation, kid=_kid(header), now=now)
    try:
        jwt.api_jws.decode_complete(signature, key, algorithms=[ALGORITHM], detached_payload=body)
    except jwt.PyJWTError:
        raise SignatureInvalid from None


def verify_dashboard_token(*, token: str, installation: SaleorInstallation, now: datetime) -> DashboardUser:
    """Check the token that the dashboard hands to a page of ours.

    It must be signed by this installation's Saleor, given for our App there, and not over at `now` (UTC).

    Raises:
        TokenInvalid: it proves nothing, or not any more.
    """
    claims = _claims(token, installation, now)
    if not installation.app_id or claims.get("app") != installation.app_id or claims.get("type", _THIRD_PARTY) != _THIRD_PARTY:
        raise TokenInvalid
    return DashboardUser(
        user_id=_text(claims, "user_id"),
        email=_text(claims, "email"),
        permissions=_names(claims, "permissions"),
        user_permissions=_names(claims, "user_permissions"),
        expires_at=_expiry(claims),
        app_extension=str(claims.get("app_extension") or ""),
    )


def verify_customer_token(*, token: str, installation: SaleorInstallation, now: datetime, may_ask: MayAsk = claim_reading) -> CustomerUser:
    """Check the access token that a Saleor gave to a customer who signed in at its storefront; arguments as above.

    Args:
        may_ask: see `key_for`.
    Raises:
        TokenInvalid: it proves nothing, or not any more; a token for an App, one of a member of the staff, or one to renew others
            with, is none. Source: Saleor, `saleor/core/jwt.py`.
    """
    claims = _claims(token, installation, now, may_ask)
    if claims.get("type") != _ACCESS or claims.get("owner") != "saleor" or claims.get("is_staff") is not False or "app" in claims:
        raise TokenInvalid
    return CustomerUser(user_id=_text(claims, "user_id"), email=_text(claims, "email"), expires_at=_expiry(claims))


def _claims(token: str, installation: SaleorInstallation, now: datetime, may_ask: MayAsk = claim_reading) -> Mapping[str, Any]:
    if len(token) > MAX_TOKEN_CHARACTERS or token.count(".") != 2:
        raise TokenInvalid
    try:
        kid = _kid(_header(token.partition(".")[0]))
        claims = _verified(token, key_for(installation, kid=kid, now=now, may_ask=may_ask))
    except KeysUnavailable:
        raise TokenInvalid(KeysUnavailable.default_message) from None
    except (SignatureInvalid, jwt.PyJWTError):
        raise TokenInvalid from None
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not issuer or normalised(issuer) != normalised(installation.api_url):
        raise TokenInvalid
    if _expiry(claims) <= now:
        raise TokenInvalid
    return claims


def _verified(token: str, key: RSAPublicKey) -> dict[str, Any]:
    """Check the signature alone; times are compared with the caller's `now`, and Saleor's `aud` is not ours to judge."""
    unchecked = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False, "verify_iss": False}
    return jwt.decode(token, key, algorithms=[ALGORITHM], options={**unchecked, "require": ["exp", "iss"]})  # type: ignore[arg-type]


def _header(encoded: str) -> Mapping[str, Any]:
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise SignatureInvalid from None
    if not isinstance(header, dict) or header.get("alg") != ALGORITHM:
        raise SignatureInvalid
    return header


def _kid(header: Mapping[str, Any]) -> str:
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= _MAX_KID_CHARACTERS:
        raise SignatureInvalid
    return kid


def _expiry(claims: Mapping[str, Any]) -> datetime:
    try:
        return datetime.fromtimestamp(claims["exp"], tz=UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        raise TokenInvalid from None


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise TokenInvalid
    return value


def _names(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    value = claims.get(name) or ()
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TokenInvalid
    return frozenset(str(entry) for entry in value)
