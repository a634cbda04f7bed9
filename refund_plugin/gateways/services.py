"""Accounts as the settings name them, and the adapter of each."""

from __future__ import annotations

from refund_plugin.conf import settings
from refund_plugin.errors import GatewayMisconfigured
from refund_plugin.gateways.base import Gateway
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.registry import build_gateway


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


def gateway_for(account: GatewayAccount) -> Gateway:
    """Return the adapter for an account.

    Raises:
        GatewayMisconfigured: the settings do not name the account.
    """
    options = settings().gateways.get(account.slug)
    if options is None:
        raise GatewayMisconfigured(f'REFUND_PLUGIN["GATEWAYS"] has no entry "{account.slug}".')
    return build_gateway(account.kind, {"account": account.slug, **options, "livemode": account.livemode})
