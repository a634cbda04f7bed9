"""Codes of gift cards and vouchers: nobody guesses them, and people can read them out."""

from __future__ import annotations

import base64
import secrets

BITS = 60  # Saleor takes 8 to 16 characters for a gift card (`GiftCard.code`), and makes its own of 48 bits


def readable_code(secret: bytes | None = None) -> str:
    """Return a code such as `TD2Y-PAZC-4HEQ`, without 0, 1, 8 and 9.

    Args:
        secret: what it is made of, at least 8 bytes; None for a random one.
    """
    text = base64.b32encode(secret or secrets.token_bytes(8)).decode()[: BITS // 5]
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))
