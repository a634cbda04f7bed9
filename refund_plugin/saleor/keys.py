"""Saleor's public keys: read from `<origin>/.well-known/jwks.json`, kept on the installation's row, asked for again when unknown."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.db.models import Q
from jwt.algorithms import RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from refund_plugin.saleor.addresses import keys_url
from refund_plugin.saleor.errors import KeysUnavailable, SignatureInvalid
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.transport import USER_AGENT, BearerAuth, NoAnswer, exchange

logger = logging.getLogger(__name__)

MayAsk = Callable[[SaleorInstallation, datetime], bool]

PAUSE = timedelta(minutes=1)  # between two readings, so that made-up key ids cannot make us ask all the time
MAX_KEYS_BYTES = 100_000
TIMEOUT_SECONDS = 3.0
_SMALLEST_RSA_BITS = 2048


def claim_reading(installation: SaleorInstallation, now: datetime) -> bool:
    """Claim the one reading of this minute that Saleor's own deliveries and its dashboard may cause, for all processes together."""
    free = Q(keys_read_at__isnull=True) | Q(keys_read_at__lte=now - PAUSE)
    claimed = SaleorInstallation.objects.filter(free, pk=installation.pk).update(keys_read_at=now)
    if claimed:
        installation.keys_read_at = now
    return bool(claimed)


def key_for(installation: SaleorInstallation, *, kid: str, now: datetime, may_ask: MayAsk = claim_reading) -> RSAPublicKey:
    """Return the public key that an installation's Saleor calls `kid`; keys that are not known yet are asked for once.

    Args:
        may_ask: claims a reading at `now`. A door that anybody can knock at brings one of its own: else made-up keys there would use
            up the readings that deliveries need.
    Raises:
        SignatureInvalid: Saleor has no such key.
        KeysUnavailable: not known yet, and Saleor was asked less than a minute ago or did not answer.
    """
    if found := _find(installation.keys, kid):
        return found
    if not may_ask(installation, now):
        installation.refresh_from_db(fields=["keys", "keys_read_at"])
        if found := _find(installation.keys, kid):
            return found
        raise KeysUnavailable
    read_keys(installation)
    if found := _find(installation.keys, kid):
        return found
    raise SignatureInvalid


def read_keys(installation: SaleorInstallation) -> None:
    """Ask a Saleor for its keys and keep them on the row.

    Raises:
        KeysUnavailable: no answer that can be used; the keys that were known stay.
    """
    with requests.Session() as session:
        try:
            answer = exchange(
                session,
                "GET",
                keys_url(installation.api_url),
                timeout_seconds=TIMEOUT_SECONDS,
                max_bytes=MAX_KEYS_BYTES,
                headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
                auth=BearerAuth(),
            )
        except NoAnswer as error:
            logger.warning("Saleor %s: its keys could not be read (%s)", installation.slug, error)
            raise KeysUnavailable from error
    keys = _published(answer.body) if answer.status == requests.codes.ok else None
    if keys is None:
        logger.warning("Saleor %s: its keys could not be read (HTTP %s)", installation.slug, answer.status)
        raise KeysUnavailable
    installation.keys = keys
    SaleorInstallation.objects.filter(pk=installation.pk).update(keys=keys)


def _published(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        return None
    return {"keys": [key for key in keys if isinstance(key, dict) and key.get("kty") == "RSA" and "d" not in key]}


def _find(keys: Mapping[str, Any], kid: str) -> RSAPublicKey | None:
    for key in keys.get("keys", ()):
        if key.get("kid") == kid and key.get("use", "sig") == "sig" and key.get("alg", "RS256") == "RS256":
            return _rsa(key)
    return None


def _rsa(key: Mapping[str, Any]) -> RSAPublicKey | None:
    try:
        read = RSAAlgorithm.from_jwk(dict(key))
    except (InvalidKeyError, ValueError):
        return None
    return read if isinstance(read, RSAPublicKey) and read.key_size >= _SMALLEST_RSA_BITS else None
