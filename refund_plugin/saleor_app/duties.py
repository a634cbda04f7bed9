"""Hands the App's periodic work to the sweep; imports nothing of the extra `saleor` before a Saleor is named in the settings."""

from __future__ import annotations

from datetime import datetime

from refund_plugin.conf import settings
from refund_plugin.duties import register_duty

LOOK_SECONDS = 600
SECRETS_SECONDS = 60  # soon after an installation
REASONS_SECONDS = 3600


def register() -> None:
    """Register the duties; called from `AppConfig.ready()`."""
    register_duty("look_after_saleor", _look_after, every_seconds=LOOK_SECONDS)
    register_duty("set_saleor_webhook_secrets", _set_secrets, every_seconds=SECRETS_SECONDS)
    register_duty("match_saleor_reasons", _match_reasons, every_seconds=REASONS_SECONDS)


def _look_after(now: datetime) -> int:
    if not settings().saleor:
        return 0
    from refund_plugin.saleor_app.upkeep import look_after_installations

    return look_after_installations(now)


def _set_secrets(now: datetime) -> int:
    if not settings().saleor:
        return 0
    from refund_plugin.saleor_app.webhook_secrets import set_webhook_secrets

    return set_webhook_secrets(now)


def _match_reasons(now: datetime) -> int:
    if not settings().saleor:
        return 0
    from refund_plugin.saleor_app.reasons import synchronise_all

    return synchronise_all(now)
