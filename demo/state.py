"""What the demo keeps between runs: a folder, its secrets, and the addresses of the servers that are up.

Secrets are made on the first run and never leave the folder; the shop's settings, the supervisor and `demo/manage.py`
read them from here, so that a command in a second terminal talks to the same parts.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Secrets:
    """Generated once per state folder."""

    django_secret_key: str
    stripe_api_key: str
    stripe_webhook_secret: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the running parts answer, without a trailing slash."""

    shop: str = "http://127.0.0.1:8000"
    sandbox: str = "http://127.0.0.1:8001"


def folder() -> Path:
    """Return the state folder: SHOP_STATE_DIR, else `.demo` in the repository."""
    return Path(os.environ.get("SHOP_STATE_DIR") or ROOT / ".demo")


def load_secrets() -> Secrets:
    """Return the secrets of this state folder, making them first if there are none."""
    path = folder() / "secrets.json"
    if path.exists():
        return Secrets(**json.loads(path.read_text()))
    made = Secrets(
        django_secret_key=secrets.token_urlsafe(48),
        stripe_api_key=f"sk_test_{secrets.token_hex(16)}",
        stripe_webhook_secret=f"whsec_{secrets.token_hex(16)}",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(asdict(made), indent=2))
    return made


def load_addresses() -> Addresses:
    """Return the addresses the supervisor wrote last, or the usual ones."""
    path = folder() / "addresses.json"
    return Addresses(**json.loads(path.read_text())) if path.exists() else Addresses()


def save_addresses(addresses: Addresses) -> None:
    """Tell other processes where the parts answer."""
    path = folder() / "addresses.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(addresses), indent=2))
