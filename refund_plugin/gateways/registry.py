"""The kinds of gateways an installation can use, by name; hosts may register their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from refund_plugin.errors import GatewayMisconfigured
from refund_plugin.gateways.base import Gateway

GatewayFactory = Callable[[Mapping[str, Any]], Gateway]

_factories: dict[str, GatewayFactory] = {}


def register_gateway(kind: str, factory: GatewayFactory) -> None:
    """Make `kind` available; `factory` gets the account's options from the settings and returns a gateway."""
    _factories[kind] = factory


def gateway_kinds() -> frozenset[str]:
    """Return the registered kinds."""
    return frozenset(_factories)


def build_gateway(kind: str, options: Mapping[str, object]) -> Gateway:
    """Build the gateway of one account.

    Args:
        options: the account's settings: for Stripe `api_key`, `api_base`, `webhook_secret`, `account`, `livemode` and the
            timeouts of `StripeGateway`; an entry named `kind` is ignored.
    Raises:
        GatewayMisconfigured: unknown kind, unknown option, or options the gateway refuses.
    """
    factory = _factories.get(kind)
    if factory is None:
        raise GatewayMisconfigured(
            _("Unknown gateway “%(kind)s”: use one of %(known)s.") % {"kind": kind, "known": ", ".join(sorted(_factories))}
        )
    try:
        return factory({name: value for name, value in options.items() if name != "kind"})
    except TypeError as error:
        raise GatewayMisconfigured(_("The options of gateway “%(kind)s” do not fit: %(error)s") % {"kind": kind, "error": error}) from error


def _stripe(options: Mapping[str, Any]) -> Gateway:
    # the SDK takes a third of a second to import: only those who use Stripe pay for it
    from refund_plugin.gateways.stripe import StripeGateway

    return StripeGateway(**options)


def _memory(options: Mapping[str, Any]) -> Gateway:
    from refund_plugin.gateways.memory import MemoryGateway

    return MemoryGateway(name=str(options.get("name", "default")))


def _saleor(options: Mapping[str, Any]) -> Gateway:
    # needs the packages of the extra "saleor", which only its users have
    try:
        from refund_plugin.gateways.saleor_setup import installed_gateway
    except ImportError as error:
        raise GatewayMisconfigured(_("A Saleor needs the packages of the extra: pip install “wagtail-refund-plugin[saleor]”.")) from error
    return installed_gateway(**options)


register_gateway("stripe", _stripe)
register_gateway("saleor", _saleor)
register_gateway("memory", _memory)
