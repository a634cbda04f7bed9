"""What an app may change of its webhooks, and which headers of its own Saleor sends along (saleor/webhook/validators.py)."""

from __future__ import annotations

import json
import string
from typing import Any

from tests.saleor.standin.context import Context
from tests.saleor.standin.refusals import Refusal
from tests.saleor.standin.world import Webhook

MOST_HEADERS = 5
LONGEST_HEADER = 998
VISIBLE = frozenset(string.ascii_letters + string.digits + string.punctuation)
IN_NAMES, IN_VALUES = VISIBLE - {":"}, VISIBLE | {" ", "\t"}


class BadHeaders(Exception):
    """Headers that Saleor does not send."""


def checked_headers(headers: dict[Any, Any]) -> dict[str, str]:
    """Return headers as Saleor keeps them, their names in lower case.

    Raises:
        BadHeaders: too many, too long, or none that an app may choose.
    """
    if len(headers) > MOST_HEADERS:
        raise BadHeaders(f"Number of headers exceeds the limit: {MOST_HEADERS}.")
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise BadHeaders("Header must consist of strings.")
        if len(name) + len(value) + 2 > LONGEST_HEADER:
            raise BadHeaders(f'Header with key: "{name}" exceeds the limit of characters: {LONGEST_HEADER}.')
        if not set(name) <= IN_NAMES:
            raise BadHeaders(f'Key "{name}" contains invalid character.')
        if not set(value) <= IN_VALUES:
            raise BadHeaders(f'Value "{value}" contains invalid character.')
        if not name.lower().startswith(("x-", "authorization")) and name.lower() != "brokerproperties":
            raise BadHeaders(f'"{name}" does not match allowed key pattern: "X-*", "Authorization*", or "BrokerProperties".')
    return {name.lower(): value for name, value in headers.items()}


def update_webhook(
    source: Any, context: Context, *, input: dict[str, Any], id: str | None = None, identifier: str | None = None
) -> dict[str, Any]:
    """webhookUpdate: an app reaches its own webhooks alone; whoever may manage apps, all."""
    apps = [context.caller.app] if context.caller.app else list(context.world.apps.values())
    webhook = next((each for app in apps for each in app.webhooks if each.id == id), None)
    if webhook is None:
        raise Refusal("id", f"Couldn't resolve to a node: {id or identifier}", "NOT_FOUND")
    if "customHeaders" in input:
        webhook.custom_headers = _given(input["customHeaders"])
    for name, attribute in (("name", "name"), ("targetUrl", "target_url"), ("isActive", "is_active")):
        if name in input:
            setattr(webhook, attribute, input[name])
    return {"webhook": webhook}


def _given(text: str | None) -> dict[str, str]:
    try:
        headers = json.loads(text or "{}")
    except ValueError:  # Saleor takes what is no JSON for nothing
        return {}
    try:
        return checked_headers(headers)
    except BadHeaders as refused:
        raise Refusal("customHeaders", str(refused), "INVALID_CUSTOM_HEADERS") from refused


def told_headers(webhook: Webhook, context: Context) -> str | None:
    """Webhook.customHeaders: JSON inside a text; nothing for a webhook that never had any."""
    return json.dumps(webhook.custom_headers) if webhook.custom_headers else None
