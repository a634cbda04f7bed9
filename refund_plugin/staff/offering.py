"""Whether a person may give a case's customer something besides any refund, and what waits for the store."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from refund_plugin.actor import Action
from refund_plugin.refunds.incentives.models import Incentive, IncentiveState
from refund_plugin.refunds.incentives.services import offered_by
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.people import may
from refund_plugin.stores.base import CreditKind

LABELS = {CreditKind.GIFT_CARD: _("Give a gift card"), CreditKind.VOUCHER: _("Give a voucher")}


def offered_to(user: Any, request: RefundRequest) -> tuple[Any, list[Incentive]]:
    """Return the label of what a person may give with a case ("" for nothing), and what the store has yet to issue."""
    kind = offered_by(request.store) if may(user, Action.GIVE_INCENTIVE) else None
    if kind is None:
        return "", []
    return LABELS[kind], [row for row in request.incentives.all() if row.state == IncentiveState.WAITING]
