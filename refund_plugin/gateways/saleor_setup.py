"""The gateway of an installed Saleor, from the row of its installation and its options in the settings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from refund_plugin.errors import GatewayMisconfigured
from refund_plugin.gateways.saleor import SaleorGateway
from refund_plugin.gateways.saleor_orders import Rules
from refund_plugin.saleor.client import SaleorClient
from refund_plugin.saleor.errors import SaleorError
from refund_plugin.saleor.options import allowed_options
from refund_plugin.saleor.reasons import page_of_reason
from refund_plugin.saleor.secrets import decrypt

CALL_SECONDS, PAGE_SECONDS = 6.0, 30.0


def installed_gateway(*, slug: str, api_url: str, app_id: str, version: str, token_encrypted: str, livemode: bool = True) -> SaleorGateway:
    """Return the gateway of an installation, as its row has it.

    Raises:
        GatewayMisconfigured: the token cannot be decrypted, or the address may not be called.
    """
    options = allowed_options(api_url) or {}
    try:
        token = decrypt(token_encrypted)
        client, reader = (
            SaleorClient(api_url, token, timeout_seconds=seconds, attempts=attempts, installation_slug=slug, version=version)
            for seconds, attempts in ((CALL_SECONDS, 1), (PAGE_SECONDS, 3))
        )
    except SaleorError as error:
        raise GatewayMisconfigured(str(error)) from error
    rules = rules_of(options, account=slug, app_id=app_id)
    return SaleorGateway(client=client, reader=reader, rules=rules, reason_page=partial(page_of_reason, slug))


def rules_of(options: Mapping[str, object], *, account: str, app_id: str) -> Rules:
    """Return how a Saleor's orders are read, from its options in the settings."""
    types, metadata = options.get("product_types") or (), options.get("metadata") or {}
    return Rules(
        account=account,
        app_id=app_id,
        payment_account=str(options.get("payment_account") or ""),
        product_types=frozenset(str(name) for name in types) if isinstance(types, (list, tuple, set, frozenset)) else frozenset(),
        metadata={str(key): str(value) for key, value in metadata.items()} if isinstance(metadata, Mapping) else {},
    )
