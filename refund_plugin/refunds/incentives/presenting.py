"""Incentives in words, for customers and staff."""

from __future__ import annotations

from django.utils.translation import gettext as _

from refund_plugin.localize import Formatter
from refund_plugin.money import Money
from refund_plugin.refunds.incentives.models import Incentive
from refund_plugin.stores.base import CreditKind


def called(incentive: Incentive, formatter: Formatter) -> str:
    """Return what it is: “a gift card of 10.00 €”, “a voucher of 20 %”."""
    worth = incentive.worth
    values = {"worth": formatter.money(worth) if isinstance(worth, Money) else formatter.percent(worth)}
    if incentive.kind == CreditKind.GIFT_CARD:
        return _("a gift card of %(worth)s") % values
    return _("a voucher of %(worth)s") % values


def how_to_use(incentive: Incentive) -> str:
    """Return how a customer uses it."""
    if incentive.kind == CreditKind.GIFT_CARD:
        return _("Enter the code as a gift card when you pay. What you do not use stays on it.")
    return _("Enter the code when you pay. It counts once, for a whole order.")


def code_end(code: str) -> str:
    """Return by what a customer recognises a code that stands whole in their mail."""
    return code[-4:] if len(code) > 8 else "…"


def last_day(incentive: Incentive, formatter: Formatter) -> str:
    """Return the last day on which it can be used, in the store's time zone."""
    return formatter.date(incentive.ends_at)
