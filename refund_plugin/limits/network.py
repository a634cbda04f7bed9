"""The network that a try came from, for limits."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from refund_plugin.conf import settings


def network_of(meta: Mapping[str, str]) -> str:
    """Return the client's network: /24 of IPv4, /64 of IPv6, which one customer of a provider can hop within.

    Behind `trusted_proxies` the address is the one that the outermost trusted proxy saw; further left in
    `X-Forwarded-For` stands whatever the client liked to write.

    Args:
        meta: a web request's `META`.
    """
    address = meta.get("REMOTE_ADDR", "")
    proxies = settings().trusted_proxies
    if proxies:
        hops = [hop.strip() for hop in meta.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
        if hops:
            address = hops[max(0, len(hops) - proxies)]
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 64), strict=False))
