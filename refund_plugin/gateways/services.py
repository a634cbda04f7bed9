"""Accounts as the settings name them, and the adapter of each."""

from __future__ import annotations

import logging
from functools import lru_cache

from django.core.signals import setting_changed

from refund_plugin.conf import settings
from refund_plugin.errors import GatewayMisconfigured
from refund_plugin.gateways.base import AnswerKind, Gateway
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.registry import build_gateway
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.options import allowed_options

logger = logging.getLogger(__name__)

SALEOR = "saleor"


def ensure_accounts() -> None:
    """Make a row for every account in `REFUND_PLUGIN["GATEWAYS"]` that has none yet."""
    for slug, options in settings().gateways.items():
        GatewayAccount.objects.get_or_create(
            slug=slug, defaults={"kind": str(options.get("kind", "")), "livemode": bool(options.get("livemode", False))}
        )


def default_account() -> GatewayAccount:
    """Return the account of the first entry of `REFUND_PLUGIN["GATEWAYS"]`.

    Raises:
        GatewayMisconfigured: no account is configured.
    """
    slug = next(iter(settings().gateways), None)
    if slug is None:
        raise GatewayMisconfigured
    account = GatewayAccount.objects.filter(slug=slug).first()
    if account is None:
        ensure_accounts()
        account = GatewayAccount.objects.get(slug=slug)
    return account


def account_slugs() -> list[str]:
    """Return the accounts that can be used: those of the settings, in their order, then those of the Saleors that installed the App.

    One statement where the settings name a Saleor, none elsewhere.
    """
    slugs = list(settings().gateways)
    if settings().saleor:
        installed = SaleorInstallation.objects.filter(is_active=True).exclude(token_encrypted="").order_by("pk")
        slugs += [row.slug for row in installed if row.slug not in slugs and allowed_options(row.api_url) is not None]
    return slugs


def gateway_for(account: GatewayAccount) -> Gateway:
    """Return the adapter for an account; one object per process, so that connections are reused.

    That of a Saleor is made from the row of its installation, and made anew when its token has changed.

    Raises:
        GatewayMisconfigured: the settings do not name the account, or the App was removed from the Saleor.
    """
    if account.kind == SALEOR and account.slug not in settings().gateways:
        return _saleor_gateway(*_installed(account.slug))
    return _gateway(account.slug, account.kind, account.livemode)


def _installed(slug: str) -> tuple[str, str, str, str, str]:
    """Return what an adapter for a Saleor is made from; it changes when the App is installed anew."""
    row = SaleorInstallation.objects.filter(slug=slug, is_active=True).exclude(token_encrypted="").first()
    if row is None or allowed_options(row.api_url) is None:
        raise GatewayMisconfigured(f'The App is not installed in the Saleor "{slug}", or REFUND_PLUGIN["SALEOR"] does not name it.')
    return row.slug, row.api_url, row.app_id, row.version, row.token_encrypted


@lru_cache(maxsize=32)
def _saleor_gateway(slug: str, api_url: str, app_id: str, version: str, token_encrypted: str) -> Gateway:
    return build_gateway(
        SALEOR, {"slug": slug, "api_url": api_url, "app_id": app_id, "version": version, "token_encrypted": token_encrypted}
    )


@lru_cache(maxsize=32)
def _gateway(slug: str, kind: str, livemode: bool) -> Gateway:
    options = settings().gateways.get(slug)
    if options is None:
        raise GatewayMisconfigured(f'REFUND_PLUGIN["GATEWAYS"] has no entry "{slug}".')
    return build_gateway(kind, {**options, "livemode": livemode})


def hold_account(account: GatewayAccount, *, reason: str) -> None:
    """Stop sending over an account whose credentials are refused; a later successful ping releases it."""
    GatewayAccount.objects.filter(pk=account.pk).update(on_hold=True, hold_reason=reason[:200])
    logger.error("gateway account %s is on hold: %s", account.slug, reason)


def release_account(account: GatewayAccount) -> None:
    """Send over an account again."""
    GatewayAccount.objects.filter(pk=account.pk).update(on_hold=False, hold_reason="")
    logger.info("gateway account %s is in use again", account.slug)


def ping_accounts() -> dict[str, bool]:
    """Ask every configured account whether it answers, and hold or release it; no transaction may be open.

    Returns:
        By slug, whether the account answered.
    """
    states = {}
    for account in GatewayAccount.objects.filter(slug__in=account_slugs()):
        try:
            answer = gateway_for(account).ping()
        except GatewayMisconfigured as error:
            hold_account(account, reason=str(error))
            states[account.slug] = False
            continue
        states[account.slug] = answer.kind == AnswerKind.SUCCEEDED
        if answer.hold and not account.on_hold:
            hold_account(account, reason=answer.message or answer.code)
        elif account.on_hold and states[account.slug]:
            release_account(account)
    return states


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == "REFUND_PLUGIN":
        _gateway.cache_clear()
        _saleor_gateway.cache_clear()


setting_changed.connect(_forget, dispatch_uid="refund_plugin.gateways")
