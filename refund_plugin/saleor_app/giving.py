"""The form by which staff give a customer a voucher or a gift card besides any refund."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.http import QueryDict
from django.utils.translation import gettext as _

from refund_plugin.errors import InvalidInput
from refund_plugin.money import Money
from refund_plugin.refunds.incentives.limits import DEFAULT_DAYS, MAX_DAYS, MIN_DAYS, most_amount, most_percent
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.saleor_app.visits import Visit
from refund_plugin.stores.base import CreditKind

PERCENT = "percent"


@dataclass(frozen=True, slots=True)
class IncentiveForm:
    """What the form shows: what was typed, else what it begins with.

    Attributes:
        most, most_percent: what may be given at most; the second is 0 where only an amount can be given.
        key: names this wish, so that a double click gives once.
    """

    kind: CreditKind
    currency: str
    most: Money
    most_percent: int
    min_days: int
    max_days: int
    key: str
    worth: str
    unit: str
    days: str
    reason: str
    message: str
    opened: bool


def incentive_form(visit: Visit, found: RefundRequest, sent: QueryDict | None) -> IncentiveForm | None:
    """Return the form for a case; None when the person may give nothing."""
    if visit.incentive is None:
        return None
    typed = sent if sent is not None and sent.get("step") == "give" else QueryDict()
    currency = found.purchase.currency
    return IncentiveForm(
        kind=visit.incentive,
        currency=currency,
        most=most_amount(currency),
        most_percent=most_percent() if visit.incentive == CreditKind.VOUCHER else 0,
        min_days=MIN_DAYS,
        max_days=MAX_DAYS,
        key=typed.get("key") or uuid4().hex,
        worth=typed.get("worth", ""),
        unit=typed.get("unit", ""),
        days=typed.get("days", str(DEFAULT_DAYS)),
        reason=typed.get("reason", ""),
        message=typed.get("message", ""),
        opened=bool(typed),
    )


def read_incentive(data: QueryDict, *, currency: str) -> dict[str, Any]:
    """Return what was typed as `give_incentive` takes it.

    Raises:
        InvalidInput: a number that is none.
    """
    worth = data.get("worth", "").strip()
    return {
        "worth": _whole(worth, field="worth") if data.get("unit") == PERCENT else Money.from_decimal(worth, currency),
        "days": _whole(data.get("days", ""), field="days"),
        "reason": data.get("reason", ""),
        "message": data.get("message", ""),
        "submission_key": data.get("key", ""),
    }


def _whole(text: str, *, field: str) -> int:
    if not text.strip().isdecimal() or len(text) > 6:
        raise InvalidInput(_("Write a whole number."), field=field)
    return int(text)
