"""Tokens are kept encrypted, keys can be rotated, and a key that is set later loses nothing."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet

from refund_plugin.saleor.errors import SecretUnreadable
from refund_plugin.saleor.secrets import decrypt, encrypt, is_newest


def use(settings: Any, *keys: bytes) -> None:
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "ENCRYPTION_KEYS": [key.decode() for key in keys]}


def test_what_is_encrypted_can_be_read_and_says_nothing() -> None:
    kept = encrypt("a token")
    assert decrypt(kept) == "a token"
    assert "token" not in kept
    assert encrypt("a token") != kept


def test_a_new_key_writes_while_the_old_one_still_reads(settings: Any) -> None:
    old, new = Fernet.generate_key(), Fernet.generate_key()
    use(settings, old)
    kept = encrypt("a token")
    use(settings, new, old)
    assert decrypt(kept) == "a token"
    assert (is_newest(kept), is_newest(encrypt("a token"))) == (False, True)
    use(settings, new)
    with pytest.raises(SecretUnreadable, match="ENCRYPTION_KEYS"):
        decrypt(kept)


def test_keys_that_are_set_later_lose_nothing(settings: Any) -> None:
    kept = encrypt("a token")
    use(settings, Fernet.generate_key())
    assert decrypt(kept) == "a token"


def test_a_changed_secret_key_reads_with_its_fallback_and_not_without(settings: Any) -> None:
    kept = encrypt("a token")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another one"
    assert decrypt(kept) == "a token"
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(SecretUnreadable):
        decrypt(kept)


@pytest.mark.parametrize("kept", ["", "a token", "gAAAA", "ümläut"])
def test_what_we_did_not_encrypt_is_not_read(kept: str) -> None:
    with pytest.raises(SecretUnreadable):
        decrypt(kept)
