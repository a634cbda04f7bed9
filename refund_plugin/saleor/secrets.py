"""Tokens at rest: Fernet (AES-128-CBC with HMAC-SHA256), several keys for rotation, the newest one writes.

The keys are `REFUND_PLUGIN["ENCRYPTION_KEYS"]`. Without them a key is made from `SECRET_KEY`; keys made from `SECRET_KEY` and
`SECRET_KEY_FALLBACKS` always read, so that setting keys later loses nothing.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings as django_settings

from refund_plugin.conf import settings
from refund_plugin.saleor.errors import SecretUnreadable

# Part of the key: what else is made from SECRET_KEY must not open our secrets.
_PURPOSE = b"refund_plugin.saleor.secrets:"


def encrypt(text: str) -> str:
    """Return `text` encrypted with the newest key."""
    return _keyring().encrypt(text.encode()).decode()


def decrypt(text: str) -> str:
    """Return what was encrypted.

    Raises:
        SecretUnreadable: with none of the keys, or not our work at all.
    """
    try:
        return _keyring().decrypt(text.encode()).decode()
    except InvalidToken:
        raise SecretUnreadable from None


def is_newest(text: str) -> bool:
    """Return whether `text` was encrypted with the newest key, so that older keys are not needed for it."""
    try:
        _keys()[0].decrypt(text.encode())
    except InvalidToken:
        return False
    return True


def _keyring() -> MultiFernet:
    return MultiFernet(_keys())


def _keys() -> list[Fernet]:
    own = [Fernet(key) for key in settings().encryption_keys]
    made = [Fernet(_made_from(secret)) for secret in (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)]
    return own + made


def _made_from(secret: str | bytes) -> bytes:
    raw = secret if isinstance(secret, bytes) else secret.encode()
    return base64.urlsafe_b64encode(hashlib.sha256(_PURPOSE + raw).digest())
