"""When the customer's bank usually shows money that was sent back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.states import RefundState

# Working days from, to. Source for cards and whatever is not named: Stripe, "Customer refund processing time" (5-10 business
# days, depending on the bank). A SEPA direct debit comes back as a credit transfer, which needs no card network.
_CARD = (5, 10)
_WINDOWS = {"sepa_debit": (3, 5)}
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Arrival:
    """The days between which the money is usually there, where the store is; bank holidays are not known to us."""

    earliest: date
    latest: date


def window(method: str) -> tuple[int, int]:
    """Return how many working days a bank usually takes for a means of payment (`card`, `sepa_debit` …): from, to."""
    return _WINDOWS.get(method, _CARD)


def expected_arrival(refund: Refund, *, timezone: str) -> Arrival | None:
    """Return when money that has been sent is usually there; None while it has not been sent, or did not go.

    Args:
        refund: with its payment.
        timezone: the store's (IANA name): its day of sending is the one that counts.
    """
    sent = refund.first_sent_at or refund.settled_at
    if sent is None or refund.state not in (RefundState.PENDING, RefundState.SUCCEEDED):
        return None
    day = sent.astimezone(ZoneInfo(timezone)).date()
    soonest, longest = window(refund.payment.method)
    return Arrival(working_days_after(day, soonest), working_days_after(day, longest))


def arrival_text(refund: Refund) -> str:
    """Say how long banks usually take."""
    soonest, longest = window(refund.payment.method)
    return _("banks usually show it within %(from)d to %(to)d working days") % {"from": soonest, "to": longest}


def working_days_after(day: date, count: int) -> date:
    """Return the day that lies `count` working days (Monday to Friday) after `day`."""
    while count > 0:
        day += timedelta(days=1)
        count -= day.weekday() < _SATURDAY
    return day
