"""What a quote promised: the passing of time takes nothing of it away while it lasts, and no less is ever asked for unseen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.signing import BadSignature, Signer
from django.utils.translation import gettext as _

from refund_plugin.conf import settings
from refund_plugin.errors import QuoteChanged
from refund_plugin.localize import formatter_for
from refund_plugin.money import Money
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.quote import Quote, QuoteLine

MAX_TOKEN = 20_000  # characters; more is none of ours


@dataclass(frozen=True, slots=True)
class Promise:
    """What a customer was shown.

    Attributes:
        quoted_at, expires_at: UTC.
        amounts: by line id, the units and what comes back for them in minor units of the purchase's currency.
    """

    quoted_at: datetime
    expires_at: datetime
    amounts: Mapping[int, tuple[int, int]]

    def kept_from(self, now: datetime) -> datetime | None:
        """Return the moment whose amounts are still kept; None when the promise has ended."""
        return self.quoted_at if self.quoted_at <= now < self.expires_at else None


def lasts_until(now: datetime) -> datetime:
    """Return until when what is quoted at `now` is kept."""
    return now + timedelta(seconds=settings().quote_seconds)


def make_promise(quote: Quote, *, quoted_at: datetime | None = None) -> str:
    """Return a signed text that a form, or a program, sends along to get what it was shown.

    Only this purchase of this customer can use it, and nothing in it is secret.

    Args:
        quoted_at: when the customer was promised it first, where the page is shown again before that has ended.
    """
    start = quoted_at or quote.now
    amounts = [[line.line.pk, line.quantity, line.amount.minor] for line in quote.lines if line.amount]
    data = {"at": start.isoformat(), "to": lasts_until(start).isoformat(), "lines": amounts}
    return _signer(quote.purchase).sign_object(data, compress=True)


def read_promise(text: str, *, purchase: Purchase) -> Promise | None:
    """Return what `make_promise` wrote; None for anything else, and for another purchase's or customer's."""
    if not 0 < len(text) <= MAX_TOKEN:
        return None
    try:
        data: dict[str, Any] = _signer(purchase).unsign_object(text)
        return Promise(
            quoted_at=datetime.fromisoformat(data["at"]),
            expires_at=datetime.fromisoformat(data["to"]),
            amounts={pk: (quantity, minor) for pk, quantity, minor in data["lines"]},
        )
    except (BadSignature, ValueError, KeyError, TypeError):
        return None


def check_kept(promise: Promise, quote: Quote) -> None:
    """See that nobody asks for less than they were shown.

    Raises:
        QuoteChanged: for a line it is less now, since the promise has ended, or because of what was used or refunded meanwhile.
    """
    language = formatter_for(timezone=quote.purchase.store.timezone)
    for line in quote.lines:
        shown = _shown(promise, line)
        if shown > line.amount.minor:
            text = _("“%(name)s” has changed since this page was opened: it was %(before)s, and is %(now)s now. Please look again.")
            before = Money(shown, quote.purchase.currency)
            values = {"name": line.line.name, "before": language.money(before), "now": language.money(line.amount)}
            raise QuoteChanged(text % values, field="lines")


def _shown(promise: Promise, line: QuoteLine) -> int:
    quantity, minor = promise.amounts.get(line.line.pk, (0, 0))
    return minor if quantity == line.quantity else 0


def _signer(purchase: Purchase) -> Signer:
    # the owner is in the salt: the text of one purchase says nothing about another, nor to the next customer of this one
    return Signer(salt=f"refund_plugin.promise.{purchase.pk}.{purchase.customer_id}", sep=".")
