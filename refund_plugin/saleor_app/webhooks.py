"""The door for Saleor's asynchronous events: `POST /refunds/saleor/webhooks/`.

An event only says which order changed; a worker reads the order anew, so repetition and order of the events do not matter.
What is believed stands in the signed body, not in the headers, which nobody signs; but one of them has to show that Saleor made the
body for us (`saleor/deliveries.py`).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.http import HttpRequest, JsonResponse
from django.utils.dateparse import parse_datetime
from django.utils.decorators import method_decorator
from django.utils.text import camel_case_to_spaces
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from refund_plugin import clock
from refund_plugin.gateways.facts import WebhookSale
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.saleor.deliveries import verify_delivery
from refund_plugin.saleor.errors import KeysUnavailable, NotInstalled, SaleorRateLimited, SaleorUnreachable, SignatureInvalid
from refund_plugin.saleor.installations import installation_of_request
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor_app.bodies import TooLarge, read_body, read_object
from refund_plugin.saleor_app.install import is_removed, remove_installation
from refund_plugin.saleor_app.manifest import ORDER_EVENTS
from refund_plugin.webhooks.services import keep_event

logger = logging.getLogger(__name__)

# our subscriptions ask for ids only
MAX_BODY_BYTES = 256 * 1024


# the signature is the proof, not a session; each step commits on its own, also in a host with ATOMIC_REQUESTS
@method_decorator([csrf_exempt, transaction.non_atomic_requests], name="dispatch")
class SaleorWebhooks(View):
    """Answer 200 for what was taken in or changes nothing, 4xx for what does not verify, which Saleor does not send again.

    Only while the database does not answer, or Saleor cannot be asked what it takes, the answer is 503: an asynchronous event comes
    again then, with the same body, after 10, 20, 40, 80 and 160 seconds. (A transaction's request would not: see `transactions.py`.)
    """

    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest) -> JsonResponse:
        """Take in one event."""
        try:
            body = read_body(request, most_bytes=MAX_BODY_BYTES)
            installation = installation_of_request(request.headers)
            verify_delivery(body=body, headers=request.headers, installation=installation, now=clock.now())
            take_in(installation=installation, body=body, now=clock.now())
        except TooLarge:
            return JsonResponse({"error": "too large"}, status=413)
        except (OperationalError, InterfaceError, KeysUnavailable, SaleorRateLimited, SaleorUnreachable):
            logger.exception("an event of Saleor could not be kept; it comes again")
            return JsonResponse({"error": "LATER"}, status=503)
        except (NotInstalled, SignatureInvalid) as error:
            logger.warning("an event of Saleor was refused: %s", error)
            return JsonResponse({"error": "WEBHOOK_REJECTED"}, status=400)
        return JsonResponse({"received": True})


def take_in(*, installation: SaleorInstallation, body: bytes, now: datetime) -> None:
    """Keep a verified event for a worker, or do at once what it asks for; what is empty, unknown or of no use changes nothing.

    Args:
        body: as it was signed.
        now: UTC.
    """
    told = read_object(body)
    if told is None:
        if body:
            logger.warning("an event of %s is no JSON object and changes nothing", installation.slug)
        return
    kind = _kind_of(told)
    if kind == "APP_DELETED":
        _remove(installation, app_id=_id_of(told.get("app")), now=now)
    elif kind in ORDER_EVENTS and (order := _order_of(told)):
        _keep(installation, told, body, kind=kind, order=order, now=now)


def _remove(installation: SaleorInstallation, *, app_id: str, now: datetime) -> None:
    if not app_id or app_id != installation.app_id:  # another App, or an earlier installation of this one
        return
    if is_removed(installation):
        remove_installation(installation=installation, app_id=app_id, now=now)
    else:
        logger.warning("%s was said to have removed the App, and denies it", installation.slug)


def _keep(installation: SaleorInstallation, told: Mapping[str, Any], body: bytes, *, kind: str, order: str, now: datetime) -> None:
    # Saleor numbers no deliveries; the body of one that comes again is the same, and `issuedAt` tells two events apart
    fact = WebhookSale(
        event_id=hashlib.sha256(body).hexdigest(),
        event_type=kind.lower(),
        livemode=True,
        created=_moment(told.get("issuedAt")) or now,
        source_id=order,
        kind="order",
    )
    kept = {"id": fact.event_id, "type": fact.event_type, "created": fact.created.isoformat(), "livemode": True, "order": order}
    keep_event(account=GatewayAccount.objects.get(slug=installation.slug), fact=fact, body=kept, now=now)


def _kind_of(told: Mapping[str, Any]) -> str:
    """Return the event's name as the manifest has it: `OrderFullyPaid` is `ORDER_FULLY_PAID`."""
    name = told.get("__typename")
    return camel_case_to_spaces(name).replace(" ", "_").upper() if isinstance(name, str) else ""


def _order_of(told: Mapping[str, Any]) -> str:
    transaction_item = told.get("transaction")
    return _id_of(told.get("order")) or (_id_of(transaction_item.get("order")) if isinstance(transaction_item, dict) else "")


def _id_of(told: object) -> str:
    found = told.get("id") if isinstance(told, dict) else None
    return found if isinstance(found, str) and len(found) <= 255 else ""


def _moment(told: object) -> datetime | None:
    try:
        moment = parse_datetime(told) if isinstance(told, str) else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None
