"""Service tokens: made, found and ended. The token itself is shown once and never kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime

from django.utils.translation import gettext as _

from refund_plugin.actor import Action
from refund_plugin.api.models import ServiceToken
from refund_plugin.errors import InvalidInput, NotFound, Required
from refund_plugin.stores.models import Store

START = "rpt_"


def create_token(
    *, store: Store, name: str, scopes: Collection[str], now: datetime, expires_at: datetime | None = None
) -> tuple[ServiceToken, str]:
    """Make a token; the second part of the answer is the token itself, which nobody can read again.

    Args:
        name: what the token is for, for people.
        scopes: values of `Action`; a token without scopes may do what any customer may.
        expires_at: UTC; None means until it is revoked.
    Raises:
        Required: no name.
        InvalidInput: an unknown scope, or an end that has passed.
    """
    if not name.strip():
        raise Required(_("Say what the token is for."), field="name")
    unknown = sorted(set(scopes) - {action.value for action in Action})
    if unknown:
        known = ", ".join(action.value for action in Action)
        raise InvalidInput(_("Unknown scope “%(scope)s”. Known scopes: %(known)s.") % {"scope": unknown[0], "known": known}, field="scopes")
    if expires_at is not None and expires_at <= now:
        raise InvalidInput(_("Choose an end that lies ahead."), field="expires_at")
    prefix = secrets.token_hex(4)
    plain = f"{START}{prefix}_{secrets.token_urlsafe(32)}"
    row = ServiceToken.objects.create(
        store=store,
        name=name.strip()[:120],
        prefix=prefix,
        hash=_hash(plain),
        scopes=sorted(set(scopes)),
        created_at=now,
        expires_at=expires_at,
    )
    return row, plain


def find_token(plain: str, *, now: datetime) -> ServiceToken | None:
    """Return the token with its store; None when it is unknown, expired or revoked."""
    row = ServiceToken.objects.select_related("store").filter(hash=_hash(plain), revoked_at__isnull=True).first()
    if row is None or (row.expires_at is not None and row.expires_at <= now):
        return None
    return row


def revoke_token(*, prefix: str, now: datetime) -> ServiceToken:
    """End a token for good; ending it twice changes nothing.

    Args:
        prefix: the eight characters after `rpt_`, as `refunds_token list` shows them.
    Raises:
        NotFound: no token begins like this.
    """
    row = ServiceToken.objects.select_related("store").filter(prefix=prefix.removeprefix(START)).first()
    if row is None:
        raise NotFound(_("No service token begins with “%(prefix)s”.") % {"prefix": prefix}, field="prefix")
    if row.revoked_at is None:
        row.revoked_at = now
        row.save(update_fields=["revoked_at"])
    return row


def _hash(plain: str) -> str:
    # 256 random bits need neither salt nor stretching, and the database's lookup by hash tells an attacker nothing of use
    return hashlib.sha256(plain.encode()).hexdigest()
