"""Lets Saleor send a secret along with our webhooks, so that what other Apps have it sign is not taken for ours.

Not at the handshake: Saleor waits for that one, and some of what it makes of a manifest comes after it. So a duty of the sweep does
it soon after, and the look every ten minutes puts back what was lost. Whatever breaks off, the next one goes on with the same secret.
"""

from __future__ import annotations

import logging
from datetime import datetime
from urllib.parse import urlsplit

from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from refund_plugin import clock
from refund_plugin.saleor.api import read_webhooks
from refund_plugin.saleor.client import SaleorClient, client_for
from refund_plugin.saleor.data import WebhookData
from refund_plugin.saleor.deliveries import HEADER, note_secret_set, own_secret, set_webhook_headers
from refund_plugin.saleor.errors import SaleorError
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.options import allowed_options

logger = logging.getLogger(__name__)

CALL_SECONDS = 10.0
NAME = HEADER.lower()  # as Saleor keeps it
# the ends of the two addresses in our manifest: somebody else's webhook, added to our App, is told no secret
DOORS = ("/saleor/webhooks/", "/saleor/transactions/")


def set_webhook_secrets(now: datetime) -> int:
    """Set the secret where it is not set yet; return in how many installations it is now. One that is not is tried next time.

    Args:
        now: UTC.
    """
    waiting = SaleorInstallation.objects.filter(is_active=True, webhook_secret_set_at__isnull=True)
    return sum(not keep_webhook_secret(installation) for installation in waiting if allowed_options(installation.api_url) is not None)


@sensitive_variables("secret")
def keep_webhook_secret(installation: SaleorInstallation) -> str:
    """See to it that each of our webhooks in a Saleor carries the secret; return what keeps it from that, "" when all do.

    One call where all is well, and one more for each webhook that lacks it. No transaction may be open.
    """
    try:
        client = client_for(installation.slug, timeout_seconds=CALL_SECONDS)
        installation.refresh_from_db()  # the row of the token that the client has
        secret = own_secret(installation)
        ours = [webhook for webhook in read_webhooks(client) if urlsplit(webhook.target_url).path.endswith(DOORS)]
        bare = [webhook for webhook in ours if webhook.headers.get(NAME) != secret]
        for webhook in bare:
            _set(client, webhook, secret)
    except SaleorError as error:
        logger.warning("the webhooks of %s could not be given their secret: %s", installation.slug, error)
        return str(error.message)
    if not ours:
        return _("Saleor has no webhook of the refund App. Remove the App there and install it again, so that it reads the manifest anew.")
    if note_secret_set(installation, now=clock.now()):
        logger.info("%s sends the secret along with our webhooks; soon nothing is believed without it", installation.slug)
    elif bare:
        logger.warning("webhooks of %s had lost their secret, and have it again: %s", installation.slug, [hook.name for hook in bare])
    return ""


@sensitive_variables("secret", "kept")
def _set(client: SaleorClient, webhook: WebhookData, secret: str) -> None:
    """Add the secret to a webhook's headers; what the shop itself had put there stays."""
    kept = set_webhook_headers(client, webhook_id=webhook.id, headers={**webhook.headers, NAME: secret})
    if kept.get(NAME) != secret:
        raise SaleorError("WebhookUpdate", _("Saleor did not keep the webhook's header."))
