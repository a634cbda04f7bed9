"""What the pages within Saleor's dashboard show, made from rows: no rendering."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from refund_plugin.money import Money
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.refunds.states import GONE, OPEN_FOR_STAFF, OVER
from refund_plugin.refunds.timeline import Timeline, timeline

MAX_NAMES = 3

# by the timeline's status: what staff read, and its tone
STATUS = {
    "submitted": (_("Being judged"), "wait"),
    "in_review": (_("Waits for a decision"), "part"),
    "needs_evidence": (_("Waits for the customer"), "wait"),
    "approved": (_("Approved"), "wait"),
    "waiting_subscription": (_("Waits for the subscription's end"), "wait"),
    "sending": (_("On its way"), "wait"),
    "refunded": (_("Refunded"), "yes"),
    "needs_person": (_("Needs a person"), "no"),
    "disputed": (_("The bank decides"), "part"),
    "given_up": (_("Closed"), ""),
    "declined": (_("Declined"), ""),
    "canceled": (_("Taken back"), ""),
}


@dataclass(frozen=True, slots=True)
class RequestCard:
    """One request in a list.

    Attributes:
        names: of the first lines; `more` counts the others.
        tone: yes, part, no, wait or "": how the status is coloured.
        is_open: a person can decide it now.
    """

    id: UUID
    reference: str
    number: str
    names: str
    more: int
    status: str
    tone: str
    timeline: Timeline
    asked_at: datetime
    is_open: bool


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A refund that was made past us, at the payment provider; `tone` as of a `RequestCard`."""

    amount: Money
    status: str
    tone: str
    at: datetime


def request_card(request: RefundRequest) -> RequestCard:
    """Return the card of a request; its purchase, lines, decisions and refunds are loaded."""
    told = timeline(request, for_staff=True)
    status, tone = STATUS[told.status_code]
    names = [item.line.name for item in request.lines.all()]
    return RequestCard(
        id=request.pk,
        reference=request.reference,
        number=request.purchase.number,
        names=", ".join(names[:MAX_NAMES]),
        more=max(0, len(names) - MAX_NAMES),
        status=str(status),
        tone=tone,
        timeline=told,
        asked_at=request.created_at,
        is_open=request.state in OPEN_FOR_STAFF,
    )


def refunds_elsewhere(purchases: Iterable[Purchase] | QuerySet[Purchase]) -> list[Elsewhere]:
    """Return what was refunded past us for purchases, newest first; one query."""
    found = Refund.objects.filter(payment__purchase__in=purchases, request__isnull=True).order_by("-created_at", "-pk")
    return [Elsewhere(refund.amount, refund.get_state_display(), _tone(refund.state), refund.created_at) for refund in found]


def admin_url(request: RefundRequest) -> str:
    """Return where the staff admin shows a case; "" on a site that has left the admin out."""
    try:
        return reverse("refund_cases:case", args=[request.pk])
    except NoReverseMatch:
        return ""


def _tone(state: str) -> str:
    return "yes" if state in GONE else "no" if state in OVER else "wait"
